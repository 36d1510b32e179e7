#!/usr/bin/env bash
# From Python 3.13 on, an SQLAlchemy engine for SQLite that is not disposed fails another test.
#
# One expects that a test has done enough when it has closed its connections, or that an engine
# closes them when it goes out of scope. `close` returns a connection to the engine's pool, and the
# pool, when it is collected as garbage, does not close it: Python does. Up to 3.12 Python is silent
# about that, so the tests pass. From 3.13 on, sqlite3 emits a ResourceWarning. With warnings as
# errors (`-W error`), pytest fails whichever test runs when the garbage is collected, which has
# nothing to do with it.
#
# Workaround: call `engine.dispose()` when a test ends.
#
# Observed with SQLAlchemy 2.1.9, pytest 9.2.0 and Python 3.14 (image python:3.14-slim-trixie).
# Needs Docker. The script prints:
#   without dispose: test_opens passed, test_collects failed, unclosed database
#   with dispose: test_opens passed, test_collects passed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/test_engine.py" <<'PYTHON'
import gc
import os

from sqlalchemy import create_engine


def test_opens(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/x.db")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    if os.environ["DISPOSE"]:
        engine.dispose()


def test_collects():
    gc.collect()
PYTHON
tests() { # tests DISPOSE: run both tests, and print each result and the warning
  docker run --rm --env "DISPOSE=$1" --volume "$folder:/tests:ro" python:3.14-slim-trixie sh -c '
    pip install --quiet --disable-pip-version-check --root-user-action ignore \
      sqlalchemy==2.1.9 pytest==9.2.0
    python -m pytest -W error -p no:cacheprovider -v /tests || true' |
    sed -nE 's/.*::(test_\w+) PASSED.*/\1 passed/p; s/.*::(test_\w+) FAILED.*/\1 failed/p
      s/^E .*ResourceWarning: (unclosed database) in.*/\1/p' | paste -sd, | sed 's/,/, /g'
}
without=$(tests '')
with=$(tests 1)
echo "without dispose: $without"
echo "with dispose: $with"
[ "$without" = 'test_opens passed, test_collects failed, unclosed database' ]
[ "$with" = 'test_opens passed, test_collects passed' ]
