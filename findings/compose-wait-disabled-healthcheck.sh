#!/usr/bin/env bash
# `docker compose up --wait` fails if the health check of a running service is disabled.
#
# The manual says of --wait: "Wait for services to be running|healthy", and of `disable: true`: "To
# disable any default healthcheck set by the image". So a service without a health check should
# count as soon as it runs. It does if no health check is configured. With `disable: true`, the same
# service makes the command fail with exit status 1 and "container … has no healthcheck configured",
# although the container keeps running (docker/compose#13522, open).
#
# Workaround: to replace an image's health check under `up --wait`, configure another one instead of
# disabling it.
#
# Observed with Docker Compose 2.40.3 and Docker Engine 26.1.5. The image python:3.14-slim-trixie has
# no health check of its own. The script prints:
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
