"""Rolling updates: an upgrade under load, with old and new version side by side."""

import re
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests

from tests.support.checkout import ROOT, copy_project
from tests.support.compose import Stack, docker
from tests.support.links.client import TARGET
from tests.support.mysql import RootSession, waits
from tests.support.service import Service
from tests.support.waiting import free_port, wait_until

# A loaded machine gets 503s that this test would take for a fault.
pytestmark = pytest.mark.timed

CLIENTS = 3
[COMMAND] = re.findall(
    r"^\$ docker compose run (.* migrate)$",
    (ROOT / "docs" / "operate.md").read_text(),
    re.MULTILINE,
)
MIGRATE = ("run", "--no-TTY", *COMMAND.split())

# The new version's migration is the example in docs/migrations.md.
[EXAMPLE] = re.findall(
    r"^```python\n(.*?)^```$",
    (ROOT / "docs" / "migrations.md").read_text(),
    flags=re.MULTILINE | re.DOTALL,
)
HEAD = """'''Teams.'''

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


"""
# The lines that the new version adds to app/identity/tokens.py, each before the line in its key.
CHANGE = {
    '    sa.Column("scope"': 'sa.Column("team", sa.String(100), nullable=False, default=""),',
    "    scope = fields.String": "team = fields.String()",
}


class Load:
    """Clients that create, follow, read, edit, list and delete links."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.answered = 0
        self.failed: list[str] = []
        self.stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the clients during this block."""
        clients = [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            self.goes_on()
            yield
            self.goes_on()
        finally:
            self.stop.set()
            for client in clients:
                client.join()

    def goes_on(self) -> None:
        """Wait until 20 more requests of each client are answered."""
        goal = self.answered + 20 * CLIENTS
        wait_until(lambda: self.answered >= goal)

    def _run(self) -> None:
        while not self.stop.is_set():
            with Service(self.url, self.token) as client:
                link = self._send(client, 201, "POST", "/api/links", json={"url": TARGET})
                if link is None:
                    continue
                code = link.json()["code"]
                self._send(client, 302, "GET", f"/{code}")
                self._send(client, 200, "PATCH", f"/api/links/{code}", json={"title": "new"})
                found = self._send(client, 200, "GET", f"/api/links/{code}")
                if found is not None and found.json()["clicks"] != 1:
                    self.failed.append(found.text)
                self._send(client, 200, "GET", "/api/links?limit=5")
                self._send(client, 204, "DELETE", f"/api/links/{code}")

    def _send(
        self, client: Service, status: int, method: str, path: str, **options: object
    ) -> requests.Response | None:
        try:
            answer = client.request(method, path, **options)
        except requests.RequestException as error:
            self.failed.append(f"{method} {path}: {error}")
            return None
        self.answered += 1
        if answer.status_code == status:
            return answer
        self.failed.append(f"{method} {path}: {answer.status_code} {answer.text}")
        return None


class Upgrade:
    """A stack that runs the version of this tree, and an image of a later version."""

    def __init__(self, old: Stack, new: Stack) -> None:
        self.old = old
        self.new = new
        self.token = old.exec("app", "slipway", "tokens", "create", "load").strip()

    def migrate(self) -> None:
        """Run the migrations of the new version."""
        self.new.compose(*MIGRATE)

    @contextmanager
    def beside(self) -> Iterator[tuple[str, str]]:
        """Run the new version beside the old one, and yield its container and URL."""
        port = free_port()
        publish = ("--publish", f"127.0.0.1:{port}:8000")
        run = ("run", "--detach", "--no-deps", *publish, "app")
        container = self.new.compose(*run).strip()
        try:
            yield container, f"http://127.0.0.1:{port}"
        finally:
            docker("rm", "--force", container)


def me(url: str, token: str) -> object:
    """Return what a version's /api/me returns for a token."""
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{url}/api/me", headers=headers, timeout=5).json()


@pytest.fixture(scope="module", name="versions")
def _versions(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    """This version, which is running, and a later one, which is built.

    The later one has one more migration, and gives the database more memory.
    """
    later = copy_project(tmp_path_factory.mktemp("later"))
    compose_file = later / "docker-compose.yaml"
    text = compose_file.read_text()
    assert text.count("mem_limit: 1g\n") == 1
    compose_file.write_text(text.replace("mem_limit: 1g\n", "mem_limit: 1100m\n"))
    (later / "db/migrations/versions/0006_teams.py").write_text(HEAD + EXAMPLE)
    auth = later / "app" / "identity" / "tokens.py"
    text = auth.read_text()
    for line, more in CHANGE.items():
        assert text.count(line) == 1
        text = text.replace(line, f"    {more}\n{line}")
    auth.write_text(text)

    with Stack(tag=stack.tag) as old:
        old.env["RATE_LIMIT_CREATE"] = "1000000/minute"
        old.up()
        new = Stack(root=later)
        new.env |= old.env | {"TAG": new.tag}
        new.compose("build", "migrate")
        try:
            yield Upgrade(old, new)
        finally:
            docker("image", "rm", "--force", new.image)


@pytest.fixture(name="upgrade")
def _upgrade(versions: Upgrade) -> Iterator[Upgrade]:
    """The two versions, with the schema of the old one before each test."""
    yield versions
    versions.new.compose(*MIGRATE, "alembic", "downgrade", "service@0005")


def test_upgrade_under_load_fails_no_request(upgrade: Upgrade) -> None:
    """Zero-downtime deploy: no request fails before, during or after the migration.

    The new version becomes ready only after its migration. Both versions then work side by side,
    and clients can move to the new one and back.
    """
    old, app, database = upgrade.old, upgrade.old.id("app"), upgrade.old.id("db")
    load = Load(old.url, upgrade.token)
    with load.running(), upgrade.beside() as (container, url):
        wait_until(lambda: requests.get(f"{url}/livez", timeout=5).ok)
        ready = requests.get(f"{url}/readyz", timeout=5)
        assert (ready.status_code, "0006" in ready.json()["detail"]) == (503, True)

        upgrade.migrate()
        assert old.id("db") == database
        wait_until(lambda: requests.get(f"{url}/readyz", timeout=5).ok)
        assert requests.get(f"{old.url}/readyz/database", timeout=5).status_code == 200
        assert docker("inspect", "--format", "{{.RestartCount}}", container).strip() == "0"

        # Each version reads what the other one writes.
        by_old = old.exec("app", "slipway", "tokens", "create", "old").strip()
        by_new = docker("exec", container, "slipway", "tokens", "create", "new").strip()
        assert me(url, by_old) == {"name": "old", "team": "", "scope": "write"}
        assert me(old.url, by_new) == {"name": "new", "scope": "write"}

        load.goes_on()
        load.url = url
        load.goes_on()
        docker("stop", app)
        load.goes_on()
        docker("start", app)
        old.wait_ready()
        load.url = old.url
        load.goes_on()
    assert load.failed == []


def test_migration_that_waits_lets_the_service_work(upgrade: Upgrade) -> None:
    """A migration that waits for an open transaction does not block requests."""
    load = Load(upgrade.old.url, upgrade.token)
    with ThreadPoolExecutor() as pool, RootSession(upgrade.old) as other:
        other.run("START TRANSACTION; SELECT COUNT(*) FROM tokens")
        with load.running():
            migration = pool.submit(upgrade.migrate)
            wait_until(lambda: waits(upgrade.old, "user = 'migrator'"))
            load.goes_on()  # after the first attempt, which blocks all requests for a second
            assert not migration.done()
            other.run("COMMIT")
            migration.result()
    assert load.failed == []


def test_migration_that_was_killed_can_be_recorded(upgrade: Upgrade) -> None:
    """After a migration that was killed before it was recorded, `alembic stamp` records it."""
    upgrade.old.mysql_root("ALTER TABLE tokens ADD COLUMN team VARCHAR(100) NOT NULL DEFAULT ''")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        upgrade.migrate()
    assert "Duplicate column name 'team'" in failed.value.stderr
    upgrade.new.compose(*MIGRATE, "alembic", "stamp", "0006")
    upgrade.migrate()
    heads = upgrade.old.mysql_root("SELECT version_num FROM alembic_version ORDER BY 1")
    assert len(heads) == 2
    assert heads[0] == ["0006"]
