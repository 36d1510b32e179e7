"""The table of the programs whose files can be imported. To add a program, add a row.

It has what each program calls the fields of a link. Of several names, divided by `/`, the first
that has a value counts. CSV is recognised by its columns, in any case, and other files by LOOKS.
"""

from typing import NamedTuple

TABLE = """
spreadsheet|csv  |code|url|title|tags|created_at|updated_at|expires_at|clicks
shlink     |csv  |shortCode/Short code|longUrl/Long URL|title|tags|createdAt|||visits
yourls     |csv  |keyword|url|title||timestamp|||clicks
yourls-sql |sql  |keyword|url|title||timestamp|||clicks
golink     |jsonl|Short|Long|||Created|LastEdit||
kutt       |json |address|target|description||created_at|updated_at|expire_in|visit_count
bitly      |json |id/custom_bitlinks|long_url|title|tags|created_at|||
dub        |csv  |Short link|Destination URL|Title|Tags|Created at|Updated at|Expires at|Clicks
kellegous  |json |(key)|url|||time|||
bookmarks  |html |shortcuturl|href|text|tags|add_date|last_modified||
"""
FIELDS = ("code", "url", "title", "tags", "created_at", "updated_at", "expires_at", "clicks")
OWN = "spreadsheet"  # has the columns of this service's own CSV
LOOKS = {
    "yourls-sql": r"\A\s*(--|/\*|(INSERT|CREATE|DROP|SET|USE|START)\s)",
    "golink": r'\A\s*\{(?=.*"Short"\s*:).*"Long"\s*:',
    "kutt": r'\A\s*\{(?=.*"target"\s*:).*"data"\s*:\s*\[',
    "bitly": r'\A\s*\{(?=.*"long_url"\s*:).*"links"\s*:\s*\[',
    "kellegous": r'\A\s*\{\s*"[^"]*"\s*:\s*\{[^{}]*"url"\s*:',
    "bookmarks": r"\A\s*<!DOCTYPE NETSCAPE-Bookmark",
}
WITHIN = {"kutt": "data", "bitly": "links"}  # the list in JSON. Others have objects by their codes
ADDRESSES = {"bitly", "dub"}  # a code is a whole short URL
UNIX_TIMES = {"bookmarks"}  # a time is in seconds, milliseconds or microseconds since 1970
# What a source writes in a target for the rest of the path, which is `%s` here.
PLACEHOLDERS = {"golink": r"\{\{\s*(?:(?:Path|Query)Escape\s+)?\.Path\s*\}\}"}
# A name and a pattern: a link is refused for the reason if its value matches.
REFUSED = {
    "golink": [
        ("Long", rf"(?!{PLACEHOLDERS['golink']})\{{\{{", "Must have no template but {{.Path}}.")
    ],
    "kutt": [
        ("banned", "True", "Is banned there."),
        ("password", "True", "Has a password there, but links here are public."),
    ],
}


class Source(NamedTuple):
    """A row of the table: a program, a kind of file, and the names of each field."""

    name: str
    kind: str
    fields: dict[str, list[str]]


def _source(row: str) -> Source:
    name, kind, *names = map(str.strip, row.split("|"))
    return Source(name, kind, {f: n.split("/") for f, n in zip(FIELDS, names, strict=True) if n})


SOURCES = [_source(row) for row in TABLE.strip().splitlines()]
