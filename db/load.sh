#!/bin/bash
# Reads what dump.sh has written. It goes into a schema aside and takes the empty one's place in
# one statement, so the service sees all of it or nothing. Runs in the database's container; see
# restore.sh.
set -euo pipefail

export MYSQL_PWD
MYSQL_PWD=$(</run/secrets/root_password)
schema=$MYSQL_DATABASE
aside=${schema}_restore
empty=${schema}_empty

sql() {
  mysql --user=root --batch --skip-column-names --init-command="SET SESSION lock_wait_timeout=60" "$@"
}

# A stack that nobody has used has had its migrations, and perhaps clients with wrong tokens.
tables=$(sql --execute="SELECT table_name FROM information_schema.tables
  WHERE table_schema = '$schema' AND table_name NOT IN ('alembic_version', 'rate_limits')")
for table in $tables; do
  if [ "$(sql "$schema" --execute="SELECT EXISTS (SELECT 1 FROM \`$table\`)")" -eq 1 ]; then
    echo "A backup goes into an empty stack only, and there are rows in $table." >&2
    exit 1
  fi
done

clear="DROP DATABASE IF EXISTS \`$aside\`; DROP DATABASE IF EXISTS \`$empty\`"
trap 'sql --execute="$clear"' EXIT
sql --execute="$clear; CREATE DATABASE \`$aside\`; CREATE DATABASE \`$empty\`"
sql "$aside"
sql <<SQL
SET SESSION group_concat_max_len = 1000000;
DO GET_LOCK('$schema.migrate', -1);
SELECT CONCAT('RENAME TABLE ', GROUP_CONCAT(
    '\`', table_schema, '\`.\`', table_name, '\` TO \`',
    IF(table_schema = '$schema', '$empty', '$schema'), '\`.\`', table_name, '\`'
    ORDER BY table_schema = '$aside'))
  FROM information_schema.tables WHERE table_schema IN ('$schema', '$aside') INTO @swap;
PREPARE swap FROM @swap;
EXECUTE swap;
SQL
