#!/usr/bin/env bash
# `docker compose up --wait` fails on a service that runs, if its health check is disabled.
#
# The manual says of --wait: "Wait for services to be running|healthy", and of `disable: true`: "To
# disable any default healthcheck set by the image". So one would expect a service without a health
# check to count as soon as it runs. It does where none is configured. With `disable: true`, the
# same service fails the command: exit status 1, and "container … has no healthcheck configured",
# while the container goes on running (docker/compose#13522, open). To replace an image's check under
# `up --wait`, configure another one instead of disabling it.
#
# Seen with Docker Compose 2.40.3, Docker Engine 26.1.5, image python:3.14-slim-trixie, which has
# no health check of its own:
#   none configured: exit 0
#   disabled: exit 1, container cw-...-service-1 has no healthcheck configured
#   the service is running
set -euo pipefail
folder=$(mktemp -d)
project=cw-$(basename "$folder" | tr -dc 'a-z0-9')
compose() { docker compose --project-name "$project" --file "$folder/compose.yaml" "$@"; }
trap 'compose down --timeout 0 >/dev/null 2>&1 || true; rm -r "$folder"' EXIT

cat > "$folder/compose.yaml" <<'YAML'
services:
  service:
    image: python:3.14-slim-trixie
    command: [sleep, "60"]
YAML
compose up --wait >/dev/null 2>&1
echo 'none configured: exit 0'
compose down --timeout 0 >/dev/null 2>&1

echo '    healthcheck: {disable: true}' >> "$folder/compose.yaml"
status=0
compose up --wait >"$folder/output" 2>&1 || status=$?
reason=$(tail -n 1 "$folder/output")
echo "disabled: exit $status, $reason"
[ "$status" = 1 ]
[[ $reason == *'has no healthcheck configured' ]]
[ "$(compose ps --format '{{.State}}' service)" = running ]
echo 'the service is running'
