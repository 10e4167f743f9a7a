"""Bugs that were found.

Bug (a third language): a catalogue without a charset, or with odd plurals, kept web from starting
with a traceback; a wrong name in braces failed its page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import polib
import pytest

from doorctl.access.patron import SENTENCES, Reason
from doorctl.access.policy import CHECKS, PASS_CHECKS, Finding
from doorctl.access.rights import BanState, PassKind
from doorctl.accounts.account import Permission, Role
from doorctl.core.errors import ConfigError
from doorctl.core.language import OWN, languages
from doorctl.privacy.audit import Action
from doorctl.services.rights import PassState
from doorctl.web.frame import PLACES
from doorctl.web.frame import WEB as HERE
from doorctl.web.staff import accounts, rights, why
from doorctl.web.words import MONTHS, WEEKDAYS, Words
from tests.docs.sentences import page_of
from tests.web.pages.staging import ZONE

SAID = re.compile(r"""\b_\(\s*(?P<quote>["'])(?P<text>(?:\\.|(?!(?P=quote)).)*)(?P=quote)""")
COUNTED = re.compile(
    r"""\bn_\(\s*(["'])(?P<one>(?:\\.|(?!\1).)*)\1\s*,\s*(["'])(?P<many>(?:\\.|(?!\3).)*)\3"""
)


def words(code: str) -> Words:
    """Return how a language says things."""
    return Words(languages().chosen(code), ZONE)


def danish() -> dict[str, polib.POEntry]:
    """Return every entry of the Danish catalogues."""
    return {
        entry.msgid: entry for path in (OWN / "da").glob("*.po") for entry in polib.pofile(path)
    }


def spoken() -> set[str]:
    """Return every text that stands in a template, and each that the code itself says."""
    found = {place.name for place in PLACES} | set(WEEKDAYS) | set(MONTHS)
    for path in sorted((HERE / "templates").glob("*.html")):
        page = path.read_text("utf-8")
        found |= {match["text"] for match in SAID.finditer(page)}
        found |= {match["one"] for match in COUNTED.finditer(page)}
    return {re.sub(r"\\(.)", r"\1", text) for text in found}


def test_every_text_has_its_danish() -> None:
    """No page says a word of English to whoever reads Danish."""
    catalogue = danish()

    missing = sorted(text for text in spoken() if text and text not in catalogue)

    assert missing == []


TABLES = (
    (accounts.PERMISSIONS, Permission),
    ({role: name for role, (name, _) in accounts.ROLES.items()}, Role),
    ({role: purpose for role, (_, purpose) in accounts.ROLES.items()}, Role),
    ({action: action.words for action in Action}, Action),
    (rights.REASONS, ()),
    (rights.BAN_STATES, BanState),
    (rights.KINDS, PassKind),
    (rights.PASS_STATES, PassState),
    ({key: preset.name for key, preset in rights.PRESETS.items()}, ()),
    (why.REASONS, ()),
    (why.CHECKS, ["known", *(one.name for one in CHECKS), *(one.name for one in PASS_CHECKS)]),
)


@pytest.mark.parametrize(("table", "keys"), TABLES)
def test_every_table_of_the_pages_is_whole_and_in_danish(
    table: Mapping[object, str], keys: Iterable[object]
) -> None:
    """A new role, deed, state or check needs words before anybody can have it; no two are alike."""
    say = words("da").say

    assert set(table) == (set(keys) or set(table))
    assert [text for text in table.values() if say(text) == text] == []
    assert len(set(map(say, table.values()))) == len(table) or keys is not Action


def test_every_refusal_has_its_help_in_danish() -> None:
    """What it means, and what the patron and staff can do, for each check that may refuse."""
    checks = ("known", "pass_pin", "first_card")
    helps = [why.help_with(Finding(name, reason)) for name in checks for reason in Reason]
    helps += why.CODE_HELP.values()
    texts = {text for one in helps if one for text in (one.means, one.patron, one.staff)}
    texts |= set(map(why.aloud, Reason))

    assert None not in helps
    assert set(SENTENCES) == set(Reason)
    assert [text for text in sorted(texts) if words("da").say(text) == text] == []


def test_every_catalogue_keeps_the_places() -> None:
    """A translation fills in what its original does, and nothing else."""
    place = re.compile(r"{(\w+)}")

    wrong = [
        entry.msgid
        for entry in danish().values()
        for said in (entry.msgstr, *entry.msgstr_plural.values())
        if not set(place.findall(said)) <= set(place.findall(f"{entry.msgid}{entry.msgid_plural}"))
    ]

    assert wrong == []


def test_no_text_is_said_in_two_ways() -> None:
    """Two catalogues that translate one text agree, for the last would win unseen."""
    said: dict[tuple[str | None, str], set[str]] = {}
    for path in (OWN / "da").glob("*.po"):
        for entry in polib.pofile(path):
            said.setdefault((entry.msgctxt, entry.msgid), set()).add(entry.msgstr)

    assert {text: ways for text, ways in said.items() if len(ways) > 1} == {}


OTHER_WORDS = {
    "opdatering": r"overførsel|levering",
    "program": r"\bproces(sen)?\b|volapyk",
    "summer": r"brummer",
    "dæknavn": r"pseudonym",
    "bibliotek": r"filial",
    "scan": r"\bstryg|\bstrøg\b|kør(es)? (kortet |det )?(roligt )?igennem",
    "lukket (en konto)": r"konto\w* (er )?spærr|spær kontoen",
    "midlertidigt låst": r"holder (ikke )?pause",
    "nødlukket": r"ophæv spærringen|^Spærret( indtil|:|$)",
}
"""One word a thing: the word, and what it must not be called besides."""


def test_one_word_a_thing() -> None:
    """No Danish sentence calls a thing by another name than the other sentences do."""
    said = [entry.msgstr or " ".join(entry.msgstr_plural.values()) for entry in danish().values()]
    said += [sentence for sentence, _ in SENTENCES.values()]

    wrong = [
        (word, sentence)
        for word, others in OTHER_WORDS.items()
        for sentence in said
        if re.search(others, re.sub(r"{\w+}", "", sentence), re.IGNORECASE)
    ]

    assert wrong == []


def test_every_sentence_can_be_read_on_one_page() -> None:
    """A reader of both languages has each text beside its translation."""
    page = page_of()

    assert page.count("<tr>") == sum(len(polib.pofile(str(p))) for p in (OWN / "da").glob("*.po"))
    assert '<td>Door log</td><td lang="da">Dørlog</td>' in page


def test_danish_dates_and_numbers() -> None:
    """They are written as Danes write them, in the branch's own time."""
    da = words("da")
    at = datetime(2026, 11, 24, 20, 5, tzinfo=UTC)

    assert da.long_day(date(2026, 11, 24)) == "tirsdag den 24. november 2026"
    assert da.moment(at) == "24.11.2026 kl. 21.05"
    assert da.number(1234567.891, 1) == "1.234.567,9"


def test_english_dates_and_numbers() -> None:
    """English needs no catalogue."""
    en = words("en")

    assert en.long_day(date(2026, 11, 24)) == "Tuesday 24 November 2026"
    assert en.clock(datetime(2026, 7, 1, 6, 7, tzinfo=UTC)) == "08:07"
    assert en.number(1234.5, 1) == "1,234.5"


def test_a_third_language_is_dropped_in(tmp_path: Path) -> None:
    """A file named after its code is a language; what it lacks is said in English."""
    (tmp_path / "uk.po").write_text(
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
        '"Language-Name: Українська\\n"\n'
        'msgid "Sign out"\nmsgstr "Вийти"\n',
        "utf-8",
    )

    known = languages("da", tmp_path)
    spoken = Words(known.chosen("uk"), ZONE)

    assert [(one.code, one.name) for one in known.known.values()][2] == ("uk", "Українська")
    assert (spoken.say("Sign out"), spoken.say("Main menu")) == ("Вийти", "Main menu")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("1\N{NO-BREAK SPACE}234,5", "9\N{NO-BREAK SPACE}876,5"),
        ("1234,5", "9876,5"),
        ("?", "9,876.5"),
    ],
)
def test_a_catalogue_shows_by_one_number_how_it_writes_them_all(
    tmp_path: Path, written: str, said: str
) -> None:
    """What can't be made out is written as in English."""
    (tmp_path / "uk.po").write_text(
        f'msgid ""\nmsgstr ""\n\nmsgid "1,234.5"\nmsgstr "{written}"\n', "utf-8"
    )
    spoken = Words(languages("da", tmp_path).chosen("uk"), ZONE)

    assert spoken.number(9876.5, 1) == said


def test_the_branch_speaks_its_own_language_first() -> None:
    """Whoever has not chosen, or chose what is not known, is spoken to in the branch's."""
    assert list(languages("en").known) == ["en", "da"]
    assert languages("da").chosen("xx").code == "da"
    assert languages("da").chosen(None).code == "da"


@pytest.mark.parametrize("said", ["Дверь {дверь}", "Двері {", "{}", "{name.__class__}", "{name!x}"])
def test_a_text_that_can_not_be_filled_in_is_said_in_english(tmp_path: Path, said: str) -> None:
    """A slip of a translator's costs one text, never a page."""
    (tmp_path / "uk.po").write_text(f'msgid "Door of {{name}}"\nmsgstr "{said}"\n', "utf-8")
    spoken = Words(languages("da", tmp_path).chosen("uk"), ZONE)

    assert spoken.say("Door of {name}", name="Øst") == "Door of Øst"


@pytest.mark.parametrize("plurals", ["rubbish", "nplurals=2; plural=(n", "nplurals=2; plural=os"])
def test_plurals_that_nobody_understands_are_named(tmp_path: Path, plurals: str) -> None:
    """One line at the start, no fault in a page."""
    (tmp_path / "pl.po").write_text(f'msgid ""\nmsgstr "Plural-Forms: {plurals}\\n"\n', "utf-8")

    with pytest.raises(ConfigError, match=r"pl\.po: has a line Plural-Forms"):
        languages("da", tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b'msgid "a"\nmsgstr'])
def test_what_is_no_catalogue_is_named(tmp_path: Path, content: bytes) -> None:
    """The file's name is told, not what stands in it."""
    (tmp_path / "pl.po").write_bytes(content)

    with pytest.raises(ConfigError, match=r"pl\.po: is no catalogue"):
        languages("da", tmp_path)
