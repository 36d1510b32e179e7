#!/usr/bin/env bash
# Compose: `!reset` removes a variable of a service only if one earlier file sets variables for it.
#
# The manual says that `!reset` clears what earlier files set. With one earlier file, it removes a
# variable. If two earlier files have variables of the same service, it does nothing, without a
# warning: the service still gets the variable (docker/compose#11816, open). So a file that works as
# the second one stops working when somebody adds another before it, for example to COMPOSE_FILE.
#
# Workaround: set the variable to the empty string, if the program treats that as not set. Or put the
# file with `!reset` in second place.
#
# Observed with Docker Compose 2.40.3; it needs no engine. The script prints:
#   two files: VARIABLE is gone
#   three files: VARIABLE is still there
#   the same three files, reset in second place: VARIABLE is gone
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cd "$folder"

cat > base.yaml <<'YAML'
services:
  service:
    image: python:3.14-slim-trixie
    environment: {VARIABLE: "1"}
YAML
echo 'services: {service: {environment: {OTHER: "2"}}}' > other.yaml
echo 'services: {service: {environment: {VARIABLE: !reset null}}}' > reset.yaml

state() { # state FILE... - say whether the service gets the variable
  if docker compose "${@/#/--file=}" config | grep -q VARIABLE; then echo still there; else echo gone; fi
}

two=$(state base.yaml reset.yaml)
three=$(state base.yaml other.yaml reset.yaml)
swapped=$(state base.yaml reset.yaml other.yaml)
echo "two files: VARIABLE is $two"
echo "three files: VARIABLE is $three"
echo "the same three files, reset in second place: VARIABLE is $swapped"
[ "$two/$three/$swapped" = "gone/still there/gone" ]
