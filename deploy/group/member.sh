#!/bin/bash
# Starts MySQL as a member of the group, with a number and an address from its host name.
set -euo pipefail

number=1
[ "$HOSTNAME" = db ] || number=${HOSTNAME##*-}
options=(--server-id="$number" --report-host="$HOSTNAME"
  --loose-group-replication-local-address="$HOSTNAME:3306")
if [ -d /var/lib/mysql/mysql ]; then
  # If a member crashed, the group must notice that first. It would not let the member join again as
  # long as it counts its former self, and a member gives up after a minute. And two members that
  # join at the same moment hold up each other and the group, until both give up.
  wait=$((9 + 5 * (number - 1)))
  # From recover.sh, for one start without a wait. An old mark does not count: it is left from a run
  # that was interrupted, and would begin a second group.
  mark=/var/lib/mysql/.recover
  is_marked() { read -r begins at 2>/dev/null <$mark && ((EPOCHSECONDS - at < 120)); }
  while ! is_marked && ((wait-- > 0)); do sleep 1; done
  ! is_marked || options+=(--loose-group-replication-bootstrap-group="$begins")
  rm -f $mark
fi

# A member that has given up stays outside of the group. This lets it try again, once its own first
# attempt is over. The condition is false after end.sh, and on the server that runs init scripts.
# shellcheck disable=SC2016 # quotes of SQL
outside='SELECT NOT @@skip_networking AND member_state = "OFFLINE" AND (
    SELECT variable_value > 90 FROM performance_schema.global_status
    WHERE variable_name = "Uptime"
  ) AND EXISTS (
    SELECT * FROM performance_schema.persisted_variables
    WHERE variable_name = "group_replication_start_on_boot" AND variable_value = "ON"
  ) FROM performance_schema.replication_group_members'
# It never begins a group: recover.sh may have been interrupted.
again='SET GLOBAL group_replication_bootstrap_group = OFF; START GROUP_REPLICATION'
try_again() {
  export MYSQL_PWD
  while sleep $((25 + 5 * number)); do
    MYSQL_PWD=$(</run/secrets/root_password)
    if [ "$(mysql --user=root -BNe "$outside" 2>/dev/null)" = 1 ]; then
      mysql --user=root --execute="$again" || true
    fi
  done
}
try_again &

exec bash /start.sh "${options[@]}"
