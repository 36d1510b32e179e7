"""Addresses of the database, as providers, tutorials and other drivers write them."""

from pathlib import Path

import pytest

from app.config import Settings, SettingsError

ADDRESS = "mysql+pymysql://app:s3cret@db:3306/slipway"
# Options that are refused, and a part of the message.
REFUSED = {
    "ssl-mode=DISABLED": "Remove ssl-mode",
    "sslmode=disable": "Remove sslmode",
    "ssl=false": "Remove ssl",
    "ssl=true&ssl=false": "Remove ssl",
    "ssl-mode=": "Remove ssl-mode",
    "ssl": "Remove ssl",
    "useSSL=false": "Remove useSSL",
    "tls=skip-verify": "Remove tls",
    "sslaccept=accept_invalid_certs": "Remove sslaccept",
    "ssl_ca=/ca.pem": "DATABASE_CA_FILE",
    "ssl-ca=/ca.pem": "DATABASE_CA_FILE",
    "sslrootcert=/ca.pem": "DATABASE_CA_FILE",
    "sslcert=/ca.pem": "DATABASE_CA_FILE",
    "charset=latin1": "charset=utf8mb4",
    "use_unicode=0": "Remove use_unicode",
    "parseTime=false": "Remove parseTime",
    "serverTimezone=Europe/Berlin": "UTC",
    "connection_limit=5": "Remove connection_limit",
    "pool_timeout=5": "Remove pool_timeout",
    "connect_timeout=5": "Remove connect_timeout",
    "unix_socket=/run/mysqld.sock": "host",
    "socket=/run/mysqld.sock": "host",
    "password=s3cret": "user:password@host",
    "local_infile=1": "Remove local_infile",
    "init_command=s3cret": "Remove init_command",
    "s3cret%20=1": "is not known",
}


def load(url: str) -> Settings:
    """Return the settings with this address of the database."""
    return Settings.from_environ({"DATABASE_URL": url})


@pytest.mark.parametrize(
    "query",
    [
        "ssl-mode=REQUIRED",
        "sslmode=require",
        "ssl_mode=VERIFY_IDENTITY",
        "sslMode=VERIFY_CA",
        "sslmode=verify-full",
        "ssl-mode=PREFERRED",
        "ssl=true",
        "ssl=1",
        'ssl={"rejectUnauthorized":true}',
        "tls=true",
        "useSSL=true&requireSSL=true&verifyServerCertificate=true",
        "sslaccept=strict",
        "ssl_disabled=false",
        "ssl_verify_cert=true&ssl_verify_identity=True",
        "charset=utf8",
        "charset=utf8mb4&use_unicode=1",
        "charset=UTF8MB3",
        "charset=utf8mb4,utf8",
        "useUnicode=true&characterEncoding=UTF-8&serverTimezone=UTC",
        "parseTime=true&loc=UTC",
        "allowPublicKeyRetrieval=true",
        "encoding=utf8mb4",
    ],
)
def test_usual_options_are_understood(query: str) -> None:
    """Options that ask for what the service does anyway are accepted, and not passed on."""
    assert load(f"{ADDRESS}?{query}") == load(ADDRESS)


@pytest.mark.parametrize(
    ("query", "hint"),
    [pytest.param(query, hint, id=query) for query, hint in REFUSED.items()],
)
@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_REPLICA_URL"])
@pytest.mark.parametrize("in_file", [False, True], ids=["value", "file"])
def test_other_options_are_refused(
    tmp_path: Path, query: str, hint: str, name: str, *, in_file: bool
) -> None:
    """All other options prevent the start. The message says what to write, and shows no value."""
    given = {name: f"{ADDRESS}?{query}"}
    if in_file:
        file = tmp_path / "url"
        file.write_text(given.pop(name) + "\n")
        given[f"{name}_FILE"] = str(file)
    if name == "DATABASE_REPLICA_URL":
        given["DATABASE_URL"] = ADDRESS
    with pytest.raises(SettingsError, match=f"^{name}: ") as caught:
        Settings.from_environ(given)
    assert hint in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["mysql", "mysql+pymysql", "MySQL"])
def test_scheme_of_providers_is_understood(scheme: str) -> None:
    """`mysql://`, which providers give, means the service's own driver."""
    assert load(f"{scheme}://app:s3cret@db:3306/slipway") == load(ADDRESS)


@pytest.mark.parametrize(
    "scheme",
    ["mysql+mysqldb", "mysql+mysqlconnector", "mysql+asyncmy", "mysqlx", "mysql2", "jdbc:mysql"],
)
def test_scheme_of_other_drivers_is_refused(scheme: str) -> None:
    """A scheme of another driver prevents the start, and the message has the right one."""
    with pytest.raises(SettingsError, match="Must begin with mysql\\+pymysql://") as caught:
        load(f"{scheme}://app:s3cret@db:3306/slipway")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("password", ["p/w", "p#w", "p:w", "p%w", "p%zzw", "p?w", "p w", "p+w"])
def test_password_can_have_special_characters(password: str) -> None:
    """Only `@` needs its escape in a password, and `%` before two hexadecimal digits."""
    url = load(f"mysql://app:{password}@db/slipway?ssl-mode=REQUIRED").database_url
    assert (url.password, url.host, url.database) == (password, "db", "slipway")


@pytest.mark.parametrize(
    ("hosts", "parsed"),
    [
        pytest.param("db-1,db-2", "db-1:3306,db-2:3306", id="names"),
        pytest.param("db-1:3307,10.0.0.1:1", "db-1:3307,10.0.0.1:1", id="ports"),
        pytest.param("[::1],[2001:db8::1]:1", "::1:3306,2001:db8::1:1", id="IPv6"),
    ],
)
def test_several_hosts_are_understood(hosts: str, parsed: str) -> None:
    """Several hosts have the same account and schema, and each its own port."""
    url = load(f"mysql://app:p,w@{hosts}/slipway?charset=utf8mb4").database_url
    assert (url.host, url.password, url.database) == (parsed, "p,w", "slipway")


@pytest.mark.parametrize(
    "hosts",
    [
        *("", ":3306", "a..b", "db:0", "db:-1", "db:65536", "a b"),
        *("db-1,", ",db-1", "db-1,,db-2", "db-1:1,db-2:x", "db-1, db-2", "db-1,db\t2", "a..b,c"),
    ],
)
def test_wrong_hosts_are_refused(hosts: str) -> None:
    """A malformed host, alone or in a list, prevents the start."""
    with pytest.raises(SettingsError, match="DATABASE_URL: Must be mysql"):
        load(f"mysql://app:s3cret@{hosts}/slipway")


def test_replica_has_one_host() -> None:
    """Several hosts would mean the one that accepts writes, which a replica does not."""
    several = "mysql://app:s3cret@db-1,db-2/slipway"
    with pytest.raises(SettingsError, match="DATABASE_REPLICA_URL: Must have one host"):
        Settings.from_environ({"DATABASE_URL": ADDRESS, "DATABASE_REPLICA_URL": several})


def test_escaped_password_is_decoded() -> None:
    """Escapes in a password are decoded."""
    url = load("mysql://app:%40%2F%25@db/slipway").database_url
    assert (url.password, url.host) == ("@/%", "db")


@pytest.mark.parametrize(
    "part",
    [
        "app:fox@hen@db/slipway",
        "app:fox@hen/x@db/slipway",
        "app:fox@hen:1@db/slipway",
        "app:fox@hen?x@db/slipway",
        "app:fox@hen#x@db/slipway",
        "app:fox@@db/slipway",
        "ap/p:fox:hen@db/slipway",
    ],
)
def test_at_sign_in_a_password_is_recognised(part: str) -> None:
    """An unescaped `@` prevents the start. The message has its escape, and no part of the URL."""
    with pytest.raises(SettingsError, match="%40") as caught:
        load(f"mysql+pymysql://{part}")
    assert not any(word in str(caught.value) for word in ("fox", "hen"))


def test_sqlite_has_no_options() -> None:
    """Options of SQLite's driver prevent the start."""
    with pytest.raises(SettingsError, match=r"Remove the \? and what follows it"):
        load("sqlite:////data/x.db?timeout=1")
