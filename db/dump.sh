#!/bin/bash
# Dumps the schema to standard output from one consistent snapshot, while the service keeps reading
# and writing. Runs in the database's container; see backup.sh.
set -euo pipefail

export MYSQL_PWD
MYSQL_PWD=$(</run/secrets/root_password)
# Take the lock that migrations take: snapshots do not hide DDL, so the dump could contain half a
# migration. Leave out GTIDs: they belong to this server, and mysqldump would block all writes to
# read them.
exec mysqldump --user=root --single-transaction --set-gtid-purged=OFF --hex-blob \
  --init-command="DO GET_LOCK('$MYSQL_DATABASE.migrate', -1)" "$MYSQL_DATABASE"
