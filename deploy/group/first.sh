#!/bin/bash
# The first start of db without data. If the others are a group already, it has lost its data, and
# joins them. If not, it is a new server, which rejects writes until begin.sh: clients would take an
# empty server that accepts writes for the primary.
set -eo pipefail

# If this was the primary, the others need some seconds to elect another one.
for ((tries = 60; tries > 0; tries--)); do
  status=0
  primary=$(bash /primary.sh) || status=$?
  [ "$status" = 2 ] || break
  sleep 1
done
if [ "$status" = 0 ]; then
  echo "first: $primary has the group's data"
  bash /join.sh
  exec bash /init/99-finished.sh
fi
MYSQL_PWD=$(</run/secrets/root_password) mysql --user=root --execute='SET PERSIST_ONLY super_read_only = ON'
for script in /init/*; do bash "$script"; done
