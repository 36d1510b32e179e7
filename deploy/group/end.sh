#!/usr/bin/env bash
# Makes db the only server again: it becomes the primary, the others stop, and it leaves the group.
# The data of the others stays in their volumes; see docs/group.md.
set -euo pipefail

# shellcheck disable=SC2016 # the container's shell reads the password
sql() { # sql MEMBER STATEMENTS
  docker compose exec -T "$1" bash -c \
    'MYSQL_PWD=$(</run/secrets/root_password) exec mysql --user=root --batch --skip-column-names' <<<"$2"
}

sql db 'SELECT group_replication_set_as_primary(@@server_uuid, 1)' >/dev/null
docker compose stop db-2 db-3
# The first statement keeps member.sh from joining again.
sql db 'RESET PERSIST IF EXISTS group_replication_start_on_boot; STOP GROUP_REPLICATION;
  RESET PERSIST IF EXISTS super_read_only; SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF'
echo 'end: db is the only server. Remove deploy/group/compose.yaml from COMPOSE_FILE.'
