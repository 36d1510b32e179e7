"""The stack that all tests share, and what happens where no engine can run it."""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.compose import Stack, engine_answers

NO_ENGINE = "no Docker engine answers"
NO_PROMTOOL = "no promtool is there"
NO_NODE = "no Node.js is there"
NO_BROWSER = "no Chromium is there"
NO_ROOT = "only root can give a host a name"
WANTS = (NO_ENGINE, NO_PROMTOOL, NO_NODE, NO_BROWSER, NO_ROOT)


@pytest.fixture(scope="session")
def engine() -> None:
    """Skip the test where there is no Docker engine."""
    if not engine_answers():
        pytest.skip(NO_ENGINE)


@pytest.fixture(scope="session")
def stack(engine: None) -> Iterator[Stack]:  # noqa: ARG001
    """The whole stack, built from this tree and ready; tests leave it as they found it."""
    with Stack() as stack:
        stack.up("--build")
        yield stack


def _left_out(reporter: pytest.TerminalReporter) -> list[str]:
    skipped = reporter.stats.get("skipped", [])
    said = [str(report.longrepr) for report in skipped]
    return [want for want in WANTS for line in said if want in line]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail in CI, where what was left out for want of something would not be noticed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter and _left_out(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was left out."""
    for want, count in Counter(_left_out(terminalreporter)).items():
        line = f"{count} TESTS WERE LEFT OUT: {want}"
        terminalreporter.write_line(line, red=True, bold=True)
