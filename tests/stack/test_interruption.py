"""An interrupted test run leaves nothing behind."""

import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.checkout import copy_project
from tests.support.compose import docker
from tests.support.waiting import wait_until

# Two tests, one for each worker. Each has a stack and a process of its own.
TESTS = """
import subprocess
from collections.abc import Callable
from pathlib import Path
import pytest
from tests.support.compose import Stack

@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("number", [1, 2])
def test_waits(number):
    with Stack() as stack, subprocess.Popen(["sleep", "300"]) as process:
        try:
            stack.compose("create", "secrets", "db")
            Path(f"{number}.started").write_text(str(process.pid))
            process.wait()
        finally:
            process.terminate()
"""


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to-pytest", "to-all-as-ctrl-c"])
def test_interrupted_run_leaves_nothing(send: Callable[[int, int], None], tmp_path: Path) -> None:
    """After SIGINT no container, network, volume or process of the run is left."""
    project = copy_project(tmp_path / "slipway")
    (project / "tests" / "test_waits.py").write_text(TESTS)
    keep_out = {"TEST_RUN", "PYTEST_XDIST_WORKER"}
    name = f"test-{zlib.crc32(bytes(project)):08x}"
    listings = (["ps", "--all"], ["network", "ls"], ["volume", "ls"])
    started = [project / f"{number}.started" for number in (1, 2)]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-n", "2", "tests/test_waits.py"],
        cwd=project,
        env={name: value for name, value in os.environ.items() if name not in keep_out},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    ) as run:
        try:
            wait_until(lambda: all(path.exists() and path.read_text() for path in started))
            assert all(name in docker(*listing) for listing in listings)
        finally:
            send(run.pid, signal.SIGINT)
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert not any(name in docker(*listing) for listing in listings)
    assert not any(Path("/proc", path.read_text()).exists() for path in started)
