"""The command `links import` with files of other programs: its options, and the clicks."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.service import Service

ZONE = "Use the name of a time zone, such as Europe/Berlin."


def yourls(*codes: str) -> str:
    """Return a CSV export of YOURLS, in which each link has 5 clicks."""
    rows = (f"{code},{TARGET},t,2024-05-01 12:00:00,192.0.2.7,5\n" for code in codes)
    return "keyword,url,title,timestamp,ip,clicks\n" + "".join(rows)


def test_dry_run_creates_nothing(deployment: Deployment, service: Service, links: Links) -> None:
    """A dry run shows what would be created, adjusted and refused, and why."""
    code = links.new_code()
    codes = [code, f"{code}/x 2", "docs", code.upper()]
    links.codes.append(f"{code}-x-2")
    done = deployment.command_line.complete(
        "links", "import", "-", "--dry-run", text=yourls(*codes)
    )
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"Line 2: would create {code}, which leads to {TARGET}",
        f"Line 3: would create {code}-x-2, which leads to {TARGET}",
        "2 created, 0 unchanged, 2 refused, 1 adjusted",
    ]
    assert done.stderr.splitlines() == [
        f"Line 3: code is now {code}-x-2",
        "Line 4: #/code: Is reserved by this service.",
        "Line 5: Another link has this code.",
    ]
    assert service.get(f"/api/links/{code}").status_code == 404


def test_clicks_are_kept_as_a_sum(deployment: Deployment, service: Service, links: Links) -> None:
    """Clicks of another program are in the link's total and in exports, but in no chart."""
    code = links.new_code()
    sums = "1 created, 0 unchanged, 0 refused\n"
    assert deployment.cli("links", "import", "-", text=yourls(code)) == sums
    assert service.get(f"/{code}", allow_redirects=False).status_code == 302
    assert service.get(f"/api/links/{code}").json()["clicks"] == 6
    [line] = [
        line for line in deployment.cli("links", "export").splitlines() if f'"{code}"' in line
    ]
    assert '"clicks": 6}' in line
    for start in ("", "&from=2024-05-01T00:00:00Z&to=2024-05-03T00:00:00Z"):
        counted = service.get(f"/api/links/{code}/clicks?by=hour{start}").json()["total"]
        assert counted == (0 if start else 1)


def test_time_zone_is_an_option(deployment: Deployment, service: Service, links: Links) -> None:
    """Times without an offset are in UTC, or in the zone that the option names."""
    codes = [links.new_code() for _ in range(2)]
    for code, options in zip(codes, ([], ["--time-zone", "Europe/Berlin"]), strict=True):
        deployment.cli("links", "import", "-", *options, text=yourls(code))
    hours = [service.get(f"/api/links/{code}").json()["created_at"][11:13] for code in codes]
    assert hours == ["12", "10"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        pytest.param("--time-zone=Nowhere", ZONE, id="zone"),
        pytest.param("--time-zone=../etc", ZONE, id="path"),
        pytest.param("--time-zone=Europe", ZONE, id="folder"),
        pytest.param("--format=x", "Use one of these: jsonl, csv, spreadsheet, ", id="format"),
    ],
)
def test_wrong_option_is_named(embedded: Deployment, option: str, said: str) -> None:
    """An option with an unknown value is an error that says what is possible."""
    done = embedded.command_line.complete("links", "import", "-", option, text="")
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("name", ["links.jsonl", "links.csv"])
def test_format_can_be_named(embedded: Deployment, tmp_path: Path, name: str) -> None:
    """A named format counts, whatever the file contains and is called."""
    (tmp_path / name).write_text(yourls("x"))
    done = embedded.command_line.complete(
        "links", "import", str(tmp_path / name), "--format", "kutt"
    )
    assert done.returncode == 1
    assert "The file is not JSON of this format" in done.stderr


def test_terminal_shows_the_end_of_other_formats(
    embedded: Deployment, links: Links, tmp_path: Path
) -> None:
    """On a terminal, an import of a spreadsheet ends with its counts and without an error."""
    file = tmp_path / "x.csv"
    file.write_text(f"Code;URL\n{links.new_code()};{TARGET}\n")
    ours, theirs = pty.openpty()
    command = [*embedded.command, "links", "import", str(file)]
    done = subprocess.run(
        command,
        check=False,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        **embedded.options,
    )
    os.close(theirs)
    os.close(ours)
    assert (done.returncode, done.stdout) == (0, "1 created, 0 unchanged, 0 refused\n")
