"""Checks of the private parts of flask-smorest, apispec, prometheus_client and OpenTelemetry.

In the docstrings, "it" is the private part that a function checks.
"""

import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any
from unittest import mock

import flask
import flask_smorest
from apispec import APISpec, BasePlugin
from marshmallow import Schema
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import Counter, values
from prometheus_client.mmap_dict import MmapedDict


class Recorder(BasePlugin):
    """A plugin that records the names of the arguments that apispec passes to plugins."""

    def __init__(self) -> None:
        self.arguments: dict[str, set[str]] = {}

    def operation_helper(self, **arguments: Any) -> None:  # type: ignore[override]
        """Record the names."""
        self.arguments["operation_helper"] = set(arguments)

    def schema_helper(self, *_: Any, **arguments: Any) -> dict[str, Any]:
        """Record the names."""
        self.arguments["schema_helper"] = set(arguments)
        return {}


def document() -> tuple[APISpec, Recorder]:
    """Return the OpenAPI document of a service with one route, and the plugin that recorded it."""
    recorder = Recorder()
    app = flask.Flask(__name__)
    app.config |= {"API_TITLE": "A", "API_VERSION": "1", "OPENAPI_VERSION": "3.1.0"}
    api = flask_smorest.Api(app, spec_kwargs={"extra_plugins": [recorder]})
    blueprint = flask_smorest.Blueprint("a", __name__)
    blueprint.route("/a")(blueprint.response(200, Schema.from_dict({}, name="A"))(dict))
    api.register_blueprint(blueprint)
    return api.spec, recorder


def helper_argument(name: str) -> None:
    """Check that a plugin's helper gets this argument.

    :param name: of the form `helper.argument`.
    """
    helper, argument = name.split(".")
    assert argument in document()[1].arguments[helper]


def pagination_schema(name: str) -> None:
    """Check that flask-smorest adds a schema with this name."""
    assert name in document()[0].to_dict()["components"]["schemas"]


def schemas(name: str) -> None:
    """Check that a schema that is removed from it is no longer in the document."""
    spec, _ = document()
    del attrgetter(name)(spec)["A"]
    assert "A" not in spec.to_dict()["components"]["schemas"]


def value_class(name: str) -> None:
    """Check that a metric created from now on keeps its value in an instance of this class."""
    with mock.patch.object(values, name) as made:
        Counter("a", "A.", registry=None).inc()
    made.return_value.inc.assert_called_once()


@contextmanager
def number_in_file(name: str) -> Iterator[tuple[Any, Path]]:
    """Give a number of a counter, and the folder of its file."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, PROMETHEUS_MULTIPROC_DIR=folder),
    ):
        value = getattr(values, name)(lambda: 7)
        yield value("counter", "a", "a_total", (), (), "A."), Path(folder)
        value.close_all_files()


def multi_process_value(name: str) -> None:
    """Check that its files have the number that the given function returns in their names."""
    with number_in_file(name) as (_, folder):
        assert [path.name for path in folder.iterdir()] == ["counter_7.db"]


def number_in_memory(name: str) -> None:
    """Check that it can be changed without the file, and that `set` and `get` write it there."""
    with number_in_file("MultiProcessValue") as (value, folder):
        setattr(value, name, 5.0)
        assert value.get() == 5
        value.set(value.get())
        with closing(MmapedDict(str(folder / "counter_7.db"), read_mode=True)) as file:  # type: ignore[no-untyped-call]
            assert [number for _, number, *_ in file.read_all_values()] == [5]  # type: ignore[no-untyped-call]


def number_that_grows(name: str) -> None:
    """Check that it takes what to add."""
    with number_in_file("MultiProcessValue") as (value, _):
        getattr(value, name)(2)
        assert value.get() == 2


class SlowExporter(SpanExporter):
    """An exporter that hangs, as if the receiver did not answer."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.has_ended = self.is_shut_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        """Wait until `may_end` is set, at most 10 s."""
        self.may_end.wait(10)
        self.has_ended = True
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Record the call."""
        self.is_shut_down = True


def batch_shutdown(name: str) -> None:
    """Check that its argument limits how long a shutdown waits for the receiver of traces."""
    exporter = SlowExporter()
    processor = BatchSpanProcessor(exporter)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    provider.get_tracer("a").start_span("a").end()
    try:
        attrgetter(name)(processor)(1)
        assert exporter.is_shut_down
        assert not exporter.has_ended
    finally:
        exporter.may_end.set()
