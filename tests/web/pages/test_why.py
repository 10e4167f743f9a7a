"""Bugs that were found.

Bug (read by a stranger): no test proved any more that the time asked about in "Why refused?" is the
branch's: it went with a fake's contract (found before it did harm).
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from doorctl.access.messages import Closed, Opened
from doorctl.access.panel import CODES
from doorctl.access.patron import Reason
from doorctl.access.rights import Pass, PassKind
from doorctl.access.throttle import STOP_AT_FAILURES, CardThrottle
from doorctl.accounts.roles import Role
from doorctl.core.language import DANISH
from doorctl.core.masked import IdentifierKind
from doorctl.core.moments import ClockState, Stamped
from doorctl.lookup.app import App
from doorctl.lookup.cards import NumberKeys
from doorctl.lookup.numbers import DoorsNumbers, Numbers, OwnNumbers, TakenAs, own_sealer
from doorctl.privacy.audit import Action
from doorctl.store.records import AuditRecords
from doorctl.store.visits import VisitStore
from doorctl.web.staff.why import why_pages
from tests.fakes.clock import FakeClock
from tests.services.branches import issue_for_card, key, register
from tests.web.pages.staging import NOW, browser, recorded

CARD = "3000001234"
FORM = {"card": CARD, "reason": "calls", "own_words": "", "at": ""}


CLUB = Pass(0, PassKind.STAFF, NOW.date(), NOW.date(), needs_pin=False, label="night watch")


@pytest.fixture
def branch(app: App) -> App:
    """A small branch whose register knows the card."""
    register(app, (IdentifierKind.CARD, CARD, "1001"))
    return app


def waits(branch: App) -> None:
    """Have the card wait after wrong PINs."""
    at = Stamped(NOW, branch.clock.moment().state, branch.clock.boot_time())
    wrong = CardThrottle(STOP_AT_FAILURES, branch.clock.boot_time())
    with closing(VisitStore(branch.storage.visits_db)) as store:
        store.open_attempt(Opened(1, at, key(branch, IdentifierKind.CARD, CARD), wrong))


def client(
    app: App, role: Role = Role.STAFF, language: str = DANISH, numbers: Numbers | None = None
) -> TestClient:
    """Return a browser for the page."""
    return browser(why_pages, replace(app, numbers=numbers), role, language)


def test_a_card_is_explained_and_its_number_is_nowhere(branch: App) -> None:
    """The verdict, each check and what to do, at the local time that was asked about.

    The look has its reason in the branch's language.
    """
    waits(branch)
    answer = client(branch, language="en").post("/why", data={**FORM, "at": "2026-11-26T08:00"})

    assert answer.status_code == 200
    assert CARD not in answer.text
    for said in ("Is refused", "Too many wrong PINs", "The patron can", "Passed", "ending in 1234"):
        assert said in answer.text
    assert " min old" in answer.text
    assert "26/11/2026 at 08:00" in answer.text
    assert recorded(branch) == [(Action.PATRON_EXPLAINED, "Låneren ringer", "staff")]


def test_a_pass_is_told_apart_from_the_register(branch: App) -> None:
    """It is enough by itself, so what else fails does not make the verdict."""
    issue_for_card(branch, CARD, "card", CLUB, None)
    answer = client(branch, language="en").post("/why", data=FORM)

    assert "Gets in" in answer.text
    assert "Also in the way" not in answer.text
    assert "Kommer ind" in client(branch).post("/why", data=FORM).text
    assert "/why/unlock" not in answer.text


def test_a_register_of_unknown_age_is_told_in_danish(branch: App) -> None:
    """Where nobody vouches for the clock."""
    clock = FakeClock(wall=NOW, vouched=False)
    answer = client(App(branch.config, clock)).post("/why", data=FORM)

    assert "af ukendt alder" in answer.text


class Rotating(OwnNumbers):
    """Numbers of which the register still has the key of before."""

    def readings(self, typed: str, taken_as: TakenAs | None) -> tuple[NumberKeys, ...]:
        """Return each reading with another key, and its own as the earlier one."""
        found = super().readings(typed, taken_as)
        return tuple(replace(one, key=bytes(16), earlier=(one.key,)) for one in found)


def test_whose_card_it_was_is_on_record_during_a_change_of_the_installation_key(
    branch: App,
) -> None:
    """A row that is found under an earlier key is somebody's, who has a right to hear of the look.

    The earlier key itself is not put on record.

    Bug (read by a stranger): "Why refused?" found a card under an earlier installation key, and
    put the look on record as about nobody.
    """
    client(branch, numbers=Rotating(own_sealer(branch.config))).post("/why", data=FORM)

    with closing(AuditRecords(branch.storage.branch_db)) as audit:
        (entry,) = audit.entries()
    assert entry.deed.patron_ref == "1001"
    assert {*entry.deed.cards} == {bytes(16)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"card": ""},
        {"card": "<script>alert(1)</script>"},
        {"reason": "none"},
        {"reason": "other"},
        {"at": "0001-01-01T00:00"},
        {"at": "once"},
        {"own_words": "CPR 0101701234"},
        {"own_words": "\x1b[31mred"},
    ],
)
def test_what_makes_no_sense_is_told_in_the_form(branch: App, wrong: dict[str, str]) -> None:
    """Nothing is looked up, no number comes back, and no tag of anybody's runs."""
    answer = client(branch).post("/why", data=FORM | wrong)

    assert answer.status_code == 422
    assert "form-error-message" in answer.text
    assert recorded(branch) == []
    assert CARD not in answer.text
    assert "<script>alert" not in answer.text


def test_while_the_door_does_not_run_a_librarys_number_is_looked_up(branch: App) -> None:
    """The door alone has the key that finds a card; register and rules are on disk all the same.

    Bug (outside look): while the door process was dead nobody could be told why they were refused,
    and the page told a librarian of a socket in English.
    """
    asking = client(branch, numbers=DoorsNumbers(branch.config.control.socket))
    silent = asking.post("/why", data=FORM)
    found = asking.post("/why", data=FORM | {"card": "1001"})

    assert silent.status_code == 503
    assert "et kort. Ring til IT: 87\u00a065" in silent.text
    assert "door.sock" not in silent.text
    assert CARD not in silent.text
    assert found.status_code == 200
    assert "Pinkoden kendes ikke endnu." in found.text
    assert "nummer, der ender på 1001" in found.text
    assert recorded(branch) == [(Action.PATRON_EXPLAINED, "Låneren ringer", "staff")]


@pytest.mark.parametrize("number", sorted(set(CODES.values())))
def test_a_code_is_explained_without_the_door(number: int, branch: App) -> None:
    """What it means, what to say and what staff can do; that is nobody's data and on no record.

    Bug (outside look): a patron was told a code at the door that no page of staff explained.
    """
    asking = client(branch, numbers=DoorsNumbers(branch.config.control.socket))
    answer = asking.post("/why", data=FORM | {"card": f"{number}", "reason": ""})

    assert answer.status_code == 200
    assert f"Kode {number}</h2>" in answer.text
    assert "Sig til låneren" in answer.text
    assert recorded(branch) == []


def test_the_last_at_the_door_stand_on_the_page(branch: App) -> None:
    """The newest first, with the code that the screen showed, and what leads to a ban of them."""
    at = Stamped(NOW - timedelta(days=1), ClockState.TRUSTED, branch.clock.boot_time())
    with closing(VisitStore(branch.storage.visits_db)) as store:
        for attempt, reason in enumerate((Reason.OK, Reason.UNDER_AGE), start=1):
            mine = key(branch, IdentifierKind.CARD, CARD)
            store.open_attempt(Opened(attempt, at, mine, CardThrottle()))
            store.close_attempt(Closed(attempt, reason))
    page = client(branch).post("/why", data=FORM).text

    newest, older = re.findall(r"<li>(i går.*?)</li>", " ".join(page.split()))
    assert "kl. 19.30" in newest
    assert "For ung til selvbetjening</a> (kode 5)" in newest
    assert "Kom ind" in older
    assert 'href="/bans?attempt=2#add"' in page


def test_whoever_came_by_an_attempt_is_looked_up(branch: App) -> None:
    """A row of the door log leads here; the look has its reason, and needs no door process."""
    waits(branch)
    asking = client(branch, numbers=DoorsNumbers(branch.config.control.socket))
    shown = asking.get("/why?attempt=1").text
    answer = asking.post("/why", data=FORM | {"card": "", "attempt": "1"})

    assert 'name="attempt" value="1"' in shown
    assert "den, der kom ved forsøg nr. 1" in answer.text
    assert "Vent lidt, eller lad os låse kortet op nu." in answer.text
    assert recorded(branch) == [(Action.PATRON_EXPLAINED, "Låneren ringer", "staff")]
    for attempt in ("2", "x"):
        assert asking.post("/why", data=FORM | {"attempt": attempt}).status_code == 422


def test_only_what_is_in_the_way_is_open(branch: App) -> None:
    """The checks that passed are counted and folded away; a sentence stands there to read aloud."""
    waits(branch)
    page = client(branch).post("/why", data=FORM).text
    before, _, folded = page.partition('<details class="why-others">')

    assert "Vent lidt, eller lad os låse kortet op nu." in before
    assert "I orden</span>" not in before
    assert re.search(r"1?\d andre tjek er i orden", folded)


def test_wrong_pins_are_forgotten(branch: App) -> None:
    """By a card that is swiped again; without one the form says so."""
    waits(branch)
    asking = client(branch)
    shown = asking.post("/why", data=FORM)
    unlocked = asking.post("/why/unlock", data={"card": CARD, "taken_as": "card"})

    assert "/why/unlock" in shown.text
    assert unlocked.headers["location"] == "/why?done=unlocked"
    assert "De forkerte pinkoder er glemt" in asking.get("/why?done=unlocked").text
    assert recorded(branch)[-1] == (Action.CARD_UNLOCKED, "", "staff")
    assert "/why/unlock" not in asking.post("/why", data=FORM).text
    assert asking.post("/why/unlock", data={"card": ""}).status_code == 422


def test_wrong_pins_under_an_earlier_installation_key_are_forgotten_too(branch: App) -> None:
    """The door counts them while the key is changed, so the card would go on waiting.

    Bug (read by a stranger): staff's unlocking forgot a card's wrong PINs under the newest
    installation key alone, so during a change of the key it went on waiting.
    """
    waits(branch)
    asking = client(branch, numbers=Rotating(own_sealer(branch.config)))
    assert "/why/unlock" in asking.post("/why", data=FORM).text

    asking.post("/why/unlock", data={"card": CARD, "taken_as": "card"})

    assert "/why/unlock" not in asking.post("/why", data=FORM).text
