#!/usr/bin/env bash
# Ctrl-C on pytest with pytest-xdist kills fixtures in the middle of their teardown.
#
# Without pytest-xdist, pytest finishes the teardown of all fixtures after Ctrl-C, however long that
# takes. With `-n`, the main process gives its workers ten seconds, and then kills them. It prints
# nothing about that. A session fixture that removes containers or cloud resources for longer leaves
# the rest behind.
#
# Workaround: in the hook pytest_keyboard_interrupt of the main process, interrupt the workers and
# wait until they have finished; or remove what is left from outside, by its label.
#
# Observed with Python 3.11, pytest 9.0.2 and pytest-xdist 3.8.0. The script prints:
#   -n 0: teardown finished
#   -n 1: teardown cut off
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check install \
  pytest==9.0.2 pytest-xdist==3.8.0 2>/dev/null

cat > "$folder/test_slow.py" <<'PYTHON'
import time
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def resource():
    yield
    Path("teardown begun").touch()
    for _ in range(130):  # 13 seconds
        time.sleep(0.1)
    Path("teardown finished").touch()


def test_that_waits(resource):
    Path("started").touch()
    time.sleep(60)
PYTHON
cd "$folder"
printed=$(
  for workers in 0 1; do
    rm -f started teardown*
    # A process in the background ignores SIGINT, so Python's own handler is set first.
    "$folder/venv/bin/python" -c "
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import pytest
sys.exit(pytest.main(['-n', '$workers', '-p', 'no:cacheprovider']))
" >/dev/null 2>&1 &
    until [ -e started ]; do sleep 0.1; done
    kill -INT $!
    wait $! || true
    [ -e 'teardown begun' ]
    if [ -e 'teardown finished' ]; then how=finished; else how='cut off'; fi
    echo "-n $workers: teardown $how"
  done
)
echo "$printed"
[ "$printed" = '-n 0: teardown finished
-n 1: teardown cut off' ]
