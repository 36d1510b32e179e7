"""The proxies in the examples of docs/operate.md replace what a client claims to be."""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.api.conftest import Deployment
from tests.conftest import NO_CADDY, NO_HAPROXY, NO_NGINX
from tests.support.checkout import ROOT
from tests.support.pages import blocks
from tests.support.service import Service  # example
from tests.support.visitor import Visitor, form
from tests.support.waiting import free_port, wait_until

CLAIMS = {
    "X-Forwarded-For": "203.0.113.1",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "other.example",
}
FILE = "configuration"
# Without root, nginx can't use its default folders.
FOLDERS = [f"{part}_temp_path ." for part in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
NGINX = f"""
daemon off; master_process off; pid pid;
events {{}} http {{ access_log off; {"; ".join(FOLDERS)}; EXAMPLE }}
"""
CADDY = "{\nadmin off\nauto_https disable_redirects\n}\nEXAMPLE"


class Proxy(NamedTuple):
    """How to run an example without root."""

    program: str
    missing: str
    block: str  # kind of the example's block in the page
    around: str  # the configuration, with EXAMPLE in place of the example
    options: tuple[str, ...]


PROXIES = [
    Proxy("nginx", NO_NGINX, "nginx", NGINX, ("-p", ".", "-e", "stderr", "-c", FILE)),
    Proxy("caddy", NO_CADDY, "caddyfile", CADDY, ("run", "--adapter=caddyfile", "--config", FILE)),
    Proxy("haproxy", NO_HAPROXY, "haproxy", "EXAMPLE", ("-db", "-f", FILE)),
]


def is_open(port: int) -> bool:
    """Return whether a port of 127.0.0.1 accepts connections."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=PROXIES, ids=lambda proxy: proxy.program)
def visitor(
    request: pytest.FixtureRequest, embedded: Deployment, tmp_path: Path
) -> Iterator[Visitor]:
    """A browser of the service behind a proxy: an example with a free port and a certificate."""
    proxy: Proxy = request.param
    program = shutil.which(proxy.program, path=f"{os.environ['PATH']}:/usr/sbin")
    if not program:
        pytest.skip(proxy.missing)
    port = free_port()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "certificate"
    )
    [example] = blocks((ROOT / "docs" / "operate.md").read_text(), proxy.block)
    for old, new in {
        "127.0.0.1:8000": embedded.url.removeprefix("http://"),
        "go.example.com {": f"localhost:{port} {{\nbind 127.0.0.1\ntls certificate certificate",
        "/etc/ssl/go.example.com.pem": "certificate",
        "/etc/ssl/go.example.com.key": "certificate",
        "/etc/haproxy/go.example.com.pem": "certificate",
        "listen 443": f"listen 127.0.0.1:{port}",
        "bind :443": f"bind 127.0.0.1:{port}",
    }.items():
        example = example.replace(old, new)
    (tmp_path / FILE).write_text(proxy.around.replace("EXAMPLE", example))
    environ = os.environ | {"HOME": str(tmp_path)}  # Caddy writes there
    with subprocess.Popen([program, *proxy.options], cwd=tmp_path, env=environ) as process:
        try:
            wait_until(lambda: is_open(port) or process.poll() is not None)
            with Visitor(f"https://localhost:{port}") as visitor:
                visitor.trust_env = False  # REQUESTS_CA_BUNDLE would come before `verify`
                visitor.verify = str(tmp_path / "authority")
                yield visitor
        finally:
            process.terminate()


def test_proxy_replaces_what_a_client_claims(embedded: Deployment, visitor: Visitor) -> None:
    """The service sees the client's own address, HTTPS and the host that it has asked for."""
    request_id = secrets.token_hex(8)
    page = visitor.get("/sign-in", headers=CLAIMS | {"X-Request-Id": request_id})
    assert page.headers["Set-Cookie"].startswith("__Host-slipway=")
    assert embedded.line(request_id)["client"] == "127.0.0.1"
    fields = form(page.text) | {"token": embedded.token()}
    answer = visitor.post("/sign-in", data=fields, headers=CLAIMS | {"Origin": visitor.url})
    assert answer.status_code == 303


# example
def test_long_redirect_passes(embedded: Deployment, visitor: Visitor) -> None:
    """The longest target and a long path fit into the proxy's buffers."""
    with Service(embedded.url, embedded.token()) as service:
        url = f"https://example.com/{'🚀' * 2980}"
        code = service.post("/api/links", json={"url": url}).json()["code"]
        answer = visitor.get(f"/{code}/{'x' * 8000}", allow_redirects=False)
        service.delete(f"/api/links/{code}")
    assert answer.status_code == 302
    assert len(answer.headers["Location"]) == 20 + 2980 * 12 + 8001


# /example
