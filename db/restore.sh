#!/usr/bin/env bash
# Brings what backup.sh has saved into an empty stack: db/restore.sh FILE
set -euo pipefail
file=$1

refuse() {
  echo "restore: $1 Nothing was changed." >&2
  exit 1
}

# A dump that is whole says so in its last line.
gzip -dc "$file" | tail -n 1 | grep -q '^-- Dump completed' || refuse "$file is damaged or cut off."
gzip -dc "$file" | docker compose exec -T db bash -c "$(<db/load.sh)" || refuse "It can't be loaded."
# It may be older than this version.
docker compose run --rm migrate
