"""The letter with all that is held of a person: fit to hand out, in words, for Danes and others.

Bug (review of the pages): the page handed out `refused`, `wrong_pin`, UUIDs, `["oest"]` and one
table a visit; looks at the list of bans from before the ban, and a letter about a ban that never
existed, stood in it; purpose, recipients, rights and Datatilsynet did not.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from doorctl.access.patron import Reason
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.subject import Export, HeldRow, Lookup, Tombstone, lookups
from doorctl.services.app import App
from doorctl.store import tables
from doorctl.store.branch_writer import BranchRecordsWriter, create_branch
from doorctl.store.records import AuditRecords, AuditTrail
from doorctl.web.frame import Templates
from doorctl.web.staff.records import BLOCKS, letter
from tests.fakes.clock import FakeClock
from tests.services.branches import configured
from tests.web.pages.staging import NOW as EVENING
from tests.web.pages.staging import NOWHERE

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


def visit(number: int, reason: Reason | None, at: datetime = NOON) -> HeldRow:
    """Return a visit as it is stored; without a reason its end is not."""
    verdict = None if reason is None else reason.verdict
    ms = int(at.timestamp() * 1000)
    boot = "8f14e45f-ceea-467f-a8d3-000000000001"
    values = (number, ms, "trusted", boot, 60_000, bytes(16), verdict, reason and reason.value)
    return HeldRow(TABLES["attempts"], values)


def shown(export: Export, language: str = "da", app: App = NOWHERE) -> str:
    """Return the letter."""
    return Templates().render("subject_letter.html", letter(export, app, NOON, language))


def told(html: str, language: str) -> str:
    """Return what a letter says in one of its two languages, without the annex."""
    article = re.search(rf'<article lang="{language}">.*?</article>', html, re.DOTALL)
    assert article is not None
    return Text(article[0]).seen


def test_visits_are_one_table_in_words() -> None:
    """When and what happened; no key, verdict, count of milliseconds or start of the machine."""
    visits = [
        visit(number, reason, NOON + timedelta(hours=number))
        for number, reason in enumerate((Reason.OK, Reason.WRONG_PIN, Reason.CLOSED, None), 1)
    ]
    html = shown(Export(tuple(visits)))
    said = told(html, "da")

    assert "Dit kort er brugt 4 gange ved døren, fra 4.5.2026 kl. 15.00 til" in said
    assert "Døren blev låst op 1 gang." in said
    for text in ("Døren blev låst op", "Forkert pinkode.", "Blev ikke gjort færdigt"):
        assert text in said
    assert html.split("</article>")[0].count("<table>") == 1
    for raw in ("refused", "granted", "wrong_pin", "trusted", "8f14e45f", "60000", "00000000"):
        assert raw not in said
    assert "wrong_pin" in Text(html.split("</article>")[-1]).seen


@pytest.mark.parametrize("reason", Reason)
def test_no_reason_is_told_by_its_key(reason: Reason) -> None:
    """Each has its sentence in both languages."""
    html = shown(Export((visit(1, reason),)))

    for language in ("da", "en"):
        assert reason is Reason.OK or "_" not in told(html, language)
        assert not re.search(rf"\b{reason.value}\b", told(html, "da"))


def test_a_ban_and_a_row_of_the_register_are_told_in_words() -> None:
    """Codes, lists, flags and days are words, empty values are left out; the annex has them all."""
    blocks = '["E", "X9"]'
    patron = (bytes(16), None, "1001", 1, 0, blocks, 0, None, "2027-01-31", *[None] * 2, "[]")
    row = HeldRow(TABLES["patrons"], (*patron, 0, 7, "said"))
    html = shown(Export((row, ban())), "en")
    danish, english = told(html, "da"), told(html, "en")

    assert re.search(r"Lives in the municipality\s*yes", english)
    assert re.search(r"The card is in force\s*no", english)
    assert f"{BLOCKS['E']} (E), X9" in english
    assert re.search(r"Kortet gælder til og med\s*31\.1\.2027", danish)
    assert re.search(r"Biblioteker\s*alle kommunens biblioteker", danish)
    assert re.search(r"Fra\s*4\.5\.2026 kl\. 14\.00", danish)
    for absent in ('["', "said", "Sat i bero", "Ophævet", "Løbenummer"):
        assert absent not in danish
    assert html.index('lang="en"') < html.index('<article lang="da"')
    annex = Text(html.split("</article>")[-1]).seen
    assert blocks in annex
    assert re.search(r"The card is in force\s*0", annex)


def test_article_15_is_answered_from_the_branchs_own_settings() -> None:
    """Letters a to h, with its retention, rules and telephone; what nobody knows is marked."""
    strict = configured(
        NOWHERE.config.storage.directory,
        *("visits.retention_days=14", "policy.minimum_age=16", "branch.phone=87 12 34 56"),
        "branch.dpo=dpo@by.dk",
    )
    said = told(shown(Export(), app=App(strict, FakeClock(wall=EVENING))), "da")
    free = replace(NOWHERE.config.policy, require_pin=False, require_resident=False, minimum_age=0)
    config = replace(NOWHERE.config, policy=free)
    open_to_all = told(shown(Export(), app=App(config, FakeClock(wall=EVENING))), "da")

    assert [f"{one}. " in said for one in "abcdefgh"] == [True] * 8
    for fact in (
        "Besøg: 14 dage",
        "fyldt 16 år",
        "87 12 34 56",
        "dpo@by.dk",
        "artikel 22",
        "datatilsynet.dk",
    ):
        assert fact in said
    for rule in ("pinkoden.", "Den åbner for dem"):
        assert (rule in said, f" {rule}" in open_to_all.split("h. ")[1]) == (True, False)
    assert "[navn, mail, telefon]" in open_to_all


def test_who_of_the_staff_it_was_is_not_told() -> None:
    """Article 15 is about the person's data; who wrote it is their colleague's (C-579/21)."""
    assert "eva" not in shown(Export((ban(),)))
    assert "(en medarbejder)" in shown(Export((ban(),)))


def test_what_staff_wrote_is_text_and_never_code() -> None:
    """A reason is shown as it was written, and does nothing."""
    branch = configured(NOWHERE.config.storage.directory, "branch.name=Øst & Syd")
    html = shown(Export((ban(EVIL),)), app=App(branch, FakeClock(wall=EVENING)))

    assert "script" not in Text(html).tags
    assert EVIL in Text(html).seen
    assert "Øst & Syd" in Text(html).seen


def test_nothing_is_loaded_from_anywhere() -> None:
    """The letter can be kept, printed and read on a machine without a network."""
    read = Text(shown(Export((ban(),), (Lookup(NOON, "patron_explained", "why"),))))

    assert read.attributes <= {"lang", "charset", "scope", "class"}
    assert "url(" not in shown(Export())


@pytest.mark.parametrize("action", Action)
def test_looks_are_told_with_time_and_reason(action: Action) -> None:
    """What was done, when and why; no action is told by its key."""
    said = told(shown(Export((), (Lookup(NOON, action.value, "asked"),))), "da")

    assert "Hvad personalet har set eller ændret" in said
    assert re.search(r"4\.5\.2026 kl\. 14\.00\s*[A-ZÆØÅ].*\s*asked", said)
    assert action.value not in said


@pytest.mark.parametrize(("language", "says"), [("da", "ikke gemt noget"), ("en", "No visit")])
def test_an_empty_letter_says_so_and_an_erasure_is_told(language: str, says: str) -> None:
    """What is left of somebody erased is a mark, and until when."""
    stone = Tombstone(bytes(16), 1, 7, NOON, NOON.replace(year=2029))
    said = told(shown(Export((), (), (stone,)), language), language)

    assert says in said
    assert "2029" in said


@pytest.mark.parametrize(
    ("name", "stored", "danish", "english"),
    [
        ("weekdays", "13", "tirsdag, torsdag", "Tuesday, Thursday"),
        ("from_minute", 425, "07.05", "07:05"),
        ("to_minute", 1440, "24.00", "24:00"),
        (
            "more_times",
            "425-480 600-1440",
            "07.05\N{EN DASH}08.00, 10.00\N{EN DASH}24.00",
            "07:05 to 08:00, 10:00",
        ),
        ("first_day", "2026-05-04", "4.5.2026", "4/5/2026"),
        ("kind", "cleaner", "Rengøring", "Cleaning"),
    ],
)
def test_days_and_times_of_a_pass_are_read_as_people_do(
    name: str, stored: str | int, danish: str, english: str
) -> None:
    """No digit stands for a day and no count of minutes for a time."""
    values = [stored if one.name == name else None for one in TABLES["passes"].columns]
    html = shown(Export((HeldRow(TABLES["passes"], tuple(values)),)))

    assert danish in told(html, "da")
    assert english in told(html, "en")


HOUR = timedelta(hours=1)


def test_only_looks_that_showed_the_person_are_told(tmp_path: Path) -> None:
    """A list counts from the ban or visit on, and for its own window; a letter for its own ban."""
    since = {"since": (NOON + 3 * HOUR).isoformat()}
    deeds = (
        (NOON - HOUR, Deed(Action.BANS_LISTED, why="before the ban")),
        (NOON, Deed(Action.BAN_ADDED, (), "1001", "noise", {"number": 1})),
        (NOON + HOUR, Deed(Action.BANS_LISTED, why="after it")),
        (NOON + HOUR, Deed(Action.BANS_LISTED, why="letter about ban 99")),
        (NOON + HOUR, Deed(Action.BANS_LISTED, why="letter about ban 1")),
        (NOON + HOUR, Deed(Action.BANS_LISTED, why="its letter", details={"letter": 1})),
        (NOON + HOUR, Deed(Action.BANS_LISTED, why="another's letter", details={"letter": 2})),
        (NOON + HOUR, Deed(Action.BANS_LISTED, why="another's change", details={"number": 2})),
        (NOON + HOUR, Deed(Action.VISITS_LISTED, why="before the visit")),
        (NOON + 3 * HOUR, Deed(Action.VISITS_LISTED, why="after the visit")),
        (NOON + 4 * HOUR, Deed(Action.VISITS_LISTED, why="a later window", details=since)),
        (NOON + 4 * HOUR, Deed(Action.PASSES_LISTED, why="no pass is theirs")),
        (NOON + 4 * HOUR, Deed(Action.BRANCH_ROLLED_BACK, details={"since": "its beginning"})),
    )
    rows = (ban(), visit(1, Reason.OK, NOON + 2 * HOUR))
    create_branch(tmp_path / "branch.db")
    with closing(BranchRecordsWriter(tmp_path / "branch.db")) as writer:
        for at, deed in deeds:
            AuditTrail(writer).append(deed, "eva", Moment(at, at, ClockState.TRUSTED))
    with closing(AuditRecords(tmp_path / "branch.db")) as audit:
        looks = lookups(rows, audit.about([bytes(16)], "1001"), audit.entries)

    told = ["noise", "after it", "letter about ban 1", "its letter", "after the visit"]
    assert [one.why for one in looks] == told
