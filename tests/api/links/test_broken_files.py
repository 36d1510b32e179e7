"""`slipway links import` with files that are damaged or cut off."""

import json

import pytest

from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.service import Service

STRAY = "Text follows a closing quote. In a quoted cell, write each quote twice."
OPEN = "A quote is not closed, or the file was cut off."
COMMAND_LINE = {"key": "command-line", "name": "command line"}
LONG = "The record has more than 65536 bytes. Perhaps a quote is not closed."


def take(deployment: Deployment, form: str, text: str) -> tuple[int, str, list[str]]:
    """Import a file, and return the exit status, the sums, and the lines on standard error."""
    arguments = ("links", "import", "-", "--format", form)
    done = deployment.command_line.complete(*arguments, text=text)
    return done.returncode, done.stdout, done.stderr.splitlines()


@pytest.mark.parametrize(
    ("rows", "created", "said"),
    [
        pytest.param(
            '0,{url},A,"5\r\n1,{url},B,6\r\n2,{url},C,7"\r\n3,{url},D,8\r\n',
            "3",
            "Lines 2 to 4: #/clicks: Not a valid integer.",
            id="two stray quotes in clicks",
        ),
        pytest.param(
            '0,{url},A,1\r\n1,{url},B,"2\r\n2,{url},C,3\r\n',
            "0",
            f"Error: Lines 3 to 4: {OPEN}",
            id="quote in clicks that is never closed",
        ),
        pytest.param(
            '0,{url},"A,1\r\n' + "1,{url},t,1\r\n" * 300,
            "",
            f"Error: Lines 2 to 302: {OPEN}",
            id="quote in a title that is never closed",
        ),
        pytest.param(
            '0,{url},A,1\r\n1,{url},"A,1\r\n' + "2,{url},t,1\r\n" * 3000,
            "0",
            f"Error: Lines 3 to 1026: {LONG}",
            id="the same in a long file",
        ),
        pytest.param(
            '0,{url},A,1\r\n1,{url},"Foo" bar,1\r\n2,{url},C,1\r\n',
            "0",
            f"Error: Line 3: {STRAY}",
            id="text after a closing quote",
        ),
        pytest.param(
            '0,{url},A,1\r\n1,{url},"a,1\r\n2,{url},"b",1\r\n',
            "0",
            f"Error: Lines 3 to 4: {STRAY}",
            id="a later quote closes the cell",
        ),
        pytest.param(
            '0,{url},12" pipe,1\r\n1,{url},A\rB,1\r\n',
            "0",
            "Error: Line 3: A carriage return is not followed by a line feed.",
            id="carriage return",
        ),
        pytest.param(
            '0,{url},A,1\r\nx,"{url}',
            "0",
            f"Error: Line 3: {OPEN}",
            id="cut off within a quoted URL",
        ),
        pytest.param(
            "0,{url},A,1\r\n1,{url}",
            "0",
            "Line 3: It can't be read: it must have 4 cells, not 2",
            id="cut off within a URL",
        ),
    ],
)
def test_no_row_is_lost_silently(
    deployment: Deployment, links: Links, rows: str, created: str, said: str
) -> None:
    """An error in CSV is reported with its lines, and all complete rows before it are imported.

    So the sums are those of the records, up to the error.
    """
    codes = [links.new_code() for _ in range(4)]
    text = "code,url,title,clicks\r\n" + rows.replace("{url}", TARGET)
    for number, code in enumerate(codes):
        text = text.replace(f"\n{number},", f"\n{code},")
    status, sums, lines = take(deployment, "csv", text)
    assert (status, lines) == (1, [said])
    refused = 0 if said.startswith("Error: ") else 1
    assert sums == f"{len(created)} created, 0 unchanged, {refused} refused\n"
    found = deployment.sql(f"SELECT code, url FROM links WHERE code IN {tuple(codes)}")
    assert [list(row) for row in found] == [[codes[int(number)], TARGET] for number in created]


@pytest.mark.parametrize("last", ["code", "url"])
def test_last_line_without_an_end_could_be_cut_off(
    deployment: Deployment, service: Service, links: Links, last: str
) -> None:
    """If a file ends with a code or URL but no line break, this row is refused: see the reason."""
    fields = [{"code": links.new_code(), "url": TARGET} for _ in range(2)]
    order = ["code", "url"] if last == "url" else ["url", "code"]
    text = "\r\n".join(
        [",".join(order), *(",".join(link[name] for name in order) for link in fields)]
    )
    reason = f"the file may be cut off within the {last}."
    assert take(deployment, "csv", text) == (
        1,
        "1 created, 0 unchanged, 1 refused\n",
        [f"Line 3: It can't be read: {reason} If it is complete, end it with a line break"],
    )
    assert service.get(f"/api/links/{fields[1]['code']}").status_code == 404
    assert take(deployment, "csv", text + "\n")[:2] == (0, "1 created, 1 unchanged, 0 refused\n")


def test_column_must_not_stand_twice(deployment: Deployment) -> None:
    """CSV with the same column twice is not imported."""
    assert take(deployment, "csv", "code,url,url\nx,https://a.example,https://b.example\n") == (
        1,
        "0 created, 0 unchanged, 0 refused\n",
        ["Error: The first line must name each column only once. Repeated: url."],
    )


def test_json_lines_that_break_off(deployment: Deployment, links: Links) -> None:
    """A line of JSON that breaks off is refused, and links before it are imported."""
    line = json.dumps({"code": links.new_code(), "url": TARGET})
    begin = line.index(f'"{TARGET}') + 1
    assert take(deployment, "jsonl", f"{line}\n{line[:-4]}") == (
        1,
        "1 created, 0 unchanged, 1 refused\n",
        [f"Line 2: It can't be read: it is not valid JSON, or breaks off, at character {begin}"],
    )


def test_refused_lines_come_in_order(deployment: Deployment, links: Links) -> None:
    """Refused lines are reported in the order of the file, whatever the reason."""
    code = links.new_code()
    link, other = ({"code": code, "url": TARGET + end} for end in ("", "x"))
    text = "".join(json.dumps(line) + "\n" for line in (link, {}, other, {}, other))
    _, sums, lines = take(deployment, "jsonl", text)
    assert sums == "1 created, 0 unchanged, 4 refused\n"
    assert [line.partition(":")[0] for line in lines] == [
        f"Line {number}" for number in range(2, 6)
    ]


def test_lines_of_the_list_are_taken(
    deployment: Deployment, service: Service, links: Links
) -> None:
    """An import takes links as `GET /api/links` returns them."""
    links.create(title="listed")
    [listed] = service.get("/api/links?limit=1").json()["links"]
    service.delete(f"/api/links/{listed['code']}")
    assert take(deployment, "jsonl", json.dumps(listed)) == (
        0,
        "1 created, 0 unchanged, 0 refused\n",
        [],
    )
    assert service.get(f"/api/links/{listed['code']}").json() == listed | {"owner": COMMAND_LINE}


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_times_before_1970_in_utc_come_back(
    deployment: Deployment, service: Service, links: Links, form: str
) -> None:
    """Times on the last day of 1969, which earlier versions stored, survive export and import."""
    code = links.create(code=links.new_code(), expires_at="1970-01-01T00:00:00Z")["code"]
    deployment.sql(
        f"UPDATE links SET expires_at = '1969-12-31 00:01:00.500000' WHERE code = '{code}'"
    )
    link = service.get(f"/api/links/{code}").json()
    assert link["expires_at"] == "1969-12-31T00:01:00.500000Z"
    export = deployment.cli("links", "export", "--format", form)
    service.delete(f"/api/links/{code}")
    status, sums, lines = take(deployment, form, export)
    assert (status, lines) == (0, [])
    assert sums.startswith("1 created, ")
    assert service.get(f"/api/links/{code}").json() == link | {"owner": COMMAND_LINE}
