"""`slipway links`: export and import."""

import json
import os
import pty
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest

from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.service import Service
from tests.support.waiting import wait_until

TITLES = [
    "",
    "quotes \" and '",
    "commas, and; more",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "'=1",
    "''@",
    "'plain",
    "🚀 \u202eright to left\u202c \u05d0",
    "line\u2028separator",
    " space around ",
    "\\n \\ NULL",
    "x" * 200,
]

NO_TIME = "Must be an RFC 3339 time with an offset, from 1970 on: 2030-01-01T00:00:00Z."

# Sends SIGKILL to the import that runs in the container.
KILL = """
import os, pathlib
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if b"import" in (process / "cmdline").read_bytes().split(b"\\0"):
        os.kill(int(process.name), 9)
"""


class Refused:
    """An import that refused some lines, with its output on stdout and stderr."""

    def __init__(self, deployment: Deployment, form: str, text: str) -> None:
        with pytest.raises(CalledProcessError) as failed:
            deployment.cli("links", "import", "-", "--format", form, text=text)
        assert failed.value.returncode == 1
        self.sums = str(failed.value.stdout)
        self.lines = str(failed.value.stderr).splitlines()


@pytest.fixture
def line(embedded: Deployment) -> Iterator[str]:
    """A line of JSON for the embedded run, whose link is deleted after the test."""
    code = f"t{uuid.uuid4().hex}"
    yield jsonl({"code": code, "url": TARGET})
    embedded.sql(f"DELETE FROM links WHERE code = '{code}'")


def of(codes: list[str], export: str, form: str) -> str:
    """Return the lines of an export that have these codes, with the header of CSV."""
    lines = export.split("\n")
    start = '{{"code": "{}",' if form == "jsonl" else '"{}",'
    starts = tuple(start.format(code) for code in codes)
    header = [lines[0]] if form == "csv" else []
    return "\n".join(header + [line for line in lines if line.startswith(starts)]) + "\n"


def jsonl(*links: dict[str, Any]) -> str:
    """Return links as JSON Lines."""
    return "".join(json.dumps(link) + "\n" for link in links)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_round_trip_is_exact(
    deployment: Deployment, service: Service, links: Links, form: str
) -> None:
    """Links that are exported, deleted and imported again are identical, byte for byte."""
    codes = [
        links.create(
            code=links.new_code().upper(),
            url="https://example.com/ä,\"'?q=%0A#=",
            title=title,
            tags=["a,b", '"', "'", "[]", "=1", "🚀", "\\"][: number % 8],
            expires_at="2999-12-31T23:59:59.999999Z" if number % 2 else None,
        )["code"]
        for number, title in enumerate(TITLES)
    ]
    service.patch(f"/api/links/{codes[0]}", json={"tags": ["edited"]})
    before = of(codes, deployment.cli("links", "export", "--format", form), form)
    links.delete()
    for expected in (
        "15 created, 0 unchanged, 0 refused\n",
        "0 created, 15 unchanged, 0 refused\n",
    ):
        output = deployment.cli("links", "import", "-", "--format", form, text=before)
        assert output == expected
    assert of(codes, deployment.cli("links", "export", "--format", form), form) == before
    over_http = service.get(f"/api/export?format={form}").content.decode().replace("\r\n", "\n")
    assert of(codes, over_http, form) == before


def test_refused_lines_are_named(deployment: Deployment, service: Service, links: Links) -> None:
    """An invalid line is reported with its number and reason, and other lines are imported."""
    good = [{"code": links.new_code(), "url": TARGET} for _ in range(2)]
    wrong = [
        '{"code": "x"',
        "[]",
        '{"url": "https://example.com"}',
        '{"code": "api", "url": "https://a.b", "\\ud800\\u001b": 1}',
        '{"code": "x", "code": "y"}',
        '{"code": "x", "url": "https://a.b", "created_at": "2026-01-01T24:00:00Z"}',
    ]
    text = jsonl(good[0]) + "\n" + "\n".join(wrong) + "\n" + jsonl(good[1]).rstrip()
    refused = Refused(deployment, "jsonl", text)
    assert refused.sums == "2 created, 0 unchanged, 6 refused\n"
    assert refused.lines == [
        "Line 3: It can't be read: it is not valid JSON, or breaks off, at character 14",
        "Line 4: #: Invalid input type.",
        "Line 5: #/code: Missing data for required field.",
        "Line 6: #/%3F%1B: Unknown field. #/code: Is reserved by this service.",
        "Line 7: It can't be read: an object has the same name twice",
        f"Line 8: #/created_at: {NO_TIME}",
    ]
    for link in good:
        assert service.get(f"/api/links/{link['code']}").json()["url"] == TARGET


def test_refused_rows_are_named(deployment: Deployment, links: Links) -> None:
    """An invalid CSV row is reported with its first and last line."""
    code = links.new_code()
    rows = [f'"a\nb",{code},{TARGET},', "", "x", f",{code},{TARGET},a", f",{code},{TARGET},"]
    text = "\n".join(["title,code,url,tags", *rows])
    refused = Refused(deployment, "csv", text)
    assert refused.sums == "1 created, 0 unchanged, 3 refused\n"
    assert refused.lines == [
        "Lines 2 to 3: #/title: Must not contain control characters.",
        "Line 5: It can't be read: it must have 4 cells, not 1",
        'Line 6: It can\'t be read: tags must be a JSON list, such as ["docs", "tools"]',
    ]


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param("code", id="missing column"),
        pytest.param("code,url,short_url", id="unknown column"),
        pytest.param('{"code": "x"}', id="JSON"),
    ],
)
def test_csv_must_name_its_columns(deployment: Deployment, header: str) -> None:
    """CSV whose first line does not name valid columns is not imported."""
    refused = Refused(deployment, "csv", f"{header}\nx,{TARGET},y\n")
    assert refused.sums == "0 created, 0 unchanged, 0 refused\n"
    assert refused.lines[0].startswith("Error: The first line of a CSV file must name its columns:")


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_endless_line_is_not_read_on(deployment: Deployment, form: str) -> None:
    """A line of more than 64 KiB, such as a file of plain JSON, ends the import."""
    refused = Refused(deployment, form, "code,url\n" * (form == "csv") + "x" * 70_000)
    assert "has more than 65536 bytes. Each line must hold one link." in refused.lines[-1]


def test_another_link_is_never_changed(
    deployment: Deployment, service: Service, links: Links
) -> None:
    """An import never changes a link: a code that is taken, or repeated, is refused."""
    there = links.create(code=links.new_code(), title="there")
    path = f"/api/links/{there['code']}"
    new = {"code": links.new_code(), "url": TARGET}
    equal = {name: there[name] for name in ("code", "url", "title")}
    text = jsonl(
        equal,
        equal | {"title": "other"},
        equal | {"code": there["code"].upper()},
        equal | {"created_at": "2020-01-01T00:00:00Z"},
        new,
        new,
        new | {"tags": ["other"]},
    )
    refused = Refused(deployment, "jsonl", text)
    assert refused.sums == "1 created, 2 unchanged, 4 refused\n"
    assert refused.lines == [f"Line {n}: Another link has this code." for n in (2, 3, 4, 7)]
    assert service.get(path).json() == there


def test_times_are_kept_where_given(deployment: Deployment, service: Service, links: Links) -> None:
    """A link gets the times that the file has for it, or else the time of the import."""
    times = {"created_at": "2020-01-01T00:00:00.000001Z", "updated_at": "2021-01-01T00:00:00Z"}
    old, new = ({"code": links.new_code(), "url": TARGET} for _ in range(2))
    before = links.create()["created_at"]
    deployment.cli("links", "import", "-", text=jsonl(old | times, new))
    assert service.get(f"/api/links/{old['code']}").json().items() >= times.items()
    imported = service.get(f"/api/links/{new['code']}").json()
    assert imported["created_at"] == imported["updated_at"] > before


def test_clicks_are_not_taken_over(deployment: Deployment, service: Service, links: Links) -> None:
    """Clicks are not imported, because an export does not have them by hour."""
    code = links.new_code()
    line = jsonl({"code": code, "url": TARGET, "clicks": 5})
    deployment.cli("links", "import", "-", text=line)
    assert service.get(f"/api/links/{code}").json()["clicks"] == 0


def test_import_goes_on_after_a_kill(
    deployment: Deployment, service: Service, links: Links
) -> None:
    """A killed import leaves whole batches, and the next run creates only the missing links."""
    prefix = links.new_code()
    lines = [jsonl({"code": f"{prefix}{n}", "url": TARGET}) for n in range(2500)]
    command = [*deployment.command, "links", "import", "-"]
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen(command, stdin=pipe, text=True, **deployment.options) as process:
            assert process.stdin
            process.stdin.writelines(lines[:2200])
            process.stdin.flush()
            wait_until(lambda: service.get(f"/api/links/{prefix}1999").ok)
            if deployment.stack:
                deployment.stack.python("app", KILL)
            else:
                process.kill()
        assert process.returncode in {-9, 137}
        again = deployment.cli("links", "import", "-", text="".join(lines))
        counted = deployment.sql(f"SELECT COUNT(*) FROM links WHERE code LIKE '{prefix}%'")
    finally:
        deployment.sql(f"DELETE FROM links WHERE code LIKE '{prefix}%'")
    assert again == "500 created, 2,000 unchanged, 0 refused\n"
    assert int(counted[0][0]) == 2500


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x"])
def test_format_follows_the_file_name(
    embedded: Deployment, line: str, tmp_path: Path, name: str
) -> None:
    """Files that end in .csv are CSV, all others JSON Lines.

    A byte order mark, which spreadsheets write, is skipped.
    """
    text = f"code,url\n{','.join(json.loads(line).values())}\n" if name == "x.csv" else line
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    output = embedded.cli("links", "import", str(tmp_path / name))
    assert output == "1 created, 0 unchanged, 0 refused\n"


def test_loop_is_refused_where_the_address_is_known(embedded: Deployment, line: str) -> None:
    """With PUBLIC_URL set, links to the service itself, but to no link, are refused."""
    line = line.replace(TARGET, f"{TARGET}/a")
    environ = embedded.options["env"] | {"PUBLIC_URL": TARGET.removesuffix("/docs")}
    command = [*embedded.command, "links", "import", "-"]
    options = embedded.options | {"env": environ}
    run = subprocess.run(
        command, input=line, capture_output=True, text=True, check=False, **options
    )
    assert run.returncode == 1
    assert run.stderr == "Line 1: #/url: Must not lead back to this service.\n"


def test_progress_is_a_line_now_and_then(deployment: Deployment, links: Links) -> None:
    """Without a terminal, an import reports its progress every 10,000 lines."""
    text = jsonl({"code": links.new_code(), "url": TARGET}) * 10_001
    command = [*deployment.command, "links", "import", "-"]
    run = subprocess.run(
        command, input=text, capture_output=True, text=True, check=True, **deployment.options
    )
    assert run.stderr == "1 created, 9,999 unchanged, 0 refused\n"
    assert run.stdout == "1 created, 10,000 unchanged, 0 refused\n"


def test_terminal_shows_a_progress_bar(embedded: Deployment, line: str, tmp_path: Path) -> None:
    """On a terminal, an import shows a progress bar, with refused lines above it."""
    file = tmp_path / "x.jsonl"
    file.write_text(line * 1000 + jsonl({"url": TARGET}) + line * 999)
    ours, theirs = pty.openpty()
    command = [*embedded.command, "links", "import", str(file)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=theirs, **embedded.options):
        os.close(theirs)
        shown = b""
        while b"100%" not in shown:
            shown += os.read(ours, 4096)
    os.close(ours)
    assert b" 50%" in shown
    assert b"\r\x1b[KLine 1001: #/code: " in shown
