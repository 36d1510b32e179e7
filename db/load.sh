#!/bin/bash
# Loads a dump, made by dump.sh, from standard input into a separate schema. Then it swaps the
# tables of this schema with those of the empty schema, in one statement. So the service sees all of
# the data or none. Runs in the database's container; see restore.sh.
set -euo pipefail

export MYSQL_PWD
MYSQL_PWD=$(</run/secrets/root_password)
schema=$MYSQL_DATABASE
aside=${schema}_restore
empty=${schema}_empty

sql() {
  mysql --user=root --batch --skip-column-names --init-command="SET SESSION lock_wait_timeout=60" "$@"
}

# In an unused stack, rows come only from migrations, and perhaps from clients with wrong tokens,
# which are counted in rate_limits.
tables=$(sql --execute="SELECT table_name FROM information_schema.tables
  WHERE table_schema = '$schema' AND table_name NOT IN ('alembic_version', 'rate_limits')")
for table in $tables; do
  if [ "$(sql "$schema" --execute="SELECT EXISTS (SELECT 1 FROM \`$table\`)")" -eq 1 ]; then
    echo "You can restore only into an empty stack, but the table $table has rows." >&2
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
