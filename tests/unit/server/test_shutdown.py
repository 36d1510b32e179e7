"""How the server delays its stop after SIGTERM. Each test runs in a process of its own."""

import subprocess
import sys

import pytest

from tests.support.checkout import ROOT

# The handler `stop` stands in for gunicorn's handler of SIGTERM: it ends the process immediately.
SERVER = """
import os, signal, sys, time
from app.server import shutdown

def stop(*_):
    print("stops", shutdown.has_begun())
    sys.exit()

def terminate():
    os.kill(os.getpid(), signal.SIGTERM)

signal.signal(signal.SIGTERM, stop)
shutdown.delay({seconds})
print("begins", shutdown.has_begun())
{then}
print("was not stopped")
"""
WAIT = 'terminate(); print("goes on", shutdown.has_begun()); signal.pause()'
TWICE = 'terminate(); print("goes on", shutdown.has_begun()); terminate()'
WORKER = """
if worker := os.fork():
    terminate()
    os.waitpid(worker, 0)
    terminate()
else:
    for _ in range(3000):
        if shutdown.has_begun():
            break
        time.sleep(0.01)
    print("worker", shutdown.has_begun())
    os._exit(0)
"""


@pytest.mark.parametrize(
    ("seconds", "then", "printed"),
    [
        pytest.param(1, WAIT, ["begins False", "goes on True", "stops True"], id="delay passes"),
        pytest.param(
            100, TWICE, ["begins False", "goes on True", "stops True"], id="second SIGTERM"
        ),
        pytest.param(100, WORKER, ["begins False", "worker True", "stops True"], id="worker knows"),
        pytest.param(0, "terminate()", ["begins False", "stops False"], id="no delay"),
    ],
)
def test_server_stops_after_its_delay(seconds: int, then: str, printed: list[str]) -> None:
    """After SIGTERM the server stops when its delay is over, or at a second SIGTERM.

    Workers see that shutdown has begun. With a delay of 0, the server stops immediately.
    """
    command = [sys.executable, "-u", "-c", SERVER.format(seconds=seconds, then=then)]
    ran = subprocess.check_output(command, cwd=ROOT, text=True, timeout=60)
    assert ran.splitlines() == printed
