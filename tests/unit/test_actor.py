"""Who makes a request: a person, a program, or the command line."""

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, g

from app.identity.tokens import ACTOR_LENGTH, Actor, actor

HASH = "0ec4f5f4b8c1"


def token(name: str, person: str | None = None, person_name: str | None = None) -> Any:
    """Return a token's row."""
    return SimpleNamespace(name=name, person=person, person_name=person_name)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param(token("ci"), Actor("token:ci", "ci"), id="program"),
        pytest.param(token("ci", HASH, "Ada"), Actor(f"person:{HASH}", "Ada"), id="own program"),
        pytest.param(token("s-1", HASH, "Ada"), Actor(f"person:{HASH}", "Ada"), id="browser"),
    ],
)
def test_request_has_an_actor(row: Any, expected: Actor) -> None:
    """All tokens of a person are the same actor. Other tokens are actors of their own."""
    with Flask("x").test_request_context():
        g.token = row
        assert actor() == expected


@pytest.mark.parametrize("name", ["ü", "x" * 100])
def test_key_of_an_actor_is_short_and_ascii(name: str) -> None:
    """A name that is long or not ASCII is hashed, and the key stays the same."""
    with Flask("x").test_request_context():
        g.token = token(name)
        key = actor().key
        assert key.isascii()
        assert len(key) <= ACTOR_LENGTH
        assert actor() == (key, name)


def test_command_line_is_an_actor() -> None:
    """Outside of a request, the command line acts."""
    assert actor() == ("command-line", "command line")
