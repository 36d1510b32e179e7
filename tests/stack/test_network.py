"""Networks isolate the containers, and connections to the database use verified TLS."""

import json
import subprocess
from pathlib import Path

import pytest
import requests

from tests.support.compose import Stack, docker

# Logs in with the service's account and Python's default TLS settings.
CONNECT = """
import socket, ssl
from pathlib import Path
import pymysql
from sqlalchemy import make_url

url = make_url(Path("/run/secrets/database_url").read_text().strip())
context = ssl.create_default_context(cafile={cafile!r})
assert context.verify_flags & ssl.VERIFY_X509_STRICT and context.check_hostname
try:
    connection = pymysql.connect(
        host={host}, user=url.username, password=url.password, database=url.database, ssl=context
    )
except pymysql.err.OperationalError as error:
    print(error)
else:
    with connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
        print(cursor.fetchone()[1])
"""


@pytest.mark.parametrize(
    ("host", "cafile", "answer"),
    [
        ("url.host", "/run/secrets/ca.pem", "TLSv1.3"),
        ("socket.gethostbyname(url.host)", "/run/secrets/ca.pem", "IP address mismatch"),
        ("url.host", None, "self-signed certificate in certificate chain"),
    ],
    ids=["right", "wrong name", "unknown authority"],
)
def test_certificate_is_verified(stack: Stack, host: str, cafile: str | None, answer: str) -> None:
    """Python's strict verification accepts the certificate only with the right name and CA."""
    assert answer in stack.python("app", CONNECT.format(host=host, cafile=cafile))


def test_service_talks_tls_to_the_database(stack: Stack) -> None:
    """Every connection of the service to the database uses TLS 1.3."""
    stack.wait_ready()
    versions = stack.mysql_root(
        "SELECT DISTINCT variable_value FROM performance_schema.status_by_thread"
        " JOIN performance_schema.threads USING (thread_id)"
        " WHERE processlist_user = 'app' AND variable_name = 'Ssl_version'"
    )
    assert versions == [["TLSv1.3"]]


def test_only_the_service_is_published(stack: Stack) -> None:
    """Only the service's port is published, and only on 127.0.0.1."""
    bindings = {
        service: stack.inspect(service)["HostConfig"]["PortBindings"]
        for service in ("secrets", "db", "migrate", "app")
    }
    address = {"HostIp": "127.0.0.1", "HostPort": str(stack.port)}
    assert bindings.pop("app") == {"8000/tcp": [address]}
    assert not any(bindings.values())


def test_networks(stack: Stack) -> None:
    """The database is only on the internal network, and the secrets container on none."""
    joined = {
        service: set(stack.inspect(service)["NetworkSettings"]["Networks"])
        for service in ("secrets", "db", "migrate", "app")
    }
    backend, edge = f"{stack.project}_backend", f"{stack.project}_edge"
    assert joined == {
        "secrets": {"none"},
        "db": {backend},
        "migrate": {backend},
        "app": {backend, edge},
    }
    assert json.loads(docker("network", "inspect", backend))[0]["Internal"] is True


def test_database_cannot_be_reached_from_the_edge(stack: Stack) -> None:
    """From the outer network, the service can be reached but the database can't."""
    networks = stack.inspect("db")["NetworkSettings"]["Networks"]

    def reach(host: str, port: int) -> None:
        connect = f"import socket; socket.create_connection(({host!r}, {port}), timeout=2)"
        neighbour = ["run", "--rm", "--network", f"{stack.project}_edge", stack.image]
        docker(*neighbour, "python3", "-c", connect)

    reach("app", 8000)
    for host, error in (
        ("db", "gaierror"),
        (networks[f"{stack.project}_backend"]["IPAddress"], "TimeoutError"),
    ):
        with pytest.raises(subprocess.CalledProcessError) as failed:
            reach(host, 3306)
        assert error in failed.value.stderr


def test_silent_name_server_delays_no_answer(stack: Stack, tmp_path: Path) -> None:
    """When db is stopped and the name server does not answer, 503 still comes in time."""
    silent = tmp_path / "silent.yaml"
    silent.write_text("services: {app: {dns: [192.0.2.1]}}")  # reserved, so nothing answers there
    try:
        stack.compose("-f", "docker-compose.yaml", "-f", str(silent), "up", "--wait")
        stack.compose("stop", "db")
        for _ in range(3):
            answer = requests.get(stack.url, timeout=10)
            assert answer.status_code == 503
            assert answer.elapsed.total_seconds() < 2
    finally:
        stack.up()
