"""The stack that all tests share, and the report of tests that a missing tool skips."""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.compose import Stack, engine_answers

NO_ENGINE = "Docker with Compose is not available"
NO_PROMTOOL = "promtool is not installed"
NO_NODE = "Node.js is not installed"
NO_BROWSER = "Chromium is not installed"
NO_ROOT = "only root can add a name to /etc/hosts"
SKIP_REASONS = (NO_ENGINE, NO_PROMTOOL, NO_NODE, NO_BROWSER, NO_ROOT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need Docker."""
    for item in items:
        if "engine" in getattr(item, "fixturenames", ()):
            item.add_marker("engine")


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
    """Fail the run in CI if a missing tool skipped a test, since nobody would notice it there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter and _skip_reasons(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show in red how many tests were skipped for each reason."""
    for reason, count in Counter(_skip_reasons(terminalreporter)).items():
        line = f"{count} TESTS WERE SKIPPED: {reason}"
        terminalreporter.write_line(line, red=True, bold=True)
