"""The version is set only in pyproject.toml, and the changelog has that release."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.support.checkout import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())


def script_of(name: str) -> str:
    """Return the script of a step of the release workflow."""
    [step] = [step for step in WORKFLOW["jobs"]["image"]["steps"] if step.get("name") == name]
    return str(step["run"])


def test_changelog_has_the_version() -> None:
    """The newest release in the changelog has our version, a date and only known sections."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    unreleased, newest, *_ = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    assert unreleased.startswith("[Unreleased]\n")
    assert re.match(rf"\[{re.escape(VERSION)}\] - \d{{4}}-\d\d-\d\d\n", newest)
    sections = set(re.findall(r"^### (\w+)$", unreleased + newest, flags=re.MULTILINE))
    assert sections
    assert sections <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_version_is_in_one_place() -> None:
    """No other file than pyproject.toml and the changelog repeats the version."""
    # Lock files have the versions of packages, which can be the same.
    places = [
        "git",
        "grep",
        "-lwF",
        VERSION,
        "--",
        ":!requirements",
        ":!*requirements.txt",
        ":!*lock*",
    ]
    found = subprocess.check_output(places, cwd=ROOT, text=True).split()
    assert {"pyproject.toml", "CHANGELOG.md"} >= set(found)


@pytest.mark.parametrize(
    "docker", ["exit 1", "exit 0"], ids=["registry fails", "registry knows no image"]
)
def test_release_without_an_attestation_fails(tmp_path: Path, docker: str) -> None:
    """The release workflow fails if it finds no image whose SBOM it can attest."""
    assert WORKFLOW["defaults"]["run"]["shell"] == "bash"  # for GitHub, with these options:
    script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
    for name, text in {"docker": docker, "jq": "cat"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environ = {"PATH": path, "PUSHED": "ghcr.io/you/slipway@sha256:1", "GITHUB_REF_NAME": "v1.0"}
    attest = script_of("Attest the SBOM of each platform's image")
    assert subprocess.call([*script, attest], cwd=tmp_path, env=environ) == 1


def test_workflow_checks_its_tag() -> None:
    """The release workflow stops if the tag is not `v` with the version in pyproject.toml."""
    for tag, code in ((f"v{VERSION}", 0), (f"v{VERSION}0", 1), (VERSION, 1)):
        script = ["bash", "-e", "-c", script_of("Check the tag")]
        assert subprocess.call(script, cwd=ROOT, env={**os.environ, "GITHUB_REF_NAME": tag}) == code
