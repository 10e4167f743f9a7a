"""FBS over real HTTP: sessions, half answers, slow answers, and what is never written down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from doorctl.access.messages import LibraryAnswer
from doorctl.access.patron import Patron
from doorctl.core.asking import read_answer
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Identifier, IdentifierKind, Masked, Pin
from doorctl.extras.fbs.client import Person
from doorctl.sources.http_library import LONGEST_ANSWER_BYTES
from tests.fakes.waiting import LIMIT_S
from tests.sources.fbs_server import ACCOUNT, AGENCY, Known, person
from tests.sources.stages import (
    BRIEF_S,
    CARD,
    PIN,
    FbsStage,
    card,
    fbs_library,
    fbs_stage,
    nobody_listens,
    row_of,
)

YES, NO, WAITS = LibraryAnswer.YES, LibraryAnswer.NO, LibraryAnswer.WAITS


@pytest.fixture
def fbs() -> Iterator[FbsStage]:
    """With all the time in the world."""
    with fbs_stage(Path(), LIMIT_S) as stage:
        stage.script.patrons[CARD] = Known(PIN, 2**63 - 1)
        yield stage


@pytest.fixture
def hasty() -> Iterator[FbsStage]:
    """With little time."""
    with fbs_stage(Path(), BRIEF_S) as stage:
        stage.script.patrons[CARD] = Known(PIN, 1001)
        yield stage


def test_what_is_sent_is_what_the_schema_says(fbs: FbsStage) -> None:
    """Card and PIN stand in the body alone; the session in its header; one login for all."""
    fbs.ask(row_wanted=True)
    fbs.ask()

    assert [(method, path.split("/rest")[1]) for method, path, _, _ in fbs.script.requests] == [
        ("POST", f"/external/v1/{AGENCY}/authentication/login"),
        ("POST", f"/external/{AGENCY}/patrons/authenticate/v9"),
        ("GET", f"/external/{AGENCY}/patrons/person/{2**63 - 1}/v4"),
        ("POST", f"/external/{AGENCY}/patrons/authenticate/v9"),
    ]
    login, authenticate, row, _ = fbs.script.requests
    assert json.loads(login[3]) == ACCOUNT
    assert "X-Session" not in login[2]
    assert json.loads(authenticate[3]) == {"libraryCardNumber": CARD, "pincode": PIN}
    (session,) = fbs.script.sessions
    assert authenticate[2]["X-Session"] == row[2]["X-Session"] == session
    assert row[3] == b""


def test_a_cpr_number_is_sent_as_its_digits(fbs: FbsStage) -> None:
    """FBS takes a CPR number as a card's, without what we call it inside."""
    fbs.script.patrons["0101701234"] = Known("4712", 1002)

    reply = fbs.system.ask(
        Identifier(IdentifierKind.CPR, "0101701234"), Pin("4712"), row_wanted=False
    )

    assert reply.answer is YES


def test_too_many_wrong_pins_have_to_wait(fbs: FbsStage) -> None:
    """FBS locks a patron out after some wrong PINs, and the right one does not help then."""
    assert [fbs.answer(CARD, "4712") for _ in range(3)] == [NO] * 3
    assert [fbs.answer(), fbs.answer(CARD, "4712")] == [WAITS, WAITS]


def test_a_session_that_ran_out_is_replaced(fbs: FbsStage) -> None:
    """A 401 is answered by one login, and by one more question, wherever it comes."""
    fbs.script.session_uses = 1

    assert fbs.ask(row_wanted=True).answer is YES
    assert fbs.script.paths() == ["login", "v9", "v4", "login", "v4"]
    fbs.script.requests.clear()
    assert fbs.answer() is YES
    assert fbs.script.paths() == ["v9", "login", "v9"]


def test_a_session_is_replaced_once(fbs: FbsStage) -> None:
    """Where no session helps, the PIN is sent twice at the most; the next question tries anew."""
    fbs.script.session_uses = 0

    assert str(fbs.fails()) == "it answers with HTTP status 401"
    assert fbs.script.paths() == ["login", "v9", "login", "v9"]
    fbs.script.session_uses = 10
    assert fbs.answer() is YES


def test_a_login_that_fails_after_the_pin_was_sent_may_have_cost_an_attempt(fbs: FbsStage) -> None:
    """What was sent before the session turned out to be over was sent all the same."""
    assert fbs.answer() is YES
    fbs.script.sessions.clear()
    fbs.script.replies["login"] = 500, {}

    assert fbs.fails().spent


def test_one_login_for_many_questions(fbs: FbsStage) -> None:
    """Those who ask at the same time share a session."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: fbs.answer(), range(8)))

    assert answers == [YES] * 8
    assert fbs.script.paths().count("login") == 1


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_account_that_is_not_accepted_is_told(fbs: FbsStage, status: int) -> None:
    """The technician reads which keys to look at; no PIN was sent."""
    fbs.script.replies["login"] = status, {"message": "invalid client credentials"}

    error = fbs.fails()

    assert str(error) == (
        "it does not accept doorctl's account; see lms.user and lms.password_file"
    )
    assert not error.spent
    assert fbs.script.paths() == ["login"]


def test_the_row_is_what_fbs_knows(fbs: FbsStage) -> None:
    """All blocks count, known or not; dates are dates; null is none; 64 bits are kept."""
    block = {"blockedSince": "2026-01-02", "message": "besked"}

    reply = fbs.reply(
        resident=False,
        birthday="2012-02-29",
        blockStatus=[{**block, "blockedReason": "E"}, {**block, "blockedReason": "X9"}],
        onHold={"from": "2026-01-01", "to": "2026-12-31"},
        tags=["åbent bibliotek"],
    )

    assert reply.birthday == date(2012, 2, 29)
    assert row_of(reply) == Patron(
        "9223372036854775807",
        blocks=frozenset({"E", "X9"}),
        hold_from=date(2026, 1, 1),
        hold_until=date(2026, 12, 31),
        tags=frozenset({"åbent bibliotek"}),
    )


def test_what_is_null_or_empty_is_none(fbs: FbsStage) -> None:
    """No blocks are null or an empty list, a hold may be open at both ends, a birthday unknown."""
    null, empty = fbs.reply(blockStatus=None, tags=None), fbs.reply(blockStatus=[], tags=[])
    assert null == empty
    assert fbs.reply(birthday=None).birthday is None
    held = row_of(fbs.reply(onHold={"from": None}))
    assert (held.hold_from, held.hold_until) == (date.min, None)


@pytest.mark.parametrize("kind", ["COMPANY", "LIBRARY", "GROUP", "SCHOOL"])
def test_what_is_no_person_lives_nowhere(fbs: FbsStage, kind: str) -> None:
    """A company has a right PIN, but no home and no age; its row is not even asked for."""
    fbs.script.patrons[CARD].kind = kind

    reply = fbs.reply()

    assert (row_of(reply).resident, reply.birthday, row_of(reply).active) == (False, None, True)
    assert "v4" not in fbs.script.paths()


VALID = {"authenticateStatus": "VALID", "patronId": 1001, "patronType": "PERSON"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"VALID",
        b"<html>it works</html>",
        b'{"authenticateStatus": "VALID", "patronId": 10',
        b"\xff\xfe",
        b"[" * 20_000,
        [],
        {},
        [VALID],
        {"authenticateStatus": "valid", "patronId": 1001, "patronType": "PERSON"},
        {"authenticateStatus": "UNKNOWN", "patronId": 1001, "patronType": "PERSON"},
        {"authenticateStatus": True, "patronId": 1001, "patronType": "PERSON"},
        {"authenticated": True, "patronId": 1001, "patronType": "PERSON"},
        {**VALID, "patronId": "1001"},
        {**VALID, "patronId": 2**63},
        {**VALID, "patronId": -1},
        {**VALID, "patronId": 1001.5},
        {**VALID, "patronId": None},
        {**VALID, "patronType": None},
        {"authenticateStatus": "VALID"},
    ],
)
def test_half_an_answer_is_none(fbs: FbsStage, content: object) -> None:
    """What is not the schema's answer is an error that may have cost an attempt, never a yes."""
    fbs.script.replies["v9"] = 200, content

    error = fbs.fails(row_wanted=False)

    assert str(error) == "its answer is none that FBS gives; see lms.url"
    assert error.spent


@pytest.mark.parametrize(
    "content",
    [
        person(1001, resident=None),
        person(1001, resident="true"),
        person(1001, birthday="01-01-1970"),
        person(1001, birthday="1970-02-30"),
        person(1001, blockStatus="O"),
        person(1001, blockStatus=[{"blockedReason": " O"}]),
        person(1001, blockStatus=[{"message": "stolen"}]),
        person(1001, blockStatus=[None]),
        person(1001, onHold={"from": "2026-02-02", "to": "2026-02-01"}),
        person(1001, tags=[1]),
        {"patronId": 1001},
    ],
)
def test_half_a_row_is_none(fbs: FbsStage, content: object) -> None:
    """A row that can't be read whole could lack a block: it is an error, not a lenient row."""
    fbs.script.patrons[CARD].patron_id = 1001
    fbs.script.replies["v4"] = 200, content

    assert fbs.fails().spent


def test_another_patrons_row_is_none(fbs: FbsStage) -> None:
    """The person who comes must be the one who was asked for."""
    fbs.script.replies["v4"] = 200, person(1002)

    assert str(fbs.fails()) == "it answers about another patron"


@pytest.mark.parametrize("word", ["login", "v9", "v4"])
@pytest.mark.parametrize("status", [204, 302, 429, 500])
def test_any_other_status_is_an_error(fbs: FbsStage, word: str, status: int) -> None:
    """No redirect is followed, and the PIN is not sent again."""
    fbs.script.replies[word] = status, b"" if status == 204 else VALID

    error = fbs.fails()

    assert str(error) == f"it answers with HTTP status {status}"
    assert error.spent is (word != "login")
    assert fbs.script.paths()[-1] == word


@pytest.mark.parametrize("word", ["login", "v4"])
def test_a_question_that_is_not_answered_in_time_may_have_cost_an_attempt(
    hasty: FbsStage, word: str
) -> None:
    """From the moment on at which the PIN was sent."""
    hasty.script.raw[word] = lambda _: hasty.ended.wait(LIMIT_S)

    error = hasty.fails()

    assert str(error) == "it does not answer in time"
    assert error.spent is (word != "login")


BROKEN = {
    "hangs up": b"",
    "hangs up in its head": b"HTTP/1.1 200 OK\r\nContent-",
    "hangs up in its body": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
    "no HTTP": b"3000001234 4711 is no HTTP\r\n\r\n",
    "a header that echoes": b"HTTP/1.1 200 OK\r\n3000001234 4711\r\n\r\n",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000,
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_answer_is_an_error(fbs: FbsStage, broken: str) -> None:
    """It may have cost an attempt, and nothing of what came is repeated, in no chained error."""
    fbs.script.raw["v9"] = lambda wire: wire.write(BROKEN[broken])

    error = fbs.fails()

    assert str(error) == "it breaks off in the middle of an answer"
    assert error.spent


def test_a_huge_answer_is_not_read(fbs: FbsStage) -> None:
    """A body has its limit, however right it begins."""
    fbs.script.replies["v9"] = 200, json.dumps(VALID).encode() + b" " * LONGEST_ANSWER_BYTES

    assert str(fbs.fails()) == "its answer is none that FBS gives; see lms.url"


def test_after_an_error_the_next_question_is_answered(hasty: FbsStage) -> None:
    """A question that was given up leaves nothing behind that the next one would read."""
    hasty.hang()
    hasty.fails()
    del hasty.script.raw["v9"]

    assert hasty.answer() is YES


def test_a_pin_that_no_connection_took_costs_no_attempt() -> None:
    """With a session kept, but the server gone, the PIN never left."""
    gone = fbs_library(nobody_listens())
    gone._session = Masked("kept")  # noqa: SLF001 - as after an earlier question

    with pytest.raises(LibrarySystemError) as caught:
        gone.ask(card(CARD), Pin(PIN), row_wanted=False)

    assert not caught.value.spent


def test_an_answer_is_never_printed() -> None:
    """A row in a traceback would hold no birthday and no number."""
    answer = read_answer(json.dumps(person(1001)).encode(), Person)

    assert repr(answer) == "Person(***)"
