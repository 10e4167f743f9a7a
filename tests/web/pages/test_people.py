from __future__ import annotations

from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from doorctl.accounts.account import Role
from doorctl.core.language import DANISH
from doorctl.privacy.subject import HeldVisit
from doorctl.privacy.subject_table import VISITS
from doorctl.web.desks import Named
from doorctl.web.staff.people import ACTIONS, PeoplePages
from tests.fakes.people_desk import FakePeopleDesk, row
from tests.web.pages.staging import LANGUAGES, browser

CARD, UNKNOWN, REF, SCRIPT = "3000001234", "3000009999", "1001", "<script>alert(1)</script>"
BY_CARD = {"card": CARD, "why": "sag 2026-17"}
BY_REF = {"patron_ref": REF, "why": "sag 2026-17"}


def people() -> FakePeopleDesk:
    """Return a desk that holds a row of the register and a hostile ban of one person."""
    rows = [
        row("patrons", row_key=bytes(16), patron_ref=REF, resident=1, active=0),
        row("bans", number=7, patron_ref=REF, reason=SCRIPT, since_ms=1_795_000_000_000, by="anne"),
    ]
    return FakePeopleDesk({REF: rows}, {CARD: REF})


def client(desk: FakePeopleDesk, role: Role = Role.DPO, language: str = DANISH) -> TestClient:
    """Return a browser for the page."""
    return browser(lambda frame: PeoplePages(frame, desk).routes(), role, language)


def test_a_person_is_found_and_told_of_in_words() -> None:
    """By a card that is shown nowhere; what goes on is the library system's number."""
    desk = people()
    desk.export(Named(CARD), "earlier look", "dpo")
    found = client(desk).post("/people/find", data=BY_CARD)

    assert found.status_code == 200
    for said in ("Bor i kommunen", ">ja<", ">nej<", "18.11.2026 kl. 12.06", "(en medarbejder)"):
        assert said in found.text
    assert f'name="patron_ref" value="{REF}"' in found.text
    assert "earlier look" in found.text
    assert CARD not in found.text
    assert SCRIPT not in found.text
    assert "&lt;script&gt;" in found.text
    assert desk.deeds[-1] == ("export", REF, "sag 2026-17", "dpo")


def test_of_whom_nothing_is_held() -> None:
    """It is said so, and each deed asks for the card once more."""
    found = client(people(), language="en").post("/people/find", data=BY_CARD | {"card": UNKNOWN})

    assert "Nothing is held of the person here." in found.text
    assert 'id="erase-card"' in found.text
    assert UNKNOWN not in found.text


def test_files_are_handed_out_and_not_opened() -> None:
    """For programs and for people; neither runs anything, nor says whose it is by its name."""
    asking = client(people())
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


def test_data_are_restricted_and_used_again() -> None:
    """With a reason each; a second time is refused and told."""
    desk = people()
    asking = client(desk)

    assert asking.post("/people/restrict", data=BY_REF).headers["location"].endswith("=restricted")
    assert asking.post("/people/restrict", data=BY_REF).status_code == 422
    assert "Behandlingen er begrænset." in asking.post("/people/find", data=BY_REF).text
    ended = asking.post("/people/unrestrict", data=BY_CARD)
    assert ended.headers["location"] == "/people?done=unrestricted"
    assert asking.post("/people/unrestrict", data=BY_REF).status_code == 422
    changes = [one for one in desk.deeds if one[0] != "export"]
    assert changes == [
        ("restrict", REF, "sag 2026-17", "dpo"),
        ("unrestrict", REF, "sag 2026-17", "dpo"),
    ]


def test_a_restriction_of_nobody_known_is_told_as_such() -> None:
    """It holds once a push brings a patron of that number."""
    asking = client(people())
    done = asking.post("/people/restrict", data={"patron_ref": "1999", "why": "sag 2026-17"})

    assert done.headers["location"] == "/people?done=not_yet"
    assert "Ingen låner med det nummer" in asking.get("/people?done=not_yet").text


@pytest.mark.parametrize("deed", ["find", "export", "restrict", "unrestrict", "erase"])
def test_a_cpr_number_is_not_taken_for_the_library_systems(deed: str) -> None:
    """It is said where it belongs; nothing is put on record, and it does not come back."""
    desk = people()
    data = {"patron_ref": "010170-1234", "why": "sag 2026-17", "understood": "yes"}
    answer = client(desk).post(f"/people/{deed}", data=data)

    assert answer.status_code == 422
    assert "Skriv det i feltet til kortet." in answer.text
    assert "010170-1234" not in answer.text
    assert desk.deeds == []


def test_erasing_takes_a_reason_and_a_tick() -> None:
    """Without either nothing is erased; the form comes back, with what is wrong."""
    desk = people()
    asking = client(desk)
    for wrong in (BY_REF, {"patron_ref": REF, "understood": "yes"}):
        answer = asking.post("/people/erase", data=wrong)
        assert answer.status_code == 422
        assert 'action="/people/erase"' in answer.text
    assert desk.deeds == []

    erased = asking.post("/people/erase", data=BY_CARD | {"understood": "yes"})
    assert "2 poster er slettet." in erased.text
    assert desk.held == {}
    assert CARD not in erased.text


def test_what_an_erasure_left_is_told() -> None:
    """Why, and which visits stay for a case: escaped, whatever it is called."""
    stays = HeldVisit(17, SCRIPT, datetime(2026, 12, 24, tzinfo=UTC))
    desk = FakePeopleDesk(left={VISITS: SCRIPT}, stay=(stays,))
    data = BY_CARD | {"understood": "yes"}
    answer = client(desk, language="en").post("/people/erase", data=data)

    assert "Erase again" in answer.text
    assert "Visit 17 stays" in answer.text
    assert SCRIPT not in answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"card": ""},
        {"card": SCRIPT},
        {"patron_ref": REF},
        {"why": ""},
        {"why": "CPR 0101701234"},
        {"taken_as": "cpr"},
    ],
)
@pytest.mark.parametrize("deed", ["find", "export", "restrict", "erase"])
def test_what_makes_no_sense_does_nothing(wrong: dict[str, str], deed: str) -> None:
    """No deed; no number and no tag comes back."""
    desk = people()
    data = BY_CARD | {"understood": "yes"} | wrong
    answer = client(desk).post(f"/people/{deed}", data=data)

    assert answer.status_code == 422
    assert "Der er ikke gjort noget." in answer.text
    assert desk.deeds == []
    assert CARD not in answer.text
    assert SCRIPT not in answer.text


@pytest.mark.parametrize("role", [one for one in Role if one is not Role.DPO])
def test_who_may_not(role: Role) -> None:
    """The data-protection officer alone, and never by an address."""
    desk = people()
    asking = client(desk, role)

    assert asking.get("/people").status_code == 403
    for deed in ("find", "export", "restrict", "unrestrict", "erase"):
        assert asking.post(f"/people/{deed}", data=BY_REF).status_code == 403
        assert client(desk).get(f"/people/{deed}?card={CARD}").status_code == 405
    assert desk.deeds == []


def test_what_staff_did_is_said_in_danish() -> None:
    """Every deed that can be about one person."""
    danish = LANGUAGES.chosen(DANISH).words

    assert [text for text in ACTIONS.values() if danish.gettext(text) == text] == []
