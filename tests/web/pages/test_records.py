"""The audit log, incident holds and people's rights: what their pages show, and to whom.

Bug (attack review): every mistake in the form of a hold was an error page where the door runs: the
tests had a fake desk only.
"""

from __future__ import annotations

import ast
import re
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from html import escape
from pathlib import Path

import pytest

import doorctl
from doorctl.access.rights import Ban
from doorctl.accounts.account import NOBODY, PROVIDER
from doorctl.accounts.roles import Role
from doorctl.core.masked import IdentifierKind
from doorctl.doord.retention_answers import hold_answers
from doorctl.lookup.app import App
from doorctl.privacy.audit import SYNC, Action, Deed, Entry
from doorctl.privacy.erasure import ALL_GONE, Erasure, HeldVisit, PartErased
from doorctl.privacy.tables import BRANCH, VISITS
from doorctl.rpc.server import ControlServer
from doorctl.services import branch, holds, subject
from doorctl.store.visits import VisitStore
from doorctl.web.staff.audit import DETAILS, SHOWN, VALUES, audit_pages
from doorctl.web.staff.holds import hold_pages
from doorctl.web.staff.people import people_pages
from tests.services.branches import ban_patron, register
from tests.web.conftest import Apps
from tests.web.door_log import WrittenLog, visit
from tests.web.pages.staging import LANGUAGES, NOW, browser, recorded

SOURCE = Path(doorctl.__file__).parent
CARD = bytes.fromhex("3f1c9a04") + bytes(12)


client = partial(
    browser,
    lambda frame: (*audit_pages(frame), *hold_pages(frame), *people_pages(frame)),
    role=Role.MANAGER,
)


def put(app: App, *deeds: Deed, by: str = "anne") -> App:
    """Put deeds on record."""
    for one in deeds:
        branch.note(app.acting(by), one)
    return app


def test_every_detail_has_words_in_both_languages() -> None:
    """Whatever the source puts beside a deed; a name that is no word is for nobody."""
    written = {name for path in SOURCE.rglob("*.py") for name in _details_in(path)}
    danish = LANGUAGES.chosen("da").words

    assert written >= {"epoch", "number"}
    assert written <= set(DETAILS)
    assert [text for text in DETAILS.values() if danish.gettext(text) == text] == ["alarm"]


def _details_in(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    # To parse every file takes seconds.
    for node in ast.walk(ast.parse(text if "details=" in text else "")):
        if isinstance(node, ast.keyword) and node.arg == "details":
            for inner in ast.walk(node.value):
                if isinstance(inner, ast.Dict):
                    keys = (key for key in inner.keys if isinstance(key, ast.Constant))
                    yield from (str(key.value) for key in keys)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("da", [">Gav karantæne", "25.11.2026 kl. 19.30", "nr.: 7"]),
        ("en", [">Banned somebody", "25/11/2026", "no.: 7"]),
    ],
)
def test_a_deed_is_told_in_words(app: App, language: str, told: list[str]) -> None:
    """With its time, account, reason and pseudonym; the whole key of a card is never shown."""
    put(app, Deed(Action.BAN_ADDED, (CARD,), "1001", "støj", {"number": 7}))
    page = client(app, language=language).get("/audit").text

    for text in (*told, "anne", "støj", "3f1c9a04", "1001"):
        assert text in page
    assert CARD.hex() not in page


SAID = (
    (Deed(Action.MODE_SET, details={"mode": "lockdown"}), ": Nødlukket"),
    (Deed(Action.PASS_ISSUED, details={"kind": "cleaner"}), "art: Rengøring"),
    (Deed(Action.PUSH_APPLIED, details={"kind": "changes"}), "art: det, der er ændret"),
    (Deed(Action.SIGN_IN_REFUSED, details={"why": "wrong"}), "forkert navn eller adgangskode"),
    (Deed(Action.PAGE_REFUSED, details={"needs": "subject_rights"}), "kræver retten: "),
    (Deed(Action.PAGE_REFUSED, details={"page": "/people"}), "side: Den registreredes rettigheder"),
    (Deed(Action.ACCOUNT_CHANGED, details={"role": "dpo"}), "rolle: Databeskyttelsesrådgiver"),
    (Deed(Action.CALENDAR_CHANGED, details={"day": "2026-12-24"}), "dag: 24.12.2026"),
    (
        Deed(Action.HOLD_ADDED, details={"until": "2026-11-27T22:00:00+00:00"}),
        "27.11.2026 kl. 23.00",
    ),
    (Deed(Action.BACKUP_RESTORED, details={"made": "2026-11-24 03:10"}), "24.11.2026 kl. 03.10"),
    (Deed(Action.ALARM_ACKNOWLEDGED, details={"alarm": "reader_lost"}), "alarm: Kortlæseren"),
    (Deed(Action.BANS_LISTED, why="letter about ban 1"), "Brev om karantæne 1"),
    (Deed(Action.SUBJECT_EXPORTED, details={"rows": 18}), "<small>rækker: 18<"),
    (Deed(Action.BANS_LISTED, details={"letter": 1}), "brev om karantæne nr.: 1"),
)


def test_details_are_told_in_words_and_in_local_time(app: App) -> None:
    """A mode, kind, role, right, page, alarm, day and time; no key and no UTC.

    Bug (review of the pages): the page said `fordi: wrong`, `kræver retten: subject_rights` and
    `indtil: 2026-11-27T22:00:00+00:00`.

    Bug (the page, looked at): an export of a person stood there with "rows deleted: 18".
    """
    page = client(put(app, *(deed for deed, _ in SAID))).get("/audit").text

    for deed, said in SAID:
        assert said in page
        raw = {*deed.details.values(), deed.why} - {"", 1, 18}
        assert [one for one in raw if f": {one}<" in page or f">{one}<" in page] == []


@pytest.mark.parametrize("name", VALUES)
def test_every_value_that_has_a_name_has_a_danish_one(name: str) -> None:
    """A new mode, role or right needs words; the lists are whole by their enumerations."""
    danish = LANGUAGES.chosen("da").words

    assert [text for text in VALUES[name].values() if danish.gettext(text) == text] == []


def test_sign_ins_hide_nothing_else(app: App) -> None:
    """They are left out until asked for, by the tick or by the deed, and the page says how many."""
    put(app, Deed(Action.SIGNED_IN), Deed(Action.SIGNED_OUT), Deed(Action.OPENED_ONCE, why="bud"))
    manager = client(app)
    usual = manager.get("/audit").text

    assert "2 gange, hvor nogen loggede på eller af," in usual
    assert (usual.count(">anne</td>"), "bud" in usual) == (1, True)
    assert manager.get("/audit?sign_ins=yes").text.count(">anne</td>") == 3
    assert manager.get("/audit?action=signed_in").text.count(">anne</td>") == 1
    assert len(manager.post("/audit/export", data={"account": "anne"}).json()) == 3


def test_only_what_fits_is_shown_and_each_look_is_on_record(app: App) -> None:
    """By account and deed; the page after it tells of this one."""
    put(app, Deed(Action.OPENED_ONCE, why="rullestol"), Deed(Action.MODE_ENDED))
    manager = client(app)

    page = manager.get("/audit?account=anne&action=opened_once").text
    assert "rullestol" in page
    assert page.count(">anne</td>") == 1
    for days in ("since=2026-11-26", "until=2026-11-24"):
        assert ">anne</td>" not in manager.get(f"/audit?{days}").text
    assert manager.get("/audit?account=bo").text.count(">anne</td>") == 0
    assert manager.get("/audit?action=audit_read").text.count(">manager</td>") == 4


@pytest.mark.parametrize(
    "asked",
    ["since=x", "until=9999-12-31", "since=0001-01-01", "since=2026-02-02&until=2026-01-01"],
)
def test_days_that_make_no_sense_read_nothing(app: App, asked: str) -> None:
    """They are told, and no entry is shown: more than was asked for would be on record."""
    put(app, Deed(Action.OPENED_ONCE, why="rullestol"))
    answer = client(app).get(f"/audit?{asked}")

    assert answer.status_code == 422
    assert "rullestol" not in answer.text
    assert len(recorded(app)) == 1


def test_a_long_log_is_cut_and_says_so(app: App) -> None:
    """The newest are shown."""
    put(app, *(Deed(Action.MODE_ENDED) for _ in range(SHOWN + 2)))
    page = client(app).get("/audit").text

    assert page.count(">anne</td>") == SHOWN
    assert "2 ældre" in page


@pytest.mark.parametrize("export", [False, True])
def test_half_a_year_of_entries_keeps_no_other_page_waiting(
    app: App, monkeypatch: pytest.MonkeyPatch, *, export: bool
) -> None:
    """What fits is looked for beside the event loop, on the threads that pages have for it.

    Bug (read by a stranger): half a year of audit entries was sifted on the event loop, where
    every other page and the screen wait for it.
    """
    put(app, Deed(Action.MODE_ENDED))
    threads: set[str] = set()

    class Watched(tuple[Entry, ...]):
        """Notes on which thread entries are gone through."""

        __slots__ = ()

        def __reversed__(self) -> Iterator[Entry]:
            threads.add(threading.current_thread().name.partition("_")[0])
            return iter(self[::-1])

    found = branch.audit_entries
    watched = "doorctl.web.staff.audit.audit_entries"
    monkeypatch.setattr(watched, lambda *args, **more: Watched(found(*args, **more)))
    asking = client(app)
    form = {"account": "anne"}
    answer = asking.post("/audit/export", data=form) if export else asking.get("/audit")

    assert (answer.status_code, threads) == (200, {"pages"})


def test_a_file_of_what_fits(app: App) -> None:
    """As JSON, asked for by a form, and on record as a look."""
    put(app, Deed(Action.BAN_ADDED, (CARD,), "1001", "støj"), Deed(Action.MODE_ENDED))
    answer = client(app).post("/audit/export", data={"action": "ban_added"})

    (entry,) = answer.json()
    assert (entry["action"], entry["cards"], entry["why"]) == ("ban_added", ["3f1c9a04"], "støj")
    assert "attachment" in answer.headers["content-disposition"]
    assert recorded(app)[-1][0] is Action.AUDIT_READ


def test_a_whole_chain_and_a_broken_one(app: App) -> None:
    """The end is shown to be compared; a break says which entry it is."""
    put(app, Deed(Action.MODE_ENDED))
    whole, end = client(app).post("/audit/verify").text, str(branch.audit_head(app))
    put(app, Deed(Action.MODE_ENDED))
    with closing(sqlite3.connect(app.storage.branch_db)) as file, file:
        find = "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        for (trigger,) in file.execute(find).fetchall():
            file.execute(f"DROP TRIGGER {trigger}")
        file.execute("UPDATE audit SET record = '{}' WHERE number = 2")
    broken = client(app).post("/audit/verify").text

    assert "Intet er ændret, og intet mangler." in whole
    assert end in whole
    assert "Post 2 er ændret, efter at den blev skrevet." in broken


@pytest.mark.parametrize(
    ("by", "told"),
    [(SYNC, "Bibliotekssystemet"), (NOBODY, "(ikke logget på)"), (PROVIDER, "(kommunen)")],
)
def test_what_is_nobodys_account_is_told_in_words(app: App, by: str, told: str) -> None:
    """The sender of patrons, somebody who was refused, and the identity provider."""
    page = client(put(app, Deed(Action.MODE_ENDED), by=by)).get("/audit").text

    assert f">{told}</td>" in page


SECOND = timedelta(seconds=1)
HOLD = {
    "from": "2026-11-25T18:00",
    "to": "2026-11-25T19:00",
    "case": "0700-12345",
    "reason": "hærværk ved <døren>",
    "until": "2027-01-24",
}


def test_a_window_is_held_shown_and_lifted(app: App) -> None:
    """Local times, the last day included; what it holds is looked at on record."""
    WrittenLog(app).write(visit(1), visit(30, "closed"), visit(60))
    manager = client(app)

    added = manager.post("/holds", data=HOLD)
    page = manager.get(added.headers["location"]).text
    held = manager.get("/holds/1").text
    lifted = manager.post("/holds/1/lift")

    assert "Tidsrummet er gemt." in page
    assert "hærværk ved &lt;døren&gt;" in page
    assert "24.1.2027" in page
    assert "Biblioteket er lukket nu." not in held
    assert "Døren blev åbnet" in held
    assert "?page=" not in held
    assert "Ingen tidsrum er gemt." in manager.get(lifted.headers["location"]).text
    assert [action for action, _, _ in recorded(app)] == [
        Action.HOLD_ADDED,
        Action.HOLD_SHOWN,
        Action.HOLD_LIFTED,
    ]


@pytest.mark.parametrize(
    ("asked", "first", "last", "links"),
    [
        ("", 1, 200, [2]),
        ("?page=2", 201, 400, [1, 3]),
        ("?page=3", 401, 401, [2]),
        ("?page=99", 401, 401, [2]),
        ("?page=0", 1, 200, [2]),
        ("?page=²", 1, 200, [2]),
        ("?page=" + "9" * 5000, 1, 200, [2]),
    ],
)
def test_what_a_hold_holds_comes_in_parts(
    app: App, asked: str, first: int, last: int, links: list[int]
) -> None:
    """Oldest first, with a way to the parts before and after; nonsense is the first or the last."""
    start = NOW - timedelta(hours=1)
    WrittenLog(app).write(*(visit(number, at=start + number * SECOND) for number in range(1, 402)))
    manager = client(app, language="en")
    manager.post("/holds", data=HOLD)
    page = manager.get(f"/holds/1{asked}").text

    assert f"Attempts {first} to {last} of 401" in page
    assert page.count('<td class="nowrap">') == last - first + 1
    assert f"{start + first * SECOND:%H:%M:%S}" in page
    assert re.findall(r'href="/holds/1\?page=(\d+)', page) == [str(one) for one in links]


def test_a_hold_that_is_sent_again_stands_once(app: App) -> None:
    """A page that is loaded again sends its form again."""
    manager = client(app)
    form = HOLD | {"once": "of-this-form"}

    assert manager.post("/holds", data=form).status_code == 303
    again = manager.post("/holds", data=form)
    assert again.status_code == 422
    assert "sendt før" in again.text


def test_the_window_around_an_attempt_is_offered(app: App) -> None:
    """A quarter of an hour before and after, and not later than now."""
    manager = client(app)

    usual = manager.get("/holds?around=2026-11-25T18:05").text
    late = manager.get("/holds?around=2026-11-25T19:25").text

    assert 'value="25.11.2026 kl. 17.50"' in usual
    assert 'value="25.11.2026 kl. 18.20"' in usual
    assert 'value="25.11.2026 kl. 19.30"' in late
    assert manager.get("/holds?around=nonsense").status_code == 200


@pytest.fixture(params=["alone", "beside the door"])
def owned(request: pytest.FixtureRequest, app: App) -> Iterator[App]:
    """A branch whose door log nobody else has, or whose door takes questions about holds."""
    if request.param == "alone":
        yield app
        return
    with ExitStack() as stack:
        worker = stack.enter_context(ThreadPoolExecutor(1))
        visits = worker.submit(VisitStore, app.storage.visits_db).result()
        stack.callback(lambda: worker.submit(visits.close).result())
        answers = hold_answers(app, visits, lambda job: worker.submit(job).result())
        server = ControlServer(app.config.control.socket, answers)
        server.start()
        stack.callback(server.stop)
        yield app


def test_a_hold_that_is_none_is_told_in_danish(owned: App) -> None:
    """Such as one that a colleague has just lifted; no command is named."""
    answer = client(owned).post("/holds/9/lift")

    assert answer.status_code == 422
    assert "Der er intet gemt tidsrum nr. 9." in answer.text
    assert "doorctl hold" not in answer.text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"from": ""}, "Angiv, fra hvornår"),
        ({"until": ""}, "Angiv den sidste dag"),
        ({"until": "soon"}, "Skriv datoen som 24.12.2026"),
        ({"to": "2026-11-25T17:00"}, "slutter, før det begynder"),
        ({"to": "2026-11-25T23:00"}, "slutter i fremtiden"),
        ({"until": "2027-11-25"}, "højst 180 dage"),
        ({"from": "2026-10-16T18:00"}, "begynder før 26.10.2026 kl. 19.30"),
        ({"case": ""}, "Angiv et sagsnummer"),
        ({"reason": "CPR 0101701234"}, "Intet blev gemt."),
    ],
)
def test_a_hold_that_makes_no_sense(owned: App, wrong: dict[str, str], told: str) -> None:
    """The form says why, by local time, keeps what was typed, and nothing is held."""
    answer = client(owned).post("/holds", data=HOLD | wrong)

    assert (answer.status_code, recorded(owned)) == (422, [])
    assert holds.stored_holds(owned)[0] == ()
    assert told in answer.text
    assert "UTC" not in answer.text
    for typed in (HOLD | wrong).values():
        assert escape(typed) in answer.text or "CPR" in typed


HERS, UNKNOWN, REF, SCRIPT = "3000001234", "3000009999", "1001", "<script>alert(1)</script>"
BY_CARD = {"card": HERS, "why": "sag 2026-17"}
BY_REF = {"patron_ref": REF, "why": "sag 2026-17"}


BAN = Ban(0, SCRIPT, datetime.fromtimestamp(1_795_000_000, UTC), None, "anne", frozenset({"*"}))
BEFORE = [(Action.BAN_ADDED, SCRIPT, "anne")]
"""What is on record before anything is asked."""


@pytest.fixture
def oest(apps: Apps) -> App:
    """A branch that holds a row of the register and a hostile ban of one person."""
    oest = apps("branch.id=oest")
    register(oest, (IdentifierKind.CARD, HERS, REF))
    ban_patron(oest.acting("anne"), REF, BAN)
    return oest


dpo = partial(client, role=Role.DPO)


def test_a_person_is_found_and_told_of_in_words(oest: App) -> None:
    """By a card that is shown nowhere; what goes on is the library system's number."""
    dpo(oest).post("/people/find", data=BY_CARD | {"why": "earlier look"})
    found = dpo(oest).post("/people/find", data=BY_CARD)

    assert found.status_code == 200
    for said in (
        "Bor i kommunen",
        ">ja<",
        ">nej<",
        "18.11.2026 kl. 12.06",
        "0 besøg · 1 karantæne",
    ):
        assert said in found.text
    assert f'name="patron_ref" value="{REF}"' in found.text
    for deed in ("hand-over", "restrict", "erase"):
        assert (f'href="#{deed}"' in found.text, found.text.count(f'id="{deed}"')) == (True, 1)
    assert found.text.index('href="#erase"') < found.text.index("<table")
    assert "earlier look" in found.text
    assert HERS not in found.text
    assert SCRIPT not in found.text
    assert "&lt;script&gt;" in found.text
    assert recorded(oest)[-1] == (Action.SUBJECT_EXPORTED, "sag 2026-17", "dpo")


def test_of_whom_nothing_is_held(oest: App) -> None:
    """It is said so, and each deed asks for the card once more."""
    found = dpo(oest, language="en").post("/people/find", data=BY_CARD | {"card": UNKNOWN})

    assert "Nothing is held of the person here." in found.text
    assert 'id="erase-card"' in found.text
    assert UNKNOWN not in found.text


def test_files_are_handed_out_and_not_opened(oest: App) -> None:
    """For programs and for people; neither runs anything, nor says whose it is by its name."""
    asking = dpo(oest)
    data = asking.post("/people/export", data={**BY_REF, "as": "json"})
    page = asking.post("/people/export", data={**BY_REF, "as": "page"})

    assert data.json()["branch"] == "oest"
    assert data.json()["held"]["branch.db"]["bans"][0]["reason"] == SCRIPT
    assert "Hvad døren ved om dig" in page.text
    assert SCRIPT not in page.text
    for answer in (data, page):
        assert answer.headers["content-disposition"].startswith("attachment; filename=")
        assert REF not in answer.headers["content-disposition"]
        assert answer.headers["content-security-policy"].startswith("sandbox;")
        assert answer.headers["cache-control"] == "no-store"


def test_data_are_restricted_and_used_again(oest: App) -> None:
    """With a reason each; a second time is refused and told."""
    asking = dpo(oest)

    assert asking.post("/people/restrict", data=BY_REF).headers["location"].endswith("=restricted")
    assert asking.post("/people/restrict", data=BY_REF).status_code == 422
    assert "Behandlingen er begrænset." in asking.post("/people/find", data=BY_REF).text
    ended = asking.post("/people/unrestrict", data=BY_CARD)
    assert ended.headers["location"] == "/people?done=unrestricted"
    assert asking.post("/people/unrestrict", data=BY_REF).status_code == 422
    assert [one for one in recorded(oest) if one[0] is not Action.SUBJECT_EXPORTED] == [
        *BEFORE,
        (Action.SUBJECT_RESTRICTED, "sag 2026-17", "dpo"),
        (Action.SUBJECT_UNRESTRICTED, "sag 2026-17", "dpo"),
    ]


def test_an_objection_restricts_until_it_is_decided(oest: App) -> None:
    """Recorded with its reference, decided on grounds; both on the audit log, each with a letter.

    Bug (mission review): the letter named the right to object, and there was no act for it.
    """
    asking = dpo(oest)

    def letter() -> str:
        return asking.post("/people/export", data={**BY_REF, "as": "objection"}).text

    assert "Der er ikke skrevet nogen indsigelse" in letter()
    assert asking.post("/people/object", data=BY_REF).headers["location"].endswith("=objected")
    assert asking.post("/people/object", data=BY_REF).status_code == 422
    found = asking.post("/people/find", data=BY_CARD).text
    assert "En indsigelse er ikke afgjort." in found
    assert "Behandlingen er begrænset." in found
    assert "ikke afgjort" in found
    assert asking.post("/people/unrestrict", data=BY_REF).status_code == 422
    assert "indtil indsigelsen er afgjort" in letter()

    grounds = {**BY_REF, "why": "vold mod personale", "decision": "rejected"}
    assert asking.post("/people/decide", data=grounds | {"decision": ""}).status_code == 422
    decided = asking.post("/people/decide", data=grounds)
    assert decided.headers["location"] == "/people?done=rejected"
    assert asking.post("/people/decide", data=grounds).status_code == 422
    assert "Behandlingen er begrænset." not in asking.post("/people/find", data=BY_REF).text
    assert "Din indsigelse er ikke taget til følge" in letter()
    assert "vold mod personale" in letter()
    assert [one for one in recorded(oest) if one[0] is not Action.SUBJECT_EXPORTED] == [
        *BEFORE,
        (Action.SUBJECT_OBJECTED, "sag 2026-17", "dpo"),
        (Action.OBJECTION_DECIDED, "vold mod personale", "dpo"),
    ]


def test_an_upheld_objection_keeps_the_data_unused(oest: App) -> None:
    """Until they are erased; a restriction that stood before outlasts a rejection."""
    asking = dpo(oest)
    asking.post("/people/object", data=BY_REF)
    asking.post("/people/decide", data={**BY_REF, "decision": "upheld"})
    assert "Behandlingen er begrænset." in asking.post("/people/find", data=BY_REF).text
    assert asking.post("/people/unrestrict", data=BY_REF).status_code == 303
    asking.post("/people/restrict", data=BY_REF)
    asking.post("/people/object", data=BY_REF)
    asking.post("/people/decide", data={**BY_REF, "decision": "rejected"})
    assert "Behandlingen er begrænset." in asking.post("/people/find", data=BY_REF).text


def test_a_restriction_of_nobody_known_is_told_as_such(oest: App) -> None:
    """It holds once a push brings a patron of that number."""
    asking = dpo(oest)
    done = asking.post("/people/restrict", data={"patron_ref": "1999", "why": "sag 2026-17"})

    assert done.headers["location"] == "/people?done=not_yet"
    assert "Ingen låner med det nummer" in asking.get("/people?done=not_yet").text


def test_erasing_takes_a_reason_and_a_tick(oest: App) -> None:
    """Without either nothing is erased; the form comes back, with what is wrong."""
    asking = dpo(oest)
    for wrong in (BY_REF, {"patron_ref": REF, "understood": "yes"}):
        answer = asking.post("/people/erase", data=wrong)
        assert answer.status_code == 422
        assert 'action="/people/erase"' in answer.text
    assert recorded(oest) == BEFORE

    erased = asking.post("/people/erase", data=BY_CARD | {"understood": "yes"})
    assert "3 poster er slettet." in erased.text
    assert BEFORE[0] not in recorded(oest)
    assert HERS not in erased.text


def test_what_an_erasure_left_is_told(oest: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why, and which visits stay for a case: escaped, whatever it is called."""
    stays = HeldVisit(17, SCRIPT, datetime(2026, 12, 24, tzinfo=UTC))
    done = Erasure({BRANCH: PartErased(1, ALL_GONE, held=(stays,))}, {VISITS: SCRIPT})
    monkeypatch.setattr(subject, "erase", lambda *_named, **_by: done)
    data = BY_CARD | {"understood": "yes"}
    answer = dpo(oest, language="en").post("/people/erase", data=data)

    assert answer.status_code == 503
    assert "Erase again" in answer.text
    assert "Visit 17 stays" in answer.text
    assert SCRIPT not in answer.text


@pytest.mark.parametrize(
    ("deed", "wrong"),
    [
        ("find", {"card": ""}),
        ("find", {"card": SCRIPT}),
        ("export", {"patron_ref": REF}),
        ("restrict", {"card": "", "patron_ref": "010170-1234"}),
        ("export", {"why": ""}),
        ("restrict", {"why": "CPR 0101701234"}),
        ("erase", {"card": ""}),
        ("erase", {"taken_as": "cpr"}),
    ],
)
def test_what_makes_no_sense_does_nothing(oest: App, deed: str, wrong: dict[str, str]) -> None:
    """No deed; no number and no tag comes back."""
    data = BY_CARD | {"understood": "yes"} | wrong
    answer = dpo(oest).post(f"/people/{deed}", data=data)

    assert answer.status_code == 422
    assert "Der er ikke gjort noget." in answer.text
    assert "010170-1234" not in answer.text
    assert recorded(oest) == BEFORE
    assert HERS not in answer.text
    assert SCRIPT not in answer.text


def test_a_number_that_is_none_is_no_fault_of_ours(app: App) -> None:
    """However long it is, and whoever asks: it fills no journal with tracebacks."""

    def status(role: Role | None) -> int:
        """Ask for a hold that there can't be."""
        client = browser(hold_pages, app, role)
        return client.get(f"/holds/{'9' * 5000}").status_code

    assert (status(None), status(Role.MANAGER)) == (303, 404)
