#!/usr/bin/env bash
# Saves all data of the stack to a file, while the service runs, and prints the file's name.
# Usage: db/backup.sh [FILE]
# IN_DATABASE is the command that runs another one in the database's container.
set -euo pipefail
umask 077  # links can be private

file=${1:-backups/slipway-$(date -u +%Y%m%dT%H%M%SZ).sql.gz}
IN_DATABASE=${IN_DATABASE:-docker compose exec -T $(db/find.sh)}
read -ra in_database <<<"$IN_DATABASE"
mkdir -p "$(dirname "$file")"
part=$(mktemp "$file.XXXXXX")
trap 'rm -f "$part"' EXIT
"${in_database[@]}" bash -c "$(<db/dump.sh)" | gzip >"$part"
# A connection to a cluster can break without an error.
gzip -dc "$part" | tail -n 1 | grep -q '^-- Dump completed' || {
  echo "backup: The dump is incomplete." >&2
  exit 1
}
mv "$part" "$file"
echo "$file"
