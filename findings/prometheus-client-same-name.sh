#!/usr/bin/env bash
# prometheus_client registers two metrics that Prometheus can't tell apart, and serves both.
#
# Since metric names can be any UTF-8 text, `orders.paid` and `orders_paid` are two names, and the
# registry accepts both. In the default text format, generate_latest() writes a dot as an
# underscore. So two metrics appear under one name, each with its own HELP, TYPE and value. The
# registry rejects a name that is used twice, but it compares the names before they are escaped.
# promtool calls the output invalid.
#
# Workaround: use one style of names, and test that they still differ with dots as underscores.
#
# Observed with Python 3.11 and prometheus-client 0.26.0. The script prints:
#   orders_paid_total 1.0
#   orders_paid_total 5.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check install \
  prometheus-client==0.26.0 2>/dev/null

cat > "$folder/metrics.py" <<'PYTHON'
from prometheus_client import CollectorRegistry, Counter, generate_latest

registry = CollectorRegistry()
Counter("orders.paid", "Orders that were paid.", registry=registry).inc()
Counter("orders_paid", "Something else.", registry=registry).inc(5)
print(generate_latest(registry).decode(), end="")
PYTHON
found=$("$folder/venv/bin/python" "$folder/metrics.py" | grep '^orders_paid_total')
echo "$found"
[ "$found" = 'orders_paid_total 1.0
orders_paid_total 5.0' ]
