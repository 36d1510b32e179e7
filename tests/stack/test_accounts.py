"""The database's accounts: each with no more than it needs, and none without TLS."""

import subprocess

import pytest

from tests.support.compose import Stack

GRANTS = {
    "app": "SELECT, INSERT, UPDATE, DELETE",
    "migrator": "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER",
}
REFUSED = "ERROR 1045 (28000): Access denied"


def log_in(stack: Stack, account: str, *options: str) -> str:
    """Return who the database says one is, asked in its container with an account's password."""
    password = f"MYSQL_PWD=$(</run/secrets/{account}_password)"
    client = f"exec mysql --batch --skip-column-names --user={account} {' '.join(options)}"
    return stack.exec("db", "bash", "-c", f"{password} {client}", text="SELECT USER()").strip()


@pytest.mark.parametrize("account", GRANTS)
def test_grants(stack: Stack, account: str) -> None:
    """An account may do what its work takes, on this schema, and nothing elsewhere."""
    assert stack.mysql_root(f"SHOW GRANTS FOR {account}") == [
        [f"GRANT USAGE ON *.* TO `{account}`@`%`"],
        [f"GRANT {GRANTS[account]} ON `slipway`.* TO `{account}`@`%`"],
    ]


def test_accounts(stack: Stack) -> None:
    """Two accounts from anywhere with TLS, root from inside only, each with a password."""
    accounts = stack.mysql_root(
        "SELECT user, host, ssl_type, plugin, authentication_string = '' FROM mysql.user"
        " WHERE account_locked = 'N' ORDER BY user"
    )
    assert accounts == [
        ["app", "%", "ANY", "caching_sha2_password", "0"],
        ["migrator", "%", "ANY", "caching_sha2_password", "0"],
        ["root", "localhost", "", "caching_sha2_password", "0"],
    ]


@pytest.mark.parametrize("way", ["--host=127.0.0.1", "--protocol=socket"])
@pytest.mark.parametrize("account", GRANTS)
def test_login_without_tls_is_refused(stack: Stack, account: str, way: str) -> None:
    """The right password is not enough: not over the network, nor on the server's own socket."""
    assert log_in(stack, account, way, "--ssl-mode=REQUIRED").startswith(f"{account}@")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        log_in(stack, account, way, "--ssl-mode=DISABLED")
    assert REFUSED in refused.value.stderr


def test_root_has_no_way_in_over_the_network(stack: Stack) -> None:
    """Root's password opens the socket in the container and nothing else."""
    assert log_in(stack, "root", "--protocol=socket") == "root@localhost"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        log_in(stack, "root", "--host=127.0.0.1")
    assert REFUSED in refused.value.stderr
