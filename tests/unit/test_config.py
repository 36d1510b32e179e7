"""Settings: where they come from, and how wrong ones are reported."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

from app.config import SECRETS, Settings, SettingsError
from tests.support import settings_pages
from tests.support.checkout import ROOT

MYSQL = "mysql+pymysql://app:s3cret@db/slipway"


def test_database_url_is_all_that_is_needed() -> None:
    """Every setting except DATABASE_URL has a default."""
    settings = Settings.from_environ({"DATABASE_URL": MYSQL})
    assert settings.database_url.host == "db"
    assert settings == Settings(database_url=settings.database_url)


def test_password_is_not_shown() -> None:
    """`repr()` of the settings shows neither the database's password nor the secret key."""
    settings = Settings.from_environ({"DATABASE_URL": MYSQL, "SECRET_KEY": "s3cret" * 6})
    assert settings.secret_key == "s3cret" * 6
    assert "s3cret" not in repr(settings)


def test_secret_comes_from_a_file(tmp_path: Path) -> None:
    """A secret can come from the file that NAME_FILE names, without its final newline."""
    file = tmp_path / "url"
    file.write_text("sqlite:///x.db\n")
    settings = Settings.from_environ({"DATABASE_URL_FILE": str(file)})
    assert settings.database_url.database == "x.db"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        pytest.param({"DATABASE_URL": ""}, "DATABASE_URL", id="no database"),
        pytest.param(
            {"DATABASE_URL": "", "DATABASE_URL_FILE": "/nowhere"},
            "DATABASE_URL_FILE",
            id="no database and a missing file",
        ),
        pytest.param(
            {"DATABASE_URL_FILE": "/nowhere"}, "DATABASE_URL_FILE", id="missing database file"
        ),
        pytest.param({"DATABASE_URL": "s3cret"}, "DATABASE_URL", id="not a URL"),
        pytest.param(
            {"DATABASE_URL": "postgresql://app:s3cret@db/slipway"}, "DATABASE_URL", id="PostgreSQL"
        ),
        pytest.param(
            {"DATABASE_URL": "mysqlx://app:s3cret@db/slipway"}, "DATABASE_URL", id="other driver"
        ),
        pytest.param(
            {"DATABASE_URL": "mysql+pymysql://app:s3cret@db/"},
            "DATABASE_URL",
            id="no database name",
        ),
        pytest.param(
            {"DATABASE_URL": "mysql+pymysql://app:s3cret@db:x/slipway"},
            "DATABASE_URL",
            id="wrong port",
        ),
        pytest.param({"DATABASE_CA_FILE": "/nowhere"}, "DATABASE_CA_FILE", id="missing CA file"),
        pytest.param({"DATABASE_URL": "sqlite:///:memory:"}, "DATABASE_URL", id="SQLite in memory"),
        pytest.param(
            {"DATABASE_CA_FILE": "/etc/passwd"},
            "DATABASE_CA_FILE",
            id="CA file without certificates",
        ),
        pytest.param({"SECRET_KEY": "s3cret"}, "SECRET_KEY", id="short key"),
        pytest.param({"SECRET_KEY_FILE": "/nowhere"}, "SECRET_KEY_FILE", id="missing key file"),
        pytest.param(
            {"PUBLIC_URL": "go.example.com"}, "PUBLIC_URL", id="public URL without a scheme"
        ),
        pytest.param(
            {"PUBLIC_URL": "https://go.example.com/path"}, "PUBLIC_URL", id="public URL with a path"
        ),
        pytest.param(
            {"PUBLIC_URL": "https://go.example.com:99999"},
            "PUBLIC_URL",
            id="public URL with a huge port",
        ),
        pytest.param(
            {"PUBLIC_URL": "https://user:pw@go.example.com"},
            "PUBLIC_URL",
            id="public URL with a user",
        ),
        pytest.param({"PUBLIC_URL": "https://[x"}, "PUBLIC_URL", id="broken public URL"),
        pytest.param(
            {"PUBLIC_URL": "https://go..example.com"}, "PUBLIC_URL", id="public URL, empty label"
        ),
        pytest.param(
            {"PUBLIC_URL": f"https://{'x' * 64}.com"}, "PUBLIC_URL", id="public URL, long label"
        ),
        pytest.param({"PUBLIC_URL": "http://[::1::2]"}, "PUBLIC_URL", id="public URL, wrong IPv6"),
        pytest.param(
            {"PUBLIC_URL": "https://go.example.com/?x"}, "PUBLIC_URL", id="public URL with a query"
        ),
        pytest.param(
            {"PUBLIC_URL": "https://go.example.com/"},
            "PUBLIC_URL",
            id="public URL with a trailing slash",
        ),
        pytest.param({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES", id="negative number of proxies"),
        pytest.param({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY", id="no workers"),
        pytest.param({"WEB_CONCURRENCY": "many"}, "WEB_CONCURRENCY", id="workers not a number"),
        pytest.param({"SHUTDOWN_DELAY": "99999999999"}, "SHUTDOWN_DELAY", id="huge delay"),
        pytest.param({"SHUTDOWN_DELAY": "5s"}, "SHUTDOWN_DELAY", id="delay with a unit"),
        pytest.param({"RATE_LIMIT_CREATE": "10"}, "RATE_LIMIT_CREATE", id="rate without a period"),
        pytest.param({"RATE_LIMIT_CREATE": "0/minute"}, "RATE_LIMIT_CREATE", id="rate of zero"),
        pytest.param({"RATE_LIMIT_AUTH": "10/week"}, "RATE_LIMIT_AUTH", id="rate per week"),
        pytest.param({"OIDC_ISSUER": "login.example.com"}, "OIDC_ISSUER", id="no scheme of issuer"),
        pytest.param(
            {"OIDC_ISSUER": "http://login.example.com"}, "OIDC_ISSUER", id="issuer without TLS"
        ),
        pytest.param(
            {"OIDC_ISSUER": "https://login.example.com/?a"}, "OIDC_ISSUER", id="issuer with a query"
        ),
        pytest.param(
            {"OIDC_ISSUER": "https://.login.example.com"}, "OIDC_ISSUER", id="issuer, empty label"
        ),
        pytest.param(
            {"OIDC_ISSUER": "https://[1::2::3]/a"}, "OIDC_ISSUER", id="issuer, wrong IPv6"
        ),
        pytest.param({"OIDC_SCOPES": "profile"}, "OIDC_SCOPES", id="scopes without openid"),
        pytest.param({"LOG_LEVEL": "loud"}, "LOG_LEVEL", id="unknown log level"),
        pytest.param({"LOG_FORMAT": "xml"}, "LOG_FORMAT", id="unknown log format"),
    ],
)
def test_wrong_setting_is_named(environ: dict[str, str], named: str) -> None:
    """A wrong setting prevents the start. The error names it but does not show secrets."""
    with pytest.raises(SettingsError, match=f"^{named}: ") as caught:
        Settings.from_environ({"DATABASE_URL": MYSQL} | environ)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://localhost:8000", id="name"),
        pytest.param(f"https://{'x' * 63}.xn--p1ai.", id="longest label and final dot"),
        pytest.param("http://192.0.2.7", id="IPv4"),
        pytest.param("https://[::ffff:192.0.2.7]:8000", id="IPv6"),
    ],
)
def test_url_has_any_possible_host(url: str) -> None:
    """Addresses of the service and of the provider can have any kind of host."""
    environ = {"DATABASE_URL": MYSQL, "PUBLIC_URL": url}
    environ["OIDC_ISSUER"] = url.replace("http:", "https:")
    assert Settings.from_environ(environ).public_url == url


def test_issuer_needs_other_settings() -> None:
    """OIDC_ISSUER needs a client, its secret, a key for cookies, and a role of somebody."""
    environ = {"DATABASE_URL": MYSQL, "OIDC_ISSUER": "http://127.0.0.1:8080/realms/staff"}
    for name, value in (
        ("OIDC_CLIENT_ID", "slipway"),
        ("OIDC_CLIENT_SECRET", "s3cret"),
        ("SECRET_KEY", "s3cret" * 6),
        ("OIDC_WRITE_ROLES", "editor, author,"),
    ):
        settings = Settings.from_environ(environ)
        with pytest.raises(SettingsError, match=f"^{name}: "):
            settings.check_oidc()
        environ[name] = value
    settings = Settings.from_environ(environ)
    settings.check_oidc()
    assert settings.oidc_write_roles == ("editor", "author")
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("level", "understood"),
    [
        pytest.param("INFO", "info", id="upper case"),
        pytest.param("Warning", "warning", id="mixed case"),
        pytest.param("warn", "warning", id="short form"),
        pytest.param("WARN", "warning", id="short form in upper case"),
    ],
)
def test_log_level_has_the_usual_spellings(level: str, understood: str) -> None:
    """LOG_LEVEL and LOG_FORMAT ignore case, and `warn` is short for `warning`."""
    environ = {"DATABASE_URL": MYSQL, "LOG_LEVEL": level, "LOG_FORMAT": "JSON"}
    settings = Settings.from_environ(environ)
    assert (settings.log_level, settings.log_format) == (understood, "json")


def test_all_wrong_settings_are_named() -> None:
    """One error names all wrong settings."""
    with pytest.raises(SettingsError, match=r"DATABASE_URL: .*; WEB_CONCURRENCY: "):
        Settings.from_environ({"WEB_CONCURRENCY": "x"})


def test_files_that_cannot_be_read_are_named_beside_others() -> None:
    """An unreadable file is reported beside other wrong settings.

    The secret that it should contain is not reported as missing too.
    """
    environ = {"DATABASE_URL_FILE": "/nowhere", "SECRET_KEY_FILE": "/nowhere", "LOG_LEVEL": "loud"}
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(environ)
    named = re.findall(r"(?:^|; )([A-Z_]+): ", str(caught.value))
    assert sorted(named) == ["DATABASE_URL_FILE", "LOG_LEVEL", "SECRET_KEY_FILE"]


def test_empty_is_absent_and_others_are_ignored() -> None:
    """An empty variable means the default, and variables that are not settings are ignored."""
    names = ("PUBLIC_URL", "WEB_CONCURRENCY", "LOG_LEVEL", "DATABASE_CA_FILE", "DATABASE_URL_FILE")
    settings = Settings.from_environ(
        {"DATABASE_URL": MYSQL, "HOME": "/"} | dict.fromkeys(names, "")
    )
    assert settings == Settings(database_url=settings.database_url)


def names_in(path: Path) -> set[str]:
    """Return the names of all attributes in a source file."""
    return {n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)}


def test_every_setting_is_read() -> None:
    """The code uses every setting that is declared."""
    sources = [ROOT / "gunicorn.conf.py", *ROOT.glob("app/**/*.py")]
    read = set().union(*(names_in(path) for path in sources if path.name != "config.py"))
    assert [field.name for field in fields(Settings) if field.name not in read] == []


def test_every_setting_that_is_documented_is_declared() -> None:
    """Every name on a page that looks like a setting is known to the service, Compose or a tool."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / ".env.example"]
    named = set()
    for page in pages:
        # In code or at the start of a line: `NAME`, `NAME=value`, NAME=value, #NAME=value
        named |= set(
            re.findall(r"(?:`|^#?)([A-Z]+(?:_[A-Z]+)+)\b(?=[=`])", page.read_text(), re.MULTILINE)
        )
    compose = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yaml").read_text()))
    compose |= set(re.findall(r"(AWS_\w+):", (ROOT / "deploy/binlogs/s3.yaml").read_text()))
    declared = {field.name.upper() for field in fields(Settings)}
    others = {"DOCKERHUB_TOKEN", "DOCKERHUB_USER", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME"}
    # observe
    others |= {"COMPOSE_PROFILES"}
    compose |= set(re.findall(r"\$\{(\w+)", (ROOT / "deploy/observe/compose.yaml").read_text()))
    # /observe
    others |= {"SSL_CERT_FILE"}  # OpenSSL reads it
    declared |= {f"{name}_FILE" for name in SECRETS} | compose
    assert {name for name in named - declared - others if not name.startswith("OTEL_")} == set()
    assert {"RATE_LIMIT_CREATE", "BIND_ADDRESS"} <= named


def test_pages_have_every_setting() -> None:
    """`make settings` has been run: .env.example and docs/configuration.md match app/config.py."""
    for path, renewed in (
        (settings_pages.EXAMPLE, settings_pages.example),
        (settings_pages.PAGE, settings_pages.page),
    ):
        text = path.read_text()
        assert renewed(text) == text, f"Run make settings: {path.name} is out of date."
        assert renewed(text.replace("Number of worker processes.", "")) == text


def test_configuration_page_has_the_defaults_of_the_example() -> None:
    """docs/configuration.md lists the settings of .env.example, with the same defaults."""
    example = re.findall(r"^#(\w+)=(.*)$", settings_pages.EXAMPLE.read_text(), re.MULTILINE)
    page = re.findall(
        r"^\| `(\w+)` \| `?(.*?)`? ?\|", settings_pages.PAGE.read_text(), re.MULTILINE
    )
    assert sorted(page) == sorted(example)
