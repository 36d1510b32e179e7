"""Lists of links: full-text search, tags, sorting and cursor pagination."""

import base64
import uuid
from collections.abc import Iterator
from itertools import product
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.links.client import Links
from tests.support.service import Service


@pytest.fixture
def word() -> str:
    """A word that no other test uses, for a code, a title or a tag."""
    return f"w{uuid.uuid4().hex}"


def pages(service: Service, **which: str) -> Iterator[list[str]]:
    """Read a list to its end, and yield the codes of each page."""
    answer = service.get("/api/links", params=which)
    while True:
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield [link["code"] for link in page["links"]]
        if not page["next"]:
            assert "Link" not in answer.headers
            return
        following = answer.links["next"]["url"]
        query = parse_qs(urlsplit(following).query)
        kept = which | {"after": page["next"]}
        assert query.items() >= {name: [value] for name, value in kept.items()}.items()
        answer = service.get(following)


def listed(service: Service, **which: str) -> set[str]:
    """Return the codes on all pages of a list."""
    return {code for page in pages(service, **which) for code in page}


@pytest.mark.parametrize(
    ("title", "found", "missed"),
    [
        pytest.param(
            "Straße nach Ünïx", "stras|STRASSE na|straß|unix, nach", "rasse|nach2", id="German"
        ),
        pytest.param(
            "égalité e\u0301galite\u0301", "egal|ÉGALITÉ|e\u0301gal", "galite|egales", id="French"
        ),
        pytest.param("the a of to", "a|the of|t o", "th x", id="short words"),
        pytest.param("x-ray don't foo_bar", "ray|t|foo_", "_|bar|xray", id="punctuation in words"),
        pytest.param(
            "日本語テキスト שלום عالم", "日本|של|عا", "本|テ", id="Japanese, Hebrew and Arabic"
        ),
        pytest.param("हिन्दी भाषा", "हिन्|भाषा हि", "भाषाओं", id="Hindi"),
        pytest.param("🚀launch🚀pad", "pad|launch 🚀 p", "ad", id="emoji"),
        pytest.param("2026-11-23", "23 2026|2026-11", "6", id="date"),
        pytest.param("STRAẞE KAẞE", "straẞ|kaẞe|KA", "aẞe|maẞ", id="German, capital ẞ"),
        pytest.param("Ærø Łódź Đakovo", "aero|lodz|dakov|ÆRØ", "ro|odz", id="Latin, strokes"),
        pytest.param("മലയാളം അവൻ", "മല|അവൻ|അവ", "വൻ|അവൾ", id="Malayalam, chillu"),
        pytest.param("ॲप डाउनलोड", "ॲप|डाउन ॲ", "ॳप|ऑप", id="Marathi"),
        pytest.param("ዶሮ ወጥ ꬁ", "ዶሮ|ወ ꬁ", "ሮ|ꬂ", id="Ethiopic"),
        pytest.param("ᱥᱟᱱᱛᱟᱲᱤ ᱯᱟᱹᱨᱥᱤ", "ᱥᱟᱱᱛᱟᱲᱤ|ᱯᱟᱹᱨ ᱥᱟ", "ᱥᱟᱨ", id="Santali"),
        pytest.param("ꦲꦏ꧀ꦱꦫꦗꦮ", "ꦲꦏ꧀ꦱꦫꦗꦮ|ꦲꦏ꧀", "ꦏꦲ|ꦲꦱ", id="Javanese"),
        pytest.param("ꕙꔤ ꕉꕜꕮ", "ꕙꔤ|ꕉꕜ ꕙ", "ꔤꕙ", id="Vai"),
        pytest.param("ꯃꯩꯇꯩꯂꯣꯟ", "ꯃꯩ|ꯃꯩꯇꯩꯂꯣꯟ", "ꯇꯩꯃ", id="Meetei"),
        pytest.param("ᏣᎳᎩ ᏣꮃᏱ", "ᏣᎳ|Ꮳꮃ", "Ꮃꮳ", id="Cherokee"),
        pytest.param(
            "𞤀𞤣𞤤𞤢𞤥 𐌰𐌱 𠮷野葛", "𞤢𞤣|𐌰𐌱 野|𠮷野|野葛\U000e0100", "𞤣𞤢|𐌱𐌰", id="beyond U+FFFF"
        ),
        pytest.param("ひらがな ٤٢", "ヒラ|42|४", "ラガ|2", id="kana and digits"),
        pytest.param("שלומ мир", "שלום|ми", "мй|лום", id="Hebrew final letter, Russian"),
        pytest.param(
            "\u2764\ufe0f love", "\u2764\ufe0f lov|LOVE \ufe0f", "\ufe0fx", id="no weight"
        ),
        pytest.param("x" * 84, "xxx|" + "x" * 84, "y", id="longest word"),
        pytest.param("x " + "y" * 85, "x", "yyy", id="word that is too long"),
    ],
)
def test_every_word_begins_a_word(
    links: Links, word: str, title: str, found: str, missed: str
) -> None:
    """A search matches the beginnings of words, whatever their case, accents, length or script."""
    links.create(code=word, title=f"{title} {word}")  # a code is searched too
    for q in found.split("|"):
        assert listed(links.service, q=f"{q} {word}") == {word}, q
    for q in missed.split("|"):
        assert listed(links.service, q=f"{q} {word}") == set(), q


def test_search_words_can_be_in_different_fields(service: Service, links: Links, word: str) -> None:
    """A search matches words across code, title and URL."""
    code = f"{word}-Code"
    links.create(code=code, title="A title", url=f"https://example.com/{word}/Péage?x=query")
    for q in (word, "peage", "title code", "https example quer", f"com/{word} -code"):
        assert listed(service, q=f"{q} {word}") == {code}, q
    assert listed(service, q=f"{word} other") == set()


@pytest.mark.parametrize(
    "q",
    [
        pytest.param("-two", id="minus"),
        pytest.param("+one -two", id="plus and minus"),
        pytest.param('"two one"', id="phrase"),
        pytest.param("(one", id="opening parenthesis"),
        pytest.param("one)", id="closing parenthesis"),
        pytest.param("~two", id="tilde"),
        pytest.param("<one >two", id="less and greater than"),
        pytest.param('"one two" @o', id="distance operator"),
        pytest.param("'", id="apostrophe"),
    ],
)
def test_operators_mean_nothing(service: Service, links: Links, word: str, q: str) -> None:
    """Operators of MySQL's boolean full-text search have no effect."""
    code = links.create(title=f"one two {word}")["code"]
    assert listed(service, q=f"{q} {word}") == {code}
    assert listed(service, q=f"{q} three {word}") == set()


def test_search_sees_every_change_at_once(service: Service, links: Links, word: str) -> None:
    """A search sees created, changed and deleted links at once."""
    code = links.create(title=f"before {word}")["code"]
    assert listed(service, q=f"before {word}") == {code}
    service.patch(f"/api/links/{code}", json={"title": f"after {word}"})
    assert listed(service, q=f"before {word}") == set()
    assert listed(service, q=f"after {word}") == {code}
    service.delete(f"/api/links/{code}")
    assert listed(service, q=word) == set()


def test_tags_are_compared_exactly(service: Service, links: Links, word: str) -> None:
    """Tags that differ in case, accents, Unicode form or spaces are different tags."""
    tags = [f"{word}{end}" for end in ("e", "E", "é", "e\u0301", "e ", "ß", "ss", "🚀")]
    codes = {tag: links.create(tags=["x", tag])["code"] for tag in tags}
    assert {tag: listed(service, tag=tag) for tag in tags} == {t: {c} for t, c in codes.items()}


def test_list_by_tag_follows_changes(service: Service, links: Links, word: str) -> None:
    """A list by tag follows every change and deletion of links."""
    old, both, new = (f"{word}-{n}" for n in range(3))
    code = links.create(tags=[old, both])["code"]
    service.patch(f"/api/links/{code}", json={"tags": [new, both]})
    assert [listed(service, tag=tag) for tag in (old, both, new)] == [set(), {code}, {code}]
    service.patch(f"/api/links/{code}", json={"title": "same tags"})
    assert listed(service, tag=new) == {code}
    service.patch(f"/api/links/{code}", json={"tags": None})
    assert listed(service, tag=new) == set()
    service.patch(f"/api/links/{code}", json={"tags": [old]})
    service.delete(f"/api/links/{code}")
    assert listed(service, tag=old) == set()
    links.create(code=code)
    assert listed(service, tag=old) == set()


@pytest.mark.parametrize("sort", [pytest.param(None, id="default order"), "-created_at", "code"])
@pytest.mark.parametrize(
    "filters",
    [
        pytest.param((), id="all links"),
        pytest.param(("tag",), id="by tag"),
        pytest.param(("q",), id="by words"),
        pytest.param(("tag", "q"), id="by tag and words"),
    ],
)
def test_lists_are_complete_and_in_order(
    service: Service, links: Links, word: str, sort: str | None, filters: tuple[str, ...]
) -> None:
    """Every combination of sort order, tag and words lists each matching link once, in order."""
    # Sorted by their canonical form, which ignores case and hyphens.
    codes = [f"{word}{end}" for end in ("-0", "1", "_", "A-B", "ac", "AD", "b", "B1")]
    made = [3, 1, 4, 7, 5, 0, 6, 2]
    untagged, unfound = {1, 6}, {3, 6}
    for number in made:
        tags = ["x", word + "x" * (number in untagged)]
        title = "un" * (number in unfound) + "wanted"
        links.create(code=codes[number], tags=tags, title=title)

    which = {"sort": sort} if sort else {}
    which |= {name: {"tag": word, "q": f"want {word}"}[name] for name in filters}
    left_out = (untagged if "tag" in filters else set()) | (unfound if "q" in filters else set())
    order = sorted(made) if sort == "code" else made[::-1]
    found = list(pages(service, limit="2", **which))
    assert {len(page) for page in found[:-1]} <= {2}
    mine = [code for page in found for code in page if code.startswith(word)]
    assert mine == [codes[number] for number in order if number not in left_out]
    assert not filters or len(mine) == sum(map(len, found))


@pytest.mark.parametrize("sort", [None, "-created_at", "code"])
@pytest.mark.parametrize("filters", [(), ("tag",), ("q",), ("tag", "q")], ids=str)
def test_cursor_alone_continues_the_list(
    service: Service, links: Links, word: str, sort: str | None, filters: tuple[str, ...]
) -> None:
    """A cursor contains the sort order, tag and words of its list, so `after` is enough."""
    for end in "bac":
        links.create(code=f"{word}{end}", tags=["x&=?é", word], title="wanted é?&")
        links.create(code=f"{word}x{end}")
    which = {name: {"tag": "x&=?é", "q": f"want {word} é?&"}[name] for name in filters}
    which |= {"sort": sort} if sort else {}
    first = service.get("/api/links", params=which | {"limit": "1"}).json()
    given = {"after": first["next"], "limit": "2"}
    alone = service.get("/api/links", params=given).json()
    assert alone == service.get("/api/links", params=given | which).json()
    assert len(alone["links"]) == 2


def test_place_belongs_to_its_sort(service: Service, links: Links) -> None:
    """A cursor of one sort order is rejected with 422 in another."""
    for _ in range(2):
        links.create()
    places = {
        sort: service.get(f"/api/links?limit=1&sort={sort}").json()["next"]
        for sort in ("-created_at", "code")
    }
    places["-clicks_7d"] = base64.urlsafe_b64encode(b"5 1").decode()
    for sort, place in product(places, places.values()):
        answer = service.get(f"/api/links?sort={sort}&after={place}")
        if place == places[sort]:
            assert answer.status_code == 200
        else:
            assert answer.status_code == 422
            assert [error["parameter"] for error in answer.json()["errors"]] == ["after"]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        pytest.param("q", "", id="empty search"),
        pytest.param("q", " -+*\"'()", id="search without words"),
        pytest.param("q", "🚀", id="search for an emoji"),
        pytest.param("q", "\u0301 \ufe0f", id="search for accents alone"),
        pytest.param("q", "a\0b", id="null byte in the search"),
        pytest.param("q", "x " * 101, id="search too long"),
        pytest.param("q", "x " * 21, id="too many words"),
        pytest.param("q", "x" * 85, id="word too long"),
        pytest.param("tag", "", id="empty tag"),
        pytest.param("tag", "x" * 51, id="tag too long"),
        pytest.param("tag", "a\nb", id="newline in the tag"),
        pytest.param("sort", "", id="empty order"),
        pytest.param("sort", "clicks", id="unknown order"),
        pytest.param("after", "Zm9v", id="foo as a cursor"),
        pytest.param("after", "Rk9P", id="FOO as a cursor"),
    ],
)
def test_wrong_list_is_named(service: Service, parameter: str, value: str) -> None:
    """An invalid parameter is rejected with 422 and its name."""
    answer = service.get("/api/links", params={parameter: value})
    assert answer.status_code == 422, answer.text
    assert {error["parameter"] for error in answer.json()["errors"]} == {parameter}


@pytest.mark.parametrize("parameter", ["q", "tag", "sort", "after", "limit"])
def test_odd_characters_break_nothing(service: Service, parameter: str) -> None:
    """Odd characters in any parameter get 200 or 422, never a server error."""
    odd = [
        *("%00", "a%00", "%ED%A0%80", "a%ED%A0%80", "%FF", "%F0%9F%9A%80", "a%F0%9F%9A%80", "%"),
        *(
            "%E2%80%AEtxt",
            "%D7%A9%E2%80%8F",
            "%E6%97%A5",
            "%CC%81",
            "%D9%80",
            "%EF%BB%BF",
            "%0D%0A",
        ),
        *(
            "'",
            "%22",
            "%5C",
            "%60",
            "%25",
            "_",
            "*",
            "a*",
            "%2Ba",
            "-a",
            "%40",
            "a%40",
            "(((((",
            "~",
        ),
        *("%C2%B2", "%C2%BD", "%EF%B7%BA", "%E0%A4%B9%E0%A5%8D", "%F0%9D%90%87", "%F0%A0%80%80"),
    ]
    statuses = {value: service.raw(f"/api/links?{parameter}={value}").status for value in odd}
    assert set(statuses.values()) <= {200, 422}, statuses
