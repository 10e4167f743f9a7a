from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from doorctl.access.rights import Ban, BanEntry
from doorctl.accounts.account import Role
from doorctl.core.language import DANISH
from doorctl.core.masked import IdentifierKind
from doorctl.privacy.audit import Action
from doorctl.services import rights
from doorctl.services.app import App, open_book
from doorctl.web.staff.rights import bans_pages
from tests.services.branches import register
from tests.web.desk_records import recorded
from tests.web.pages.staging import NOW, browser

CARD, SCRIPT = "3000001234", "<script>alert(1)</script>"
FORM = {
    "card": CARD,
    "reason": "noise",
    "end": "date",
    "last": "2026-12-24",
    "branches": "here",
    "note": "",
}


BAN = Ban(0, "støj", NOW, None, "staff", frozenset({"demo"}))


def client(app: App, role: Role = Role.STAFF, language: str = DANISH) -> TestClient:
    """Return a browser for the page."""
    return browser(bans_pages, role, language, app)


def known(app: App, ref: str) -> None:
    """Have the register know whose the card is."""
    register(app, (IdentifierKind.CARD, CARD, ref))


def stored(app: App) -> tuple[BanEntry, ...]:
    """Return every ban, newest first."""
    with open_book(app) as book:
        return book.every_ban()


def test_a_ban_is_added_listed_and_lifted(app: App) -> None:
    """Its reason is kept in the branch's language, and the day that is given counts too."""
    known(app, "1001")
    asking = client(app, language="en")
    added = asking.post("/bans", data={**FORM, "own_words": "shouting", "note": "One.\r\nTwo."})
    (entry,) = stored(app)

    assert added.headers["location"] == "/bans?done=added"
    assert entry.ban.reason == "Støj, eller til gene for andre: shouting"
    assert entry.ban.note == "One.\nTwo."
    assert (entry.ban.by, str(entry.ban.until)) == ("staff", "2026-12-24 23:00:00+00:00")
    listed = asking.get("/bans?done=added").text
    for said in ("In force", "24/12/2026", f"card {entry.card}", "patron 1001", "Print the letter"):
        assert said in listed
    assert CARD not in listed
    assert asking.post("/bans/1/lift").headers["location"] == "/bans?done=lifted"
    assert "Lifted" in asking.get("/bans").text
    assert asking.post("/bans/1/lift").status_code == 422
    assert recorded(app.config)[-2:] == [
        (Action.BAN_LIFTED, "", "staff"),
        (Action.BANS_LISTED, "", "staff"),
    ]


@pytest.mark.parametrize(
    ("form", "done", "until"),
    [
        ({"card": "3000001244", "taken_as": "card", "end": "open"}, "card_alone", None),
        (
            {"card": "", "patron_ref": "1007", "branches": "everywhere", "end": "open"},
            "added",
            None,
        ),
        ({"card": "", "patron_ref": "1008", "end": "open"}, "not_yet", None),
    ],
)
def test_what_is_told_of_whom_it_holds_for(
    form: dict[str, str], done: str, until: None, app: App
) -> None:
    """A card alone, or a patron with all cards; until further notice is meant, never left out."""
    known(app, "1007")
    answer = client(app).post("/bans", data=FORM | form)

    assert answer.headers["location"] == f"/bans?done={done}"
    assert [one.ban.until for one in stored(app)] == [until]


@pytest.mark.parametrize(
    "wrong",
    [
        {"card": ""},
        {"patron_ref": "1001"},
        {"reason": ""},
        {"end": ""},
        {"last": ""},
        {"last": "2026-11-01"},
        {"last": "9999-12-31"},
        {"reason": "other"},
        {"own_words": "\x1b[31mred"},
        {"note": "card 3000001234"},
    ],
)
def test_what_makes_no_sense_bans_nobody(wrong: dict[str, str], app: App) -> None:
    """It is told in Danish above the form, which keeps all but the card."""
    answer = client(app).post("/bans", data=FORM | wrong)

    assert answer.status_code == 422
    assert "Ingen fik karantæne." in answer.text
    assert stored(app) == ()
    assert 'name="card" type="text" value=""' in answer.text


def test_a_ban_that_is_sent_twice_stands_once(app: App) -> None:
    """It is told, and so is what still holds after one of two was lifted."""
    known(app, "1001")
    asking = client(app)
    asking.post("/bans", data=FORM)
    again = asking.post("/bans", data=FORM)

    assert again.status_code == 422
    assert "har allerede karantæne lige så længe" in again.text
    asking.post("/bans", data=FORM | {"end": "open"})
    assert len(stored(app)) == 2
    lifted = asking.post("/bans/1/lift").headers["location"]
    assert lifted == "/bans?done=still_banned"
    assert "en anden karantæne" in asking.get(lifted).text
    assert asking.post("/bans/2/lift").headers["location"] == "/bans?done=lifted"


def test_a_ban_of_nobody_known_is_no_success(app: App) -> None:
    """It is told that nobody has the number now, for a mistyped one keeps nobody out."""
    shown = client(app).get("/bans?done=not_yet").text

    assert "Ingen låner med det nummer står i registret nu" in shown
    assert "med alle kort" not in shown


@pytest.mark.parametrize("typed", ["0101701234", "010170-1234", "01 01 70 1234"])
def test_a_cpr_number_is_not_taken_for_the_library_systems(typed: str, app: App) -> None:
    """It is said where it belongs, and stands nowhere: not even in the form that comes back."""
    answer = client(app).post("/bans", data=FORM | {"card": "", "patron_ref": typed})

    assert answer.status_code == 422
    assert "Skriv det i feltet til kortet." in answer.text
    assert typed not in answer.text
    assert stored(app) == ()


def test_the_letter_is_in_both_languages(app: App) -> None:
    """Whichever the page is in; there is none of a ban that is not there."""
    rights.ban_patron(app, "1001", BAN)
    asking = client(app)
    letter = asking.get("/bans/1/letter").text

    assert "fra den 25.11.2026 og indtil videre" in letter
    assert "until further notice" in letter
    for number in ("2", "0", "x", "²", "9" * 5000):
        assert asking.get(f"/bans/{number}/letter").status_code == 404


def test_each_letter_has_the_reason_in_its_own_language(app: App) -> None:
    """What was chosen from the list is kept in Danish, and read in English by who reads that."""
    known(app, "1001")
    asking = client(app)
    asking.post("/bans", data=FORM | {"reason": "noise", "own_words": "Den 24. november"})
    letter = asking.get("/bans/1/letter").text

    assert "Grunden er: Støj, eller til gene for andre: Den 24. november" in letter
    assert "The reason is: Noise, or a nuisance to others: Den 24. november" in letter
    assert "<span>25.11.2026</span>" in letter
    assert "<span>25/11/2026</span>" in letter
