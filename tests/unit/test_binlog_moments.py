"""The search for the binary logs that lead from a backup to a moment."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support import binlogs
from tests.support.binlogs import BEGIN, SERVER, event, events, log, name_of, places


def fetch(tmp_path: Path, until: float | None, **logs: bytes) -> tuple[str, str]:
    """Search for the logs from a backup 5 s after BEGIN, with transactions 1 to 3, to a moment.

    :param logs: for names such as a4, the content of a log that was begun 4 s after BEGIN.
    """
    (tmp_path / "fetched").mkdir()
    binlogs.fetch.TARGET = tmp_path / "fetched"  # type: ignore[attr-defined]
    place = places.Folder(tmp_path / "place")
    for name, content in logs.items():
        path = place.path / name_of(1, BEGIN + timedelta(seconds=int(name[1:])))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    backup = events.Gtids(f"{SERVER}:1-3")
    found = binlogs.fetch.fetch(
        place,
        place.names(),
        BEGIN + timedelta(seconds=5),
        backup,
        None if until is None else BEGIN + timedelta(seconds=until),
    )
    return found[0], str(found[1])


LOGS = {"a0": log(0, 1, 2), "a3": log(2, 3, 6, 7), "a8": log(5, 9, 10)}


@pytest.mark.parametrize(
    ("until", "last"),
    [
        pytest.param(5.5, 3, id="nothing after the backup"),
        pytest.param(6.5, 4, id="within a log"),
        pytest.param(7, 5, id="at a transaction"),
        pytest.param(8, 5, id="between two logs"),
        pytest.param(9.5, 6, id="in the last log"),
        pytest.param(None, 7, id="to the end"),
    ],
)
def test_last_transaction_before_a_moment(tmp_path: Path, until: float | None, last: int) -> None:
    """All transactions up to the moment are found, and only the logs that are needed."""
    found, executed = fetch(tmp_path, until, **LOGS)
    assert found == ("" if last == 3 else f"{SERVER}:{last}")
    assert executed == f"{SERVER}:1-{last}"
    index = (tmp_path / "fetched" / "relay.index").read_text().splitlines()
    assert Path(index[0]).read_bytes() == LOGS["a3"]
    assert len(index) == (1 if until and until < 7 else 2)


@pytest.mark.parametrize(
    ("changes", "until", "message"),
    [
        pytest.param({"a3": None}, 9.5, "logs are missing before ", id="one is missing"),
        pytest.param({}, 11, "the logs end at 2026-11-28 10:00:10.000000. ", id="after the end"),
        pytest.param(
            {"a0": None, "a3": None}, 9.5, "no log from the time of the backup", id="too new"
        ),
        pytest.param({"a3": None, "a8": None}, None, "end before it", id="too old"),
        pytest.param({"a8": log(5, 9)[:-30]}, 9.5, "is cut off", id="truncated"),
        pytest.param({"a8": log(5) + bytes(100)}, 9.5, "is damaged", id="zeros"),
        pytest.param({"a8": b"\xfd\x62\x69\x6e"}, 9.5, "is encrypted", id="encrypted"),
        pytest.param({"a8": log(5) + event(34, b"")}, 9.5, "a plain GTID", id="anonymous"),
    ],
)
def test_why_a_moment_cannot_be_reached(
    tmp_path: Path, changes: dict[str, bytes | None], until: float | None, message: str
) -> None:
    """A message says what is wrong with the logs."""
    logs = {name: content for name, content in (LOGS | changes).items() if content is not None}
    with pytest.raises(Exception, match=message) as failed:
        fetch(tmp_path, until, **logs)
    assert type(failed.value).__name__ in {"CannotError", "UnreadableLogError"}


@pytest.mark.parametrize(
    ("until", "message"),
    [
        pytest.param(
            "soon",
            "UNTIL is not a time: soon. Write it like 2026-11-28 10:15:00, in UTC.",
            id="no time",
        ),
        pytest.param(
            "2026-11-28 10:00:04.9",
            "UNTIL is before the backup, which is of 2026-11-28 10:00:05.0",
            id="too early",
        ),
        pytest.param("2026-11-28 10:00:06", "In .* there are no logs.", id="no logs"),
    ],
)
def test_program_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, until: str, message: str
) -> None:
    """The program that fetches logs ends with one line for people."""
    monkeypatch.setattr("sys.argv", ["", "2026-11-28 10:00:05", f"{SERVER}:1-3", until])
    monkeypatch.setenv("BINLOGS", str(tmp_path))
    with pytest.raises(binlogs.fetch.CannotError, match=message):
        binlogs.fetch.main()


def test_tagged_gtids_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup whose GTIDs have tags ends with one line for people too."""
    monkeypatch.setattr("sys.argv", ["", "2026-11-28 10:00:05", f"{SERVER}:tag:1-3", ""])
    with pytest.raises(binlogs.fetch.CannotError, match="GTIDs with tags"):
        binlogs.fetch.main()


@pytest.mark.parametrize("text", ["yesterday", "2026-11-28", "10:15", "2026-11-31 10:15:00", ""])
def test_wrong_times(text: str) -> None:
    """What is no time is rejected, with an example of one."""
    with pytest.raises(Exception, match="Write it like 2026-11-28 10:15:00"):
        binlogs.fetch.parse(text)


def test_times_are_utc() -> None:
    """A time is UTC, unless it names another offset."""
    parse = binlogs.fetch.parse
    assert parse("2026-11-28 10:00:00") == parse("2026-11-28T11:00:00+01:00") == BEGIN


def test_gtid_sets() -> None:
    """Sets of GTIDs are read, joined, compared and written as MySQL does."""
    gtids = events.Gtids
    found = gtids(f"{SERVER}:1-3:7,\n{'0' * 8}-2c5f-4e0f-9d53-5b1f6f0c6e01:5")
    assert gtids(f"{SERVER}:2:7") <= found
    assert not gtids(f"{SERVER}:3-4") <= found
    found.update(gtids(f"{SERVER}:4-6:9"))
    assert str(found).startswith(f"{SERVER}:1-7:9-9,")
