"""The sidecar that copies binary logs to a folder or to S3."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.support.binlogs import SERVER, archive, log, name_of, places
from tests.support.checkout import ROOT


@pytest.fixture(autouse=True, name="data")
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with MySQL's data."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setattr(archive, "DATA", folder)
    return folder


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


def write_index(folder: Path, *numbers: int) -> None:
    """Write MySQL's list of logs, the last of which is still open."""
    lines = (f"./binlog.{number:06}\n" for number in numbers)
    (folder / "binlog.index").write_text("".join(lines))


def test_closed_logs_are_copied_once(address: str, data: Path, tmp_path: Path) -> None:
    """Each closed log gets a complete copy, which another run knows."""
    for number in (1, 2, 3):
        (data / f"binlog.{number:06}").write_bytes(log(number))
    write_index(data, 1, 2, 3)
    place = places.at(address)
    assert archive.copy(place, SERVER, "") == name_of(2)
    assert place.names() == [name_of(1), name_of(2)]
    place.get(name_of(2), tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == log(2)


def test_interrupted_copy_is_repeated(
    address: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is interrupted does not appear at its destination, and is made again."""
    (data / "binlog.000001").write_bytes(log(1))
    write_index(data, 1, 2)
    place = places.at(address)

    def fail(source: Any, target: Any) -> None:
        target.write(source.read(10))
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(places.shutil, "copyfileobj", fail)
        patch.setattr("botocore.httpsession.URLLib3Session.send", fail)
        with pytest.raises((OSError, AttributeError, TypeError)):
            archive.copy(place, SERVER, "")
    assert place.names() == []
    archive.copy(place, SERVER, "")
    assert place.names() == [name_of(1)]


def test_purge_of_logs_that_were_not_copied_is_reported(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If MySQL has deleted logs before they were copied, a warning says so, once."""
    for number in (5, 6):
        (data / f"binlog.{number:06}").write_bytes(log(number))
    write_index(data, 5, 6, 7)
    place = places.Folder(tmp_path)
    archive.copy(place, SERVER, name_of(2))
    lines = capsys.readouterr().out.splitlines()
    assert [re.split("[: ]", line)[0] for line in lines] == ["warning", "copied", "copied"]
    assert name_of(2) in lines[0]
    assert name_of(5) in lines[0]


def test_failed_round_is_repeated(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A round that fails logs why; the next one copies everything, and only then it is healthy.

    A warning says once that copies of another server don't lead here.
    """
    answers = iter([OSError("no route"), (SERVER, "1"), (SERVER, "1")])
    other = tmp_path / name_of(9).replace(SERVER, SERVER[::-1])
    other.parent.mkdir()
    other.touch()
    (data / "binlog.000001").write_bytes(log(1))
    write_index(data, 1, 2)
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
    error, new, copied = capsys.readouterr().out.splitlines()
    assert error.startswith("error: OSError('no route').")
    assert new.startswith("warning: this MySQL server is new. Make a new backup")
    assert copied == f"copied {name_of(1)}"


@pytest.mark.parametrize(
    ("group", "state"),
    [
        pytest.param(False, "", id="one server"),
        pytest.param(True, "ONLINE", id="in the group"),
        pytest.param(True, "RECOVERING", id="catches up"),
        pytest.param(True, "OFFLINE", id="outside of the group"),
    ],
)
def test_server_outside_of_its_group_fails_the_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: bool, state: str
) -> None:
    """A server outside of its group lacks what the others have, so copies of its logs do too."""
    answers = {
        "SHOW": [("name",)] if group else [],
        "SELECT member_state": [(state,)],
        "SELECT @@server_uuid": [(SERVER, "1")],
    }

    def answer() -> object:
        statement = cursor.execute.call_args[0][0]
        return next(rows for start, rows in answers.items() if statement.startswith(start))

    connection = MagicMock()
    cursor = connection.cursor.return_value.__enter__.return_value
    cursor.fetchall.side_effect = answer
    monkeypatch.setattr(archive.pymysql, "connect", lambda **_: connection)
    monkeypatch.setattr(archive.ssl, "create_default_context", lambda **_: None)
    (tmp_path / "password").write_text("word")
    monkeypatch.setattr(archive, "Path", lambda _: tmp_path / "password")
    if group and state != "ONLINE":
        with pytest.raises(LookupError, match=f"db is {state} in its group"):
            archive.close_log("1")
    else:
        assert archive.close_log("1") == (SERVER, "1")


def test_sidecar_has_the_services_driver() -> None:
    """The image of the sidecar has the locked version of the database driver."""
    locked = [
        {line for line in (ROOT / name).read_text().splitlines() if line.startswith("pymysql==")}
        for name in ("requirements/run.txt", "deploy/binlogs/requirements.txt")
    ]
    assert locked[0]
    assert {line.split()[0] for line in locked[0]} == {line.split()[0] for line in locked[1]}
