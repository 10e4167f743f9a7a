"""FBS over real HTTP: sessions, half answers, slow answers, and what is never written down."""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.messages import LibraryAnswer, LibraryPatron
from doorctl.core.asking import read_answer
from doorctl.core.errors import InputError, LibrarySystemError
from doorctl.core.masked import Identifier, IdentifierKind, Masked, Pin
from doorctl.sources.library import (
    LONGEST_ANSWER_BYTES,
    Authenticated,
    FbsLibrary,
    Person,
)
from tests.sources.fbs_server import ACCOUNT, AGENCY, FbsScript, Known, person
from tests.sources.stages import BRIEF_S, card, fbs_library, fbs_stage, nobody_listens

CARD, PIN, SESSIONLESS = "3000001234", "4711", 401
YES, NO, WAITS = LibraryAnswer.YES, LibraryAnswer.NO, LibraryAnswer.WAITS


@dataclass
class Fbs:
    """The stand-in and the adapter that asks it."""

    script: FbsScript
    library: FbsLibrary
    ended: threading.Event

    def ask(self, pin: str = PIN, *, row_wanted: bool = False) -> LibraryAnswer:
        """Ask about the one card."""
        return self.library.ask(card(CARD), Pin(pin), row_wanted=row_wanted).answer

    def row(self, **changed: object) -> LibraryPatron:
        """Return the row of the one card, whose person is changed so."""
        self.script.patrons[CARD].row = changed
        patron = self.library.ask(card(CARD), Pin(PIN), row_wanted=True).patron
        assert patron is not None
        return patron

    def fails(self, *, row_wanted: bool = True) -> LibrarySystemError:
        """Ask and return the error."""
        with pytest.raises(LibrarySystemError) as caught:
            self.ask(row_wanted=row_wanted)
        return caught.value


def set_up(timeout_s: float) -> Iterator[Fbs]:
    """Serve and ask, with one patron."""
    with fbs_stage(Path(), timeout_s) as stage:
        stage.script.patrons[CARD] = Known(PIN, 2**63 - 1)
        yield Fbs(stage.script, stage.system, stage.ended)


@pytest.fixture
def fbs() -> Iterator[Fbs]:
    """With all the time in the world."""
    yield from set_up(20.0)


@pytest.fixture
def hasty() -> Iterator[Fbs]:
    """With little time."""
    yield from set_up(BRIEF_S)


def test_what_is_sent_is_what_the_schema_says(fbs: Fbs) -> None:
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


def test_a_cpr_number_is_sent_as_its_digits(fbs: Fbs) -> None:
    """FBS takes a CPR number as a card's, without what we call it inside."""
    fbs.script.patrons["0101701234"] = Known("4712", 1002)

    reply = fbs.library.ask(
        Identifier(IdentifierKind.CPR, "0101701234"), Pin("4712"), row_wanted=False
    )

    assert reply.answer is YES


def test_too_many_wrong_pins_have_to_wait(fbs: Fbs) -> None:
    """FBS locks a patron out after some wrong PINs, and the right one does not help then."""
    assert [fbs.ask("4712") for _ in range(3)] == [NO] * 3
    assert [fbs.ask(PIN), fbs.ask("4712")] == [WAITS, WAITS]


def test_a_session_that_ran_out_is_replaced(fbs: Fbs) -> None:
    """A 401 is answered by one login, and by one more question, wherever it comes."""
    fbs.script.session_uses = 1

    assert fbs.ask(row_wanted=True) is YES
    assert fbs.script.paths() == ["login", "v9", "v4", "login", "v4"]
    fbs.script.requests.clear()
    assert fbs.ask() is YES
    assert fbs.script.paths() == ["v9", "login", "v9"]


def test_a_session_is_replaced_once(fbs: Fbs) -> None:
    """Where no session helps, the PIN is sent twice at the most; the next question tries anew."""
    fbs.script.session_uses = 0

    assert str(fbs.fails()) == "it answers with HTTP status 401"
    assert fbs.script.paths() == ["login", "v9", "login", "v9"]
    fbs.script.session_uses = 10
    assert fbs.ask() is YES


def test_a_login_that_fails_after_the_pin_was_sent_may_have_cost_an_attempt(fbs: Fbs) -> None:
    """What was sent before the session turned out to be over was sent all the same."""
    assert fbs.ask() is YES
    fbs.script.sessions.clear()
    fbs.script.replies["login"] = 500, {}

    assert fbs.fails().spent


def test_one_login_for_many_questions(fbs: Fbs) -> None:
    """Those who ask at the same time share a session."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: fbs.ask(), range(8)))

    assert answers == [YES] * 8
    assert fbs.script.paths().count("login") == 1


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_account_that_is_not_accepted_is_told(fbs: Fbs, status: int) -> None:
    """The technician reads which keys to look at; no PIN was sent."""
    fbs.script.replies["login"] = status, {"message": "invalid client credentials"}

    error = fbs.fails()

    assert str(error) == (
        "it does not accept doorctl's account; see lms.user and lms.password_file"
    )
    assert not error.spent
    assert fbs.script.paths() == ["login"]


def test_the_row_is_what_fbs_knows(fbs: Fbs) -> None:
    """All blocks count, known or not; dates are dates; null is none; 64 bits are kept."""
    block = {"blockedSince": "2026-01-02", "message": "besked"}

    row = fbs.row(
        resident=False,
        birthday="2012-02-29",
        blockStatus=[{**block, "blockedReason": "E"}, {**block, "blockedReason": "X9"}],
        onHold={"from": "2026-01-01", "to": "2026-12-31"},
        tags=["åbent bibliotek"],
    )

    assert row == LibraryPatron(
        patron_ref="9223372036854775807",
        resident=False,
        active=True,
        birthday=date(2012, 2, 29),
        blocks=frozenset({"E", "X9"}),
        valid_until=None,
        hold_from=date(2026, 1, 1),
        hold_until=date(2026, 12, 31),
        tags=frozenset({"åbent bibliotek"}),
    )


def test_what_is_null_or_empty_is_none(fbs: Fbs) -> None:
    """No blocks are null or an empty list, a hold may be open at both ends, a birthday unknown."""
    assert fbs.row(blockStatus=None, tags=None, birthday=None) == fbs.row(
        blockStatus=[], tags=[], birthday=None
    )
    assert fbs.row(birthday=None).birthday is None
    held = fbs.row(onHold={"from": None})
    assert (held.hold_from, held.hold_until) == (date.min, None)


@pytest.mark.parametrize("kind", ["COMPANY", "LIBRARY", "GROUP", "SCHOOL"])
def test_what_is_no_person_lives_nowhere(fbs: Fbs, kind: str) -> None:
    """A company has a right PIN, but no home and no age; its row is not even asked for."""
    fbs.script.patrons[CARD].kind = kind

    row = fbs.row()

    assert (row.resident, row.birthday, row.active) == (False, None, True)
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
def test_half_an_answer_is_none(fbs: Fbs, content: object) -> None:
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
def test_half_a_row_is_none(fbs: Fbs, content: object) -> None:
    """A row that can't be read whole could lack a block: it is an error, not a lenient row."""
    fbs.script.patrons[CARD].patron_id = 1001
    fbs.script.replies["v4"] = 200, content

    assert fbs.fails().spent


def test_another_patrons_row_is_none(fbs: Fbs) -> None:
    """The person who comes must be the one who was asked for."""
    fbs.script.replies["v4"] = 200, person(1002)

    assert str(fbs.fails()) == "it answers about another patron"


@pytest.mark.parametrize("word", ["login", "v9", "v4"])
@pytest.mark.parametrize("status", [204, 302, 429, 500])
def test_any_other_status_is_an_error(fbs: Fbs, word: str, status: int) -> None:
    """No redirect is followed, and the PIN is not sent again."""
    fbs.script.replies[word] = status, b"" if status == 204 else VALID

    error = fbs.fails()

    assert str(error) == f"it answers with HTTP status {status}"
    assert error.spent is (word != "login")
    assert fbs.script.paths()[-1] == word


def _hang(fbs: Fbs) -> Callable[[Any], object]:
    return lambda _: fbs.ended.wait(20)


def _dribble(head: bytes, drop: bytes) -> Callable[[Fbs], Callable[[Any], object]]:
    def of(fbs: Fbs) -> Callable[[Any], object]:
        def write(wire: Any) -> None:
            wire.write(head)
            while not fbs.ended.is_set():
                wire.write(drop)
                wire.flush()
                time.sleep(0.02)

        return write

    return of


SLOW = {
    "silent": _hang,
    "its status line dribbles": _dribble(b"HTTP/1.1 ", b"2"),
    "its headers dribble": _dribble(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "its body dribbles": _dribble(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" "),
}


@pytest.mark.parametrize(
    ("word", "slow"),
    [("login", "silent"), ("v4", "silent"), *(("v9", slow) for slow in SLOW if slow != "silent")],
)
def test_one_limit_is_over_all(hasty: Fbs, word: str, slow: str) -> None:
    """However a server keeps a question waiting, byte by byte too, it ends in time."""
    hasty.script.raw[word] = SLOW[slow](hasty)

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
def test_a_broken_answer_is_an_error(fbs: Fbs, broken: str) -> None:
    """It may have cost an attempt, and nothing of what came is repeated, in no chained error."""
    fbs.script.raw["v9"] = lambda wire: wire.write(BROKEN[broken])

    error = fbs.fails()

    assert str(error) == "it breaks off in the middle of an answer"
    assert error.spent
    assert (error.__cause__, error.__context__) == (None, None)
    assert CARD not in "".join(traceback.format_exception(error))


def test_a_huge_answer_is_not_read(fbs: Fbs) -> None:
    """A body has its limit, however right it begins."""
    fbs.script.replies["v9"] = 200, json.dumps(VALID).encode() + b" " * LONGEST_ANSWER_BYTES

    assert str(fbs.fails()) == "its answer is none that FBS gives; see lms.url"


def test_after_an_error_the_next_question_is_answered(hasty: Fbs) -> None:
    """A question that was given up leaves nothing behind that the next one would read."""
    hasty.script.raw["v9"] = _hang(hasty)
    hasty.fails()
    del hasty.script.raw["v9"]

    assert hasty.ask() is YES


def test_a_pin_that_no_connection_took_costs_no_attempt() -> None:
    """With a session kept, but the server gone, the PIN never left."""
    gone = fbs_library(nobody_listens())
    gone._session = Masked("kept")  # noqa: SLF001 - as after an earlier question

    with closing(gone), pytest.raises(LibrarySystemError) as caught:
        gone.ask(card(CARD), Pin(PIN), row_wanted=False)

    assert not caught.value.spent


@pytest.mark.parametrize(
    "url", ["http://192.0.2.7/rest", "http://cms.example", "ftp://cms.example"]
)
def test_no_pin_travels_in_the_clear(url: str) -> None:
    """Whatever the configuration let pass, the adapter asks another machine over https only."""
    with pytest.raises(InputError, match="over TLS only"):
        fbs_library(url)


def test_nothing_personal_is_logged(fbs: Fbs, caplog: pytest.LogCaptureFixture) -> None:
    """The HTTP library's own log lines, all of them, hold no card number, PIN or password."""
    with caplog.at_level(logging.DEBUG):
        fbs.ask(row_wanted=True)

    assert caplog.messages
    for secret in (CARD, PIN, ACCOUNT["password"], *fbs.script.sessions):
        assert secret not in caplog.text


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_are_an_answer_by_chance(body: bytes) -> None:
    """What comes by chance is none, and nothing is raised."""
    assert read_answer(body, Authenticated) is None
    assert read_answer(body, Person) is None


def test_an_answer_is_never_printed() -> None:
    """A row in a traceback would hold no birthday and no number."""
    answer = read_answer(json.dumps(person(1001)).encode(), Person)

    assert repr(answer) == "Person(***)"
