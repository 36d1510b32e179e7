"""Import links from other programs: the table of programs, readers of their files, and rules.

To remove this, delete the folder and its two lines in `app/links/__init__.py`. Imports of this
service's own exports don't need it.
"""

from collections.abc import Iterator
from datetime import tzinfo
from functools import partial
from typing import IO

from app.api.resources import in_turns
from app.links import imports
from app.links.sources.readers import READERS, recognise, text_of
from app.links.sources.rules import parse
from app.links.sources.table import SOURCES, Source


def init() -> None:
    """Add the formats of the table to those that an import knows."""
    imports.FORMATS |= {source.name: partial(_records, source) for source in SOURCES}
    imports.RECOGNISERS[:] = [recognise]


def _records(source: Source, file: IO[bytes], zone: tzinfo) -> Iterator[imports.Record]:
    for place, read in in_turns(READERS[source.kind](text_of(file), source)):
        yield place, partial(parse, source, zone, read)
