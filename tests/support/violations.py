"""A service whose table has constraints, and how it answers requests that violate them.

Tests pass this source to `python3 -c`, also in a container, so it imports nothing from tests.
"""

import json
import sys
from typing import Any

import sqlalchemy as sa
from flask import request
from werkzeug.test import Client  # Flask's needs a module that the image lacks

from app import create_app
from app.database import database
from app.database.types import metadata

# Of the two constraints on numbers, the resource names only one.
TABLE = """CREATE TABLE spans (
    id INTEGER PRIMARY KEY, name VARCHAR(20), low INTEGER NOT NULL, high INTEGER NOT NULL,
    outer_id INTEGER, CONSTRAINT spans_name UNIQUE (name),
    CONSTRAINT spans_order CHECK (low <= high), CONSTRAINT spans_luck CHECK (low <> 13),
    CONSTRAINT spans_outer FOREIGN KEY (outer_id) REFERENCES spans (id))"""
TAKEN = {"detail": "Another span has this name."}
NO_OUTER = {"detail": "No such span."}
ORDER = {"detail": "Must not be below low.", "pointer": "#/high"}
ROWS: list[tuple[dict[str, Any], int, dict[str, str]]] = [
    ({"id": 1, "low": 1, "high": 2, "name": "a"}, 200, {}),
    ({"id": 2, "low": 1, "high": 2, "name": "a"}, 409, TAKEN),
    ({"id": 2, "low": 2, "high": 1}, 422, ORDER),
    ({"id": 2, "low": 13, "high": 14}, 500, {}),
    ({"id": 2, "low": 1}, 500, {}),
    ({"id": 1, "low": 1, "high": 2}, 500, {}),
]
"""Rows to insert, and the expected status and detail of the answer."""
PERMANENT = {
    1038: "ER_OUT_OF_SORTMEMORY",
    1048: "ER_BAD_NULL_ERROR",
    1054: "ER_BAD_FIELD_ERROR",
    1064: "ER_PARSE_ERROR",
    1142: "ER_TABLEACCESS_DENIED_ERROR",
    1153: "ER_NET_PACKET_TOO_LARGE",
    1264: "ER_WARN_DATA_OUT_OF_RANGE",
    1292: "ER_TRUNCATED_WRONG_VALUE",
    1364: "ER_NO_DEFAULT_FOR_FIELD",
    1406: "ER_DATA_TOO_LONG",
    1644: "ER_SIGNAL_EXCEPTION",
    1690: "ER_DATA_OUT_OF_RANGE",
    3140: "ER_INVALID_JSON_TEXT",
    3636: "ER_CTE_MAX_RECURSION_DEPTH",
    3819: "ER_CHECK_CONSTRAINT_VIOLATED",
}
"""Some of MySQL's errors that the same statement gets again."""


def main(asked: list[dict[str, Any] | str]) -> None:
    """Print one JSON list with the status, `Retry-After` and detail of each answer.

    :param asked: rows to insert, and SQL to run.
    """
    spans = sa.Table(
        "spans",
        metadata,
        *(sa.Column(name, sa.Integer) for name in ("id", "low", "high", "outer_id")),
        sa.Column("name", sa.String(20)),
        sa.UniqueConstraint("name", name="spans_name", info={"status": 409, **TAKEN}),
        sa.CheckConstraint(
            "low <= high",
            "spans_order",
            info={"status": 422, "field": "high", "detail": ORDER["detail"]},
        ),
        sa.CheckConstraint("low <> 13", "spans_luck"),
        sa.ForeignKeyConstraint(
            ["outer_id"], ["spans.id"], "spans_outer", info={"status": 409, **NO_OUTER}
        ),
    )
    app = create_app()

    def add() -> str:
        row = sa.insert(spans).values(request.get_json())
        return str(database().write(lambda connection: connection.execute(row)).rowcount)

    def run() -> str:
        with database().read() as connection:
            return str(connection.exec_driver_sql(request.get_data(as_text=True)).rowcount)

    app.add_url_rule("/-rows", "rows", add, methods=["POST"])
    app.add_url_rule("/-sql", "sql", run, methods=["POST"])
    client, answers = Client(app), []
    for one in asked:
        is_row = isinstance(one, dict)
        answer = client.post("/-rows", json=one) if is_row else client.post("/-sql", data=one)
        problem = answer.get_json() if answer.is_json and answer.status_code < 500 else {}
        shown = problem.get("errors", [problem])[0]
        shown = {name: shown[name] for name in ("detail", "pointer") if name in shown}
        answers.append([answer.status_code, answer.headers.get("Retry-After"), shown])
    print(json.dumps(answers))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
