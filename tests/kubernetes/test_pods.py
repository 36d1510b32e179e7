"""The pods, run as the manifests specify, become ready, report their state and stop in time."""

import signal
import time

import pytest
import requests

from tests.stack.test_network import CONNECT
from tests.support.compose import docker
from tests.support.kubernetes.pods import HELPER, Cluster, Pod
from tests.support.waiting import wait_until

USERS = {"app": "10001", "mysql": "999"}


@pytest.mark.parametrize(
    ("host", "answer"),
    [("url.host", "TLSv1.3"), ("socket.gethostbyname(url.host)", "IP address mismatch")],
    ids=["service's name", "address"],
)
def test_certificate_has_the_services_name(app: Pod, host: str, answer: str) -> None:
    """The database's certificate is valid for the name of its Service, and not for its address."""
    code = CONNECT.format(host=host, cafile="/run/secrets/ca.pem")
    assert answer in app.exec("app", "python3", "-c", code)
    assert "@slipway-db/" in app.exec(
        "app", "python3", "-c", "print(open('/run/secrets/database_url').read())"
    )


@pytest.mark.parametrize("container", USERS)
def test_container_is_locked_down(app: Pod, db: Pod, container: str) -> None:
    """The container's process has an unprivileged user, no capabilities and a seccomp filter."""
    pod = app if container in app.specs else db
    program = ["python3", "-c", "print(open('/proc/1/status').read())"]
    status = pod.exec(container, *(program if pod is app else ["cat", "/proc/1/status"]))
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == [USERS[container]] * 4
    assert {fields[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"


def test_web_page_is_on(app: Pod) -> None:
    """The service shows its sign-in page, since its secret contains SECRET_KEY."""
    answer = requests.get(f"{app.url('app')}/sign-in", timeout=30)
    assert answer.status_code == 200


def test_migration_runs_again(app: Pod, cluster: Cluster) -> None:  # noqa: ARG001
    """A second migration, on a database in use, succeeds and changes nothing."""
    done = cluster.pod("Deployment", "slipway").first("migrate")
    assert done.returncode == 0
    assert "Running upgrade" not in done.stdout


def test_probes_mean_what_they_say(app: Pod, db: Pod, cluster: Cluster) -> None:
    """Without its database, a pod stays ready and answers 503; a restarted one waits for it.

    Kubernetes restarts neither of them.
    """
    with cluster.pod("Deployment", "slipway") as restarted:
        restarted.start()
        kinds = ("startup", "readiness", "liveness")
        assert [app.passes("app", kind) for kind in kinds] == [True] * 3
        assert [db.passes("mysql", kind) for kind in kinds] == [True] * 3
        docker("stop", f"--time={db.spec['terminationGracePeriodSeconds']}", db.id("mysql"))
        try:
            assert db.state("mysql")["ExitCode"] == 0
            assert [app.passes("app", kind) for kind in kinds] == [True] * 3
            answer = requests.get(app.url("app"), timeout=5)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            docker("restart", restarted.id("app"))
            restarted.wait("app", "startup")
            assert [restarted.passes("app", kind) for kind in kinds] == [True, False, True]
        finally:
            docker("start", db.id("mysql"))
        db.wait("mysql")
        wait_until(lambda: requests.get(app.url("app"), timeout=5).ok, 2)
        restarted.wait("app")


def test_pod_drains_and_ends_in_time(app: Pod, cluster: Cluster) -> None:  # noqa: ARG001
    """On SIGTERM a pod reports at once that it is not ready, still serves, and exits in time."""
    with cluster.pod("Deployment", "slipway") as pod:
        pod.start()
        pod.wait("app")
        begin = time.monotonic()
        docker("kill", "--signal=TERM", pod.id("app"))
        wait_until(lambda: not pod.passes("app", "readiness"), 2)
        assert requests.get(pod.url("app"), timeout=5).status_code == 200
        assert pod.passes("app", "liveness")
        wait_until(lambda: pod.state("app")["Status"] == "exited")
        assert pod.state("app")["ExitCode"] == 0
        assert time.monotonic() - begin < pod.spec["terminationGracePeriodSeconds"]


def test_killed_server_leaves_nothing(app: Pod, cluster: Cluster) -> None:  # noqa: ARG001
    """If gunicorn's master is killed, the container ends. Its successor removes what it has left.

    Volumes in memory outlive a container of a pod, as long as Kubernetes restarts it. Until then,
    the pod refuses connections.
    """
    with cluster.pod("Deployment", "slipway") as pod:
        pod.start()
        keep = ["--detach", "--label", cluster.label, f"--volume={pod.name}-shm:/shm"]
        docker("run", *keep, HELPER, "sleep", "600")
        for _ in range(2):
            pod.wait("app")
            url = pod.url("app")
            docker("kill", "--signal=KILL", pod.id("app"))
            wait_until(lambda: pod.state("app")["Status"] == "exited")
            assert pod.state("app")["ExitCode"] == 128 + signal.SIGKILL
            with pytest.raises(requests.ConnectionError):
                requests.get(url, timeout=5)
            docker("start", pod.id("app"))
        pod.wait("app")
        code = "import os; print(len(os.listdir('/dev/shm')))"
        assert pod.exec("app", "python3", "-c", code) == "1\n"
