#!/usr/bin/env bash
# Prints the name of the Compose service whose MySQL accepts writes: db, or the primary of a group.
set -euo pipefail

members=$(docker compose config --services | grep -Ex 'db(-[0-9]+)?')
if [ "$members" = db ]; then
  echo db
  exit
fi
# A member that is not in the group, or not with the majority, knows no primary.
primary="SELECT IFNULL(MAX(IF(member_role = 'PRIMARY', member_host, NULL)), '')
  FROM performance_schema.replication_group_members
  HAVING SUM(member_state = 'ONLINE') * 2 > COUNT(*)"
for member in $members; do
  # shellcheck disable=SC2016 # the container's shell reads the password
  found=$(docker compose exec -T "$member" bash -c \
    'MYSQL_PWD=$(</run/secrets/root_password) exec timeout 5 mysql --user=root --batch --skip-column-names' \
    <<<"$primary" 2>/dev/null || true)
  [ ! "$found" ] || break
done
if [ ! "$found" ]; then
  echo 'No member of the group is its primary. See docs/group.md' >&2
  exit 1
fi
echo "$found"
