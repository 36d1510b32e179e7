#!/bin/bash
# Prints another server of the group that accepts writes, and fails if there is none. Runs in a
# member's container.
set -eo pipefail

export MYSQL_PWD
MYSQL_PWD=$(</run/secrets/root_password)
seeds=$(mysql --user=root -BNe 'SELECT @@group_replication_group_seeds')
MYSQL_PWD=$(</run/secrets/replicator_password)
for address in ${seeds//,/ }; do
  host=${address%:*}
  [ "$host" != "$HOSTNAME" ] || continue
  reads_only=$(mysql --host="$host" --port="${address##*:}" --user=replicator --connect-timeout=3 \
    --ssl-mode=VERIFY_IDENTITY --ssl-ca=/run/secrets/ca.pem -BNe 'SELECT @@super_read_only' \
    2>/dev/null) || continue
  if [ "$reads_only" = 0 ]; then
    echo "$host"
    exit
  fi
done
exit 1
