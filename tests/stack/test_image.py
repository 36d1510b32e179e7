"""The runtime image: its size, its contents and how it runs."""

import gzip
import json
import re
import subprocess
import tarfile
from pathlib import Path, PurePosixPath

import pytest

from tests.support.checkout import ROOT, copy_project
from tests.support.compose import Stack, docker
from tests.support.leftovers import new_name
from tests.support.waiting import wait_until

MYSQL = "mysql+pymysql://nobody@nowhere/nothing"
SQLITE = "sqlite:////tmp/test.db"
HARDENED = ["--read-only", "--tmpfs=/tmp", "--user=10001", "--cap-drop=ALL", "--network=none"]


@pytest.fixture(scope="module")
def files(image: str, tmp_path_factory: pytest.TempPathFactory) -> list[tarfile.TarInfo]:
    """All files in the image."""
    listing = tmp_path_factory.mktemp("image") / "files.tar"
    container = docker("create", "--name", new_name(), image).strip()
    try:
        docker("export", "--output", str(listing), container)
    finally:
        docker("rm", container)
    with tarfile.open(listing) as archive:
        return archive.getmembers()


def run(image: str, *command: str, database: str = MYSQL) -> subprocess.CompletedProcess[str]:
    """Run a command in a hardened container without a network."""
    return subprocess.run(
        ["docker", "run", "--rm", *HARDENED, f"--env=DATABASE_URL={database}", image, *command],
        check=False,
        capture_output=True,
        text=True,
    )


def size(image: str) -> int:
    """Return the total size of all layers in bytes.

    `docker image inspect` does not always report it (moby/moby#53398).
    """
    return sum(map(int, docker("history", "--human=false", "--format={{.Size}}", image).split()))


def layers(image: str) -> list[str]:
    """Return the digests of the image's layers."""
    return list(json.loads(docker("image", "inspect", image))[0]["RootFS"]["Layers"])


def test_is_smaller_than_its_base(image: str) -> None:
    """The image, with all packages, has at most 0.65 times the size of its bare base image."""
    base = re.findall(
        r"^FROM (python:\S+)", (ROOT / "Dockerfile.multistage").read_text(), re.MULTILINE
    )
    assert len(base) == 1
    assert size(image) <= 0.65 * size(base[0])


def test_is_quick_to_pull(image: str, tmp_path: Path) -> None:
    """The compressed image has at most 25 MB."""
    saved = tmp_path / "image.tar"
    docker("save", "--output", str(saved), image)
    assert len(gzip.compress(saved.read_bytes(), compresslevel=6)) <= 25_000_000


def test_has_no_programs_but_its_own(files: list[tarfile.TarInfo]) -> None:
    """The only executables are Python, gunicorn, alembic and slipway."""
    programs = {
        PurePosixPath(file.name).name
        for file in files
        # Docker itself adds empty files to a container.
        if file.isfile() and file.mode & 0o111 and file.size and ".so" not in file.name
    }
    python = {name for name in programs if re.fullmatch(r"python3\.\d+", name)}
    assert len(python) == 1
    assert programs - python == {"alembic", "gunicorn", "slipway"}


@pytest.mark.parametrize(
    "unwanted",
    [
        pytest.param(r"/(ba|da|z|a)?sh$|/busybox$", id="shells"),
        pytest.param(r"/(pip|ensurepip|setuptools)(/|-|$)", id="package installers"),
        pytest.param(r"/(g?cc|[cg]\+\+|clang|ld|as|tcc)$", id="compilers"),
        pytest.param(r"/(curl|wget|apt-get|dpkg)$", id="downloaders"),
        pytest.param(r"/(tests?|testing|idle_test|pytest)/|/_\w*test\w*\.\S*\.so$", id="tests"),
        pytest.param(
            r"/(idlelib|tkinter|turtledemo|pydoc_data|config-3\.\S+)/", id="other parts of Python"
        ),
    ],
)
def test_has_nothing_it_does_not_need(files: list[tarfile.TarInfo], unwanted: str) -> None:
    """The image has no shells, installers, compilers, download tools or test code."""
    assert [file.name for file in files if re.search(unwanted, f"/{file.name}")] == []


def test_gives_no_rights(files: list[tarfile.TarInfo]) -> None:
    """No file is setuid or setgid, and the service can write only in /tmp."""
    assert [file.name for file in files if file.mode & 0o6000] == []
    writable = [file.name for file in files if file.uid or (file.mode & 0o002 and not file.issym())]
    assert writable == ["tmp"]


def test_has_our_sources(files: list[tarfile.TarInfo]) -> None:
    """The image has the service's sources, for tracebacks, but not those of packages."""
    names = {file.name for file in files}
    modules = {str(module.relative_to(ROOT)) for module in (ROOT / "app").rglob("*.py")}
    assert {f"srv/{module}" for module in modules} <= names
    assert not any(name.endswith(".py") and not name.startswith("srv/") for name in names)


def test_says_how_it_is_run(image: str) -> None:
    """User, command and health check are set, and need no shell."""
    config = json.loads(docker("image", "inspect", image))[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["Cmd"] == ["gunicorn"]
    assert not config.get("Entrypoint")
    healthcheck = ["CMD", "python3", "-IS", "/srv/app/health/check.py", "/livez"]
    assert config["Healthcheck"]["Test"] == healthcheck


def test_is_healthy_without_a_database(image: str) -> None:
    """The image's health check asks /livez, which needs no database."""
    started = ["--detach", "--name", new_name(), *HARDENED, f"--env=DATABASE_URL={MYSQL}", image]
    container = docker("run", *started).strip()
    try:
        status = ["inspect", "--format={{.State.Health.Status}}", container]
        wait_until(lambda: docker(*status).strip() == "healthy", limit=30)
    finally:
        docker("rm", "--force", container)


@pytest.mark.parametrize(
    ("database", "command"),
    [
        pytest.param(MYSQL, "gunicorn --check-config", id="gunicorn"),
        pytest.param(SQLITE, "alembic upgrade heads", id="alembic"),
    ],
)
def test_compiles_nothing(image: str, database: str, command: str) -> None:
    """The service and the migrations load every module from precompiled byte code."""
    script, *args = command.split()
    done = run(image, "python3", "-v", f"/usr/local/bin/{script}", *args, database=database)
    assert done.returncode == 0, done.stderr
    loaded = re.findall(r"^# code object from (.*)", done.stderr, re.MULTILINE)
    assert len(loaded) > 300
    assert [source for source in loaded if not source.endswith(".pyc'")] == []


def test_runs_no_shell(image: str) -> None:
    """The image has no shell that an attacker could start."""
    done = run(image, "sh", "-c", "true")
    assert done.returncode == 127
    assert "not found" in done.stderr


def test_knows_certificate_authorities(image: str) -> None:
    """TLS clients find the base image's certificate authorities without configuration."""
    code = "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])"
    assert int(run(image, "python3", "-c", code).stdout) > 50


@pytest.mark.usefixtures("image")
def test_can_be_debugged(stack: Stack) -> None:
    """For debugging, a container with a shell can join the service's processes and network."""
    tag = f"slipway-build:{stack.project}"
    build = ["--quiet", f"--file={ROOT}/Dockerfile.multistage", "--target=build", f"--tag={tag}"]
    docker("build", *build, str(ROOT))
    try:
        app = f"container:{stack.id('app')}"
        joined = ["--rm", "--user=10001:10001", f"--pid={app}", f"--network={app}", tag]
        look = "ls /proc/1/root/srv; python3 -IS app/health/check.py /livez && echo answers"
        assert docker("run", *joined, "bash", "-c", look).split() == [
            "__pycache__",
            "app",
            "bin",
            "db",
            "gunicorn.conf.py",
            "pyproject.toml",
            "sbom.cdx.json",
            "answers",
        ]
    finally:
        docker("image", "rm", "--force", tag)


@pytest.mark.usefixtures("engine")
def test_rebuild_keeps_the_dependencies(tmp_path: Path) -> None:
    """After an edit in app/, a rebuild reuses the layers of Python and of the packages."""
    project = copy_project(tmp_path)
    images = []
    try:
        for _ in range(2):
            build = ["build", "--quiet", "--file", f"{project}/Dockerfile.multistage", str(project)]
            images.append(docker(*build).strip())
            with (project / "app/__init__.py").open("a") as source:
                source.write("\n# edited\n")
        before, after = map(layers, images)
    finally:
        docker("image", "rm", "--force", *images)
    assert before != after
    assert before[:2] == after[:2]


def test_no_file_names_an_architecture() -> None:
    """Build and deployment files name no processor architecture, so they work on any."""
    paths = ["Dockerfile*", "docker-compose.yaml", "db", "bench", "deploy", ".ci", "Makefile"]
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *paths]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]
    assert ROOT / "Dockerfile.multistage" in files
    architecture = re.compile(
        r"x86.64|amd64|aarch64|arm64|arm/?v\d|i[36]86|ppc64|s390x|riscv|linux-gnu"
    )
    assert [str(file) for file in files if architecture.search(file.read_text().lower())] == []
