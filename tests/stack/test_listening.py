"""The service listens for IPv4 and for IPv6, if the kernel has both."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stack.test_image import HARDENED, MYSQL
from tests.support.compose import docker
from tests.support.leftovers import new_name
from tests.support.waiting import wait_until

# Prints the status of an address, port and path.
ASK = """
import http.client, sys
address, port, path = sys.argv[1:]
connection = http.client.HTTPConnection(address, int(port), timeout=30)
connection.request("GET", path)
print(connection.getresponse().status)
"""
ADDRESS_FAMILY = {"index": 0, "value": 10, "op": "SCMP_CMP_EQ"}  # AF_INET6
REFUSED = {
    "names": ["socket"],
    "action": "SCMP_ACT_ERRNO",
    "errnoRet": 97,
    "args": [ADDRESS_FAMILY],
}
NO_IPV6 = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [REFUSED]}  # EAFNOSUPPORT


@contextmanager
def healthy(image: str, *options: str) -> Iterator[str]:
    """Run the image until its own health check passes, and yield the container's name."""
    name = new_name()
    docker(
        "run", "--detach", "--name", name, *HARDENED, f"--env=DATABASE_URL={MYSQL}", *options, image
    )
    try:
        status = ["inspect", "--format={{.State.Health.Status}}", name]
        wait_until(lambda: docker(*status).strip() == "healthy", limit=30)
        yield name
    finally:
        docker("rm", "--force", name)


@pytest.mark.parametrize(
    ("options", "addresses"),
    [
        pytest.param(
            ["--sysctl=net.ipv6.conf.all.disable_ipv6=0"], ["127.0.0.1", "::1"], id="both"
        ),
        pytest.param(
            ["--sysctl=net.ipv6.bindv6only=1"], ["127.0.0.1", "::1"], id="a socket for each"
        ),
        pytest.param(["--sysctl=net.ipv6.conf.all.disable_ipv6=1"], ["127.0.0.1"], id="IPv6 off"),
        pytest.param(["--security-opt=seccomp={no_ipv6}"], ["127.0.0.1"], id="no IPv6 in kernel"),
    ],
)
def test_listens_on_all_addresses(
    image: str, tmp_path: Path, options: list[str], addresses: list[str]
) -> None:
    """Pages and metrics are served over IPv4 and IPv6, and the log has each client's address."""
    no_ipv6 = tmp_path / "no_ipv6.json"
    no_ipv6.write_text(json.dumps(NO_IPV6))
    with healthy(image, *(option.format(no_ipv6=no_ipv6) for option in options)) as container:

        def ask(address: str, port: int, path: str) -> int:
            return int(docker("exec", container, "python3", "-c", ASK, address, str(port), path))

        for address in addresses:
            assert ask(address, 8000, "/docs") == 200
            assert ask(address, 8000, "/metrics") == 404
            assert ask(address, 9100, "/metrics") == 200
        lines = map(json.loads, docker("logs", container).splitlines())
        clients = [line["client"] for line in lines if line.get("path") == "/docs"]
        assert clients == addresses
