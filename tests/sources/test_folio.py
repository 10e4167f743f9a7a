"""FOLIO over real HTTP: what is asked, and what each of its answers means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.messages import LibraryAnswer
from doorctl.access.patron import Patron
from tests.fakes.waiting import LIMIT_S
from tests.sources.api_server import PASSWORD, USER
from tests.sources.folio_server import GUESTS, TENANT, Known, block, user, user_id
from tests.sources.stages import CARD, PIN, FolioStage, folio_stage, row_of

YES, NO = LibraryAnswer.YES, LibraryAnswer.NO


@pytest.fixture
def folio() -> Iterator[FolioStage]:
    """With one resident."""
    with folio_stage(Path(), LIMIT_S, is_safe=False) as stage:
        stage.know(CARD, PIN)
        yield stage


@pytest.fixture(scope="module")
def one_folio() -> Iterator[FolioStage]:
    """One for many examples."""
    with folio_stage(Path(), LIMIT_S, is_safe=False) as stage:
        yield stage


def test_what_is_sent_is_what_the_schema_says(folio: FolioStage) -> None:
    """The PIN stands in a body with the user's id; each request has tenant and token."""
    folio.ask(row_wanted=True)
    folio.ask()

    login, users, verify, blocks, *again = folio.script.requests
    assert [(request.method, urlsplit(request.path).path) for request in folio.script.requests] == [
        ("POST", "/authn/login-with-expiry"),
        ("GET", "/users"),
        ("POST", "/patron-pin/verify"),
        ("GET", "/manualblocks"),
        ("GET", "/users"),
        ("POST", "/patron-pin/verify"),
    ]
    assert json.loads(login.body) == {"username": USER, "password": PASSWORD}
    assert "X-Okapi-Token" not in login.headers
    query = {"limit": ["2"], "query": [f'barcode=="{CARD}"']}
    assert parse_qs(urlsplit(users.path).query) == query
    assert json.loads(verify.body) == {"id": user_id(1001), "pin": PIN}
    assert verify.headers["Accept"] == "text/plain"
    query = {"limit": ["1000"], "query": [f'userId=="{user_id(1001)}"']}
    assert parse_qs(urlsplit(blocks.path).query) == query
    (session,) = folio.script.sessions
    later = (users, verify, blocks, *again)
    assert {request.headers["X-Okapi-Token"] for request in later} == {session}
    assert {request.headers["X-Okapi-Tenant"] for request in (login, *later)} == {TENANT}
    assert not any("Cookie" in request.headers for request in folio.script.requests)


def test_no_cookie_goes_along_by_itself(tmp_path: Path) -> None:
    """Over TLS, for which those of FOLIO are: no token that ran out goes beside a new one."""
    with folio_stage(tmp_path, LIMIT_S) as folio:
        folio.know(CARD, PIN)
        folio.script.session_uses = 2

        assert folio.ask(row_wanted=True).answer is YES
        assert folio.script.calls().count("login") == 2
        assert not any("Cookie" in request.headers for request in folio.script.requests)


def test_a_session_is_renewed_once_in_a_question(folio: FolioStage) -> None:
    """A FOLIO whose tokens last for one request each is not asked on and on."""
    folio.script.session_uses = 1

    assert "it does not accept doorctl's account" in str(folio.fails())
    login, users, verify, blocks = "login", "users", "verify", "manualblocks"
    assert folio.script.calls() == [login, users, verify, login, verify, blocks]


SENDABLE = st.characters(codec="ascii", min_codepoint=33, exclude_characters="|\x7f")


@given(number=st.text(SENDABLE, min_size=1, max_size=30))
def test_no_bytes_of_a_reader_are_read_as_a_query(one_folio: FolioStage, number: str) -> None:
    """Whatever a card holds is the value of one condition: no other, no wildcard, no parameter."""
    one_folio.script.queries.clear()
    one_folio.script.patrons = {CARD: Known(PIN, user(1001, CARD))}

    expected = YES if number == CARD else NO

    assert one_folio.answer(number, PIN) is expected
    assert one_folio.script.queries == [("barcode", number)]


@pytest.mark.parametrize(
    "number",
    ["*", "30000012??", '"or"', '" or cql.allRecords=1 or barcode=="', "^3", "a&limit=9", "\\"],
)
def test_what_means_something_in_cql_is_masked(folio: FolioStage, number: str) -> None:
    """A card that says "anybody" means nobody; a blank is no card's."""
    assert folio.answer(number, PIN) is NO
    assert folio.script.queries == ([] if " " in number else [("barcode", number)])


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_an_account_that_is_not_accepted_is_told(folio: FolioStage, status: int) -> None:
    """The technician reads which keys to look at; nothing else was sent."""
    folio.script.replies["login"] = status, {"errors": [{"message": "Password does not match"}]}

    error = folio.fails()

    assert str(error) == (
        "it does not accept doorctl's account; see lms.user and lms.password_file"
    )
    assert not error.spent
    assert folio.script.calls() == ["login"]


COOKIES: tuple[dict[str, str], ...] = (
    {},
    {"Set-Cookie": "folioAccessToken=; Path=/"},
    {"Set-Cookie": "folioRefreshToken=abc; Path=/authn"},
    {"Set-Cookie": "xfolioAccessToken=abc; Path=/"},
    {"Set-Cookie": "folioAccessToken=a b; Path=/"},
    {"Set-Cookie": "folioAccessToken"},
)


@pytest.mark.parametrize("cookies", COOKIES)
def test_a_login_without_a_token_is_none(folio: FolioStage, cookies: dict[str, str]) -> None:
    """Its body has none."""
    folio.script.replies["login"] = 201, {"accessTokenExpiration": "2030-01-01"}, cookies

    assert str(folio.fails()) == "its login gives no folioAccessToken; see lms.url"


def test_the_access_token_is_the_session(folio: FolioStage) -> None:
    """FOLIO sets two cookies; the one that renews is neither sent nor kept."""
    folio.script.sessions["acc.ess-1"] = 9
    said = b'{"accessTokenExpiration": "", "refreshTokenExpiration": ""}'
    folio.script.raw["login"] = lambda wire: wire.write(
        b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n"
        b"Set-Cookie: folioAccessToken=acc.ess-1; Max-Age=600; Path=/; Secure; HTTPOnly\r\n"
        b"Set-Cookie: folioRefreshToken=ref.resh-1; Max-Age=604800; Path=/authn; Secure\r\n"
        b"Connection: close\r\n\r\n%s" % (len(said), said)
    )

    assert folio.answer() is YES
    shown = [request.headers for request in folio.script.requests[1:]]
    assert {each["X-Okapi-Token"] for each in shown} == {"acc.ess-1"}
    assert "ref.resh-1" not in str(shown)


NONE = "its answer is none that FOLIO gives; see lms.url"
PIN_NONE = "its answer about a PIN is none that FOLIO gives; see lms.url"
ACCOUNT = "it does not accept doorctl's account; see lms.user and lms.password_file"
BARE = "doorctl's account there lacks a permission; see lms.user"
OUTCOMES: list[tuple[int, bytes, LibraryAnswer | str]] = [
    (200, b"", YES),
    (422, b"", NO),
    (422, b'{"errors": []}', NO),
    (200, b" ", PIN_NONE),
    (200, b"true", PIN_NONE),
    (200, b"{}", PIN_NONE),
    (200, b"<html>Log ind</html>", PIN_NONE),
    (201, b"", "it answers with HTTP status 201"),
    (202, b"", "it answers with HTTP status 202"),
    (204, b"", "it answers with HTTP status 204"),
    (302, b"", "it answers with HTTP status 302"),
    (400, b"", "it answers with HTTP status 400"),
    (401, b"Invalid token", ACCOUNT),
    (403, b"Access requires permission: patron-pin.validate", BARE),
    (404, b"No suitable module found for path", "it answers with HTTP status 404"),
    (500, b"Internal server error", "it answers with HTTP status 500"),
]


@pytest.mark.parametrize(("status", "body", "meant"), OUTCOMES)
def test_what_an_answer_about_a_pin_means(
    folio: FolioStage, status: int, body: bytes, meant: LibraryAnswer | str
) -> None:
    """A bare 200 is a yes, a 422 a no, and all others are none and say why."""
    folio.script.replies["verify"] = status, body

    if isinstance(meant, LibraryAnswer):
        assert folio.answer() is meant
        return
    error = folio.fails(row_wanted=False)
    assert str(error) == meant
    assert error.spent


def test_a_user_without_a_pin_is_a_no(folio: FolioStage) -> None:
    """FOLIO says of it what it says of a wrong one."""
    folio.script.patrons[CARD].pin = None

    assert folio.answer() is NO


def test_whom_nobody_knows_costs_no_question_about_a_pin(folio: FolioStage) -> None:
    """There is no id to ask about."""
    assert folio.answer("3000009999", PIN) is NO
    assert folio.asked() == 0


@pytest.mark.parametrize(
    ("users", "why"),
    [
        ([user(1001, CARD), user(1002, CARD)], "it answers about another patron"),
        ([user(1001, "3000005678")], "it answers about another patron"),
        ([user(1001, f"{CARD}0")], "it answers about another patron"),
        ([{"id": user_id(1001)}], NONE),
        ([user(1001, CARD, id="1001")], NONE),
        ([user(1001, CARD, id=f"{user_id(1001)}/x")], NONE),
        ([user(1001, CARD, active="true")], NONE),
        ([user(1001, CARD, expirationDate="31-12-2026")], NONE),
        ([user(1001, CARD, expirationDate="2026-02-30T00:00:00.000+00:00")], NONE),
        ([user(1001, CARD, expirationDate="2026-12-31 or so")], NONE),
        ([user(1001, CARD, personal={"dateOfBirth": "1970-13-01"})], NONE),
        ([None], NONE),
        ({}, NONE),
        (None, NONE),
    ],
)
def test_a_user_who_is_in_doubt_is_none(folio: FolioStage, users: object, why: str) -> None:
    """Two users, another's barcode or a day that is none: no PIN is asked about."""
    folio.script.replies["users"] = 200, {"users": users, "totalRecords": 1}

    assert str(folio.fails()) == why
    assert folio.asked() == 0


def test_letters_of_a_card_may_be_capitals_or_not(folio: FolioStage) -> None:
    """FOLIO makes no difference."""
    folio.know("ab12", "1234")

    assert folio.answer("AB12", "1234") is YES


def test_the_row_is_what_folio_knows(folio: FolioStage) -> None:
    """A day is that of its date and time; a group that is not named lives elsewhere."""
    folio.script.patrons[CARD].blocks = [block(1001, borrowing=False), block(1001)]

    reply = folio.reply(
        patronGroup=GUESTS,
        active=False,
        expirationDate="2026-12-31T22:59:59.000+00:00",
        personal={"lastName": "Navnesen", "dateOfBirth": "2012-02-29T00:00:00.000+00:00"},
    )

    assert reply.birthday == date(2012, 2, 29)
    assert row_of(reply) == Patron(
        user_id(1001),
        active=False,
        blocks=frozenset({"S"}),
        valid_until=date(2026, 12, 31),
    )


def test_what_is_not_set_is_none(folio: FolioStage) -> None:
    """FOLIO leaves it out: a user who is not said to be active is not."""
    known = folio.script.patrons[CARD]
    known.row = {"id": user_id(1001), "barcode": CARD}
    reply = folio.reply()
    row = row_of(reply)

    assert (reply.birthday, row.valid_until, row.active, row.resident) == (None, None, False, False)


@pytest.mark.parametrize(
    ("blocks", "kept_out"),
    [
        ([], False),
        ([block(1001, borrowing=False)], False),
        ([block(1001, borrowing=False, renewals=True, requests=True)], False),
        ([{"desc": "besked", "userId": user_id(1001)}], False),
        ([block(1001)], True),
        ([block(1001, expirationDate="2020-01-01T00:00:00.000+00:00")], True),
    ],
)
def test_who_may_not_borrow_is_barred(
    folio: FolioStage, blocks: list[dict[str, object]], kept_out: bool
) -> None:
    """As FOLIO's own SIP2 has it; a block whose end has come is taken away by FOLIO itself."""
    folio.script.patrons[CARD].blocks = blocks

    assert ("S" in row_of(folio.reply()).blocks) is kept_out


@pytest.mark.parametrize(
    "content",
    [{}, [], {"manualblocks": None}, {"manualblocks": [1]}, {"manualblocks": [{"borrowing": "x"}]}],
)
def test_blocks_that_cant_be_read_let_nobody_in(folio: FolioStage, content: object) -> None:
    """Whoever has just been barred would come in."""
    folio.script.replies["manualblocks"] = 200, content

    assert str(folio.fails()) == NONE
