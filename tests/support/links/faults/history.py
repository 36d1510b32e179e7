"""The history of a run: the operations of clients, the final state, and the outage."""

from dataclasses import dataclass, field
from typing import NamedTuple

# Operations that must be answered within 30 seconds; all others within 2.
LONG = {"batch", "export", "search", "series"}
LOCKING = {"batch", "create", "delete", "edit"}
WRITES = {"click", *LOCKING}
DONE = {200, 201, 204, 302}


class Answer(NamedTuple):
    """The parts of an answer that must be the same if an Idempotency-Key is used again."""

    status: int
    etag: str
    location: str
    body: bytes


@dataclass(slots=True)
class Operation:
    """One request and its outcome."""

    kind: str
    name: str = ""
    """The link or the batch, by the last part of its URL."""
    title: str = ""
    """The title that a create or an edit sets, or that a read returned."""
    size: int = 1
    """The number of links in a batch."""
    revision: int = 0
    """The revision that an edit or a delete expects (`If-Match`), or that a read returned."""
    client: int = 0
    began: float = 0
    took: float = 0
    status: int | None = None
    """None if the connection broke, or if no answer came in time."""
    retry_after: bool = False
    note: str = ""
    answer: Answer | None = None
    """Only for a create."""

    @property
    def ended(self) -> float:
        """Return when the operation was over, in seconds since the epoch."""
        return self.began + self.took

    def __str__(self) -> str:
        """Return the operation as one line."""
        seen = " ".join(filter(None, [f"r{self.revision}" if self.revision else "", self.title]))
        came = self.status or self.note or "nothing"
        return f"{self.began:.3f} +{self.took:.3f} {self.kind} {self.name} {seen}: {came}"


class Row(NamedTuple):
    """A link in the final state."""

    revision: int
    title: str
    clicks: int


@dataclass
class State:
    """The final state, according to the database and according to the API."""

    rows: dict[str, list[Row]]
    """Links in the database by name. All links of a batch have the name of the batch."""
    exported: dict[str, list[tuple[str, int]]]
    """Titles and clicks of the same links in the API's export."""
    clicks: dict[str, set[int]] = field(default_factory=dict)
    """Counts of a followed link's clicks in the API: in the link and in its time series."""


@dataclass(frozen=True)
class Outage:
    """The times of a fault, in seconds since the epoch, and its allowed effects on requests."""

    began: float
    back: float
    """When the broken part worked again. With `cuts`, the same as `began`."""
    over: float
    """From this time on, requests must succeed again."""
    cuts: bool = False
    """Whether requests are allowed to end without an answer. Otherwise they must get 503."""
    unavailable: tuple[float, float] | None = None
    """Between these times `/readyz/database` must answer 503. None if it need not."""
