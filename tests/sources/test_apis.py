"""Koha and FOLIO alike: sessions, half answers, slow answers, and never a yes by any other word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.messages import LibraryAnswer
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Masked, Pin
from doorctl.sources.http_library import LONGEST_ANSWER_BYTES
from tests.fakes.waiting import LIMIT_S
from tests.sources.folio_server import RESIDENTS, user, user_id
from tests.sources.koha_server import patron
from tests.sources.stages import (
    BRIEF_S,
    CARD,
    PIN,
    ApiStage,
    card,
    folio_library,
    folio_stage,
    koha_library,
    koha_stage,
    nobody_listens,
)

YES, NO = LibraryAnswer.YES, LibraryAnswer.NO


@dataclass(frozen=True)
class System:
    """One of them: its calls in order, of which the last is for the row, and the one with a PIN."""

    stage: Callable[..., Any]
    library: Callable[..., Any]
    calls: tuple[str, ...]
    pin: str

    @property
    def before_row(self) -> tuple[str, ...]:
        """The calls of a question without a row."""
        return self.calls[:-1]


SYSTEMS = {
    "koha": System(koha_stage, koha_library, ("token", "validation", "patrons"), "validation"),
    "folio": System(
        folio_stage, folio_library, ("login", "users", "verify", "manualblocks"), "verify"
    ),
}
CALLS = [(name, call) for name, system in SYSTEMS.items() for call in system.calls]

each_system = pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
each_call = pytest.mark.parametrize(
    ("system", "call"), [(SYSTEMS[name], call) for name, call in CALLS], ids=map("-".join, CALLS)
)

SetUp = Callable[..., ApiStage]


@pytest.fixture
def set_up() -> Iterator[SetUp]:
    """Return a function that sets up a system that knows one resident."""
    with ExitStack() as stack:

        def made(system: System, timeout_s: float = LIMIT_S) -> ApiStage:
            stage: ApiStage = stack.enter_context(system.stage(Path(), timeout_s, is_safe=False))
            stage.know(CARD, PIN)
            return stage

        yield made


def is_sent_before(system: System, call: str) -> bool:
    """Tell whether the PIN is under way when a call fails."""
    return system.calls.index(call) >= system.calls.index(system.pin)


@each_system
def test_one_session_serves_many_questions(set_up: SetUp, system: System) -> None:
    """Those who ask at the same time share it."""
    stage = set_up(system)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: stage.answer(), range(8)))

    assert answers == [YES] * 8
    assert stage.script.calls().count(system.calls[0]) == 1


@each_system
def test_no_address_has_a_pin(set_up: SetUp, system: System) -> None:
    """A PIN stands in one body; an account's password in that of the login."""
    stage = set_up(system)

    stage.ask(row_wanted=True)

    with_pin = [request for request in stage.script.requests if PIN in request.body.decode()]
    assert [stage.script.name_of(request.path) for request in with_pin] == [system.pin]
    for request in stage.script.requests:
        told = f"{request.path} {request.headers}"
        assert not any(secret in told for secret in (PIN, "a-password-of-a-branch"))


@each_system
def test_a_session_that_ran_out_amid_a_question_is_replaced(set_up: SetUp, system: System) -> None:
    """A 401 is answered by one login, and by the same request once more, wherever it comes."""
    login, *others = system.calls
    for used in range(len(others)):
        stage = set_up(system)
        assert stage.answer() is YES
        stage.script.sessions = dict.fromkeys(stage.script.sessions, used)
        stage.script.requests.clear()

        assert stage.ask(row_wanted=True).answer is YES

        assert stage.script.calls() == [*others[: used + 1], login, *others[used:]]


@each_system
def test_a_session_is_replaced_once(set_up: SetUp, system: System) -> None:
    """Where no session helps, it is the account; the next question tries anew."""
    stage = set_up(system)
    stage.script.session_uses = 0
    login, first, *_ = system.calls

    assert "it does not accept doorctl's account" in str(stage.fails())
    assert stage.script.calls() == [login, first, login, first]
    stage.script.session_uses = 10
    assert stage.answer() is YES


@each_system
def test_a_login_that_fails_after_the_pin_was_sent_may_have_cost_an_attempt(
    set_up: SetUp, system: System
) -> None:
    """What was sent before the session turned out to be over was sent all the same."""
    stage = set_up(system)
    stage.script.session_uses = len(system.calls) - 2
    assert stage.script.session_uses >= 1
    assert stage.answer() is YES
    stage.script.sessions = dict.fromkeys(stage.script.sessions, len(system.calls) - 3)
    stage.script.replies[system.calls[0]] = 500, {}

    assert stage.fails().spent


@each_system
def test_an_account_that_may_not_is_told(set_up: SetUp, system: System) -> None:
    """The technician reads that it is the account's permissions, and not the patron's PIN."""
    stage = set_up(system)
    stage.script.permitted = False

    assert "doorctl's account there lacks" in str(stage.fails())


@each_call
@pytest.mark.parametrize("status", [200, 204, 302, 307, 404, 429, 500, 503])
def test_a_status_of_another_meaning_is_no_answer(
    set_up: SetUp, system: System, call: str, status: int
) -> None:
    """No redirect is followed, and the PIN is not sent again."""
    stage = set_up(system)
    stage.script.replies[call] = status, b"" if status == 204 else {"yes": True}

    error = stage.fails()

    assert error.spent is is_sent_before(system, call)
    assert stage.script.calls()[-1] == call
    assert stage.asked() <= 1


@each_call
def test_a_question_that_is_not_answered_in_time_may_have_cost_an_attempt(
    set_up: SetUp, system: System, call: str
) -> None:
    """From the moment on at which the PIN was sent."""
    stage = set_up(system, BRIEF_S)
    stage.script.raw[call] = lambda _: stage.ended.wait(LIMIT_S)

    error = stage.fails()

    assert str(error) == "it does not answer in time"
    assert error.spent is is_sent_before(system, call)


BROKEN = {
    "hangs up": b"",
    "hangs up in its body": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
    "no HTTP": b"3000001234 4711 is no HTTP\r\n\r\n",
    "a header that echoes": b"HTTP/1.1 200 OK\r\n3000001234 4711\r\n\r\n",
}


@each_call
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_answer_is_an_error(set_up: SetUp, system: System, call: str, broken: str) -> None:
    """Nothing of what came is repeated, in no chained error."""
    stage = set_up(system)
    stage.script.raw[call] = lambda wire: wire.write(BROKEN[broken])

    assert str(stage.fails()) == "it breaks off in the middle of an answer"


@each_call
@pytest.mark.parametrize("status", [200, 201])
def test_a_huge_answer_is_not_read(set_up: SetUp, system: System, call: str, status: int) -> None:
    """A body has its limit; cut short, it would be FOLIO's yes, which has none."""
    stage = set_up(system)
    stage.script.replies[call] = status, b" " * (LONGEST_ANSWER_BYTES + 1)

    assert str(stage.fails()).startswith("it")


@each_system
def test_a_pin_that_no_connection_took_costs_no_attempt(system: System) -> None:
    """With a session kept, but the server gone, the PIN never left."""
    gone = system.library(nobody_listens())
    gone._session = Masked("kept")  # noqa: SLF001 - as after an earlier question

    with pytest.raises(LibrarySystemError) as caught:
        gone.ask(card(CARD), Pin(PIN), row_wanted=False)

    assert not caught.value.spent


# Whatever is said at whatever status, there is one yes.

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([CARD, PIN, "", "VALID", user_id(1001), RESIDENTS, 1001, 1e300, "1970-02-30"])
    | st.text(max_size=8)
)
NAMES = st.sampled_from(
    [*patron(1001, CARD), *user(1001, CARD), "access_token", "users", "manualblocks", "error", "ok"]
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=12,
)
WHOLE = (
    {"cardnumber": CARD, "patron_id": 1001, "userid": "login1001"},
    {"access_token": "t0k3n", "token_type": "Bearer", "expires_in": 3600},
    patron(1001, CARD),
    {"users": [user(1001, CARD)], "totalRecords": 1},
    {"manualblocks": [], "totalRecords": 0},
)


@st.composite
def near(draw: st.DrawFn) -> object:
    """Return a right answer to something, with a field gone or of another kind."""
    whole: dict[str, Any] = dict(draw(st.sampled_from(WHOLE)))
    for name in draw(st.lists(st.sampled_from([*whole]), max_size=2, unique=True)):
        if draw(st.booleans()):
            del whole[name]
        else:
            whole[name] = draw(JSON)
    return whole


STATUSES = st.sampled_from([200, 201, 202, 203, 206, 301, 302, 400, 401, 403, 404, 418, 422, 500])
SAID = st.tuples(STATUSES, JSON | near() | st.binary(min_size=1, max_size=30))


@pytest.fixture(scope="module")
def stages() -> Iterator[dict[str, ApiStage]]:
    """Both, with one resident each."""
    with ExitStack() as stack:
        made = {
            name: stack.enter_context(system.stage(Path(), LIMIT_S, is_safe=False))
            for name, system in SYSTEMS.items()
        }
        for stage in made.values():
            stage.know(CARD, PIN)
        yield made


def is_right(call: str, status: int, content: object) -> bool:
    """Tell whether a call may end well by such an answer: each has one form of its own."""
    held: Any = content if isinstance(content, dict) else {}
    if call == "validation":
        written = held.get("cardnumber")
        is_card = isinstance(written, str) and written.strip().lower() == CARD
        number = held.get("patron_id")
        return status == 201 and is_card and type(number) is int and number > 0
    if call == "users":
        return status == 200 and bool(held.get("users"))
    return call == "token" and status == 200 and "access_token" in held


@pytest.mark.parametrize(("name", "call"), CALLS, ids=map("-".join, CALLS))
@given(said=SAID)
def test_no_other_word_is_a_yes(
    stages: dict[str, ApiStage], name: str, call: str, said: tuple[int, object]
) -> None:
    """Any JSON of any shape at any status: a no or an error that says why, and nothing else."""
    stage, system = stages[name], SYSTEMS[name]
    stage.script.replies = {call: said}
    stage.script.sessions.clear()
    row_wanted = call == system.calls[-1]

    try:
        reply = stage.ask(row_wanted=row_wanted)
    except LibrarySystemError as error:
        told = str(error)
        assert told
        assert not any(secret in told for secret in (CARD, PIN))
    else:
        if row_wanted:
            assert said[0] == 200
            assert reply.patron is not None
        else:
            assert reply.answer is NO or is_right(call, *said)


def test_a_login_elsewhere_is_no_yes(stages: dict[str, ApiStage]) -> None:
    """A page to sign in to a network answers 200 to all: nothing comes of it."""
    page = b"<html><body>Log ind</body></html>"
    for name, system in SYSTEMS.items():
        for calls in (system.calls, (system.pin,)):
            stages[name].script.replies = dict.fromkeys(calls, (200, page))
            assert str(stages[name].fails(row_wanted=False)).startswith("it")
