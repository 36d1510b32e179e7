#!/bin/bash
# Starts MySQL as a member of the group, with a number and an address from its host name.
set -euo pipefail

number=1
[ "$HOSTNAME" = db ] || number=${HOSTNAME##*-}
options=(--server-id="$number" --report-host="$HOSTNAME"
  --loose-group-replication-local-address="$HOSTNAME:3306")
mark=/var/lib/mysql/.begin-group
if [ -e $mark ]; then  # from recover.sh, for one start
  rm $mark
  options+=(--loose-group-replication-bootstrap-group=ON)
elif [ -d /var/lib/mysql/mysql ]; then
  # If a member crashed, the group must notice that first. It would not let the member join again as
  # long as it counts its former self, and a member gives up after a minute.
  sleep 9
fi
exec bash /start.sh "${options[@]}"
