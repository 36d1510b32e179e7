#!/usr/bin/env bash
# After `docker pause` and `docker unpause`, a container is unhealthy until its next health check.
#
# One expects that a paused container keeps its last health, or that `unpause` checks it at once, as a
# start does. Docker sets it to unhealthy when it is paused, without a check that failed. After
# `unpause` it stays so for up to a whole `interval`: `retries` does not matter, and `start_interval`
# is not used, not even within `start_period`. Meanwhile `docker compose up --wait` fails, and
# nothing starts that depends on `service_healthy`, although the program works.
#
# Workaround: stop the processes with SIGSTOP in the container and let them go on with SIGCONT, or
# keep `interval` short.
#
# Observed with Docker Engine 26.1.5, Compose 2.40.3 and the image python:3.14-slim-trixie. The
# script prints:
#   started: healthy, checks that failed: 0
#   paused: unhealthy, checks that failed: 0
#   unpaused for 5 seconds: unhealthy, checks that failed: 0
#   up --wait: exit status 1
set -euo pipefail
folder=$(mktemp -d)
export COMPOSE_PROJECT_NAME=unpause-$$ COMPOSE_FILE=$folder/compose.yaml
trap 'docker compose down --timeout 0 2>/dev/null; rm -rf "$folder"' EXIT
cat >"$COMPOSE_FILE" <<'YAML'
services:
  app:
    image: python:3.14-slim-trixie
    command: [sleep, "600"]
    network_mode: none
    healthcheck: {test: [CMD, "true"], interval: 10m, start_period: 10m, start_interval: 1s, retries: 3}
YAML
health() {
  docker inspect "$(docker compose ps --all --quiet app)" --format \
    '{{.State.Health.Status}}, checks that failed: {{.State.Health.FailingStreak}}'
}
docker compose up --wait 2>/dev/null
started=$(health)
docker compose pause 2>/dev/null
paused=$(health)
docker compose unpause 2>/dev/null
sleep 5
unpaused=$(health)
status=0
docker compose up --wait 2>/dev/null || status=$?
echo "started: $started"
echo "paused: $paused"
echo "unpaused for 5 seconds: $unpaused"
echo "up --wait: exit status $status"
[[ $started == healthy,* && $paused == unhealthy,*' 0' && $unpaused == unhealthy,* && $status = 1 ]]
