"""Registries that tests push to: one like Docker Hub, and one with ECR's name and API."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
import trustme

from tests.support.compose import docker
from tests.support.leftovers import new_name
from tests.support.waiting import wait_until

# Name, password, and the password's bcrypt hash: a registry accepts no other kind of hash. The
# password that matches AWS's hash is the one that moto returns.
HUB = ("you", "secret", "$2y$05$AmKdLxooRiDQnDtLQLTxXOY1uArQg2wlfRbKa45vWlh76pBv7f64C")
AWS = ("AWS", "", "$2y$05$1.xn3B.eUKd75A5OE4zfku.s0zOipFWJ/x2y.kv.Sxslw9ytY8e5a")
ECR_HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
HOSTS = Path("/etc/hosts")
AUTHORITIES = Path("/etc/docker/certs.d") / ECR_HOST


@contextmanager
def _registry(folder: Path, login: tuple[str, str, str], *options: str) -> Iterator[str]:
    """Run a registry that requires a login, and yield its container.

    :param folder: mounted as /config.
    """
    (folder / "htpasswd").write_text(f"{login[0]}:{login[2]}\n")
    settings = {"REALM": "test", "PATH": "/config/htpasswd"}
    environ = [f"--env=REGISTRY_AUTH_HTPASSWD_{name}={value}" for name, value in settings.items()]
    mount = f"--volume={folder}:/config:ro"
    command = ["run", "--detach", "--rm", "--name", new_name(), "--volume=/var/lib/registry"]
    command += [mount, *environ, *options]
    container = docker(*command, "registry:2").strip()
    try:
        yield container
    finally:
        docker("rm", "--force", "--volumes", container)


@contextmanager
def hub(folder: Path) -> Iterator[str]:
    """Run a registry like Docker Hub, and yield its host and port."""
    with _registry(folder, HUB, "--publish=127.0.0.1::5000") as container:
        host = docker("port", container, "5000").strip()
        wait_until(lambda: requests.get(f"http://{host}/v2/", timeout=5).status_code == 401)
        yield host


@contextmanager
def ecr(folder: Path) -> Iterator[dict[str, str]]:
    """Run ECR's API and its registry, and yield the environment in which programs find them.

    An entry in /etc/hosts gives the registry ECR's real host name. A CA file in /etc/docker/certs.d
    makes Docker trust its certificate.
    """
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 the import is slow

    authority = trustme.CA()
    certificate = authority.issue_cert(ECR_HOST)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.crt"))
    settings = {"ADDR": ":443", "TLS_CERTIFICATE": "/config/server.pem"}
    settings |= {"TLS_KEY": "/config/server.pem"}
    options = [f"--env=REGISTRY_HTTP_{name}={value}" for name, value in settings.items()]
    api = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with _registry(folder, AWS, *options) as container:
        address = docker("inspect", "--format={{.NetworkSettings.IPAddress}}", container).strip()
        _forget_ecr()  # a run that was killed may have left its entries
        try:
            _introduce_ecr(address, folder / "ca.crt")
            api.start()
            host, port = api.get_host_and_port()
            yield {
                "AWS_ENDPOINT_URL": f"http://{host}:{port}",
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_EC2_METADATA_DISABLED": "true",
                "SSL_CERT_FILE": str(folder / "ca.crt"),  # for buildx; Docker has its own
            }
        finally:
            _forget_ecr()
            api.stop()


def _introduce_ecr(address: str, authority: Path) -> None:
    with HOSTS.open("a") as hosts:
        hosts.write(f"{address} {ECR_HOST}\n")
    AUTHORITIES.mkdir(parents=True)
    shutil.copy(authority, AUTHORITIES / "ca.crt")


def _forget_ecr() -> None:
    # Write to the file, don't replace it: in a container, it is a mount.
    lines = HOSTS.read_text().splitlines(keepends=True)
    HOSTS.write_text("".join(line for line in lines if ECR_HOST not in line))
    shutil.rmtree(AUTHORITIES, ignore_errors=True)
