#!/bin/bash
# Loads a dump, made by dump.sh, from standard input into a separate schema. Then it swaps the
# tables of this schema with those of the empty schema, in one statement. So the service sees all of
# the data or none. If the service has written meanwhile, the swap is refused: it would drop what
# clients were told is stored. Runs in the database's container; see restore.sh.
set -euo pipefail

export MYSQL_PWD
MYSQL_PWD=$(</run/secrets/root_password)
schema=$MYSQL_DATABASE
aside=${schema}_restore
empty=${schema}_empty

sql() {
  mysql --user=root --batch --skip-column-names --init-command="SET SESSION lock_wait_timeout=60" "$@"
}

tables() { # tables SCHEMA: print the names of its tables
  sql --execute="SELECT table_name FROM information_schema.tables WHERE table_schema = '$1'"
}

require_none() { # require_none TABLE: fail unless the name of a table that has rows is empty
  if [ -n "$1" ]; then
    echo "You can restore only into an empty stack, but the table $1 has rows." >&2
    exit 1
  fi
}

# Migrations wait until this session ends, so the tables stay the same.
coproc sql --unbuffered
echo "SELECT GET_LOCK('$schema.migrate', -1);" >&"${COPROC[1]}"
read -r <&"${COPROC[0]}"

locks=() moves=()
# A query for a table that has rows. In an unused stack, rows come only from migrations, and perhaps
# from clients with wrong tokens, which are counted in rate_limits.
occupied="SELECT MIN(name) FROM (SELECT NULL"
there=$(tables "$schema")
for table in $there; do
  name="\`$schema\`.\`$table\`"
  locks+=("$name WRITE")
  moves+=("$name TO \`$empty\`.\`$table\`")
  if [[ $table != alembic_version && $table != rate_limits ]]; then
    occupied+=" UNION ALL SELECT '$table' WHERE EXISTS (SELECT 1 FROM $name)"
  fi
done
occupied="SELECT IFNULL(($occupied) AS occupied (name)), '')"
found=$(sql --execute="$occupied")
require_none "$found"

clear="DROP DATABASE IF EXISTS \`$aside\`; DROP DATABASE IF EXISTS \`$empty\`"
trap 'sql --execute="$clear"' EXIT
sql --execute="$clear; CREATE DATABASE \`$aside\`; CREATE DATABASE \`$empty\`"
# If the connection breaks, the input ends early, without an error. So check its last line.
awk '{ print } END { exit $0 !~ /^-- Dump completed/ }' | sql "$aside" || {
  echo "The dump is incomplete, or it has invalid SQL." >&2
  exit 1
}

loaded=$(tables "$aside")
for table in $loaded; do
  locks+=("\`$aside\`.\`$table\` WRITE")
  moves+=("\`$aside\`.\`$table\` TO \`$schema\`.\`$table\`")
done
# The locks hold off writes between the check and the swap. They then go to the new tables.
IFS=,
found=$(sql <<SQL
LOCK TABLES ${locks[*]};
$occupied INTO @found;
SET @swap = IF(@found = '', 'RENAME TABLE ${moves[*]}', 'DO 0');
PREPARE swap FROM @swap;
EXECUTE swap;
SELECT @found;
SQL
)
require_none "$found"
