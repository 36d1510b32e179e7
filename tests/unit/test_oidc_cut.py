"""Sign-in with OpenID Connect takes no memory while it is off, and comes out in one cut."""

import subprocess
import sys
from pathlib import Path

from tests.support.checkout import copy_project
from tests.support.environ import bare_environ
from tests.support.forked import python
from tests.support.marks import without

GONE = (
    *(f"app/identity/{name}.py" for name in ("oidc", "token_pages")),
    *(f"app/templates/{name}.html" for name in ("revoke", "sign_in_failed", "sign_out", "tokens")),
)
REST = """
from app import create_app
from app.database.types import metadata
from app.identity.tokens import create_token
app = create_app()
app.config["NAVIGATION"].clear()
database = app.extensions["database"]
metadata.create_all(database.autocommit)
token = create_token(database, "x", "write", None)
client = app.test_client()
browser = {"headers": {"Accept": "text/html"}}
print(client.get("/sign-in", **browser).status_code)
with client.session_transaction() as session:
    form = {"form_key": session["form_key"]}
print(client.post("/sign-in", data=form | {"token": token}, **browser).status_code)
print(client.get("/", **browser).status_code)
print(client.get("/sign-in/provider", **browser).status_code)
print(client.get("/sign-in/tokens", **browser).status_code)
"""
OFF = """
import sys
from app import create_app
create_app()
print([name for name in sys.modules if name in {"cryptography", "joserfc", "app.identity.oidc"}])
"""


def test_oidc_takes_no_memory_while_it_is_off(tmp_path: Path) -> None:
    """Without an issuer, nothing imports cryptography, which takes 11 MB."""
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "SECRET_KEY": "x" * 32}
    assert python(OFF, **environ) == "[]\n"


def test_oidc_comes_out_in_one_cut(tmp_path: Path) -> None:
    """Without its files, and without the parts that `# oidc` marks, the service works as before."""
    copy_project(tmp_path)
    for name in GONE:
        (tmp_path / name).unlink()
    kept = [*tmp_path.glob("app/**/*.py"), tmp_path / "gunicorn.conf.py"]
    kept += [tmp_path / "pyproject.toml", tmp_path / "docker-compose.yaml"]
    for path in kept:
        path.write_text(without(path.read_text(), "oidc"))
        assert "oidc" not in path.read_text().lower(), path
    ruff = Path(sys.executable).with_name("ruff")
    subprocess.run([ruff, "check", "--quiet", "--no-cache", "app"], cwd=tmp_path, check=True)
    environ = bare_environ(
        DATABASE_URL=f"sqlite:///{tmp_path}/x.db",
        SECRET_KEY="x" * 32,
        OIDC_ISSUER="https://login.example.com",
        LOG_LEVEL="error",
    )
    printed = subprocess.check_output([sys.executable, "-c", REST], cwd=tmp_path, env=environ)
    assert printed.split() == [b"200", b"303", b"200", b"404", b"404"]
