#!/bin/bash
# The first start of db without data. If the others are a group already, it has lost its data, and
# joins them. If not, it is a new server, which rejects writes until begin.sh: clients would take an
# empty server that accepts writes for the primary.
set -eo pipefail

if primary=$(bash /primary.sh); then
  echo "first: $primary has the group's data"
  bash /join.sh
  exec bash /init/99-finished.sh
fi
MYSQL_PWD=$(</run/secrets/root_password) mysql --user=root --execute='SET PERSIST_ONLY super_read_only = ON'
for script in /init/*; do bash "$script"; done
