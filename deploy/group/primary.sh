#!/bin/bash
# Prints another server of the group that accepts writes. Its exit status is 1 if no other server
# answers, and 2 if none of those that answer accepts writes. Runs in a member's container.
set -eo pipefail

export MYSQL_PWD
MYSQL_PWD=$(</run/secrets/root_password)
seeds=$(mysql --user=root -BNe 'SELECT @@group_replication_group_seeds')
MYSQL_PWD=$(</run/secrets/replicator_password)
status=1
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
  status=2
done
exit $status
