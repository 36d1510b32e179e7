#!/usr/bin/env bash
# `docker compose run` recreates a running service that the job depends on, if its configuration or
# its image has changed since it was started.
#
# `run` starts services of `depends_on` that do not run yet, so one expects it to leave a running one
# alone. But it treats them as `up` does: a database whose configuration, environment or image
# differs from the file is stopped and created again, before the job begins. So a migration that is
# run with `docker compose run --rm migrate` before an upgrade restarts the database under the old
# version.
#
# Workaround: `docker compose run --no-deps`.
#
# Observed with Docker Compose 2.40.3 and Docker Engine 26.1.5. The script prints:
#   run --no-deps: the same container
#   run: another container
set -euo pipefail
folder=$(mktemp -d)
project=cr-$(basename "$folder" | tr -dc 'a-z0-9')
compose() { docker compose --project-name "$project" --file "$folder/compose.yaml" "$@"; }
trap 'compose down --timeout 0 >/dev/null 2>&1 || true; rm -r "$folder"' EXIT

write() { # write VERSION
  cat > "$folder/compose.yaml" <<YAML
services:
  db:
    image: python:3.14-slim-trixie
    command: [sleep, "60"]
    environment: {VERSION: "$1"}
  job:
    image: python:3.14-slim-trixie
    command: ["true"]
    depends_on: [db]
YAML
}

write 1
compose up --detach db >/dev/null 2>&1
before=$(compose ps --quiet db)
write 2
compose run --rm --no-deps job >/dev/null 2>&1
[ "$(compose ps --quiet db)" = "$before" ]
echo 'run --no-deps: the same container'
compose run --rm job >/dev/null 2>&1
[ "$(compose ps --quiet db)" != "$before" ]
echo 'run: another container'
