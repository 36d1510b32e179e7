"""Aliases: links that lead to another link here, their goal. Their target is `/` and its code.

A redirect follows an alias one step only: if the goal is gone, or an alias itself, it gets 404, or
410 if the alias has expired. So there is no loop, in whatever order links are edited, renamed,
deleted, restored and imported.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import ValidationError
from sqlalchemy import Connection, select

from app.links import codes
from app.links.tables import LINKS

NO_GOAL = "Must be an existing link that is no alias itself, or lead to another site."


class GoalError(ValidationError):
    """A link can't be an alias of this goal. It depends on other links, so the status is 409."""


def is_alias(url: str) -> bool:
    """Return whether the target of a link is another link here."""
    return url.startswith("/")


def goal_key(url: str) -> str:
    """Return the lookup key of the goal from an alias's target."""
    return codes.lookup_key(url[1:])


def check(connection: Connection, link: Mapping[str, Any]) -> None:
    """Check the goal of a new or changed link, if it is an alias.

    :raises GoalError: there is no such goal.
    """
    if without_goal(connection, [link]):
        raise GoalError({"url": [NO_GOAL]})


def without_goal(connection: Connection, links: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the indexes of new links that are aliases without a goal. A goal can be among them."""
    goals = {i: goal_key(link["url"]) for i, link in enumerate(links) if is_alias(link["url"])}
    if not goals:
        return []
    query = select(LINKS.c.lookup_key, LINKS.c.url).where(LINKS.c.lookup_key.in_(goals.values()))
    urls: dict[str, str] = dict(connection.execute(query).all())
    urls |= {link["lookup_key"]: link["url"] for link in links}
    return [i for i, key in goals.items() if is_alias(urls.get(key, "/"))]
