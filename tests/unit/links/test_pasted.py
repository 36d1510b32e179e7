"""What is dropped from the code of a pasted link."""

import pytest

from app.links import codes, pasted

ENDINGS = [
    *".,;:!?)]}>\"'`*|~",
    *"…”’»›。，、！？；：）」』》،؛؟।–—",  # noqa: RUF001 they look like ASCII
    *" \u00a0\u3000\u2028",
    pytest.param("\r\n", id="end of a line"),
    pytest.param("\ufe0f", id="variation selector"),
    pytest.param("\u200b", id="zero-width space"),
    pytest.param("\u00ad", id="soft hyphen"),
    pytest.param("\u2060", id="word joiner"),
    pytest.param("\ufeff", id="byte order mark"),
    pytest.param("\u200e", id="left-to-right mark"),
    pytest.param('.")\u200b,', id="several"),
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_end_is_dropped(ending: str) -> None:
    """Punctuation, spaces and invisible characters at the end are dropped."""
    assert pasted.clean(f"docs{ending}") == "docs"


@pytest.mark.parametrize("code", ["do\u00adcs", "\u200bdocs", "do\u200bc\u2060s\ufeff"])
def test_invisible_characters_are_dropped_anywhere(code: str) -> None:
    """Invisible characters are dropped inside a code too."""
    assert pasted.clean(code) == "docs"


@pytest.mark.parametrize(
    "code",
    ["docs", "Re-lease_2", "docs_", "a", ".docs", "do.cs", "do cs", "docs+", "do\ncs", "docs\0"],
)
def test_all_else_stays(code: str) -> None:
    """Codes stay as they are, and so do other characters, even if no code can have them."""
    assert pasted.clean(code) == code


def test_no_code_changes_its_meaning() -> None:
    """A code can end with no character that is dropped, apart from `-`, which means nothing."""
    for character in map(chr, range(0x3000)):
        code = f"docs{character}"
        if codes.CODE.fullmatch(code):
            assert codes.lookup_key(pasted.clean(code)) == codes.lookup_key(code)
