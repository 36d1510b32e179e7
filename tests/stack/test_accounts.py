"""Each MySQL account has the least privileges that it needs, and requires TLS."""

import subprocess

import pytest

from tests.support.compose import Stack

GRANTS = {
    "app": "SELECT, INSERT, UPDATE, DELETE",
    "migrator": "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER",
}
REFUSED = "ERROR 1045 (28000): Access denied"


def log_in(stack: Stack, account: str, *options: str) -> str:
    """Log in with an account's password inside the database container, and return the user."""
    password = f"MYSQL_PWD=$(</run/secrets/{account}_password)"
    client = f"exec mysql --batch --skip-column-names --user={account} {' '.join(options)}"
    return stack.exec("db", "bash", "-c", f"{password} {client}", text="SELECT USER()").strip()


@pytest.mark.parametrize("account", GRANTS)
def test_grants(stack: Stack, account: str) -> None:
    """An account has only the privileges that its work needs, and only on this schema."""
    assert stack.mysql_root(f"SHOW GRANTS FOR {account}") == [
        [f"GRANT USAGE ON *.* TO `{account}`@`%`"],
        [f"GRANT {GRANTS[account]} ON `slipway`.* TO `{account}`@`%`"],
    ]


def test_accounts(stack: Stack) -> None:
    """All accounts require TLS but a local root, and each has a password."""
    accounts = stack.mysql_root(
        "SELECT user, host, ssl_type, plugin, authentication_string = '' FROM mysql.user"
        " WHERE account_locked = 'N' ORDER BY user"
    )
    assert accounts == [
        ["app", "%", "ANY", "caching_sha2_password", "0"],
        ["exporter", "%", "ANY", "caching_sha2_password", "0"],  # observe
        ["migrator", "%", "ANY", "caching_sha2_password", "0"],
        ["root", "localhost", "", "caching_sha2_password", "0"],
    ]


@pytest.mark.parametrize("way", ["--host=127.0.0.1", "--protocol=socket"])
@pytest.mark.parametrize("account", GRANTS)
def test_login_without_tls_is_refused(stack: Stack, account: str, way: str) -> None:
    """A login without TLS is rejected, over the network and on the server's own socket."""
    assert log_in(stack, account, way, "--ssl-mode=REQUIRED").startswith(f"{account}@")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        log_in(stack, account, way, "--ssl-mode=DISABLED")
    assert REFUSED in refused.value.stderr


def test_root_can_not_log_in_over_the_network(stack: Stack) -> None:
    """Root can log in only through the socket in the container."""
    assert log_in(stack, "root", "--protocol=socket") == "root@localhost"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        log_in(stack, "root", "--host=127.0.0.1")
    assert REFUSED in refused.value.stderr
