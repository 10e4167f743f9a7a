"""Koha over real HTTP: what is asked, and what each of its answers means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from doorctl.access.messages import LibraryAnswer
from doorctl.access.patron import Patron
from tests.fakes.waiting import LIMIT_S
from tests.sources.api_server import PASSWORD, USER
from tests.sources.koha_server import BASIC, EXPIRED, WRONG, patron
from tests.sources.stages import CARD, PIN, KohaStage, koha_stage, row_of

YES, NO = LibraryAnswer.YES, LibraryAnswer.NO

VALIDATED = {"cardnumber": CARD, "patron_id": 1001, "userid": "login1001"}


@pytest.fixture
def koha() -> Iterator[KohaStage]:
    """With client credentials, and one resident."""
    with koha_stage(Path(), LIMIT_S, is_safe=False) as stage:
        stage.know(CARD, PIN)
        yield stage


def test_what_is_sent_is_what_the_schema_says(koha: KohaStage) -> None:
    """Card and PIN stand in a body alone, the account in another, a patron's number in an address.

    One token for all.
    """
    koha.ask(row_wanted=True)
    koha.ask()

    token, validation, row, again = koha.script.requests
    assert [(request.method, request.path) for request in koha.script.requests] == [
        ("POST", "/api/v1/oauth/token"),
        ("POST", "/api/v1/auth/password/validation"),
        ("GET", "/api/v1/patrons/1001"),
        ("POST", "/api/v1/auth/password/validation"),
    ]
    assert parse_qs(token.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": [USER],
        "client_secret": [PASSWORD],
    }
    assert "Authorization" not in token.headers
    assert json.loads(validation.body) == {"identifier": CARD, "password": PIN}
    (session,) = koha.script.sessions
    shown = {each.headers["Authorization"] for each in (validation, row, again)}
    assert shown == {f"Bearer {session}"}
    assert row.body == b""


def test_a_name_and_a_password_will_do() -> None:
    """Where a Koha has no client credentials; nothing is sent twice to one that refuses them."""
    with koha_stage(Path(), LIMIT_S, is_safe=False, authentication="basic") as koha:
        koha.know(CARD, PIN)
        koha.script.basic = True

        assert koha.answer() is YES
        assert koha.script.requests[0].headers["Authorization"] == f"Basic {BASIC}"

        koha.script.basic = False
        koha.script.requests.clear()
        assert "it does not accept doorctl's account" in str(koha.fails())
        assert koha.script.calls() == ["validation"]


@pytest.mark.parametrize("status", [400, 403])
def test_credentials_that_are_not_accepted_are_told(koha: KohaStage, status: int) -> None:
    """The technician reads which keys to look at; no PIN was sent."""
    koha.script.replies["token"] = status, {"error": "unauthorized_client"}

    error = koha.fails()

    assert str(error) == (
        "it does not accept doorctl's account; see lms.user and lms.password_file"
    )
    assert not error.spent
    assert koha.script.calls() == ["token"]


OLD = "it does not say about whom it answers, as an older Koha does; upgrade it"
NONE = "its answer is none that Koha gives; see lms.url"
ACCOUNT = "it does not accept doorctl's account; see lms.user and lms.password_file"
BARE = "doorctl's account there lacks the permission borrowers; see lms.user"
OUTCOMES: list[tuple[int, object, LibraryAnswer | str]] = [
    (201, VALIDATED, YES),
    (201, {**VALIDATED, "userid": None}, YES),
    (201, {**VALIDATED, "cardnumber": f" {CARD} "}, YES),
    (201, {**VALIDATED, "since": "then"}, YES),
    (400, WRONG, NO),
    (400, EXPIRED, NO),
    (201, {**VALIDATED, "cardnumber": "3000005678"}, NO),
    (201, {**VALIDATED, "cardnumber": ""}, NO),
    (201, {**VALIDATED, "cardnumber": CARD[1:]}, NO),
    (201, {**VALIDATED, "cardnumber": None}, NONE),
    (201, {**VALIDATED, "cardnumber": int(CARD)}, NONE),
    (201, {**VALIDATED, "patron_id": "1001"}, NONE),
    (201, {**VALIDATED, "patron_id": True}, NONE),
    (201, {**VALIDATED, "patron_id": 0}, NONE),
    (201, {"patron_id": 1001, "userid": CARD}, NONE),
    (201, {}, NONE),
    (201, [VALIDATED], NONE),
    (201, b"", NONE),
    (201, b"<html>it works</html>", NONE),
    (201, b"[" * 20_000, NONE),
    (200, VALIDATED, "it answers with HTTP status 200"),
    (202, VALIDATED, "it answers with HTTP status 202"),
    (204, b"", OLD),
    (302, VALIDATED, "it answers with HTTP status 302"),
    (400, {"errors": [{"message": "Missing property."}], "status": 400}, "400"),
    (400, b"<html>Bad Request</html>", "400"),
    (400, [{"path": "/query", "message": "Malformed query string"}], "400"),
    (401, {"error": "Authentication failure."}, ACCOUNT),
    (403, {"error": "Authorization failure."}, BARE),
    (404, {"errors": [{"message": "Not found."}]}, "it answers with HTTP status 404"),
    (500, {"error": "Something went wrong, check the logs."}, "500"),
    (503, {"error": "System is under maintenance."}, "it answers with HTTP status 503"),
]


@pytest.mark.parametrize(("status", "content", "meant"), OUTCOMES)
def test_what_an_answer_means(
    koha: KohaStage, status: int, content: object, meant: LibraryAnswer | str
) -> None:
    """One answer is a yes, Koha's refusal is a no, and all others are none and say why."""
    koha.script.replies["validation"] = status, content

    if isinstance(meant, LibraryAnswer):
        assert koha.answer() is meant
        return
    error = koha.fails(row_wanted=False)
    assert str(error) == (f"it answers with HTTP status {meant}" if meant.isdigit() else meant)
    assert error.spent


def test_a_login_that_is_anothers_card_number_opens_nothing(koha: KohaStage) -> None:
    """Koha takes a login for a card: who chose another's number as a login has no key to it.

    The card's own patron comes in all the same, though Koha has counted a wrong PIN for the other.
    """
    koha.know("3000005678", "9999")
    koha.script.patrons["3000005678"].row["userid"] = CARD

    assert koha.answer(CARD, "9999") is NO
    assert koha.answer(CARD, PIN) is YES


def test_letters_of_a_card_may_be_capitals_or_not(koha: KohaStage) -> None:
    """Koha's database makes no difference."""
    koha.script.replies["validation"] = 201, {**VALIDATED, "cardnumber": "ab12"}

    assert koha.answer("AB12") is YES


def test_who_is_locked_out_is_a_no_like_any_other(koha: KohaStage) -> None:
    """Koha says nothing else of it; a right PIN before that takes the count away."""
    assert [koha.answer(CARD, "4712") for _ in range(2)] == [NO] * 2
    assert koha.answer() is YES
    assert [koha.answer(CARD, "4712") for _ in range(3)] == [NO] * 3
    assert koha.answer() is NO


def test_a_password_that_has_expired_is_a_no(koha: KohaStage) -> None:
    """Koha takes it nowhere else either."""
    koha.script.patrons[CARD].password_expired = True

    assert koha.answer() is NO


def test_the_row_is_what_koha_knows(koha: KohaStage) -> None:
    """Lost and restricted are blocks as by SIP2, a wrong address one that FBS has no code for.

    The last day is one on which the card counts; a category that is not named lives elsewhere.
    """
    reply = koha.reply(
        category_id="GAEST",
        date_of_birth="2012-02-29",
        expiry_date="2026-12-31",
        restricted=True,
        patron_card_lost=True,
        incorrect_address=True,
    )

    assert reply.birthday == date(2012, 2, 29)
    assert row_of(reply) == Patron(
        "1001", blocks=frozenset({"O", "S", "A"}), valid_until=date(2026, 12, 31)
    )


def test_what_koha_does_not_know_is_none(koha: KohaStage) -> None:
    """Null is no block, no birthday and no end."""
    reply = koha.reply(
        date_of_birth=None, expiry_date=None, patron_card_lost=None, incorrect_address=None
    )

    assert (reply.birthday, row_of(reply).valid_until) == (None, None)
    assert row_of(reply).blocks == frozenset()


def without(name: str) -> dict[str, Any]:
    """Return a patron without a field."""
    return {key: value for key, value in patron(1001, CARD).items() if key != name}


@pytest.mark.parametrize(
    "content",
    [
        patron(1001, CARD, restricted=None),
        patron(1001, CARD, restricted="0"),
        patron(1001, CARD, restricted=0),
        patron(1001, CARD, expiry_date="31-12-2026"),
        patron(1001, CARD, expiry_date=""),
        patron(1001, CARD, date_of_birth="1970-02-30"),
        patron(1001, CARD, category_id=None),
        *map(without, ("restricted", "patron_card_lost", "incorrect_address", "expiry_date")),
        *map(without, ("patron_id", "category_id", "date_of_birth")),
        [patron(1001, CARD)],
        {},
    ],
)
def test_half_a_row_is_none(koha: KohaStage, content: object) -> None:
    """A row that can't be read whole could lack a block: it is an error, not a lenient row."""
    koha.script.replies["patrons"] = 200, content

    assert str(koha.fails()) == NONE


def test_another_patrons_row_is_none(koha: KohaStage) -> None:
    """The patron who comes must be the one who was asked for."""
    koha.script.replies["patrons"] = 200, patron(1002, CARD)

    assert str(koha.fails()) == "it answers about another patron"
