#!/usr/bin/env bash
# Begins the group again after all members were down at once, with the member that has every
# transaction that any of them has. Usage: deploy/group/recover.sh [MEMBER...]
#
# Without arguments, all three members must answer. Name the members that are left if one is gone
# for good: transactions that only it had are lost then.
set -euo pipefail

members=("$@")
[ $# -gt 0 ] || members=(db db-2 db-3)

# shellcheck disable=SC2016 # the container's shell reads the password
sql() { # sql MEMBER STATEMENTS
  docker compose exec -T "$1" bash -c \
    'MYSQL_PWD=$(</run/secrets/root_password) exec mysql --user=root --batch --skip-column-names' <<<"$2"
}

# The next start of a member is now, without a wait, and it begins the group or not.
next_start() { # next_start MEMBER ON|OFF
  docker compose exec -T "$1" bash -c "echo $2 \$EPOCHSECONDS >/var/lib/mysql/.recover"
}

# What a member has received but not yet applied counts too.
has="SELECT REPLACE(CONCAT_WS(',', @@gtid_executed, (
       SELECT NULLIF(received_transaction_set, '')
       FROM performance_schema.replication_connection_status
       WHERE channel_name = 'group_replication_applier')), CHAR(10), '')"
state="SELECT member_state FROM performance_schema.replication_group_members
       WHERE member_id = @@server_uuid"

joined() { # prints a member that is in a group, if there is one
  local member
  for member in db db-2 db-3; do
    case $(sql "$member" "$state" 2>/dev/null || true) in
      ONLINE | RECOVERING) echo "$member" && return ;;
    esac
  done
}

end_if_joined() {
  local member
  member=$(joined)
  [ "$member" ] || return 0
  echo "recover: $member is in a group, which the others join by themselves. Nothing was changed." >&2
  exit 1
}

# A member that has just lost the majority notices that after 10 s.
for ((tries = 20; tries > 0; tries--)); do
  [ "$(joined)" ] || break
  sleep 1
done
end_if_joined

for member in "${members[@]}"; do
  next_start "$member" OFF || true  # it may wait, and is known below if it does not run
done
declare -A sets
for member in "${members[@]}"; do
  for ((tries = 60; tries > 0; tries--)); do
    ! sql "$member" 'DO 0' 2>/dev/null || break
    sleep 1
  done
  if [ "$tries" = 0 ]; then
    echo "recover: $member does not answer. Start it, or name the members that are left." >&2
    exit 1
  fi
done
end_if_joined  # a member that did not answer until now may have begun a group
for member in "${members[@]}"; do
  sets[$member]=$(sql "$member" "$has")
done
for first in "${members[@]}"; do
  all=1
  for member in "${members[@]}"; do
    all=$((all & $(sql "$first" "SELECT GTID_SUBSET('${sets[$member]}', '${sets[$first]}')")))
  done
  [ "$all" = 0 ] || break
done
if [ "$all" = 0 ]; then
  echo 'recover: no member has all transactions of the others. Nothing was changed.' >&2
  exit 1
fi
# The first one begins the group, and the others join it, one after the other. All are stopped before
# that: a member that tries to join would not do anything else for a minute.
for member in "${members[@]}"; do
  next_start "$member" "$([ "$member" = "$first" ] && echo ON || echo OFF)"
done
# Even after Ctrl-C, none of them stays stopped.
# shellcheck disable=SC2064 # these containers
trap "docker start $(docker compose ps --quiet "${members[@]}" | xargs) >/dev/null" EXIT
docker compose stop --timeout 5 "${members[@]}"

start() { # start MEMBER, and wait until it has all transactions of the group
  docker compose restart "$1" || return 1
  echo "recover: waiting for $1"
  for ((tries = 600; tries > 0; tries--)); do
    [ "$(sql "$1" "$state" 2>/dev/null)" != ONLINE ] || return 0
    sleep 1
  done
  echo "recover: $1 is not ONLINE after 10 minutes; see its log." >&2
  return 1
}
start "$first"
sql "$first" 'SET GLOBAL group_replication_bootstrap_group = OFF'
echo "recover: the group began again with $first"
result=0
for member in "${members[@]}"; do
  [ "$member" = "$first" ] || start "$member" || result=1
done
exit $result
