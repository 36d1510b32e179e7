#!/bin/bash
# Loads a backup, made by db/backup.sh, from standard input into this replica, which then goes on
# with the transactions after it. All data of the replica is replaced. Runs in its container.
set -euo pipefail

export MYSQL_PWD
MYSQL_PWD=$(</run/secrets/root_password)
app_password=$(</run/secrets/app_password)
migrator_password=$(</run/secrets/migrator_password)
sql() { mysql --user=root "$@"; }

IFS= read -r snapshot && IFS= read -r gtids
if [[ $snapshot != '-- Snapshot: '* || $gtids != '-- GTIDs: '* ]]; then
  echo 'load: The backup does not say which transactions it has. Make a new one.' >&2
  exit 1
fi
trap 'sql --execute="SET GLOBAL super_read_only = ON"' EXIT
# It forgets which transactions it has received: it would not ask for them again.
sql <<SQL
STOP REPLICA;
RESET REPLICA;
SET GLOBAL super_read_only = OFF;
DROP DATABASE IF EXISTS slipway;
CREATE DATABASE slipway;
CREATE USER IF NOT EXISTS app IDENTIFIED BY '$app_password' REQUIRE SSL;
CREATE USER IF NOT EXISTS migrator IDENTIFIED BY '$migrator_password' REQUIRE SSL;
GRANT SELECT, INSERT, UPDATE, DELETE ON slipway.* TO app;
SQL
awk '{ print } END { exit $0 !~ /^-- Dump completed/ }' | sql slipway || {
  echo 'load: The dump is incomplete, or it has invalid SQL.' >&2
  exit 1
}
sql <<SQL
RESET BINARY LOGS AND GTIDS;
SET GLOBAL gtid_purged = '${gtids#-- GTIDs: }';
START REPLICA;
SQL
