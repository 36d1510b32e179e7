#!/bin/bash
# Writes the schema to standard output, as it is at one moment, while the service reads and
# writes. Runs in the database's container; see backup.sh.
set -euo pipefail

export MYSQL_PWD
MYSQL_PWD=$(</run/secrets/root_password)
# The lock that a migration takes, since half of one would be in it: no snapshot hides DDL. GTIDs
# are of this server, and asking for them would stop all writes.
exec mysqldump --user=root --single-transaction --set-gtid-purged=OFF --hex-blob \
  --init-command="DO GET_LOCK('$MYSQL_DATABASE.migrate', -1)" "$MYSQL_DATABASE"
