"""smoke.sh runs with a fake kubectl, without a cluster, but with all its shell and Python code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.compose import MYSQL_ROOT, Stack, docker
from tests.support.kubernetes.pods import HELPER, Cluster, Pod

Smoke = Callable[..., subprocess.CompletedProcess[str]]
# Changes spread through the fake cluster at once, so it does not matter how long the script sleeps.
PROGRAMS = {
    "kubectl": f'{sys.executable} "{ROOT}/tests/support/kubernetes/fake_kubectl.py" "$@"',
    "sleep": "/bin/sleep 0.1",
}
FORGET = "DELETE FROM tokens"
CHECKS = [
    "all gets ready",
    "policies hold",
    "token is accepted",
    "update loses no request",
    "migration ran again",
    "pod is replaced",
    "data outlives the database",
    "budget holds",
    "load makes more pods",
]


@pytest.fixture
def smoke(  # noqa: PLR0913, PLR0917
    tmp_path: Path, project: Path, tools: str, stack: Stack, cluster: Cluster, db: Pod, app: Pod
) -> Iterator[Smoke]:
    """A function that runs smoke.sh, with the service and a client in Docker.

    Afterwards, everything that the script created is removed.
    """
    for name, command in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\nexec {command}\n")
        (tmp_path / name).chmod(0o755)
    state = {"pods": ["slipway-a", "slipway-b"], "gone": [], "evicted": []}
    (tmp_path / "state.json").write_text(json.dumps(state))
    names, client = (f"{cluster.name}-{kind}" for kind in ("names", "client"))
    fake = {
        "folder": str(tmp_path),
        "project": str(project),
        "tools": tools,
        "image": stack.image,
        "network": cluster.name,
        "label": cluster.label,
        "python": HELPER,
        "app": app.id("app"),
        "names": names,
        "client": client,
    }
    wait = ["python3", "-c", "import time; time.sleep(600)"]
    network = ["--network", cluster.name, "--label", cluster.label]
    docker("run", "--detach", "--name", client, *network, stack.image, *wait)

    def run(fault: str = "", *checks: str) -> subprocess.CompletedProcess[str]:
        image, _, tag = stack.image.partition(":")
        environ = os.environ | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "IMAGE": image,
            "TAG": tag,
            "FAKE": json.dumps(fake | {"fault": fault}),
        }
        return subprocess.run(
            [project / "deploy/kubernetes/smoke.sh", *checks],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=240,
        )

    yield run
    docker("rm", "--force", client)
    subprocess.run(["docker", "rm", "--force", names], check=False, capture_output=True)
    db.exec("mysql", "bash", "-c", f"{MYSQL_ROOT} --execute='{FORGET}'")


def results(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines that give the result of each check, without its reason."""
    words = ("PASSED", "FAILED", "SKIPPED")
    lines = [line.split(": ") for line in done.stdout.splitlines()]
    return [": ".join(line[:2]) for line in lines if line[0] in words]


def summary(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines after the last empty one."""
    return done.stdout.rpartition("\n\n")[2].splitlines()


def leftovers(project: Path) -> list[Path]:
    """Return the temporary folders that smoke.sh has not removed."""
    return list(project.glob("deploy/kubernetes/.smoke.*"))


def test_all_passes(smoke: Smoke, project: Path, tmp_path: Path) -> None:
    """All checks pass on a healthy cluster, and the script removes everything that it made."""
    done = smoke()
    assert results(done) == [f"PASSED: {check}" for check in CHECKS], done.stdout
    assert done.returncode == 0
    assert "GET /api/me 200" in done.stdout
    assert "requests answered, 0 failed" in done.stdout
    assert leftovers(project) == []
    assert "delete namespace slipway-smoke-" in (tmp_path / "log").read_text().splitlines()[-1]


def test_unknown_check_is_refused_before_anything_is_deployed(smoke: Smoke, tmp_path: Path) -> None:
    """A misspelt name of a check ends the script at once."""
    done = smoke("", "policies_hold", "bugdet_holds")
    assert done.returncode == 2
    names = " ".join(check.replace(" ", "_") for check in CHECKS[1:])
    assert done.stdout == f"bugdet_holds is none of the checks: {names}\n"
    assert not (tmp_path / "log").exists()


def test_missing_features_of_a_cluster_are_skipped(smoke: Smoke) -> None:
    """Checks that need NetworkPolicies or a metrics-server are skipped; all others still run."""
    done = smoke("bare")
    assert summary(done) == [
        "SKIPPED: policies hold: The cluster has no network plug-in that enforces NetworkPolicies.",
        "SKIPPED: load makes more pods: The cluster has no metrics-server.",
    ]
    skipped = {"policies hold", "load makes more pods"}
    assert results(done)[: len(CHECKS)] == [
        f"{'SKIPPED' if check in skipped else 'PASSED'}: {check}" for check in CHECKS
    ], done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param(
            "hole to the database", "client can connect to slipway-db.*:3306.", id="hole in"
        ),
        pytest.param("hole to other pods", "service can connect to *:8000.", id="hole out"),
        pytest.param(
            "broken network",
            "Pods cannot connect to each other, even without policies.",
            id="broken network",
        ),
        pytest.param("no exec", "The pod client could not try to connect to *:8000.", id="no exec"),
        pytest.param(
            "only incoming",
            "enforces NetworkPolicies only for incoming connections.",
            id="only incoming",
        ),
    ],
)
def test_reason_of_a_failure_is_last(smoke: Smoke, fault: str, reason: str) -> None:
    """A hole in a policy, a cluster without policies and an error of the test are told apart.

    The last lines give the reason, after the logs of the pods.
    """
    done = smoke(fault, "policies_hold")
    assert {each.split(": ")[1] for each in results(done)} == {"all gets ready", "policies hold"}
    [line] = summary(done)
    word = "SKIPPED" if fault == "only incoming" else "FAILED"
    assert fnmatch(line, f"{word}: policies hold: *{reason}")
    assert done.returncode == (word == "FAILED")


def test_failure_is_reported(smoke: Smoke, project: Path, tmp_path: Path) -> None:
    """If the database does not start, the script reports it, exits with 1 and still cleans up."""
    done = smoke("no database")
    assert summary(done) == ["FAILED: all gets ready: The database is not ready."], done.stdout
    assert set(results(done)) == {"FAILED: all gets ready"}
    assert done.returncode == 1
    assert leftovers(project) == []
    assert "delete namespace slipway-smoke-" in (tmp_path / "log").read_text().splitlines()[-1]
