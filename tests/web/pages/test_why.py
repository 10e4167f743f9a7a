from __future__ import annotations

import html

import pytest
from starlette.testclient import TestClient

from doorctl.access.panel import CODES
from doorctl.access.patron import SENTENCES, Reason
from doorctl.access.policy import CHECKS, PASS_CHECKS, Finding
from doorctl.accounts.account import Role
from doorctl.core.language import DANISH
from doorctl.web.staff import why as why_words
from doorctl.web.staff.why import REASONS, WhyPages
from tests.fakes.why_desk import FakeWhyDesk
from tests.web.pages.staging import LANGUAGES, browser

CARD = "3000001234"
WAITS = (Finding("known", None), Finding("throttle", Reason.THROTTLED), Finding("pin", None))
FORM = {"card": CARD, "reason": "calls", "own_words": "", "at": ""}


def client(desk: FakeWhyDesk, role: Role = Role.STAFF, language: str = DANISH) -> TestClient:
    """Return a browser for the page."""
    return browser(lambda frame: WhyPages(frame, desk).routes(), role, language)


def test_a_card_is_explained_and_its_number_is_nowhere() -> None:
    """The verdict, each check and what to do; the look has its reason in the branch's language."""
    desk = FakeWhyDesk({CARD: WAITS})
    answer = client(desk, language="en").post("/why", data={**FORM, "at": "2026-11-26T08:00"})

    assert answer.status_code == 200
    assert CARD not in answer.text
    for said in ("Would be refused", "Too many wrong PINs", "The patron can", "Passed", "Failed"):
        assert said in answer.text
    assert "3 h 5 min old" in answer.text
    ((typed, taken_as, at, why, by),) = desk.looks
    assert (typed, taken_as, why, by) == (CARD, None, "Låneren ringer", "staff")
    assert str(at) == "2026-11-26 08:00:00"


def test_it_is_said_in_danish_too() -> None:
    """A card that gets in, by a register of unknown age."""
    desk = FakeWhyDesk({CARD: (Finding("known", None),)}, data_age=None)
    answer = client(desk).post("/why", data=FORM)

    assert "Ville blive lukket ind" in answer.text
    assert "af ukendt alder" in answer.text
    assert "/why/unlock" not in answer.text


def test_a_pass_is_told_apart_from_the_register() -> None:
    """It is enough by itself, so what else fails does not make the verdict."""
    findings = (Finding("known", Reason.UNKNOWN_CARD), Finding("pass_admits", None))
    answer = client(FakeWhyDesk({CARD: findings}), language="en").post("/why", data=FORM)

    assert "Would be let in" in answer.text
    assert "What the pass says" in answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"card": ""},
        {"card": "<script>alert(1)</script>"},
        {"reason": "none"},
        {"reason": "other"},
        {"at": "0001-01-01T00:00"},
        {"at": "tomorrow"},
        {"own_words": "CPR 0101701234"},
        {"own_words": "\x1b[31mred"},
    ],
)
def test_what_makes_no_sense_is_told_in_the_form(wrong: dict[str, str]) -> None:
    """Nothing is looked up, no number comes back, and no tag of anybody's runs."""
    desk = FakeWhyDesk({CARD: WAITS})
    answer = client(desk).post("/why", data=FORM | wrong)

    assert answer.status_code == 422
    assert "form-error-message" in answer.text
    assert desk.looks == []
    assert CARD not in answer.text
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (DANISH, ("Kortet kan ikke slås op nu", "Ring til teknikeren", "Kode 1", "Kode 6")),
        ("en", ("be looked up now", "Call the technician", "Code 1", "Code 6")),
    ],
)
def test_while_the_door_does_not_run_codes_are_looked_up(
    language: str, said: tuple[str, ...]
) -> None:
    """It alone has the key; what a patron reads out on the phone says most, the log the rest."""
    answer = client(FakeWhyDesk(silent=True), language=language).post("/why", data=FORM)
    meant, _, beside = answer.text.split("<dl>")[1].partition("</dl>")

    assert answer.status_code == 503
    assert "door.sock" not in answer.text
    assert CARD not in answer.text
    for one in said:
        assert one in answer.text
    for reason in CODES:
        danish, english = SENTENCES[reason]
        assert (danish if language == DANISH else english) in html.unescape(meant)
    assert 'href="/log"' in beside


def test_wrong_pins_are_forgotten() -> None:
    """By a card that is swiped again; without one the form says so."""
    desk = FakeWhyDesk({CARD: WAITS})
    asking = client(desk)
    shown = asking.post("/why", data=FORM)
    unlocked = asking.post("/why/unlock", data={"card": CARD, "taken_as": "card"})

    assert "/why/unlock" in shown.text
    assert unlocked.headers["location"] == "/why?done=unlocked"
    assert "De forkerte pinkoder er glemt" in asking.get("/why?done=unlocked").text
    assert desk.unlocked == [(CARD, "staff")]
    assert asking.post("/why/unlock", data={"card": ""}).status_code == 422


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DPO, Role.TECHNICIAN])
def test_who_may_not(role: Role) -> None:
    """Whoever may not explain a card sees neither the page nor an answer."""
    desk = FakeWhyDesk()
    asking = client(desk, role)

    assert asking.get("/why").status_code == 403
    assert asking.post("/why", data=FORM).status_code == 403
    assert asking.post("/why/unlock", data=FORM).status_code == 403
    assert (desk.looks, desk.unlocked) == ([], [])


def test_every_check_and_reason_has_words_in_danish() -> None:
    """A new check of the policy is explained before it is shipped."""
    names = {"known", *(one.name for one in CHECKS), *(one.name for one in PASS_CHECKS)}
    helps = [
        why_words.help_with(name, one)
        for name in ("known", "pass_pin", "first_card")
        for one in Reason
    ]
    texts = {*REASONS.values(), *why_words.CHECKS.values()}
    texts |= {text for one in helps for text in (one.means, one.patron, one.staff)}
    danish = LANGUAGES.chosen(DANISH).words

    assert names == set(why_words.CHECKS)
    assert set(SENTENCES) == set(Reason)
    assert [text for text in sorted(texts) if danish.gettext(text) == text] == []
