#!/usr/bin/env bash
# OpenTelemetry's SQLAlchemy instrumentation does nothing with SQLAlchemy 2.1, and raises nothing.
#
# pip installs both without a conflict, because the supported range is not a requirement of the
# package. instrument() finds SQLAlchemy 2.1 outside of "< 2.1.0", logs one line at level ERROR and
# returns. The application runs, and its traces have no SQL statements.
#
# The usual way out, skip_dep_check=True, fails too: instrument() imports sqlalchemy.ext.asyncio,
# which needs greenlet. SQLAlchemy 2.0 installed greenlet on most platforms; 2.1 does not. With
# greenlet, skip_dep_check=True works.
#
# Workaround: depend on greenlet and pass skip_dep_check=True, and have a test that looks for a span.
#
# Observed with Python 3.11, SQLAlchemy 2.1.9, opentelemetry-instrumentation-sqlalchemy 0.66b1 and
# opentelemetry-sdk 1.45.1. The script prints:
#   instrument(): no error, spans: []
#   skip_dep_check=True: ImportError
#   with greenlet: spans: ['connect', 'SELECT']
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>/dev/null; }
pip install sqlalchemy==2.1.9 opentelemetry-instrumentation-sqlalchemy==0.66b1 \
  opentelemetry-instrumentation==0.66b1 opentelemetry-sdk==1.45.1

cat > "$folder/spans.py" <<'PYTHON'
import sys

import sqlalchemy
from opentelemetry import trace
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
try:
    SQLAlchemyInstrumentor().instrument(skip_dep_check=sys.argv[1:] == ["skip"])
except ImportError as error:
    print(type(error).__name__)
    sys.exit()
with sqlalchemy.create_engine("sqlite://").connect() as connection:
    connection.execute(sqlalchemy.text("SELECT 1"))
print([span.name.split()[0] for span in exporter.get_finished_spans()])
PYTHON
spans() { "$folder/venv/bin/python" "$folder/spans.py" "$@" 2>/dev/null; }

found=$(spans)
echo "instrument(): no error, spans: $found"
[ "$found" = '[]' ]
found=$(spans skip)
echo "skip_dep_check=True: $found"
[ "$found" = ImportError ]
pip install greenlet==3.5.6
found=$(spans skip)
echo "with greenlet: spans: $found"
[[ $found == *SELECT* ]]
