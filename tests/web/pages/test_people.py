from __future__ import annotations

from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from doorctl.access.rights import Ban
from doorctl.accounts.account import Role
from doorctl.core.language import DANISH
from doorctl.core.masked import IdentifierKind
from doorctl.privacy.audit import Action
from doorctl.privacy.subject import ALL_GONE, BRANCH, VISITS, Erasure, HeldVisit, PartErased
from doorctl.services import subject
from doorctl.services.app import App
from doorctl.web.staff.records import people_pages
from tests.services.branches import ban_patron, register
from tests.web.conftest import Apps
from tests.web.desk_records import recorded
from tests.web.pages.staging import browser

CARD, UNKNOWN, REF, SCRIPT = "3000001234", "3000009999", "1001", "<script>alert(1)</script>"
BY_CARD = {"card": CARD, "why": "sag 2026-17"}
BY_REF = {"patron_ref": REF, "why": "sag 2026-17"}


BAN = Ban(0, SCRIPT, datetime.fromtimestamp(1_795_000_000, UTC), None, "anne", frozenset({"*"}))
BEFORE = [(Action.BAN_ADDED, SCRIPT, "anne")]
"""What is on record before anything is asked."""


@pytest.fixture
def app(apps: Apps) -> App:
    """A branch that holds a row of the register and a hostile ban of one person."""
    app = apps("branch.id=oest")
    register(app, (IdentifierKind.CARD, CARD, REF))
    ban_patron(app.acting("anne"), REF, BAN)
    return app


def client(app: App, role: Role = Role.DPO, language: str = DANISH) -> TestClient:
    """Return a browser for the page."""
    return browser(people_pages, role, language, app)


def test_a_person_is_found_and_told_of_in_words(app: App) -> None:
    """By a card that is shown nowhere; what goes on is the library system's number."""
    client(app).post("/people/find", data=BY_CARD | {"why": "earlier look"})
    found = client(app).post("/people/find", data=BY_CARD)

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
    assert CARD not in found.text
    assert SCRIPT not in found.text
    assert "&lt;script&gt;" in found.text
    assert recorded(app.config)[-1] == (Action.SUBJECT_EXPORTED, "sag 2026-17", "dpo")


def test_of_whom_nothing_is_held(app: App) -> None:
    """It is said so, and each deed asks for the card once more."""
    found = client(app, language="en").post("/people/find", data=BY_CARD | {"card": UNKNOWN})

    assert "Nothing is held of the person here." in found.text
    assert 'id="erase-card"' in found.text
    assert UNKNOWN not in found.text


def test_files_are_handed_out_and_not_opened(app: App) -> None:
    """For programs and for people; neither runs anything, nor says whose it is by its name."""
    asking = client(app)
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


def test_data_are_restricted_and_used_again(app: App) -> None:
    """With a reason each; a second time is refused and told."""
    asking = client(app)

    assert asking.post("/people/restrict", data=BY_REF).headers["location"].endswith("=restricted")
    assert asking.post("/people/restrict", data=BY_REF).status_code == 422
    assert "Behandlingen er begrænset." in asking.post("/people/find", data=BY_REF).text
    ended = asking.post("/people/unrestrict", data=BY_CARD)
    assert ended.headers["location"] == "/people?done=unrestricted"
    assert asking.post("/people/unrestrict", data=BY_REF).status_code == 422
    assert [one for one in recorded(app.config) if one[0] is not Action.SUBJECT_EXPORTED] == [
        *BEFORE,
        (Action.SUBJECT_RESTRICTED, "sag 2026-17", "dpo"),
        (Action.SUBJECT_UNRESTRICTED, "sag 2026-17", "dpo"),
    ]


def test_a_restriction_of_nobody_known_is_told_as_such(app: App) -> None:
    """It holds once a push brings a patron of that number."""
    asking = client(app)
    done = asking.post("/people/restrict", data={"patron_ref": "1999", "why": "sag 2026-17"})

    assert done.headers["location"] == "/people?done=not_yet"
    assert "Ingen låner med det nummer" in asking.get("/people?done=not_yet").text


def test_erasing_takes_a_reason_and_a_tick(app: App) -> None:
    """Without either nothing is erased; the form comes back, with what is wrong."""
    asking = client(app)
    for wrong in (BY_REF, {"patron_ref": REF, "understood": "yes"}):
        answer = asking.post("/people/erase", data=wrong)
        assert answer.status_code == 422
        assert 'action="/people/erase"' in answer.text
    assert recorded(app.config) == BEFORE

    erased = asking.post("/people/erase", data=BY_CARD | {"understood": "yes"})
    assert "3 poster er slettet." in erased.text
    assert BEFORE[0] not in recorded(app.config)
    assert CARD not in erased.text


def test_what_an_erasure_left_is_told(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why, and which visits stay for a case: escaped, whatever it is called."""
    stays = HeldVisit(17, SCRIPT, datetime(2026, 12, 24, tzinfo=UTC))
    done = Erasure({BRANCH: PartErased(1, ALL_GONE, held=(stays,))}, {VISITS: SCRIPT})
    monkeypatch.setattr(subject, "erase", lambda *_named, **_by: done)
    data = BY_CARD | {"understood": "yes"}
    answer = client(app, language="en").post("/people/erase", data=data)

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
def test_what_makes_no_sense_does_nothing(app: App, deed: str, wrong: dict[str, str]) -> None:
    """No deed; no number and no tag comes back."""
    data = BY_CARD | {"understood": "yes"} | wrong
    answer = client(app).post(f"/people/{deed}", data=data)

    assert answer.status_code == 422
    assert "Der er ikke gjort noget." in answer.text
    assert "010170-1234" not in answer.text
    assert recorded(app.config) == BEFORE
    assert CARD not in answer.text
    assert SCRIPT not in answer.text
