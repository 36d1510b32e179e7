#!/usr/bin/env bash
# Saves all that the service keeps, while it serves: db/backup.sh [FILE]
set -euo pipefail
umask 077  # links may be nobody else's business

file=${1:-backups/slipway-$(date -u +%Y%m%dT%H%M%SZ).sql.gz}
mkdir -p "$(dirname "$file")"
part=$(mktemp "$file.XXXXXX")
trap 'rm -f "$part"' EXIT
docker compose exec -T db bash -c "$(<db/dump.sh)" | gzip >"$part"
mv "$part" "$file"
echo "$file"
