"""What clients did to links, and what came of it: all that the checker knows of a run."""

from dataclasses import dataclass, field
from typing import NamedTuple

# What may take up to 30 seconds; all else has 2.
LONG = {"batch", "export", "search", "series"}
LOCKING = {"batch", "create", "delete", "edit"}
WRITES = {"click", *LOCKING}
DONE = {200, 201, 204, 302}


class Answer(NamedTuple):
    """What stays the same where an answer is given again."""

    status: int
    etag: str
    location: str
    body: bytes


@dataclass(slots=True)
class Operation:
    """One request."""

    kind: str
    name: str = ""
    """Which link, or which batch: the last part of its URL."""
    title: str = ""
    """What a create or an edit sets; what a read has seen."""
    size: int = 1
    """How many links a batch has."""
    revision: int = 0
    """What an edit or a delete wants to change; what a read has seen."""
    client: int = 0
    began: float = 0
    took: float = 0
    status: int | None = None
    """None where the connection broke, or nothing came for long."""
    retry_after: bool = False
    note: str = ""
    answer: Answer | None = None
    """Of a create."""

    @property
    def ended(self) -> float:
        """Return when it was over."""
        return self.began + self.took

    def __str__(self) -> str:
        """Return a line of a history."""
        seen = " ".join(filter(None, [f"r{self.revision}" if self.revision else "", self.title]))
        came = self.status or self.note or "nothing"
        return f"{self.began:.3f} +{self.took:.3f} {self.kind} {self.name} {seen}: {came}"


class Row(NamedTuple):
    """A link as it is in the end."""

    revision: int
    title: str
    clicks: int


@dataclass
class State:
    """What the database holds in the end, and what the API says of it."""

    rows: dict[str, list[Row]]
    """Links by name, of which each should be there once; those of a batch have the batch's."""
    exported: dict[str, list[tuple[str, int]]]
    """The same by the API's export: titles and clicks."""
    clicks: dict[str, set[int]] = field(default_factory=dict)
    """What the API tells of the clicks of a link that was followed: in the link, in its series."""


@dataclass(frozen=True)
class Outage:
    """When a fault was there, and what it may do to requests."""

    began: float
    back: float
    """When what was broken worked again; if that takes no cure, when it broke."""
    over: float
    """From when on requests must succeed again."""
    cuts: bool = False
    """They may end without an answer; otherwise they get 503."""
    unready: tuple[float, float] | None = None
    """When `/readyz` must say 503."""
