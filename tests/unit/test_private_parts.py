"""Private parts (internals) of libraries that the service uses.

An upgrade that removes or changes one fails here. Each row of `PARTS` has a name, the file that
uses it, and a check. To use another private part, add its row here, and give its library an upper
version bound in pyproject.toml.
"""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from flask.sessions import SecureCookieSessionInterface
from gevent.server import StreamServer
from gunicorn import glogging, util
from gunicorn.arbiter import Arbiter
from gunicorn.http.body import Body, EOFReader
from gunicorn.http.unreader import IterUnreader
from gunicorn.workers.ggevent import GeventWorker
from packaging.requirements import Requirement
from sqlalchemy import QueuePool
from sqlalchemy.util import queue

from app.database import engines
from app.database.fair_queue import FairQueue
from app.identity.sessions import CookieSessions
from app.server import worker
from tests.support.checkout import ROOT
from tests.support.private_parts import database, server, uses, web
from tests.support.private_parts.checks import Check, exists, fits

DRIVER, ENGINES, QUEUE, PACKETS = (
    f"app/database/{name}.py" for name in ("driver", "engines", "fair_queue", "packets")
)
WORKER, CONNECTION = "app/server/worker.py", "app/server/connection.py"
RESOURCES, OPENAPI = "app/api/resources.py", "app/api/openapi.py"
CONFIGURATION = "gunicorn.conf.py"
POOL = engines.Pool


class Part(NamedTuple):
    """The file that uses a private part, and the check that the library still has it."""

    file: str
    check: Check


# Keys: the library, then the class or module that has the part, then the part. A colon instead of
# a dot comes before parts that are not attributes, such as keys of the environ.
PARTS = {
    "apispec APISpec.components.schemas": Part(OPENAPI, web.schemas),
    "apispec plugins:schema_helper.schema": Part(OPENAPI, web.helper_argument),
    "flask SecureCookieSessionInterface.get_signing_serializer": Part(
        "app/identity/sessions.py", fits(CookieSessions, SecureCookieSessionInterface)
    ),
    "flask-smorest plugins:operation_helper.rule": Part(OPENAPI, web.helper_argument),
    "flask-smorest schemas:PaginationMetadata": Part(RESOURCES, web.pagination_schema),
    "gevent StreamServer.do_handle": Part(WORKER, server.handling),
    "gevent StreamServer.do_read": Part(WORKER, fits(worker.Listener, StreamServer)),
    "gevent StreamServer.socket._accept": Part(WORKER, server.accept),
    "gevent events.notify_and_call_entry_points": Part(CONFIGURATION, server.patch_hooks),
    "gevent socket._sock": Part(CONNECTION, server.plain_socket),
    "gevent socket.hub": Part(CONNECTION, server.socket_hub),
    "gunicorn Arbiter.WORKERS": Part(CONFIGURATION, exists(Arbiter)),
    "gunicorn Arbiter.address": Part(CONFIGURATION, server.arbiter_address),
    "gunicorn GeventWorker.alive": Part(WORKER, server.worker_attribute),
    "gunicorn GeventWorker.cfg": Part(WORKER, server.worker_attribute),
    "gunicorn GeventWorker.handle": Part(WORKER, fits(worker.Worker, GeventWorker)),
    "gunicorn GeventWorker.handle_exit": Part(WORKER, fits(worker.Worker, GeventWorker)),
    "gunicorn GeventWorker.handle_request": Part(WORKER, fits(worker.Worker, GeventWorker)),
    "gunicorn GeventWorker.init_process": Part(WORKER, fits(worker.Worker, GeventWorker)),
    "gunicorn GeventWorker.load_wsgi": Part(WORKER, fits(worker.Worker, GeventWorker)),
    "gunicorn GeventWorker.notify": Part(WORKER, exists(GeventWorker)),
    "gunicorn GeventWorker.run": Part(WORKER, fits(worker.Worker, GeventWorker)),
    "gunicorn GeventWorker.sockets": Part(WORKER, server.worker_attribute),
    "gunicorn GeventWorker.timeout_ctx": Part(WORKER, fits(worker.Worker, GeventWorker)),
    "gunicorn GeventWorker.worker_connections": Part(WORKER, server.worker_attribute),
    "gunicorn GeventWorker.wsgi": Part(WORKER, server.worker_attribute),
    "gunicorn Logger.access": Part(WORKER, fits(worker.Logger, glogging.Logger)),
    "gunicorn Parser.finish_body": Part(WORKER, server.skipped_body),
    "gunicorn Parser.unreader.sock": Part(WORKER, server.parser_socket),
    "gunicorn Request.body.reader.length": Part(WORKER, server.body_length),
    "gunicorn Request.force_close": Part(WORKER, server.force_close),
    "gunicorn Request.unreader.buf": Part(WORKER, server.next_request),
    "gunicorn environ:RAW_URI": Part("app/server/fast_path.py", server.environ),
    "gunicorn environ:gunicorn.socket": Part(WORKER, server.environ),
    "gunicorn errors.ParseException": Part("app/server/__init__.py", server.body_error),
    "gunicorn log:Invalid request from ip=": Part(
        "app/telemetry/logs.py", server.log_of_malformed_request
    ),
    "gunicorn util.http_date": Part("app/server/responses.py", exists(util)),
    "gunicorn util.write_error": Part(WORKER, server.write_error),
    "gunicorn util.write_nonblock": Part(WORKER, exists(util)),
    "opentelemetry-sdk BatchSpanProcessor._batch_processor.shutdown": Part(
        "app/telemetry/spans.py", web.batch_shutdown
    ),
    "prometheus-client MultiProcessValue._value": Part(
        "app/telemetry/metrics.py", web.number_in_memory
    ),
    "prometheus-client MultiProcessValue.inc": Part(
        "app/telemetry/metrics.py", web.number_that_grows
    ),
    "prometheus-client values.MultiProcessValue": Part(
        "app/telemetry/metrics.py", web.multi_process_value
    ),
    "prometheus-client values.ValueClass": Part("app/telemetry/metrics.py", web.value_class),
    "pymysql Connection._execute_command": Part(DRIVER, database.execute_command),
    "pymysql Connection._force_close": Part(DRIVER, database.force_close),
    "pymysql Connection._get_server_information": Part(DRIVER, database.greeting),
    "pymysql Connection._result.message": Part(DRIVER, database.message_of_result),
    "pymysql Connection._read_timeout": Part(DRIVER, database.read_timeout),
    "pymysql Connection._sock": Part(DRIVER, database.mysql_socket),
    "pymysql connections.FieldDescriptorPacket": Part(DRIVER, database.parsed_columns),
    "sqlalchemy Connection._handle_dbapi_exception": Part(PACKETS, database.handle_exception),
    "sqlalchemy Queue._empty": Part(QUEUE, exists(queue.Queue)),
    "sqlalchemy Queue._full": Part(QUEUE, exists(queue.Queue)),
    "sqlalchemy Queue._get": Part(QUEUE, exists(queue.Queue)),
    "sqlalchemy Queue._put": Part(QUEUE, exists(queue.Queue)),
    "sqlalchemy Queue.get": Part(QUEUE, fits(FairQueue, queue.Queue)),
    "sqlalchemy Queue.mutex": Part(QUEUE, database.queue_mutex),
    "sqlalchemy Queue.put": Part(QUEUE, fits(FairQueue, queue.Queue)),
    "sqlalchemy QueuePool._do_get": Part(ENGINES, fits(POOL, QueuePool)),
    "sqlalchemy QueuePool._do_return_conn": Part(ENGINES, fits(POOL, QueuePool)),
    "sqlalchemy QueuePool._queue_class": Part(ENGINES, database.queue_class),
    "sqlalchemy QueuePool._timeout": Part(ENGINES, database.pool_timeout),
    "sqlalchemy QueuePool.logging_name": Part(ENGINES, database.logging_name),
    "sqlalchemy queue.Empty": Part(QUEUE, exists(queue)),
    "sqlalchemy queue.Full": Part(QUEUE, exists(queue)),
}

DOCUMENTED = {
    "_exit": "Python documents it: it ends the process without cleaning up.",
    "_asdict": "Python documents it for named tuples.",
    "_deserialize": "marshmallow documents it: custom fields override it.",
    "_serialize": "marshmallow documents it: custom fields override it.",
    "_mapping": "SQLAlchemy documents it: it returns the row as a mapping.",
    "wsgi_app": "Flask documents it: assign to it to add middleware.",
}


def name_of(row: str) -> str:
    """Return the name that a row's check takes."""
    return re.split("[.:]", row.partition(" ")[2], maxsplit=1)[1]


def words_of(row: str) -> set[str]:
    """Return the names in the code that a row covers."""
    name = name_of(row)
    return {name} if "environ:" in row else set(name.split("."))


ROWS = {(part.file, word) for row, part in PARTS.items() for word in words_of(row)}


@pytest.fixture(scope="module")
def found() -> list[uses.Use]:
    """All uses of private parts of libraries in the code, and its patches of libraries."""
    return [use for path in uses.FILES for use in uses.uses(path)]


@pytest.mark.parametrize("row", PARTS)
def test_library_has_the_private_part(row: str) -> None:
    """The library has the private part, and it behaves as the service expects."""
    PARTS[row].check(name_of(row))


@pytest.mark.parametrize("row", PARTS)
def test_row_is_in_use(row: str, found: list[uses.Use]) -> None:
    """The file that a row names still uses the row's part."""
    file = PARTS[row].file
    words = {
        str(getattr(node, kind, ""))
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        for kind in ("attr", "name", "value")
    }
    used = {word for word in words if not uses.is_private(word)}
    missing = words_of(row) - used - {use.name for use in found if use.file == file}
    assert not missing, f"{file} no longer uses {missing}: remove the row."


def test_every_private_part_has_a_row(found: list[uses.Use]) -> None:
    """Every private part that the code uses has a row here, or is documented by its library."""
    missing = [
        str(use) for use in found if use.name not in DOCUMENTED and (use.file, use.name) not in ROWS
    ]
    assert not missing, "\n".join(missing)


def test_patches_of_a_library_are_in_one_file(found: list[uses.Use]) -> None:
    """All patches of one library are in one file, so that they can be reviewed at an upgrade."""
    files = defaultdict(set)
    for use in found:
        if use.patched and use.name not in DOCUMENTED:
            files[use.patched].add(use.file)
    assert files
    assert all(len(each) == 1 for each in files.values()), files


@pytest.mark.parametrize("library", sorted({row.partition(" ")[0] for row in PARTS}))
def test_library_has_an_upper_bound(library: str) -> None:
    """Each library has an upper bound, so that new private parts can't arrive unnoticed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = {
        requirement.name: {each.operator for each in requirement.specifier}
        for requirement in map(Requirement, project["dependencies"])
    }
    assert bounds.get(library, set()) & {"<", "<=", "==", "~="}


@pytest.mark.parametrize(
    ("body", "before", "after"),
    [
        pytest.param(lambda: server.parse(server.GET).body, 0, 0, id="no body"),
        pytest.param(lambda: server.parse(server.WITH_LENGTH).body, 5, 0, id="LengthReader"),
        pytest.param(
            lambda: server.parse(server.CHUNKED + b"0\r\n\r\n").body, True, True, id="ChunkedReader"
        ),
        pytest.param(lambda: Body(EOFReader(IterUnreader([b"12345"]))), True, True, id="EOFReader"),
    ],
)
def test_length_of_what_gunicorn_has_not_read(
    body: Callable[[], Any], before: object, after: object
) -> None:
    """The length of a body's reader is 0 only if gunicorn has read the whole body.

    Only then can the next request begin there, as the worker expects. Readers of chunks, and of
    bodies that end with the connection, have no length.
    """
    made = body()
    assert getattr(made.reader, "length", True) == before
    made.read()
    assert getattr(made.reader, "length", True) == after


@pytest.mark.parametrize(
    ("code", "names"),
    [
        pytest.param("connection._sock", ["_sock"], id="read"),
        pytest.param("connection._sock = 1", ["_sock"], id="write"),
        pytest.param("getattr(connection, '_sock')", ["_sock"], id="getattr"),
        pytest.param("from pymysql import _auth", ["_auth"], id="import of a name"),
        pytest.param("import pymysql._auth", ["_auth"], id="import of a module"),
        pytest.param("import _thread", [], id="standard library"),
        pytest.param("connection.__dict__", [], id="dunder"),
        pytest.param("connections.through = 1", ["through"], id="patch of a module"),
        pytest.param("setattr(connections, 'through', 1)", ["through"], id="patch by setattr"),
        pytest.param("app.f = 1  # type: ignore[method-assign]", ["f"], id="patch of an object"),
        pytest.param("class A:\n def _f(self): self._f(); self._g = 1", [], id="own class"),
        pytest.param(
            "class A(connections.Connection):\n def _own(self): self._own()", [], id="own method"
        ),
        pytest.param(
            "class A(connections.Connection):\n def _execute_command(self): pass",
            ["_execute_command"],
            id="override",
        ),
        pytest.param(
            "class A(connections.Connection):\n def f(self): self._read_timeout = 1",
            ["_read_timeout"],
            id="attribute that the library sets",
        ),
    ],
)
def test_private_part_is_found(code: str, names: list[str]) -> None:
    """The search finds each kind of use of a private part, and nothing else."""
    text = f"from pymysql import connections\n{code}"
    assert [use.name for use in uses.uses_in(text, DRIVER)] == names
