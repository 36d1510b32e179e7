#!/usr/bin/env bash
# Loads a backup, made by backup.sh, into an empty stack. Usage: db/restore.sh FILE
set -euo pipefail
file=$1

refuse() {
  echo "restore: $1 Nothing was changed." >&2
  exit 1
}

# The last line of a complete dump says that it is complete.
gzip -dc "$file" | tail -n 1 | grep -q '^-- Dump completed' || refuse "$file is damaged or incomplete."
gzip -dc "$file" | docker compose exec -T db bash -c "$(<db/load.sh)" || refuse "$file could not be loaded."
# The backup can be from an older version, so run the migrations that it lacks.
docker compose run --rm migrate || {
  echo "restore: The data is loaded, but the migration failed. Run: docker compose run --rm migrate" >&2
  exit 1
}
