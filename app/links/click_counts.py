"""SQL for counting clicks: find the links, lock rows that are free, and upsert the counts."""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

from sqlalchemy import Connection, TextClause, bindparam, select, text

from app.database.packets import find_and_insert
from app.links.aliases import goal_key, is_alias
from app.links.histogram import bucket_start
from app.links.tables import LINK_CLICKS, LINKS

FIND_TARGETS = select(LINKS.c.lookup_key, LINKS.c.id, LINKS.c.url, LINKS.c.expires_at).where(
    LINKS.c.lookup_key.in_(bindparam("keys", expanding=True))
)
# The same `now` decides in both statements whether a link has expired. Of an alias, the SELECT also
# finds the goal; without a goal, the alias gets no click. The given clicks are in the order of
# their keys, so that the batches of two workers can't deadlock.
FIND_AND_COUNT = """
    SELECT JSON_ARRAYAGG(JSON_ARRAY(l.lookup_key, l.id, l.url, l.expires_at <= %(now)s,
        IF(l.url LIKE '/%%', (SELECT JSON_ARRAY(goal.id, goal.url, goal.expires_at <= %(now)s)
            FROM links AS goal WHERE goal.lookup_key = {goal_key}), NULL)))
    FROM links AS l WHERE l.lookup_key IN %(keys)s;
    INSERT INTO link_clicks (link_id, hour, clicks)
    SELECT STRAIGHT_JOIN l.id, %(hour)s, given.clicks
    FROM JSON_TABLE(%(clicks)s, '$[*]' COLUMNS (
        lookup_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PATH '$[0]',
        clicks BIGINT PATH '$[1]')) AS given
    JOIN links AS l ON l.lookup_key = given.lookup_key
    WHERE (l.expires_at IS NULL OR l.expires_at > %(now)s)
    AND (l.url NOT LIKE '/%%' OR EXISTS (
        SELECT 1 FROM links AS goal WHERE goal.lookup_key = {goal_key}
        AND goal.url NOT LIKE '/%%' AND (goal.expires_at IS NULL OR goal.expires_at > %(now)s)))
    ON DUPLICATE KEY UPDATE clicks = link_clicks.clicks + given.clicks""".replace(
    "{goal_key}",
    "CONVERT(LOWER(REPLACE(SUBSTR(l.url, 2), '-', '')) USING ascii) COLLATE ascii_bin",
)
# The same for one lookup key, but aliases get no click. It takes MySQL less time.
FIND_AND_COUNT_ONE = """
    SELECT JSON_ARRAY(JSON_ARRAY(lookup_key, id, url, expires_at <= %(now)s, NULL))
    FROM links WHERE lookup_key IN %(keys)s;
    INSERT INTO link_clicks (link_id, hour, clicks)
    SELECT id, %(hour)s, %(sum)s FROM links WHERE lookup_key IN %(keys)s
    AND (expires_at IS NULL OR expires_at > %(now)s) AND url NOT LIKE '/%%'
    ON DUPLICATE KEY UPDATE clicks = link_clicks.clicks + %(sum)s"""
# A click changes the row of its hour. For a new row, and for the foreign key of an existing one, it
# also locks the link's row. A join alone can't tell a locked row of clicks from a missing one.
LOCK_FREE_ROWS = text("""
    SELECT l.id FROM links AS l
    LEFT JOIN link_clicks AS c ON c.link_id = l.id AND c.hour = :hour
    WHERE l.id IN :ids AND (c.link_id IS NOT NULL OR NOT EXISTS (
        SELECT * FROM link_clicks WHERE link_id = l.id AND hour = :hour))
    ORDER BY l.id
    FOR SHARE OF l SKIP LOCKED FOR UPDATE OF c SKIP LOCKED""").bindparams(
    bindparam("ids", expanding=True), bindparam("hour", type_=LINK_CLICKS.c.hour.type)
)


class Target(NamedTuple):
    """The part of a link that a redirect needs. For an alias, the URL is that of its goal.

    An alias without a goal keeps its own URL.
    """

    id: int
    url: str
    expired: bool

    @property
    def is_live(self) -> bool:
        """Whether the link redirects, and so counts clicks."""
        return not self.expired and not is_alias(self.url)


def find_and_count(
    connection: Connection, keys: Iterable[str], clicks: Mapping[str, int]
) -> dict[str, Target]:
    """Return the targets of lookup keys, and add clicks to those that are live.

    With MySQL, that takes one packet, or two for an alias or an expired link alone. The clicks are
    committed when it returns.

    :param clicks: clicks by the lookup key.
    :raises sqlalchemy.exc.IntegrityError: a link was deleted, and nothing was counted.
    """
    if not clicks or connection.dialect.name != "mysql":
        targets = find_targets(connection, keys)
        count_clicks(connection, clicks, targets)
        return targets
    keys, now = list(keys), datetime.now(UTC)
    values = {"keys": keys, "now": now, "hour": bucket_start(now, "hour")}
    if len(keys) == 1:
        values["sum"] = sum(clicks.values())
        targets, counted = _find_and_count(connection, FIND_AND_COUNT_ONE, values)
    # The second case is an alias, an expired link, or one that has changed.
    if len(keys) > 1 or (targets and not counted):
        values["clicks"] = json.dumps(sorted(clicks.items()))
        targets, counted = _find_and_count(connection, FIND_AND_COUNT, values)
    alive = {key: targets[key] for key in clicks if key in targets and targets[key].is_live}
    # Numbers that are equal prove nothing if a key had no link: it can have got one, and another
    # link can have lost its own.
    if counted == len(alive) and (not counted or alive.keys() == clicks.keys()):
        return targets
    after = find_targets(connection, keys)
    if counted == len(clicks):  # each key had a link that was counted
        return after | alive
    same = unchanged(targets, after)
    # A link can have changed back too. If nothing was counted, nobody may be redirected.
    return same if counted else {key: link for key, link in same.items() if not link.is_live}


def _find_and_count(
    connection: Connection, statements: str, values: Mapping[str, object]
) -> tuple[dict[str, Target], int]:
    rows, counted = find_and_insert(connection, statements, values)
    targets = {}
    for key, id_, url, old, goal in json.loads(rows or "[]"):
        link = Target(id_, url, bool(old))
        targets[key] = _follow(link, goal and Target(*goal)) if is_alias(url) else link
    return targets, counted


def unchanged(before: Mapping[str, Target], after: Mapping[str, Target]) -> dict[str, Target]:
    """Return the links that existed before and after clicks were counted, and so meanwhile.

    Others were created or deleted meanwhile, so their clicks may be missing. A link that was not
    live before or after is not live.
    """
    return {
        key: target if before[key].is_live else before[key]
        for key, target in after.items()
        if key in before and before[key].id == target.id
    }


def find_targets(connection: Connection, keys: Iterable[str]) -> dict[str, Target]:
    """Return the targets of lookup keys, without those that no link has.

    An alias keeps its own id, so a click is counted for the alias.
    """
    found = _find(connection, keys)
    goals = {key: goal_key(link.url) for key, link in found.items() if is_alias(link.url)}
    if goals:
        links = _find(connection, goals.values())
        found |= {key: _follow(found[key], links.get(goal)) for key, goal in goals.items()}
    return found


def _follow(alias: Target, goal: Target | None) -> Target:
    if goal is None or is_alias(goal.url):
        return alias
    return Target(alias.id, goal.url, expired=bool(alias.expired or goal.expired))


def _find(connection: Connection, keys: Iterable[str]) -> dict[str, Target]:
    now = datetime.now(UTC)
    return {
        row.lookup_key: Target(row.id, row.url, bool(row.expires_at and row.expires_at <= now))
        for row in connection.execute(FIND_TARGETS, {"keys": list(keys)})
    }


def lock_free_rows(connection: Connection, targets: Collection[Target]) -> set[int]:
    """Lock the rows that clicks on these links need, and return the ids of the links.

    Links that have a row that another transaction has locked are left out.
    """
    if not targets:
        return set()
    values = {"ids": [target.id for target in targets], "hour": _this_hour()}
    return set(connection.scalars(LOCK_FREE_ROWS, values))


def count_clicks(
    connection: Connection, clicks: Mapping[str, int], targets: Mapping[str, Target]
) -> None:
    """Add clicks to the current hour of links, apart from those that are not live.

    :param clicks: clicks by the lookup key.
    :raises sqlalchemy.exc.IntegrityError: a link was deleted.
    """
    # In the order of the primary key, so that the batches of two workers can't deadlock.
    counts = {
        target.id: clicks[key]
        for key, target in sorted(targets.items(), key=lambda item: item[1].id)
        if clicks.get(key) and target.is_live
    }
    if counts:
        upsert_counts(connection, _this_hour(), counts)


def _this_hour() -> datetime:
    return bucket_start(datetime.now(UTC), "hour")


def upsert_counts(connection: Connection, hour: datetime, counts: Mapping[int, int]) -> None:
    """Add clicks to the rows of links for an hour, and insert rows that are missing (an upsert).

    The rows are passed as one JSON value. So the statement has the same text for any number of
    rows, and SQLAlchemy compiles it only once.

    :param counts: clicks by the link's id.
    """
    values = {"rows": json.dumps(list(counts.items())), "hour": hour}
    connection.execute(_upsert(connection.dialect.name), values)


@cache
def _upsert(dialect: str) -> TextClause:
    if dialect == "mysql":
        statement = """
            INSERT INTO link_clicks (link_id, hour, clicks)
            SELECT * FROM (
                SELECT link_id, :hour, clicks FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
                    link_id BIGINT PATH '$[0]', clicks BIGINT PATH '$[1]')) AS given
            ) AS new (link_id, hour, clicks)
            ON DUPLICATE KEY UPDATE clicks = link_clicks.clicks + new.clicks"""
    else:
        statement = """
            INSERT INTO link_clicks (link_id, hour, clicks)
            SELECT json_extract(value, '$[0]'), :hour, json_extract(value, '$[1]')
            FROM json_each(:rows) WHERE true
            ON CONFLICT DO UPDATE SET clicks = link_clicks.clicks + excluded.clicks"""
    return text(statement).bindparams(bindparam("hour", type_=LINK_CLICKS.c.hour.type))
