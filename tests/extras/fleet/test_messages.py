"""What travels over NATS: pieces, headers and the branch's signature; any chunking, loss, order."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.extras.fleet import transfers
from doorctl.extras.fleet.messages import (
    PIECE_BYTES,
    Piece,
    Question,
    headers_of_next,
    headers_of_piece,
    headers_of_reply,
    piece_of,
    question_of,
    read_next,
    read_piece,
    read_reply,
)
from doorctl.extras.fleet.transfers import MOST_KEPT, MOST_UNDER_WAY, Transfers
from doorctl.sources.branches import Reply, Request
from doorctl.sync.signing import SigningKey
from tests.extras.fleet.ends import ScriptedApp
from tests.sources.http_server import Script

KEY, NAME = SigningKey(bytes(range(32))), "0f" * 16
PATH = "/v1/patrons"


def question(content: bytes, name: str = NAME, **headers: str) -> Question:
    """Return what a push of this content is."""
    return question_of(name, Request("PUT", PATH, content, headers))[0]


@given(st.binary(max_size=600), st.integers(1, 200))
def test_all_pieces_are_the_content(content: bytes, size: int) -> None:
    """Joined they are what was sent, and each says of the whole what the others say."""
    pieces = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    asked = question(content, Authorization="Doorctl x")

    read = [read_piece(headers_of_piece(asked, number), data) for number, data in enumerate(pieces)]

    assert [each and (each.question, each.number) for each in read] == [
        (asked, number) for number in range(len(pieces))
    ]
    assert b"".join(each.data for each in read if each) == content


@pytest.mark.parametrize("length", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_a_content_is_cut_where_a_message_ends(length: int) -> None:
    """There is at least one piece; behind the last one there is nothing."""
    content = bytes(length)
    _, count = question_of(NAME, Request("PUT", PATH, content))

    pieces = [piece_of(content, number) for number in range(count)]

    assert b"".join(pieces) == content
    assert count == max(1, len([piece for piece in pieces if piece]))
    assert piece_of(content, count) == b""


@given(
    st.dictionaries(
        st.sampled_from([*headers_of_piece(question(b"x"), 0), "Doorctl-Next", "Status", "X"]),
        st.text(max_size=80),
    )
)
def test_headers_that_are_none_are_no_piece(headers: dict[str, str]) -> None:
    """Whatever anybody sends, it is read or it is nothing; never an error."""
    asked = read_piece(headers, b"")
    assert asked is None or asked.question.name == headers["Doorctl-Request"]
    assert read_next(headers) is None or int(headers["Doorctl-Next"]) >= 0


def test_a_piece_that_is_too_long_is_none() -> None:
    """A branch keeps no more of a request in memory than it says."""
    headers = headers_of_piece(question(b""), 0)

    assert read_piece(headers, bytes(PIECE_BYTES)) is not None
    assert read_piece(headers, bytes(PIECE_BYTES + 1)) is None
    assert read_piece(None, b"") is None


CHANGED: dict[str, dict[str, Any]] = {
    "another request of the same sender": {"name": "0e" * 16},
    "another question under its name": {"path": "/v1/patrons/epoch"},
    "another method": {"method": "GET"},
    "another push": {"sha256": "00" * 32},
    "a question that was not signed": {"authorization": None},
}


@pytest.mark.parametrize("changed", CHANGED.values(), ids=CHANGED)
def test_a_reply_is_believed_for_its_own_request_alone(changed: dict[str, Any]) -> None:
    """A server that has heard another reply of the branch, or asks for one, can't pass it on."""
    asked = question(b"rows", Authorization="Doorctl x")
    other = msgspec.structs.replace(asked, **changed)
    reply = Reply(200, "", b'{"epoch":41}')
    headers = headers_of_reply(other, "oest", reply, KEY)

    assert read_reply(other, "oest", headers, reply.body, KEY.verify_key()) == reply
    assert read_reply(asked, "oest", headers, reply.body, KEY.verify_key()) is None


def test_a_reply_that_was_changed_is_none() -> None:
    """Nor one of another branch, or by another key, or without a signature."""
    asked, reply = question(b"rows"), Reply(503, "5", b"{}")
    headers, public = headers_of_reply(asked, "oest", reply, KEY), KEY.verify_key()

    assert read_reply(asked, "oest", headers, b"{}", public) == reply
    for changed in (
        {"Doorctl-Status": "200"},
        {"Retry-After": "9"},
        {"Retry-After": ""},
        {"Doorctl-Signature": "!"},
        {"Doorctl-Signature": "AAAA"},
    ):
        assert read_reply(asked, "oest", {**headers, **changed}, b"{}", public) is None
    assert read_reply(asked, "oest", headers, b"{ }", public) is None
    assert read_reply(asked, "syd", headers, b"{}", public) is None
    assert read_reply(asked, "oest", headers, b"{}", SigningKey().verify_key()) is None
    assert read_reply(asked, "oest", headers_of_next(1), b"", public) is None


async def nothing_there(_subject: str) -> Any:
    """Find nothing at the server, where these requests have nothing."""
    raise AssertionError


Delivery = list[tuple[int, bool]]


def delivered(content: bytes, size: int, order: Delivery, asked: Question) -> tuple[Script, Any]:
    """Have pieces arrive in an order, some with a wrong byte; then send as a sender does."""
    pieces = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    script = Script()

    async def play() -> Any:
        """Play it on a loop."""
        here = Transfers(ScriptedApp(script), nothing_there)
        for number, damaged in order:
            at = number % (len(pieces) + 1)
            data = [*pieces, b""][at]
            data = bytes(byte ^ 1 for byte in data) if damaged else data
            await here.take(Piece(asked, at, data))
        wanted: Any = 0
        for _ in range(2 * len(pieces) + 2):
            data = pieces[wanted] if wanted < len(pieces) else b""
            wanted = await here.take(Piece(asked, wanted, data))
            if isinstance(wanted, Reply):
                break
        return wanted

    return script, asyncio.run(play())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch that answers at once what it lacks."""
    monkeypatch.setattr(transfers, "HOLD_S", 0.02)


@pytest.mark.usefixtures("impatient")
@given(
    st.binary(max_size=60),
    st.integers(1, 30),
    st.lists(st.tuples(st.integers(0, 70), st.booleans()), max_size=12),
)
def test_whatever_was_lost_doubled_damaged_or_out_of_order(
    content: bytes, size: int, order: Delivery
) -> None:
    """The application reads exactly what was sent, or nothing that has an end; and once."""
    script, reply = delivered(content, size, order, question(content))

    assert isinstance(reply, Reply)
    ((_, _, read, headers),) = script.requests
    assert read in {content, b"cut off"}
    assert headers["Content-Length"] == str(len(content))
    if not any(damaged for _, damaged in order):
        assert read == content


@pytest.mark.usefixtures("impatient")
@given(st.binary(min_size=1, max_size=60), st.integers(1, 30), st.integers(-30, 30))
def test_a_length_or_digest_that_is_not_its_own_is_cut_off(
    content: bytes, size: int, more: int
) -> None:
    """Whoever says that more or less comes has nothing of it applied."""
    asked = question(content)
    wrong = (
        msgspec.structs.replace(asked, size=max(0, len(content) + more))
        if more
        else msgspec.structs.replace(asked, sha256="00" * 32)
    )

    script, _ = delivered(content, size, [], wrong)

    assert [read for _, _, read, _ in script.requests] in ([b"cut off"], [])


def test_a_request_under_a_name_that_is_taken_is_none() -> None:
    """A sender makes no two; who does can't exchange the second half of a push."""

    async def play() -> list[Any]:
        """Play it on a loop."""
        here = Transfers(ScriptedApp(Script()), nothing_there)
        first, second = question(b"one"), question(b"two")
        replies = [await here.take(Piece(asked, 0, b"one")) for asked in (first, second)]
        return [*replies, await here.take(Piece(first, 1, b""))]

    first, second, again = asyncio.run(play())

    assert (first.status, second.status, again) == (200, 404, first)


@pytest.mark.usefixtures("impatient")
def test_many_requests_without_an_end_take_little() -> None:
    """Beyond some it is busy, with a time to come again; what was answered makes room."""

    async def play() -> list[Any]:
        """Play it on a loop."""
        here = Transfers(ScriptedApp(Script()), nothing_there)
        halves = [question(b"two pieces", f"{number:032x}") for number in range(MOST_UNDER_WAY)]
        for half in halves:
            assert await here.take(Piece(half, 0, b"two")) == 1
        refused = await here.take(Piece(question(b"x"), 0, b"x"))
        for half in halves:
            await here.take(Piece(half, 1, b" pieces"))
        names = [f"f{number:031x}" for number in range(2 * MOST_KEPT)]
        later = [await here.take(Piece(question(b"x", name), 0, b"x")) for name in names]
        return [refused, *later]

    refused, *later = asyncio.run(play())

    assert (refused.status, refused.retry_after) == (503, "5")
    assert {reply.status for reply in later} == {200}


def test_pages_are_not_asked_for_over_nats() -> None:
    """Only senders' addresses are: no page, no session, no sign-in."""

    async def play() -> Any:
        """Play it on a loop."""
        script = Script()
        here = Transfers(ScriptedApp(script), nothing_there)
        asked = question_of(NAME, Request("GET", "/sign-in"))[0]
        return await here.take(Piece(asked, 0, b"")), script.requests

    reply, requests = asyncio.run(play())

    assert (reply.status, requests) == (404, [])
