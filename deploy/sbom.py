"""Print the SBOM of the runtime image as a CycloneDX document. The image's build stage runs this.

The image has no package database that a scanner could read. So the document lists the packages
that the image was made from, each with its programs and shared libraries.
"""

import json
import os
import platform
import subprocess
import sys
import time
import tomllib
from datetime import UTC, datetime
from importlib.metadata import distributions
from operator import attrgetter
from pathlib import Path
from urllib.parse import quote

RUNTIME, PACKAGES = Path("/runtime"), Path("/packages")
PYTHON = (
    "usr/local/bin/python3*",
    "usr/local/lib/libpython*",
    "usr/local/lib/python3*/lib-dynload/*",
)


def component(kind: str, name: str, version: str, purl: str, files: list[str]) -> dict[str, object]:
    """Return a component of the document, with the programs and libraries that belong to it."""
    found = {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}
    occurrences = [{"location": file} for file in sorted(files)]
    return found | ({"evidence": {"occurrences": occurrences}} if files else {})


def python_packages() -> list[dict[str, object]]:
    """Return the Python packages, each with its extension modules and bundled libraries."""
    (site_packages,) = PACKAGES.glob("usr/local/lib/python3.*/site-packages")
    folder = Path("/", site_packages.relative_to(PACKAGES))
    found = []
    for package in sorted(distributions(path=[str(site_packages)]), key=attrgetter("name")):
        name, version = package.name.lower().replace("_", "-"), package.version
        files = [str(folder / file) for file in package.files or () if ".so" in file.suffixes]
        found.append(component("library", name, version, f"pkg:pypi/{name}@{version}", files))
    return found


def interpreter(files: list[str]) -> dict[str, object]:
    """Return the component of CPython, which the base image builds from source."""
    version = platform.python_version()
    found = component("application", "python", version, f"pkg:generic/python@{version}", files)
    return found | {"cpe": f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*"}


def system_package(name: str, files: list[str]) -> dict[str, object]:
    """Return the component of a Debian package.

    `upstream` is its source package, by whose name scanners look up vulnerabilities.
    """
    fields = "${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}"
    name, version, architecture, *source = output("dpkg-query", "-Wf", fields, name).split()
    system = platform.freedesktop_os_release()
    upstream = quote("@".join(source), safe=":")
    purl = f"pkg:deb/{system['ID']}/{quote(name)}@{quote(version, safe=':')}?arch={architecture}"
    purl += f"&distro={system['ID']}-{system['VERSION_ID']}&upstream={upstream}"
    return component("library", name, version, purl, files)


def output(*command: str) -> str:
    """Return what a command prints. If the command fails, the build fails."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


def main() -> None:
    """Print the document as JSON."""
    python = [file for pattern in PYTHON for file in RUNTIME.glob(pattern) if not file.is_symlink()]
    owned: dict[str, list[str]] = {"ca-certificates": []}
    for file in set(RUNTIME.rglob("*.so*")) - set(python):
        path = Path("/", file.relative_to(RUNTIME))
        owner = output("dpkg", "-S", str(path.resolve())).rpartition(": ")[0]
        owned.setdefault(owner, []).append(str(path))

    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    system = platform.freedesktop_os_release()
    service = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {
            "timestamp": datetime.fromtimestamp(seconds, UTC).isoformat(),
            "lifecycles": [{"phase": "build"}],
            "component": {"type": "application"} | {k: service[k] for k in ("name", "version")},
        },
        "components": [
            {"type": "operating-system", "name": system["ID"], "version": system["VERSION_ID"]},
            interpreter([str(Path("/", file.relative_to(RUNTIME))) for file in python]),
            *(system_package(name, owned[name]) for name in sorted(owned)),
            *python_packages(),
        ],
    }
    json.dump(document, sys.stdout, indent=1)


main()
