"""The handbook: its pages are made of its texts, complete, the same in both languages, and true."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from doorctl.access.forecast import WEEK
from doorctl.access.panel import CODES
from doorctl.access.patron import Reason
from doorctl.access.throttle import WRONG_PIN_DAYS
from doorctl.config.tables import Backup, Lms, Visits
from doorctl.core.alarms import KINDS
from doorctl.privacy import audit, holds, patrons_round, tombstones
from doorctl.store.accounts import KEPT_DISABLED, KEPT_UNUSED
from doorctl.store.branch_purge import KEPT_AFTER_END
from doorctl.web.addresses import PLACES
from tests.docs.handbook import HANDBOOK, LANGUAGES, NAMES, TEXTS, headings, made, parse

ROOT = Path(__file__).parents[2]

OTHERS = frozenset(
    {
        "apt",  # root's, and a repository; tests/packaging installs
        *("systemctl", "journalctl", "timedatectl", "reboot"),  # systemd's; tests/install boots one
        "readlink",  # of what the package made; tests/packaging looks
        "age-keygen",  # makes a key on another machine; tests/e2e/test_restoring.py has it
        *("install", "cp", "editor", "ls", "chown", "chmod"),  # coreutils on a Pi's own files
        "openssl",  # makes a key; tests/extras/fleet/test_permissions.py reads one
    }
)
"""Programs beside doorctl that a page may name, and why they are not run here."""

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(doorctl [^`]+)`")
LINK = re.compile(r"\]\(([^)]*)\)")


def text(language: str, name: str) -> str:
    """Return the text of a page."""
    return (HANDBOOK / language / f"{name}.md").read_text("utf-8")


def commands(path: Path) -> Iterator[str]:
    """Yield each command of a page: those to be copied, and those of a sentence."""
    page = path.read_text("utf-8")
    for block in BLOCK.findall(page):
        yield from block.splitlines()
    yield from INLINE.findall(page)


def test_the_pages_are_up_to_date() -> None:
    """What web serves is what the texts say today, and an installation has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "handbook/**/*.html" in project["tool"]["setuptools"]["package-data"]["doorctl"]
    pages = made()

    assert [path.name for path, page in pages.items() if path.read_text("utf-8") != page] == [], (
        "run: python -m tests.docs.diagrams"
    )
    assert set(HANDBOOK.glob("*/*.html")) == set(pages)


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_sections(name: str) -> None:
    """A link to a section leads to it in either language; each heading has its address."""
    danish, english = (
        [(tag, address) for tag, address, _ in headings(text(language, name))]
        for language in LANGUAGES
    )

    assert danish == english
    assert len(set(danish)) == len(danish)
    assert [tag for tag, address in danish if not address and tag != "h1"] == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_link_leads_somewhere(path: Path) -> None:
    """To a page, a section or a picture that is there."""
    for leads in LINK.findall(path.read_text("utf-8")):
        where, _, section = leads.partition("#")
        target = (path.parent / where).resolve() if where else path
        assert target.exists(), leads
        if section:
            assert section in {address for _, address, _ in headings(target.read_text("utf-8"))}


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_that_staff_meet_is_left_out(language: str) -> None:
    """Every alarm, every reason, every code of the screen and every page of the menu."""
    librarian, incidents = text(language, "librarian"), text(language, "incidents")
    sections = {address for _, address, _ in headings(librarian)}

    assert [name for name in KINDS if f"`{name}`" not in incidents] == []
    assert [reason for reason in Reason if f"`{reason.value}`" not in librarian] == []
    assert [code for code in set(CODES.values()) if f"\n| {code} | " not in librarian] == []
    assert {place.path.strip("/") for place in PLACES} | {"me", "lockdown"} <= sections


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_command_is_one(path: Path) -> None:
    """Its name and options are there; those that can be run are, in tests/e2e/test_handbook.py."""
    for command in commands(path):
        if command.startswith("doorctl "):
            parse(command)
        else:
            assert command.split()[0] in OTHERS, command


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_commands(name: str) -> None:
    """But for words in quotation marks, and names in capitals that somebody fills in."""
    danish, english = (
        [
            re.sub(r'"[^"]*"|\b[A-Z]{4,}\b', "", one)
            for one in commands(HANDBOOK / language / f"{name}.md")
        ]
        for language in LANGUAGES
    )

    assert danish == english


def in_words(span: timedelta) -> str:
    """Say how long something is kept, as the page for the data-protection officer does."""
    if span >= timedelta(days=3 * 365):
        return f"{span.days // 365} years"
    return "6 months" if span.days == 185 else f"{span.days} days"


PROMISES = {
    "visits and refused attempts": timedelta(days=Visits().retention_days),
    "a time that is held": holds.LONGEST,
    "wrong PINs in a row": timedelta(days=Visits().retention_days),
    "a patron's wrong PINs in all": timedelta(days=WRONG_PIN_DAYS),
    "a patron's row": patrons_round.UNCONFIRMED,
    "whom a push has shut out": WEEK,
    "a PIN that was learnt": timedelta(days=Lms().pin_days),
    "a patron who has just": timedelta(days=Lms().row_days),
    "a ban": KEPT_AFTER_END,
    "a pass": KEPT_AFTER_END,
    "the mark of an erasure": tombstones.KEPT,
    "staff's accounts": KEPT_DISABLED,
    "staff's accounts; those": KEPT_UNUSED,
    "the audit log": audit.KEPT,
    "alarms": KEPT_AFTER_END,
    "backups on the Pi": timedelta(days=Backup().keep),
}
"""Rows of its table, by their beginning, and what the code does."""


@pytest.mark.parametrize(("begins", "kept"), PROMISES.items())
def test_nothing_is_promised_that_the_code_does_not_keep(begins: str, kept: timedelta) -> None:
    """The municipality signs this table, and a patron is shown it."""
    row = re.search(rf"^\| {begins.partition(';')[0]}.*$", text("en", "dpo"), re.MULTILINE)

    assert row is not None
    assert in_words(kept) in row[0]


def test_both_languages_promise_the_same() -> None:
    """Each row of each table has the same figures."""
    danish, english = (
        [re.findall(r"\d+", line) for line in text(language, "dpo").splitlines() if line[:1] == "|"]
        for language in LANGUAGES
    )

    assert danish == english
