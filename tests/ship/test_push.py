"""`make push` builds, labels and pushes an image, or reports in one line why it can't."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest

from tests.docs.test_readme import commands
from tests.ship.conftest import Checkout, clone
from tests.support import registries
from tests.support.checkout import ROOT
from tests.support.compose import Stack, docker, run

PAGE = (ROOT / "docs/push.md").read_text()
HUB_IMAGE = "docker.io/you/slipway"
ECR_PUSH = f"make push IMAGE={registries.ECR_HOST}/slipway TAG=1.2.3"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
RUN = ["run", "--rm", "--read-only", "--tmpfs=/tmp", "--env=DATABASE_URL=sqlite:////tmp/test.db"]

# A registry that does not know an image before it is asked for the second time.
NO_DIGEST = """#!/bin/sh
case $* in
*imagetools*) mkdir "$DOCKER_CONFIG" && echo ERROR: x: not found && exit 1 ;;
esac 2>/dev/null
true
"""


def run_pulled(checkout: Checkout, tag: str, digest: str) -> None:
    """Remove a pushed image from this machine, pull it by its digest, and run it."""
    docker("image", "rm", "--force", tag)
    done = checkout.run("docker", "pull", "--quiet", digest)
    assert done.returncode == 0, done.stderr
    command = json.loads(docker("image", "inspect", "--format={{json .Config.Cmd}}", digest))
    docker(*RUN, digest, *command, "--check-config")


class Pushed(NamedTuple):
    """An image that was pushed to a registry, and the clone that it was pushed from."""

    checkout: Checkout
    image: str
    digest: str  # as `make push` printed it, with the image's name


@pytest.fixture(scope="module")
def pushed(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    """An image with the tag 1.0 in a registry like Docker Hub, pushed after a login."""
    image = f"{hub}/you/slipway"
    with clone(tmp_path_factory.mktemp("pushed")) as checkout:
        name, word, _ = registries.HUB
        log_in = ["docker", "login", f"--username={name}", "--password-stdin", hub]
        done = checkout.run(*log_in, text=word)
        assert done.returncode == 0, done.stderr
        yield Pushed(checkout, image, checkout.push(image, "1.0"))


def test_docker_hub(pushed: Pushed) -> None:
    """A push prints a digest that can be pulled and run. Labels name the image's source."""
    assert pushed.digest.startswith(f"{pushed.image}@sha256:")
    run_pulled(pushed.checkout, f"{pushed.image}:1.0", pushed.digest)
    labels = json.loads(docker("image", "inspect", pushed.digest))[0]["Config"]["Labels"]
    assert labels == {
        "org.opencontainers.image.created": "2026-01-02T01:04:05Z",
        "org.opencontainers.image.revision": pushed.checkout.commit(),
        "org.opencontainers.image.source": "https://example.com/you/slipway",
        "org.opencontainers.image.version": "1.0",
    }


def test_taken_tag(pushed: Pushed) -> None:
    """A push to an existing tag fails, even if the registry allows tags to be moved."""
    error = f"push: {pushed.image}:1.0 already exists. Choose another TAG."
    assert pushed.checkout.error(pushed.image, "1.0") == error


def test_no_login(hub: str, checkout: Checkout) -> None:
    """A push without a login fails, and the message names the command to log in."""
    image = f"{hub}/you/slipway"
    error = f"push: No access to {image}, or it does not exist. Try: docker login {hub} ("
    assert checkout.error(image, "1.2.3").startswith(error)


def test_registry_that_does_not_say_the_digest(checkout: Checkout) -> None:
    """A push whose digest is unknown fails: what follows, such as a signature, needs it."""
    docker = checkout.folder.parent / "bin" / "docker"
    docker.write_text(NO_DIGEST)
    docker.chmod(0o755)
    error = f"push: {HUB_IMAGE}:1.0 was pushed, but the registry does not say its digest."
    assert checkout.error(HUB_IMAGE, "1.0") == error


def test_page(pushed: Pushed) -> None:
    """The commands of docs/push.md push, run the stack from the registry, and print the SBOM."""
    steps = [command for command, _ in commands(PAGE) if ECR_PUSH not in command]
    assert steps.pop(0) == "docker login"  # the fixture has logged in already
    remove = 'docker image rm --force "$IMAGE:$TAG"\n'
    script = "".join(
        f"{line}\n".replace("docker compose", remove + "docker compose") for line in steps
    )
    with Stack(pushed.checkout.folder) as stack:
        stack.env |= {"IMAGE": pushed.image, "DOCKER_CONFIG": pushed.checkout.env["DOCKER_CONFIG"]}
        bash = ["bash", "-exc", script.replace(HUB_IMAGE, pushed.image)]
        run(*bash, cwd=stack.root, env=stack.env)
        stack.env["TAG"] = "1.2.3"
        assert stack.inspect("app")["Config"]["Image"] == f"{pushed.image}:1.2.3"
    assert json.loads((stack.root / "sbom.cdx.json").read_text())["components"]
    (stack.root / "sbom.cdx.json").unlink()


def test_compose(pushed: Pushed) -> None:
    """Compose pushes and pulls with the same settings, and accepts a digest after the tag."""
    with Stack(pushed.checkout.folder, tag="by-compose") as stack:
        stack.env |= {"IMAGE": pushed.image, "DOCKER_CONFIG": pushed.checkout.env["DOCKER_CONFIG"]}
        name = f"{pushed.image}:by-compose"
        docker("image", "tag", pushed.digest, name)
        stack.compose("push", "migrate")
        docker("image", "rm", "--force", name)
        stack.env["TAG"] += "@" + pushed.digest.partition("@")[2]
        stack.compose("pull", "app")
        assert docker("image", "inspect", pushed.digest)


def test_ecr(checkout: Checkout, ecr: str) -> None:
    """A push to ECR logs in by itself and creates the missing repository."""
    image = f"{ecr}/slipway"
    assert "Unable to locate credentials" in checkout.error(image, "1.2.3")
    checkout.env.update(CREDENTIALS)
    assert f"$ {ECR_PUSH}\n" in PAGE
    done = checkout.run(*ECR_PUSH.split())
    assert done.returncode == 0, done.stderr
    pushed = done.stdout.strip()
    assert pushed.startswith(f"{image}@sha256:")
    describe = ["ecr", "describe-repositories", "--region=eu-central-1", "--output=json"]
    (repository,) = json.loads(checkout.run("aws", *describe).stdout)["repositories"]
    assert repository["repositoryUri"] == image
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    run_pulled(checkout, f"{image}:1.2.3", pushed)
    taken = f"push: {image}:1.2.3 already exists. Choose another TAG."
    assert checkout.error(image, "1.2.3") == taken


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        pytest.param(
            {"image": "slipway"},
            f"Set IMAGE to registry and repository, for example IMAGE={HUB_IMAGE}",
            id="image without a registry",
        ),
        pytest.param({"tag": ""}, "Set TAG to the version, for example TAG=1.2.3", id="no tag"),
        pytest.param({"tag": "a b"}, "invalid reference format", id="space in the tag"),
        pytest.param(
            {"PLATFORMS": "plan9/none"},
            "This builder cannot build for plan9/none.",
            id="unknown platform",
        ),
    ],
)
def test_wrong_settings(checkout: Checkout, settings: dict[str, str], error: str) -> None:
    """A missing or invalid setting is reported before anything is built."""
    given = {"image": "127.0.0.1:9/you/slipway", "tag": "1.2.3"} | settings
    assert checkout.error(**given) == f"push: {error}"


def test_several_platforms(checkout: Checkout) -> None:
    """A push for several platforms fails with advice if the builder can't build them together."""
    builder = docker("buildx", "inspect") + docker("info", "--format={{.DriverStatus}}")
    if "io.containerd" in builder or "Driver:        docker\n" not in builder:
        pytest.skip("this builder can build for several platforms")
    platforms = {"PLATFORMS": "linux/amd64,linux/arm64"}
    error = "This builder builds for one platform at a time. Run: docker buildx create --use"
    assert checkout.error("127.0.0.1:9/you/slipway", "1", **platforms) == f"push: {error}"


def test_uncommitted_changes(checkout: Checkout) -> None:
    """A push with uncommitted changes fails, since the image would contain them too."""
    (checkout.folder / "app/new.py").touch()
    error = "There are uncommitted changes. See git status."
    assert checkout.error("127.0.0.1:9/you/slipway", "1") == f"push: {error}"


class Refusing(BaseHTTPRequestHandler):
    """A registry that refuses every push."""

    code = "DENIED"

    def do_HEAD(self) -> None:
        """Answer that there is a registry, but no image."""
        self.answer(200 if self.path == "/v2/" else 404)

    do_GET = do_HEAD  # noqa: N815 the base class defines this name

    def do_POST(self) -> None:
        """Refuse to start an upload."""
        self.answer(404 if self.code == "NAME_UNKNOWN" else 403)

    def answer(self, status: int) -> None:
        """Send an answer in the error format of registries."""
        body = json.dumps({"errors": [{"code": self.code, "message": "no"}]}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(params=["DENIED", "NAME_UNKNOWN"])
def refusing(request: pytest.FixtureRequest) -> Iterator[str]:
    """Host and port of a registry that lets everybody read and nobody push."""
    handler = type("Handler", (Refusing,), {"code": request.param})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_no_rights(checkout: Checkout, refusing: str) -> None:
    """If the registry refuses the upload, one line names the missing rights and the login."""
    image = f"{refusing}/you/slipway"
    done = checkout.make_push(image, "1.2.3")
    assert done.returncode == 2
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("push: ")]
    error = f"push: No access to {image}, or it does not exist. Try: docker login {refusing} ("
    assert message.startswith(error)
