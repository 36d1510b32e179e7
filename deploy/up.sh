#!/usr/bin/env bash
# Builds and starts the stack and prints its address. Compose itself finds out that the port is taken
# only at the end, when it starts app; this script checks it first.
set -euo pipefail

# The address and the port of app, from the environment or from .env.
read -r address ports < <(docker compose config app | awk '
  $1 == "host_ip:" {address = $2}
  $1 == "published:" {gsub("\"", ""); ports = $2}
  END {print address, ports}')

# Return whether something listens at a port of this machine.
taken() {
  case $address in 0.0.0.0) set -- 127.0.0.1 "$1" ;; ::) set -- ::1 "$1" ;; *) set -- "$address" "$1" ;; esac
  (: <"/dev/tcp/$1/$2") 2>/dev/null
}

# With a running app, Compose replaces it at the same port.
if [ -z "$(docker compose ps --quiet --status running app)" ]; then
  free=
  for port in $(seq "${ports%-*}" "${ports#*-}"); do
    if ! taken "$port"; then free=$port; fi
  done
  if [ -z "$free" ]; then
    echo "Port $ports of $address is taken. Choose another one: PORT=8080 docker compose up --wait" >&2
    exit 1
  fi
fi

docker compose up --build --wait
echo "Open http://$(docker compose port app 8000 | sed 's/^\(127\.0\.0\.1\|0\.0\.0\.0\):/localhost:/')"
