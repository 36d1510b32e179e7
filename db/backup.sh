#!/usr/bin/env bash
# Saves all data of the stack to a file, while the service runs, and prints the file's name.
# Usage: db/backup.sh [FILE]
set -euo pipefail
umask 077  # links can be private

file=${1:-backups/slipway-$(date -u +%Y%m%dT%H%M%SZ).sql.gz}
mkdir -p "$(dirname "$file")"
part=$(mktemp "$file.XXXXXX")
trap 'rm -f "$part"' EXIT
docker compose exec -T db bash -c "$(<db/dump.sh)" | gzip >"$part"
mv "$part" "$file"
echo "$file"
