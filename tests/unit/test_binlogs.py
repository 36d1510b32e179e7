"""The sidecar that copies binary logs, and the search for the logs that lead to a moment."""

import importlib
import re
import secrets
import struct
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from tests.support.checkout import ROOT

SERVER = "6d0c2f0e-2c5f-4e0f-9d53-5b1f6f0c6e01"
BEGIN = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The modules can be imported, as in their container."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(ROOT / "deploy" / "binlogs")
    monkeypatch.setattr(module("fetch"), "TARGET", tmp_path / "fetched")
    monkeypatch.setattr(module("archive"), "DATA", tmp_path / "data")
    (tmp_path / "fetched").mkdir()
    (tmp_path / "data").mkdir()
    yield
    for name in ("archive", "events", "fetch", "places"):
        if name not in before:
            del sys.modules[name]


@pytest.fixture(params=["folder", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty place for copies: a folder, or a bucket of S3."""
    if request.param == "folder":
        (tmp_path / "copies").mkdir()
        yield str(tmp_path / "copies")
        return
    import boto3  # noqa: PLC0415
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        bucket = f"copies-{secrets.token_hex(4)}"  # moto's buckets outlive its server
        boto3.client("s3").create_bucket(Bucket=bucket)
        yield f"s3://{bucket}/of/slipway"
    server.stop()


def module(name: str) -> ModuleType:
    """Return a module of deploy/binlogs."""
    return importlib.import_module(name)


def event(kind: int, body: bytes) -> bytes:
    """Return an event of a binary log, with its header and room for a checksum."""
    begun = int(BEGIN.timestamp())
    return struct.pack("<IBIIIH", begun, kind, 1, 19 + len(body) + 4, 0, 0) + body + b"sum."


def log(before: int, *seconds: float, server: str = SERVER) -> bytes:
    """Return a binary log whose transactions were committed that many seconds after BEGIN.

    :param before: how many transactions were in earlier logs.
    """
    uuid = UUID(server).bytes
    ranges = struct.pack("<QQQ", 1, 1, before + 1) if before else struct.pack("<Q", 0)
    content = b"\xfebin" + event(15, b"format") + event(35, struct.pack("<Q", 1) + uuid + ranges)
    for number, second in enumerate(seconds, before + 1):
        time = int((BEGIN + timedelta(seconds=second)).timestamp() * 1_000_000)
        parts = (
            b"\0",
            uuid,
            struct.pack("<Q", number),
            b"\2",
            bytes(16),
            time.to_bytes(7, "little"),
        )
        content += event(33, b"".join(parts)) + event(40, b"a compressed transaction")
    return content


def write_index(folder: Path, *numbers: int) -> None:
    """Write MySQL's list of logs, the last of which is still open."""
    lines = (f"./binlog.{number:06}\n" for number in numbers)
    (folder / "binlog.index").write_text("".join(lines))


def name_of(number: int, begun: datetime = BEGIN) -> str:
    """Return the name of a copy."""
    return f"{SERVER}/{begun:%Y%m%dT%H%M%SZ}-binlog.{number:06}"


def test_closed_logs_are_copied_once(address: str, tmp_path: Path) -> None:
    """Each closed log gets a complete copy, which another run knows."""
    data = tmp_path / "data"
    for number in (1, 2, 3):
        (data / f"binlog.{number:06}").write_bytes(log(number))
    write_index(data, 1, 2, 3)
    archive, place = module("archive"), module("places").at(address)
    copied: list[str] = []
    archive.copy(place, SERVER, copied)
    assert copied == place.names() == [name_of(1), name_of(2)]
    place.get(name_of(2), tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == log(2)


def test_interrupted_copy_is_repeated(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is interrupted does not appear at its destination, and is made again."""
    data = tmp_path / "data"
    (data / "binlog.000001").write_bytes(log(1))
    write_index(data, 1, 2)
    archive, places = module("archive"), module("places")
    place = places.at(address)

    def fail(source: Any, target: Any) -> None:
        target.write(source.read(10))
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(places.shutil, "copyfileobj", fail)
        patch.setattr("botocore.httpsession.URLLib3Session.send", fail)
        with pytest.raises((OSError, AttributeError, TypeError)):
            archive.copy(place, SERVER, [])
    assert place.names() == []
    archive.copy(place, SERVER, place.names())
    assert place.names() == [name_of(1)]


def test_purge_of_logs_that_were_not_copied_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If MySQL has deleted logs before they were copied, a warning says so, once."""
    data, copied = tmp_path / "data", [name_of(2)]
    for number in (5, 6):
        (data / f"binlog.{number:06}").write_bytes(log(number))
    write_index(data, 5, 6, 7)
    place = module("places").Folder(tmp_path)
    module("archive").copy(place, SERVER, copied)
    lines = capsys.readouterr().out.splitlines()
    assert [re.split("[: ]", line)[0] for line in lines] == ["warning", "copied", "copied"]
    assert name_of(2) in lines[0]
    assert name_of(5) in lines[0]


def test_failed_round_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A round that fails logs why; the next one copies everything, and only then it is healthy."""
    archive, answers = module("archive"), iter([OSError("no route"), (SERVER, "1"), (SERVER, "1")])
    (tmp_path / "data" / "binlog.000001").write_bytes(log(1))
    write_index(tmp_path / "data", 1, 2)
    healthy, seen = tmp_path / "healthy", []

    def close_log(_: str) -> object:
        seen.append(healthy.exists())
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def sleep(_: float) -> None:
        if len(seen) == 3:
            raise SystemExit

    monkeypatch.setenv("BINLOGS", str(tmp_path))
    monkeypatch.setattr(archive, "close_log", close_log)
    monkeypatch.setattr(archive, "HEALTHY", healthy)
    monkeypatch.setattr(archive.time, "sleep", sleep)
    monkeypatch.setattr(archive.os, "umask", lambda _: None)
    with pytest.raises(SystemExit):
        archive.main()
    assert seen == [False, False, True]
    error, copied = capsys.readouterr().out.splitlines()
    assert error.startswith("error: OSError('no route').")
    assert copied == f"copied {name_of(1)}"


def fetch(tmp_path: Path, until: float | None, **logs: bytes) -> tuple[str, str]:
    """Search for the logs from a backup 5 s after BEGIN, with transactions 1 to 3, to a moment.

    :param logs: for names such as a4, the content of a log that was begun 4 s after BEGIN.
    """
    place = module("places").Folder(tmp_path / "place")
    for name, content in logs.items():
        path = place.path / name_of(1, BEGIN + timedelta(seconds=int(name[1:])))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    backup = module("events").Gtids(f"{SERVER}:1-3")
    found = module("fetch").fetch(
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
        ("soon", "UNTIL is not a time: soon. Write it like 2026-11-28 10:15:00, in UTC."),
        ("2026-11-28 10:00:04.9", "UNTIL is before the backup, which is of 2026-11-28 10:00:05.0"),
        ("2026-11-28 10:00:06", "In .* there are no logs."),
    ],
)
def test_program_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, until: str, message: str
) -> None:
    """The program that fetches logs ends with one line for people."""
    monkeypatch.setattr("sys.argv", ["", "2026-11-28 10:00:05", f"{SERVER}:1-3", until])
    monkeypatch.setenv("BINLOGS", str(tmp_path))
    with pytest.raises(module("fetch").CannotError, match=message):
        module("fetch").main()


@pytest.mark.parametrize("text", ["yesterday", "2026-11-28", "10:15", "2026-11-31 10:15:00", ""])
def test_wrong_times(text: str) -> None:
    """What is no time is rejected, with an example of one."""
    with pytest.raises(Exception, match="Write it like 2026-11-28 10:15:00"):
        module("fetch").parse(text)


def test_times_are_utc() -> None:
    """A time is UTC, unless it names another offset."""
    parse = module("fetch").parse
    assert parse("2026-11-28 10:00:00") == parse("2026-11-28T11:00:00+01:00") == BEGIN


def test_gtid_sets() -> None:
    """Sets of GTIDs are read, joined, compared and written as MySQL does."""
    gtids = module("events").Gtids
    found = gtids(f"{SERVER}:1-3:7,\n{'0' * 8}-2c5f-4e0f-9d53-5b1f6f0c6e01:5")
    assert gtids(f"{SERVER}:2:7") <= found
    assert not gtids(f"{SERVER}:3-4") <= found
    found.update(gtids(f"{SERVER}:4-6:9"))
    assert str(found).startswith(f"{SERVER}:1-7:9-9,")


def test_sidecar_has_the_services_driver() -> None:
    """The image of the sidecar has the locked version of the database driver."""
    locked = [
        {line for line in (ROOT / name).read_text().splitlines() if line.startswith("pymysql==")}
        for name in ("requirements/run.txt", "deploy/binlogs/requirements.txt")
    ]
    assert locked[0]
    assert {line.split()[0] for line in locked[0]} == {line.split()[0] for line in locked[1]}
