"""The letter that tells a patron of a ban."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import doorctl
from doorctl.access.rights import Ban
from doorctl.config.tables import Branch
from doorctl.core.moments import ClockState, Moment
from doorctl.services.rights import letter

PACKAGE = Path(doorctl.__file__).parent
ZONE = ZoneInfo("Europe/Copenhagen")
LOCAL = datetime(2026, 11, 25, 14, 30, tzinfo=ZONE)
NOW = Moment(LOCAL, LOCAL.astimezone(UTC), ClockState.TRUSTED)
BRANCH = Branch(name="Biblioteket, Øst", id="oest", phone="12 34 56 78")
BAN = Ban(
    number=7,
    reason="røg i læsesalen",
    since=datetime(2026, 12, 1, tzinfo=ZONE),
    until=datetime(2027, 3, 1, tzinfo=ZONE),
    by="grethe",
    branches=frozenset({"oest"}),
    note="Vi talte om det den 2. november.",
)


def test_it_says_all_that_a_patron_has_to_know_in_both_languages() -> None:
    """Why, from when, until when, the note, whom to call and by which number."""
    danish, english = letter(BAN, BRANCH, NOW).split("-" * 60)

    for text in (danish, english):
        for part in (BRANCH.name, BAN.reason, BAN.note, BRANCH.phone, " 7."):
            assert part in text
    assert "fra den 1.12.2026 til og med den 28.2.2027" in danish
    assert "from 1 December 2026 until 28 February 2027, that day too" in english


def test_it_speaks_of_the_house_rules_and_of_no_law_about_lending() -> None:
    """Biblioteksloven § 31 is about lending only; and who decided it is not told."""
    text = letter(BAN, BRANCH, NOW)

    assert "husets regler" in text
    assert "the house rules" in text
    assert "§" not in text
    assert "loven" not in text
    assert BAN.by not in text


def test_a_ban_is_called_by_one_word() -> None:
    """Staff, the letter and what a person is handed say the same; "udelukkelse" is of lending."""
    danish, _ = letter(BAN, BRANCH, NOW).split("-" * 60)
    paths = [path for end in ("py", "po", "html") for path in PACKAGE.rglob(f"*.{end}")]
    texts = {path.name: path.read_text("utf-8").lower() for path in paths}

    assert "Du har fået karantæne" in danish
    assert "Karantænen har nummer 7." in danish
    of_lending = "udelukkelse fra lån"
    assert [name for name, text in texts.items() if "udeluk" in text.replace(of_lending, "")] == []


def test_a_ban_without_an_end_promises_another_look() -> None:
    """Nobody is shut out for ever by oversight."""
    text = letter(replace(BAN, until=None, note=""), BRANCH, NOW)

    assert "indtil videre" in text
    assert "et år" in text
    assert "until further notice" in text
    assert "after a year" in text
    assert "\n\n\n" not in text


def test_without_a_telephone_it_asks_to_call_all_the_same() -> None:
    """And leaves no gap where the number would be."""
    text = letter(BAN, replace(BRANCH, phone=""), NOW)

    assert "ring til os." in text
    assert "call us." in text
