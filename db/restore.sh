#!/usr/bin/env bash
# Loads a backup, made by backup.sh, into an empty stack. Usage: db/restore.sh FILE
# With LOGS or UNTIL, it is brought to a later moment first; see deploy/binlogs/replay.sh.
# IN_DATABASE is the command that runs another one in the database's container, and MIGRATE the one
# that runs migrations.
set -euo pipefail
file=$1
IN_DATABASE=${IN_DATABASE:-docker compose exec -T $(db/find.sh)}
read -ra in_database <<<"$IN_DATABASE"
migrate=${MIGRATE:-docker compose run --rm --no-deps migrate}

refuse() {
  echo "restore: $1 Nothing was changed." >&2
  exit 1
}

# The last line of a complete dump says that it is complete.
gzip -dc "$file" | tail -n 1 | grep -q '^-- Dump completed' || refuse "$file is damaged or incomplete."
read_dump() { gzip -dc "$file"; }
if [ "${UNTIL:-}${LOGS:-}" ]; then
  LOGS=${LOGS:-binlogs}
  # shellcheck source=deploy/binlogs/replay.sh
  . deploy/binlogs/replay.sh
fi
read_dump | "${in_database[@]}" bash -c "$(<db/load.sh)" || refuse "$file could not be loaded."
# The backup can be from an older version, so run the migrations that it lacks.
sh -c "$migrate" || {
  echo "restore: The data is loaded, but the migration failed. Run: $migrate" >&2
  exit 1
}
