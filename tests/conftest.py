"""The stack that tests share, interrupted runs, and the report of tests that were skipped."""

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import leftovers
from tests.support.compose import Stack, engine_answers
from tests.support.waiting import wait_until

NO_ENGINE = "Docker with Compose is not available"
NO_PROMTOOL = "promtool is not installed"
NO_NODE = "Node.js is not installed"
NO_BROWSER = "Chromium is not installed"
NO_CURL = "curl is not installed"
NO_NGINX = "nginx is not installed"
NO_CADDY = "Caddy is not installed"
NO_HAPROXY = "HAProxy is not installed"
NO_PROXY = (NO_NGINX, NO_CADDY, NO_HAPROXY)
NO_ROOT = "only root can add a name to /etc/hosts"
SKIP_REASONS = (NO_ENGINE, NO_PROMTOOL, NO_NODE, NO_BROWSER, NO_CURL, NO_ROOT, *NO_PROXY)
# Has one file for each worker: PROCESS_ID.running, then PROCESS_ID.ending during its teardown.
WORKERS = Path(tempfile.gettempdir()) / leftovers.RUN
HIDDEN = pytest.StashKey[pytest.MonkeyPatch]()
STOP_TRIES, STOP_INTERVAL = 12, 10  # how often workers are interrupted, and how many seconds apart


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need Docker."""
    for item in items:
        if "engine" in getattr(item, "fixturenames", ()):
            item.add_marker("engine")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Hide Docker from a test that has no mark, so that it fails as it would without Docker."""
    if not item.get_closest_marker("engine"):
        item.stash[HIDDEN] = pytest.MonkeyPatch()
        item.stash[HIDDEN].setenv("DOCKER_HOST", "unix:///hidden")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Show Docker again, before fixtures of other tests are torn down."""
    if hidden := item.stash.get(HIDDEN, None):
        hidden.undo()


def _interrupt(*_: Any) -> None:
    """Handle SIGTERM as Ctrl-C."""
    raise KeyboardInterrupt


def pytest_sessionstart(session: pytest.Session) -> None:
    """Prepare for an interruption, after which fixtures remove what they have started.

    pytest-xdist kills its workers ten seconds after Ctrl-C, while some still remove their stacks.
    So the workers ignore the Ctrl-C that a terminal sends to all processes, and wait for the
    SIGTERM of the main process, which then waits for them.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if leftovers.IS_MAIN:
        WORKERS.mkdir()
    elif hasattr(session.config, "workerinput"):
        signal.signal(signal.SIGINT, lambda *_: None)
        (WORKERS / f"{os.getpid()}.running").touch()


def pytest_keyboard_interrupt() -> None:
    """Interrupt the workers, and wait until they have removed what they have started.

    Those that still run tests are interrupted again: some code catches every exception.
    """
    for _ in range(STOP_TRIES if leftovers.IS_MAIN else 0):
        for worker in WORKERS.glob("*.running"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(worker.stem), signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not list(WORKERS.iterdir()), STOP_INTERVAL)
            break


def pytest_unconfigure() -> None:
    """Remove what is left of an interrupted run: a killed command does not finish its work."""
    if leftovers.IS_MAIN:
        shutil.rmtree(WORKERS)
        leftovers.remove(leftovers.RUN)
    else:
        (WORKERS / f"{os.getpid()}.ending").unlink(missing_ok=True)


@pytest.fixture(scope="session")
def engine() -> None:
    """Skip the test if no Docker engine with Compose is available."""
    if not engine_answers():
        pytest.skip(NO_ENGINE)


@pytest.fixture(scope="session")
def stack(engine: None) -> Iterator[Stack]:  # noqa: ARG001
    """The whole stack, built from this tree and ready. Each test must leave it as it found it."""
    with Stack() as stack:
        stack.up("--build")
        yield stack


def _skip_reasons(reporter: pytest.TerminalReporter) -> list[str]:
    """Return the reason of each test that was skipped because this machine lacks something."""
    skipped = reporter.stats.get("skipped", [])
    reports = [str(report.longrepr) for report in skipped]
    return [reason for reason in SKIP_REASONS for report in reports if reason in report]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Mark the beginning of a worker's teardown, and fail a run in CI that has skipped a test.

    Nobody would notice there that a tool is missing.
    """
    running = WORKERS / f"{os.getpid()}.running"
    if running.exists():
        signal.signal(signal.SIGTERM, lambda *_: None)  # an interruption would end the teardown
        running.rename(running.with_suffix(".ending"))
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter and _skip_reasons(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show in red how many tests were skipped for each reason.

    `make test` calls pytest several times, and names a file in SKIPPED, so that the last call shows
    the sums of all.
    """
    skipped = Counter(_skip_reasons(terminalreporter))
    if "SKIPPED" in os.environ and leftovers.IS_MAIN:
        path = Path(os.environ["SKIPPED"])
        skipped += Counter(json.loads(path.read_text()) if path.exists() else {})
        path.write_text(json.dumps(skipped))
    for reason, count in skipped.items():
        line = f"{count} TESTS WERE SKIPPED: {reason}"
        terminalreporter.write_line(line, red=True, bold=True)
