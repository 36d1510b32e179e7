#!/usr/bin/env bash
# A fork replaces the service.instance.id that the operator has set in OTEL_RESOURCE_ATTRIBUTES.
#
# OpenTelemetry's SDK gives each process a random service.instance.id. After a fork it makes a new
# one for the child, so that workers which share a TracerProvider can be told apart. It does so for
# an id that was set on purpose, too: the parent's spans have it, those of the children don't. So a
# pre-fork server (gunicorn with preload_app, uWSGI) reports ids that nobody has chosen.
#
# Workaround: create the provider after the fork, or set another attribute, such as
# deployment.instance, which is kept.
#
# Observed with Python 3.11 and opentelemetry-sdk 1.45.1. The script prints:
#   parent: web-1, other attribute kept
#   child: another id, other attribute kept
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check install \
  opentelemetry-sdk==1.45.1 2>/dev/null

cat > "$folder/fork.py" <<'PYTHON'
import os

from opentelemetry.sdk.trace import TracerProvider

provider = TracerProvider()


def report(process: str) -> None:
    found = provider.get_tracer("example").start_span("work").resource.attributes
    shown = "web-1" if found["service.instance.id"] == "web-1" else "another id"
    kept = "kept" if found["deployment.instance"] == "web-1" else "lost"
    print(f"{process}: {shown}, other attribute {kept}", flush=True)


report("parent")
if os.fork():
    os.wait()
else:
    report("child")
PYTHON
export OTEL_RESOURCE_ATTRIBUTES=service.name=shop,service.instance.id=web-1,deployment.instance=web-1
printed=$("$folder/venv/bin/python" "$folder/fork.py")
echo "$printed"
[ "$printed" = 'parent: web-1, other attribute kept
child: another id, other attribute kept' ]
