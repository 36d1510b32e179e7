"""The runtime image's build is reproducible, and its SBOM lists what the image contains."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from packageurl import PackageURL

from tests.support.checkout import copy_project
from tests.support.compose import Stack, docker, run

COMMITTED = 1_767_315_845
# Runs in the image, and prints its SBOM, its libraries and programs, its packages and versions.
LOOK = """import json, pathlib, platform, ssl, sys
from importlib.metadata import distributions
files = [str(path) for path in pathlib.Path("/").glob("[!pds]*/**/*.so*") if path.is_file()]
print(json.dumps({
    "bom": pathlib.Path("sbom.cdx.json").read_text(),
    "files": files + [str(pathlib.Path(sys.executable).resolve())],
    "packages": {package.name.lower(): package.version for package in distributions()},
    "python": platform.python_version(),
    "openssl": ssl.OPENSSL_VERSION.split()[1],
}))"""


def build(folder: Path, *options: str, committed: int = COMMITTED) -> dict[str, Any]:
    """Build the image and return what `docker image inspect` reports about it.

    :param committed: the time of the commit, in seconds since the epoch.
    """
    arguments = [
        f"--file={folder}/Dockerfile.multistage",
        f"--build-arg=SOURCE_DATE_EPOCH={committed}",
    ]
    image = docker("build", "--quiet", *arguments, *options, str(folder)).strip()
    found: dict[str, Any] = json.loads(docker("image", "inspect", image))[0]
    return found


def check_out(folder: Path, umask: int, time: int) -> Path:
    """Copy the project, give its files the modes of a umask, and give all files the same time."""
    copy_project(folder)
    for path in [folder, *folder.rglob("*")]:
        executable = path.is_dir() or os.access(path, os.X_OK)
        path.chmod((0o777 if executable else 0o666) & ~umask)
        os.utime(path, (time, time))
    return folder


@pytest.mark.usefixtures("stack")  # it has built layers
def test_is_the_same_again(tmp_path: Path) -> None:
    """Every build of a commit gives the same image, whatever the clock and the umask.

    Another commit time changes layers, but not the first two.
    """
    images = []
    try:
        folder = check_out(tmp_path / "theirs", 0o000, 1_700_000_000)
        images.append(build(folder))  # from layers that were built at another time
        folder = check_out(tmp_path / "ours", 0o077, 1_000_000_000)
        images.append(build(folder, "--no-cache"))
        images.append(build(folder, committed=COMMITTED + 1))  # from the cache, as far as possible
        theirs, ours, later = (image["RootFS"]["Layers"] for image in images)
        assert ours == theirs
        assert images[0]["Id"] == images[1]["Id"]
        assert images[0]["Created"] == "2026-01-02T01:04:05Z"
        assert later[:2] == ours[:2]
        assert later != ours
    finally:
        docker("image", "rm", "--force", *{image["Id"] for image in images})


@pytest.fixture(scope="module")
def seen(stack: Stack) -> dict[str, Any]:
    """What the image contains, and the text of its SBOM."""
    found: dict[str, Any] = json.loads(docker("run", "--rm", stack.image, "python3", "-c", LOOK))
    return found


@pytest.fixture(scope="module")
def components(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """The components that the SBOM lists."""
    found: list[dict[str, Any]] = json.loads(seen["bom"])["components"]
    return found


def test_bom_is_valid(seen: dict[str, Any]) -> None:
    """The SBOM is a valid CycloneDX 1.6 document."""
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415 as below
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415 it takes seconds

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(seen["bom"]) is None


def test_bom_has_every_library(seen: dict[str, Any], components: list[dict[str, Any]]) -> None:
    """The Python interpreter and each shared library belong to exactly one component."""
    evidence = [component.get("evidence", {"occurrences": []}) for component in components]
    located = [file["location"] for each in evidence for file in each["occurrences"]]
    assert sorted(located) == sorted(seen["files"])


def test_bom_has_every_package(seen: dict[str, Any], components: list[dict[str, Any]]) -> None:
    """The SBOM lists exactly the installed Python packages, with their versions."""
    python = [each for each in components if each.get("purl", "").startswith("pkg:pypi/")]
    listed = {each["name"]: each["version"] for each in python}
    assert listed == {name.replace("_", "-"): v for name, v in seen["packages"].items()}


def test_sbom_names_packages_as_scanners_do(
    seen: dict[str, Any], components: list[dict[str, Any]]
) -> None:
    """The SBOM has Python's and OpenSSL's versions, and all package URLs (purl) are canonical."""
    versions = {each["name"]: each["version"] for each in components}
    assert versions["python"] == seen["python"]
    addresses = [each["purl"] for each in components if each["type"] != "operating-system"]
    parsed = [PackageURL.from_string(address) for address in addresses]
    assert [address.to_string() for address in parsed] == addresses
    sources = [f"{purl.qualifiers.get('upstream')}" for purl in parsed]
    assert any(source.startswith(f"openssl@{seen['openssl']}") for source in sources)


def test_make_sbom(seen: dict[str, Any], stack: Stack) -> None:
    """`make sbom` prints the SBOM of an image."""
    command = ["make", "--silent", "sbom", "IMAGE=slipway", f"TAG={stack.tag}"]
    assert run(*command, cwd=stack.root).strip() == seen["bom"].strip()
