from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from doorctl.access.messages import Opened
from doorctl.access.rights import Ban, Listed
from doorctl.access.throttle import CODES_KEY, CardThrottle
from doorctl.accounts.account import Role
from doorctl.core.language import DANISH
from doorctl.core.masked import IdentifierKind
from doorctl.core.moments import ClockState, Stamped
from doorctl.privacy.audit import Action
from doorctl.services.app import App, open_book
from doorctl.services.numbers import DoorsNumbers
from doorctl.store.visits import VisitStore
from doorctl.web.staff.rights import BansPages
from tests.services.branches import key, register
from tests.web.desk_records import recorded
from tests.web.pages.staging import NOW, SURE, browser, confirmed

CARD = "3000001234"
FORM = {
    "card": CARD,
    "reason": "noise",
    "days": "date",
    "last": "2026-12-24",
    "branches": "here",
    "note": "",
}


def client(app: App, role: Role = Role.STAFF, language: str = DANISH) -> TestClient:
    """Return a browser for the page."""
    return browser(lambda frame: BansPages(frame).routes(), role, language, app)


def known(app: App, ref: str) -> None:
    """Have the register know whose the card is."""
    register(app, (IdentifierKind.CARD, CARD, ref))


def stored(app: App) -> tuple[Listed[Ban], ...]:
    """Return every ban, newest first."""
    with open_book(app) as book:
        return book.every_ban()


def test_a_ban_is_added_listed_and_lifted(app: App) -> None:
    """Its reason is kept in the branch's language, and the day that is given counts too."""
    known(app, "1001")
    asking = client(app, language="en")
    added = confirmed(asking, "/bans", {**FORM, "own_words": "shouting", "note": "One.\r\nTwo."})
    (entry,) = stored(app)

    assert added == "/bans?done=added"
    assert entry.held.reason == "Støj eller anden gene: shouting"
    assert entry.held.note == "One.\nTwo."
    assert (entry.held.by, str(entry.held.until)) == ("staff", "2026-12-24 23:00:00+00:00")
    listed, card = asking.get("/bans?done=added").text, str(entry.card)[:4]
    for said in (
        "In force",
        "24/12/2026",
        f"card {card}",
        "patron 1001",
        "Print the letter",
    ):
        assert said in listed
    assert CARD not in listed
    assert asking.post("/bans/1/lift").headers["location"] == "/bans?done=lifted"
    assert "Lifted" in asking.get("/bans").text
    assert asking.post("/bans/1/lift").status_code == 422
    assert [(action, by) for action, _, by in recorded(app.config)] == [
        *((Action.BAN_ADDED, "staff"), (Action.BANS_LISTED, "staff")),
        *((Action.BAN_LIFTED, "staff"), (Action.BANS_LISTED, "staff")),
    ]


@pytest.mark.parametrize(
    ("form", "done", "told"),
    [
        ({"card": "3000001244", "taken_as": "card"}, "card_alone", "kun dette kort"),
        (
            {"card": "", "patron_ref": "1007", "branches": "everywhere"},
            "added",
            "låneren med alle kort",
        ),
        (
            {"card": "", "patron_ref": "1008"},
            "not_yet",
            "Ingen låner med det nummer står i registret nu",
        ),
    ],
)
def test_what_is_told_of_whom_it_holds_for(
    form: dict[str, str], done: str, told: str, app: App
) -> None:
    """A card alone, or a patron with all cards; until further notice is meant, never left out.

    That nobody has the number now is no success, for a mistyped one keeps nobody out.
    """
    known(app, "1007")
    asking = client(app)
    leads = confirmed(asking, "/bans", FORM | {"days": "open"} | form)
    page = asking.get(leads).text

    assert leads == f"/bans?done={done}"
    assert told in page
    assert ("med alle kort" in page) == (done == "added")
    assert [one.held.until for one in stored(app)] == [None]


@pytest.mark.parametrize(
    "wrong",
    [
        {"card": ""},
        {"patron_ref": "1001"},
        {"card": "", "patron_ref": "010170-1234"},
        {"reason": ""},
        {"days": ""},
        {"days": "15"},
        {"last": ""},
        {"last": "tomorrow"},
        {"first": "tomorrow"},
        {"last": "9999-12-31"},
        {"reason": "other"},
        {"own_words": "\x1b[31mred"},
        {"note": "card 3000001234"},
    ],
)
def test_what_makes_no_sense_bans_nobody(wrong: dict[str, str], app: App) -> None:
    """It is told in Danish above the form and at its field; a card that was read stays known.

    Neither that nor a CPR number in the wrong field stands in the form that comes back.
    """
    answer = client(app).post("/bans", data=FORM | wrong)

    assert answer.status_code == 422
    assert "Noget skal rettes. Intet er ændret." in answer.text
    assert "form-error-message" in answer.text
    assert stored(app) == ()
    whom = {"card", "patron_ref"} & set(wrong)
    assert ('name="card" type="text" value=""' if whom else "der ender på 1234") in answer.text
    assert f'value="{CARD}' not in answer.text
    assert "010170" not in answer.text


def test_a_ban_that_is_sent_twice_stands_once(app: App) -> None:
    """It is told, and so is what still holds after one of two was lifted."""
    known(app, "1001")
    asking = client(app)
    check = asking.post("/bans", data=FORM).headers["location"]
    assert asking.post(check, data=SURE).headers["location"] == "/bans?done=added"
    for again in (asking.post(check, data=SURE), asking.get(check)):
        assert again.headers["location"] == "/bans?done=gone"
    assert "Siden er brugt før" in asking.get("/bans?done=gone").text
    refused = asking.post(asking.post("/bans", data=FORM).headers["location"], data=SURE)
    assert refused.status_code == 422
    assert "har allerede karantæne lige så længe" in refused.text
    confirmed(asking, "/bans", FORM | {"days": "open"})
    assert len(stored(app)) == 2
    lifted = asking.post("/bans/1/lift").headers["location"]
    assert lifted == "/bans?done=still_banned"
    assert "en anden karantæne" in asking.get(lifted).text
    assert asking.post("/bans/2/lift").headers["location"] == "/bans?done=lifted"


def test_the_letter_is_in_both_languages(app: App) -> None:
    """Whichever the page is in: the reason that was chosen too, which is kept in Danish."""
    known(app, "1001")
    asking = client(app)
    confirmed(asking, "/bans", FORM | {"days": "open", "own_words": "Den 24. november"})
    letter = asking.get("/bans/1/letter").text

    assert "fra den 25.11.2026 og indtil videre" in letter
    assert "until further notice" in letter
    assert "Grunden er: Støj eller anden gene: Den 24. november" in letter
    assert "The reason is: Noise, or a nuisance to others: Den 24. november" in letter
    assert "<span>25.11.2026</span>" in letter
    assert "<span>25/11/2026</span>" in letter
    for said in ("Navn og adresse", "klage til bibliotekets leder", "Telefon 12 34 56 78"):
        assert said in letter
    for number in ("2", "0", "x", "²", "9" * 5000):
        assert asking.get(f"/bans/{number}/letter").status_code == 404


def test_a_card_that_a_reader_types_leads_on_to_the_next_question(app: App) -> None:
    """A reader ends it by Enter: nothing is wrong yet, and the card is not asked for again."""
    known(app, "1001")
    asking = client(app)
    next_one = asking.post("/bans", data={"card": CARD, "days": ""})
    (token,) = re.findall(r'name="whom" value="([^"]+)"', next_one.text)

    assert next_one.status_code == 200
    assert "nummer, der ender på 1234" in next_one.text
    assert "form-error" not in next_one.text
    form = {"whom": token, "reason": "smoke", "days": "14"}
    assert client(app, Role.MANAGER).post("/bans", data=form).status_code == 422
    assert confirmed(asking, "/bans", form) == "/bans?done=added"
    (entry,) = stored(app)
    assert (entry.patron_ref, str(entry.held.until)) == ("1001", "2026-12-08 23:00:00+00:00")


def test_before_a_ban_its_page_to_check_shows_all_of_it(app: App) -> None:
    """Whom, why, until which day in words, where, and the letter, which has no number yet."""
    known(app, "1001")
    asking = client(app)
    check = asking.post("/bans", data=FORM | {"days": "30"}).headers["location"]
    page = asking.get(check).text

    for said in (
        "nummer, der ender på 1234",
        "med alle kort",
        "Støj eller anden gene",
        "torsdag den 24. december 2026",
        "til og med den 24.12.2026",
        "Syv dages skriftligt varsel",
    ):
        assert said in page
    assert "Karantænen har nummer" not in page
    assert stored(app) == ()


def test_whoever_came_by_an_attempt_is_banned_without_a_card(app: App) -> None:
    """A row of the door log leads here; one without a card, or an older one, is refused."""
    known(app, "1001")
    at = Stamped(NOW, ClockState.TRUSTED, app.clock.boot_time())
    with closing(VisitStore(app.storage.visits_db)) as store:
        store.open_attempt(Opened(7, at, key(app, IdentifierKind.CARD, CARD), CardThrottle()))
        store.open_attempt(Opened(8, at, CODES_KEY, CardThrottle()))
    silent = replace(app, numbers=DoorsNumbers(app.config.control.socket))
    asking = client(silent)
    shown = asking.get("/bans?attempt=7").text
    (token,) = re.findall(r'name="whom" value="([^"]+)"', shown)

    assert "den, der kom ved forsøg nr. 7 i dørloggen" in shown
    form = {"whom": token, "reason": "strangers", "days": "90"}
    assert confirmed(asking, "/bans", form) == "/bans?done=added"
    assert [entry.patron_ref for entry in stored(app)] == ["1001"]
    for attempt in ("8", "9", "x"):
        assert asking.get(f"/bans?attempt={attempt}").status_code == 422


def test_a_ban_is_changed_by_the_same_form(app: App) -> None:
    """It is filled in as the ban stands; who is banned, since when and by whom stay."""
    known(app, "1001")
    asking = client(app)
    confirmed(asking, "/bans", FORM | {"own_words": "råbte"})
    (before,) = stored(app)
    shown = asking.get("/bans/1").text
    (token,) = re.findall(r'name="whom" value="([^"]+)"', shown)

    assert "Ret karantænen" in shown
    assert 'value="råbte"' in shown
    assert 'value="24.12.2026"' in shown
    form = {"whom": token, "reason": "violence", "days": "open", "branches": "everywhere"}
    assert (
        confirmed(client(app), "/bans", form | {"whom": "none", "card": CARD}) == "/bans?done=added"
    )
    assert confirmed(asking, "/bans", form) == "/bans?done=changed"
    after = stored(app)[-1]
    assert (after.patron_ref, after.held.since, after.held.by) == (
        "1001",
        before.held.since,
        "staff",
    )
    assert (after.held.until, after.held.reason) == (None, "Trusler eller vold")
    assert asking.get("/bans/9").status_code == 404
    assert Action.BAN_CHANGED in [action for action, _, _ in recorded(app.config)]
