from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from doorctl.privacy.audit import Action
from doorctl.privacy.letters import Export, Language, of_the_week, page
from doorctl.privacy.subject import HeldRow, Lookup, Tombstone
from doorctl.store import tables

ZONE = ZoneInfo("Europe/Copenhagen")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TABLES = {table.name: table for table in tables.TABLES}
EVIL = "<script>alert('1')</script>"


def ban(reason: str = "noise") -> HeldRow:
    """Return a ban as it is stored."""
    values = (1, bytes(16), "1001", reason, 1777896000000, None, "eva", '["*"]', "", None, "said")
    return HeldRow(TABLES["bans"], values)


class Text(HTMLParser):
    """What a reader of a page sees, and what it is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.seen = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember the tag."""
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        """Remember the text."""
        self.seen += data


def shown(export: Export, language: Language = "da") -> str:
    """Return the page."""
    return page(export, branch="Øst & Syd", at=NOON, zone=ZONE, language=language)


def test_every_field_stands_there_in_words() -> None:
    """Danish for the person; local times, yes and no, and no name of a column."""
    seen = Text(shown(Export((ban(),)))).seen

    for word in ("Karantæner", "Begrundelse", "noise", "4.5.2026 kl. 14.00.00", "(ingen)"):
        assert word in seen
    assert [name for name in TABLES["bans"].names if "_" in name and name in seen] == []


def test_flags_are_told_as_words() -> None:
    """A nought means nothing to anybody."""
    row = HeldRow(
        TABLES["patrons"], (bytes(16), None, "1", 1, 0, "[]", *[None] * 5, "[]", 0, 7, "said")
    )

    seen = Text(shown(Export((row,)), "en")).seen

    assert re.search(r"Lives in the municipality\s*yes", seen)
    assert re.search(r"The card is in force\s*no", seen)


def test_english_is_for_who_reads_it() -> None:
    """The same page in the other language."""
    seen = Text(shown(Export((ban(),)), "en")).seen

    assert "What the door knows of you" in seen
    assert "4 May 2026 14:00:00" in seen


def test_who_of_the_staff_it_was_is_not_told() -> None:
    """Article 15 is about the person's data; who wrote it is their colleague's (C-579/21)."""
    assert "eva" not in shown(Export((ban(),)))
    assert "(en medarbejder)" in shown(Export((ban(),)))


def test_what_staff_wrote_is_text_and_never_code() -> None:
    """A reason is shown as it was written, and does nothing."""
    html = shown(Export((ban(EVIL),)))

    assert "script" not in Text(html).tags
    assert EVIL in Text(html).seen
    assert "Øst & Syd" in Text(html).seen


def test_nothing_is_loaded_from_anywhere() -> None:
    """The page can be kept, printed and read on a machine without a network."""
    read = Text(shown(Export((ban(),), (Lookup(NOON, "patron_explained", "why"),))))

    assert read.attributes <= {"lang", "charset", "scope"}
    assert "url(" not in shown(Export())


@pytest.mark.parametrize("action", [one for one in Action if one.value.startswith("patron")])
def test_looks_are_told_with_time_and_reason(action: Action) -> None:
    """What was done, when and why; a name that has no sentence is shown as it is."""
    seen = Text(shown(Export((), (Lookup(NOON, action.value, "asked"),)))).seen

    assert "Hvad personalet har set eller ændret" in seen
    assert "4.5.2026 kl. 14.00.00" in seen
    assert "asked" in seen


@pytest.mark.parametrize(("language", "says"), [("da", "ikke gemt noget"), ("en", "Nothing")])
def test_an_empty_page_says_so_and_an_erasure_is_told(language: Language, says: str) -> None:
    """What is left of somebody erased is a mark, and until when."""
    stone = Tombstone(bytes(16), 1, 7, NOON, NOON.replace(year=2029))
    seen = Text(shown(Export((), (), (stone,)), language)).seen

    assert says in seen
    assert "2029" in seen


@pytest.mark.parametrize(
    ("name", "stored", "danish", "english"),
    [
        ("weekdays", "13", "tirsdag, torsdag", "Tuesday, Thursday"),
        ("weekdays", "", "", ""),
        ("weekdays", "7", "", ""),
        ("from_minute", 0, "00.00", "00:00"),
        ("from_minute", 425, "07.05", "07:05"),
        ("to_minute", 1440, "24.00", "24:00"),
        ("more_times", "425-480 600-1440", "07.05-08.00, 10.00-24.00", "07:05-08:00, 10:00-24:00"),
        ("more_times", "", "", ""),
        ("first_day", "2026-05-04", "", ""),
    ],
)
def test_days_and_times_of_a_pass_are_read_as_people_do(
    name: str, stored: str | int, danish: str, english: str
) -> None:
    """No digit stands for a day and no count of minutes for a time; what is neither stays."""
    column = next(one for one in TABLES["passes"].columns if one.name == name)

    assert of_the_week(column, stored, danish=True) == danish
    assert of_the_week(column, stored, danish=False) == english
