"""A read-only database, as during a failover."""

from tests.support.compose import Stack
from tests.support.service import Service


def test_reads_go_on(stack: Stack) -> None:
    """Reads are answered, although the last use of the token can't be recorded."""
    token = stack.exec("app", "slipway", "tokens", "create", "read-only").strip()
    stack.mysql_root("SET GLOBAL super_read_only = 1")
    try:
        with Service(stack.url, token) as client:
            assert client.get("/api/me").json()["name"] == "read-only"
            assert client.get("/readyz/database").ok
    finally:
        stack.mysql_root("SET GLOBAL super_read_only = 0; SET GLOBAL read_only = 0")
        stack.exec("app", "slipway", "tokens", "revoke", "read-only")
