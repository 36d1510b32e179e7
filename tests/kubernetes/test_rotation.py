"""Passwords are rotated as docs/kubernetes.md says, while the service and its database run."""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.conftest import build
from tests.support.checkout import ROOT
from tests.support.compose import MYSQL_ROOT, docker
from tests.support.kubernetes.objects import Object, find
from tests.support.kubernetes.page import Shell, commands
from tests.support.kubernetes.pods import Cluster, Pod

KINDS = ("startup", "readiness", "liveness")


def ready(cluster: Cluster, objects: list[Object]) -> bool:
    """Start a new pod of the service, and return whether it becomes ready."""
    with cluster.pod("Deployment", "slipway", objects) as pod:
        if pod.first("migrate").returncode:
            return False
        pod.start()
        pod.wait("app", "startup")
        return pod.passes("app", "readiness")


@pytest.fixture
def kept(project: Path, local: list[Object], db: Pod, tmp_path: Path) -> Iterator[None]:
    """Put the files of secrets back at the end, in the project and in the database's pod."""
    secrets = project / "deploy/kubernetes/local/secrets"
    shutil.copytree(secrets, tmp_path / "before")
    yield
    shutil.rmtree(secrets)
    shutil.copytree(tmp_path / "before", secrets)
    db.fill(local, "secrets")


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("account", ["app", "migrator"])
def test_database_keeps_running(  # noqa: PLR0913, PLR0917
    account: str,
    shell: Shell,
    cluster: Cluster,
    app: Pod,
    db: Pod,
    local: list[Object],
    tools: str,
    project: Path,
) -> None:
    """A rotation doesn't restart the database, whose probes pass before, during and after it.

    Pods with the old and the new password become ready until the old one is discarded. Then a
    rollback to the old Secret doesn't, and the new manifests still do.
    """
    rotate, discard, find_old, delete_old = commands("Rotate secrets")[:4]
    password = find(local, "Secret", "slipway-db")["data"][f"{account}_password"]
    old = base64.b64decode(password).decode().strip()
    started = db.state("mysql")["StartedAt"]
    try:
        shell.run(rotate.replace("account=app", f"account={account}"))
        after = build(tools, project, "tested")
        for kind in ("StatefulSet", "Service"):
            assert find(after, kind, "slipway-db") == find(local, kind, "slipway-db")
        assert find(after, "Secret", "slipway-db") != find(local, "Secret", "slipway-db")
        assert find(after, "Deployment", "slipway") != find(local, "Deployment", "slipway")
        assert [db.passes("mysql", kind) for kind in KINDS] == [True] * 3
        assert [ready(cluster, each) for each in (local, after)] == [True, True]
        db.fill(after, "secrets")  # a kubelet does this within about two minutes
        assert [db.passes("mysql", kind) for kind in KINDS] == [True] * 3

        shell.run(discard.replace("account=app", f"account={account}"))
        assert [db.passes("mysql", kind) for kind in KINDS] == [True] * 3
        assert [ready(cluster, each) for each in (local, after)] == [False, True]
        assert app.passes("app", "liveness")

        used = {line.split()[1] for line in shell.run(find_old).splitlines()}
        wanted = {"slipway-app", "slipway-db", "slipway-migrate"}
        assert used == {find(after, "Secret", each)["metadata"]["name"] for each in wanted}
        assert delete_old.startswith("kubectl -n slipway delete secret ")
    finally:
        sql = (
            f"ALTER USER {account} IDENTIFIED BY '{old}'; ALTER USER {account} DISCARD OLD PASSWORD"
        )
        db.exec("mysql", "bash", "-c", f'{MYSQL_ROOT} --execute="{sql}"')
    assert db.state("mysql")["StartedAt"] == started
    change, apply = (
        next(number for number, call in enumerate(shell.calls()) if word in call)
        for word in ("exec", "apply")
    )
    assert change < apply


@pytest.mark.usefixtures("kept")
def test_certificates_need_a_restart(  # noqa: PLR0913, PLR0917
    shell: Shell,
    cluster: Cluster,
    app: Pod,
    db: Pod,
    local: list[Object],
    tools: str,
    project: Path,
) -> None:
    """After the database has restarted with new certificates, pods with the old ones fail."""
    command = "rm -f $secrets/db/*.pem"
    assert f"`{command}`" in (ROOT / "docs/kubernetes.md").read_text()
    shell.run(f"secrets=deploy/kubernetes/local/secrets; {command} && make kubernetes-secrets")
    after = build(tools, project, "tested")
    assert find(after, "StatefulSet", "slipway-db") == find(local, "StatefulSet", "slipway-db")
    try:
        db.fill(after, "secrets")
        docker("restart", db.id("mysql"))
        db.wait("mysql")
        assert [ready(cluster, each) for each in (local, after)] == [False, True]
    finally:
        db.fill(local, "secrets")
        docker("restart", db.id("mysql"))
        db.wait("mysql")
        app.wait("app")


def test_probes_need_no_secret(local: list[Object]) -> None:
    """No probe of the database reads a file, so none depends on when a kubelet updates it."""
    template = find(local, "StatefulSet", "slipway-db")["spec"]["template"]
    [mysql] = template["spec"]["containers"]
    assert "/run/secrets" not in str([mysql[f"{kind}Probe"] for kind in KINDS])
