"""The words of the pages: whole catalogues, and what each service refuses, as its page tells it.

Bug (`tests/web/pages/test_words.py`): a refusal of a seventh pass stood on the Danish page in
English.

Bug (a third language): a catalogue without a charset, or with odd plurals, kept web from starting
with a traceback; a wrong name in braces failed its page.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from html import unescape
from pathlib import Path

import polib
import pytest
from starlette.testclient import TestClient

from doorctl.access.ban_dates import BanState
from doorctl.access.patron import SENTENCES, Reason
from doorctl.access.policy import CHECKS, PASS_CHECKS, Finding
from doorctl.access.rights import PassKind
from doorctl.accounts.roles import Permission, Role
from doorctl.core.errors import ConfigError, InputError, StoreError
from doorctl.core.language import OWN, languages
from doorctl.lookup.app import App
from doorctl.privacy.audit import Action
from doorctl.services.hours import days
from doorctl.services.rights import PassState
from doorctl.web.addresses import PLACES
from doorctl.web.alarms import StandingAlarms
from doorctl.web.rendering import WEB as HERE
from doorctl.web.staff import accounts, bans, passes, why
from doorctl.web.staff.calendar import CalendarPages, version
from doorctl.web.staff.log import log_pages
from doorctl.web.staff.now import now_pages
from doorctl.web.staff.passes import PassesPages
from doorctl.web.words import MONTHS, WEEKDAYS, Words
from tests.docs.sentences import page_of
from tests.web.conftest import Apps
from tests.web.pages.staging import LANGUAGES, ZONE, browser

SOURCE = OWN.parents[1]
CPR = "CPR 0101701234"
TUESDAY = "/calendar#2099-06-02"
OPEN = {"open": "hours", "note": ""}
SOON = {"mode": "closed", "until": "2099-01-01T10:00", "cause": "uro", "version": "0"}
PASS = {"kind": "cleaner", "label": "Firma", "bearer": "card", "card": "3000001234"}
CODE = {"bearer": "code", "digits": "5"}
OVER = {"first": "2026-01-01", "last": "2026-01-02"}
PASS |= {"taken_as": "card", "pin": "register", "first": "2099-06-01", "last": "2099-06-01"}


@pytest.fixture
def app(apps: Apps) -> App:
    """A branch that is open all Wednesday morning."""
    return apps('hours.wednesday=["00:00-12:00"]')


def staff(app: App, alarms: StandingAlarms, language: str) -> TestClient:
    """Return a browser before the pages of a real branch, whose processes do not run."""
    return browser(
        lambda frame: (
            *CalendarPages(frame).routes(),
            *log_pages(frame),
            *now_pages(frame, alarms),
            *PassesPages(frame).routes(),
        ),
        app,
        Role.MANAGER,
        language,
    )


def sent(app: App, asking: TestClient, path: str, form: dict[str, str]) -> str:
    """Send a form, again where it is taken, and return what the refusal shows."""
    for _ in range(7):
        answer = asking.post(
            path.partition("#")[0], data=form | chosen(app, path.partition("#")[2])
        )
        if "/check/" in answer.headers.get("location", ""):
            answer = asking.post(answer.headers["location"], data={"sure": "yes"})
        if answer.status_code == 422:
            return unescape(answer.text)
    pytest.fail(f"{path} takes {form} again and again")


def chosen(app: App, day: str) -> dict[str, str]:
    """Return a date as the month's form sends it; nothing for other forms."""
    if not day:
        return {}
    (shown,) = days(app, date.fromisoformat(day), 1)
    return {"date": f"{day} {version(shown)}"}


@pytest.mark.parametrize(
    ("path", "form", "danish", "english"),
    [
        ("/log/export", {"purpose": CPR}, "Formålet indeholder 8 eller", "The purpose holds"),
        ("/now/mode", SOON, "Det ville vare mere end 31 dage", "last more than 31 days"),
        ("/passes", PASS, "har allerede 6 adgangstilladelser", "has 6 passes already"),
        ("/passes", PASS | CODE, "En kode er på 6 til 9 cifre.", "A code has 6 to 9 digits"),
        ("/passes", PASS | OVER, "udløbet den 2.1.2026", "have ended on 2/1/2026 already"),
        ("/passes", PASS | {"pin": "own", "own_pin": "12"}, "på 4 cifre her", "A PIN is 4 digits"),
        (
            TUESDAY,
            OPEN | {"staffed": "11-13, 12-14"},
            "12.00\N{EN DASH}14.00 betjent overlapper 11.00\N{EN DASH}13.00 betjent;",
            "12:00 to 14:00 staffed overlaps 11:00 to 13:00 staffed; join",
        ),
        (
            TUESDAY,
            OPEN | {"self": "10-13", "staffed": "12-14"},
            "betjent ligger kun delvis inden for 10.00\N{EN DASH}13.00 selvbetjent;",
            "staffed lies only partly within 10:00 to 13:00 self-service;",
        ),
        (
            TUESDAY,
            OPEN | {"self": "10-11.55, 12-14"},
            "selvbetjent begynder 5 min. efter, at 10.00\N{EN DASH}11.55 selvbetjent slutter;",
            "begins 5 min after 10:00 to 11:55 self-service ends;",
        ),
        (
            TUESDAY,
            OPEN | {"self": "20-2"},
            "00.00\N{EN DASH}12.00 selvbetjent dagen efter overlapper",
            "00:00 to 12:00 self-service the day after overlaps",
        ),
        ("/calendar#2026-01-05", {"open": "closed"}, "5.1.2026 er forbi", "5/1/2026 is past"),
        (TUESDAY, {"open": "usual"}, "Ingen har givet 2.6.2099", "Nobody has given 2/6/2099"),
    ],
)
def test_each_service_refuses_in_the_language_of_the_page(
    app: App, alarms: StandingAlarms, path: str, form: dict[str, str], *, danish: str, english: str
) -> None:
    """With what it names written as people write it, and no key of the configuration."""
    in_danish = sent(app, staff(app, alarms, "da"), path, form)
    in_english = sent(app, staff(app, alarms, "en"), path, form)

    assert danish in in_danish
    assert english not in in_danish
    assert english in in_english
    for page in (in_danish, in_english):
        assert "2099-06-02.staffed" not in page
        assert "hours.wednesday" not in page


@pytest.mark.parametrize(
    ("error", "danish", "english"),
    [
        (
            InputError("there is no pass {n} that could be revoked; list them", n=7),
            "Der er ingen adgangstilladelse nr. 7, der kan trækkes tilbage.",
            "There is no pass 7 that could be revoked.",
        ),
        (
            InputError(
                "{n} codes of {digits} digits are in force, and with more of them one could be "
                "guessed; revoke some or issue longer ones",
                n=10,
                digits=6,
            ),
            (
                "Der er 10 koder på 6 cifre, og flere kunne gættes; træk først nogle tilbage, "
                "eller udsted længere koder."
            ),
            "There are 10 codes of 6 digits, and more could be guessed; revoke some first.",
        ),
        (
            InputError(
                "more than {n} attempts fit, and part of them would look like all; choose fewer "
                "days",
                n=100_000,
            ),
            (
                "Mere end 100.000 forsøg passer, og en del af dem ville se ud som alle; vælg færre "
                "dage."
            ),
            (
                "More than 100,000 attempts fit, and part of them would look like all; choose "
                "fewer days."
            ),
        ),
        (
            InputError("there is an account {name} already; list them", name="2026"),
            "Der er allerede en konto 2026.",
            "There is an account 2026 already.",
        ),
        (
            InputError("something {n} that nobody knows", n=1),
            "Something 1 that nobody knows.",
            "Something 1 that nobody knows.",
        ),
        (StoreError("{what} stands"), "{what} stands", "{what} stands"),
    ],
)
def test_an_error_is_put_into_words_once(error: Exception, danish: str, english: str) -> None:
    """From its text and its values; what no catalogue has stands as it was said."""
    said = [Words(LANGUAGES.chosen(code), ZONE).refusal(error) for code in ("da", "en")]

    assert said == [danish, english]


def test_a_time_in_an_error_is_the_branchs_own() -> None:
    """A command writes it as a file does, a page as its language does."""
    local = datetime(2026, 11, 25, 7, 5, 59, tzinfo=ZONE)
    error = InputError("the window begins before {time}, and that is gone", time=local)

    assert str(error) == "the window begins before 2026-11-25 07:05, and that is gone"
    danish = Words(LANGUAGES.chosen("da"), ZONE).refusal(error)
    assert "25.11.2026 kl. 07.05" in danish


def test_braces_in_a_text_without_values_are_only_signs() -> None:
    """What a person or another process wrote is never filled in."""
    assert str(InputError("{0.__class__} and {")) == "{0.__class__} and {"


ROOMS = ("access", "accounts", "core", "privacy", "rpc", "services", "store", "web")
"""Where pages and what they call are."""

COMMANDS_ALONE = frozenset(
    {"installation", "pairing", "restoring", "setup", "support", "upgrade", "letters"}
)
"""Modules of these rooms that only commands call."""

NEVER_ON_A_PAGE = frozenset(
    {
        (
            "nothing was deleted: the clock says 2026-12-01 10:00 UTC, and it is past "
            "2026-12-02 10:00 UTC for certain; set the clock first (timedatectl)"
        ),  # purge
        "a ban begins or ends at a time without a time zone; give one",  # pages have the branch's
        "a head of the audit log is a number, a colon and 64 hex digits",  # audit verify --anchor
        "a login is stored in lower case",  # a slip of ours
        "that reading is not of what was typed",  # as above
        "no such alarm stands; doorctl status has the names of those that do",  # alarm end
        "that question says no time",  # a sender's, which web sends on
        "that is no key",  # of a pass's or a card's row, which no form has
        (
            "nobody vouches for this machine's clock, which says 2026-11-25 19:30: a register with "
            "a wrong date lets nobody in; wait until timedatectl says synchronized, or, if that "
            "time is right, load with --set clock.trust=always"
        ),  # patrons load
        "push 7 is held; give a lower number",  # patrons renumber
        "there is no such alarm; there are test",  # alarm send
        "alarms go nowhere: fill in [alarms.email] or [alarms.webhook]",  # as above
        "that is no purge report",  # of a report that is checked at a shell
        (
            "the signature is wrong: the report was changed, or another installation's key "
            "signed it"
        ),  # as above
        "have to be given to every branch",  # part of a longer line of `keys rotate`
        "that is more than a key",  # the panel's, which shows no text of an error
    }
)


def _pattern(text: ast.expr) -> str:
    """Return what a text matches, with anything in place of what an f-string fills in."""
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(
        re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in parts
    )


def _refusals(path: Path) -> Iterator[str]:
    """Yield each text of an InputError, and of the tables of a wrong and its sentence."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        called = (
            node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        )
        if isinstance(node, ast.Call) and called in {"InputError", "FieldError"}:
            text = node.args[called == "FieldError"]
        elif (
            isinstance(node, ast.Tuple)
            and len(node.elts) == 2
            and not isinstance(node.elts[0], ast.Constant | ast.Name | ast.Attribute)
        ):
            text = node.elts[1]
        else:
            continue
        if isinstance(text, ast.JoinedStr) or (
            isinstance(text, ast.Constant) and isinstance(text.value, str) and " " in text.value
        ):
            pattern = _pattern(text)
            if "CREATE\\ " not in pattern:  # of an index or a trigger beside its table
                yield pattern


def test_every_refusal_that_a_page_can_show_has_its_danish() -> None:
    """Whatever a service refuses, no Danish page says it in English; a list says what none shows.

    Bug (review of the pages): "that is no date" and "there is no ban 99 to write of; list them"
    stood on Danish pages.
    """
    paths = [path for room in ROOMS for path in (SOURCE / room).rglob("*.py")]
    texts = {text for path in paths if path.stem not in COMMANDS_ALONE for text in _refusals(path)}
    danish = {entry.msgid for path in (OWN / "da").glob("*.po") for entry in polib.pofile(path)}
    known = danish | NEVER_ON_A_PAGE

    assert len(texts) > 100
    assert [
        text for text in sorted(texts) if not any(re.fullmatch(text, one) for one in known)
    ] == []


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
    (bans.REASONS, ()),
    (bans.BAN_STATES, BanState),
    (passes.KINDS, PassKind),
    (passes.PASS_STATES, PassState),
    ({key: preset.name for key, preset in passes.PRESETS.items()}, ()),
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


def test_no_text_is_said_twice() -> None:
    """A text two catalogues translated could differ between them, the last winning."""
    entries = [entry for path in (OWN / "da").glob("*.po") for entry in polib.pofile(path)]
    said = Counter((entry.msgctxt, entry.msgid) for entry in entries)

    assert [text for text, times in said.items() if times > 1] == []


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
