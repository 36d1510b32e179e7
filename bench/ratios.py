"""Ratios of measured figures, targets for them, and tables in Markdown."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple


class Target(NamedTuple):
    """A target for the median of some ratios: at least `bound`, or, with `at_most`, at most."""

    what: str
    bound: float
    ratios: Sequence[float]
    at_most: bool = False

    def is_met(self) -> bool:
        """Return whether the median is on the right side of the bound."""
        middle = median(self.ratios)
        return middle <= self.bound if self.at_most else middle >= self.bound

    def row(self) -> list[str]:
        """Return the cells of a table: what, target, measured, met."""
        bound = f"at {'most' if self.at_most else 'least'} {self.bound:g}"
        return [self.what, bound, spread(self.ratios, 2), "yes" if self.is_met() else "**no**"]


def ratios(of: Sequence[float], to: Sequence[float]) -> list[float]:
    """Return the ratio of two figures in each round."""
    return [a / b for a, b in zip(of, to, strict=True)]


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return the median and the extremes as text: `2.0 (1.5 to 2.5)`."""
    middle, least, most = (f"{v:,.{digits}f}" for v in (median(values), min(values), max(values)))
    return f"{middle} ({least} to {most})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
