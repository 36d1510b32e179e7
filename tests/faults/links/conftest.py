"""A token for the faults tests, and the table of their results."""

from collections.abc import Iterator

import pytest

from tests.support.compose import Stack
from tests.support.links.faults import rounds


@pytest.fixture(scope="session")
def token(stack: Stack) -> Iterator[str]:
    """A write token for the stack."""
    yield stack.exec("app", "slipway", "tokens", "create", "faults").strip()
    stack.exec("app", "slipway", "tokens", "revoke", "faults")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of results."""
    if rounds.RESULTS:
        terminalreporter.section("faults")
        terminalreporter.write_line(rounds.table())
