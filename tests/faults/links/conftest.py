"""The stack that is broken, and the table of what that did."""

from collections.abc import Iterator

import pytest

from tests.support.compose import Stack
from tests.support.links.faults import rounds


@pytest.fixture(scope="session")
def token(stack: Stack) -> Iterator[str]:
    """A token for the stack, for as many creations as clients like."""
    yield stack.exec("app", "slipway", "tokens", "create", "faults").strip()
    stack.exec("app", "slipway", "tokens", "revoke", "faults")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if rounds.RESULTS:
        terminalreporter.section("faults")
        terminalreporter.write_line(rounds.table())
