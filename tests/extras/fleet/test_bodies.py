"""Rows that lie at the server, once for all branches: a real server, and what may lie there."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from doorctl.extras.fleet import transfers
from doorctl.extras.fleet.bodies import Bodies
from doorctl.extras.fleet.branch import NatsBranch
from doorctl.extras.fleet.connection import Link, SharedConnection
from doorctl.extras.fleet.messages import (
    BODIES,
    PIECE_BYTES,
    UP,
    Piece,
    Shared,
    body_of,
    question_of,
    up_of,
)
from doorctl.extras.fleet.transfers import Transfers
from doorctl.sources.branches import Reply, Request
from doorctl.sync.branch import Taken
from doorctl.sync.packing import Document as Packed
from tests.extras.fleet.ends import Ends, ScriptedApp, ends
from tests.extras.fleet.nats_server import STREAMS, NatsServer, serving_nats
from tests.sources.http_server import Script
from tests.sync.pushes import Document, row

PIECES = 2
PUSH = Document([row(number) for number in range(3_000)], "changes", 2, 1)
"""Of so many pieces."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server with streams."""
    with serving_nats(tmp_path, STREAMS.format(store=tmp_path / "store")) as server:
        yield server


def script(epoch: int = 2) -> Script:
    """Return what a branch says that has applied a push."""
    script = Script()
    script.say(200, {"epoch": epoch})
    return script


def read_of(script: Script) -> list[tuple[str, bytes, str]]:
    """Return what a branch's application has read: path, bytes, the length that was said."""
    return [(path, body, headers["Content-Length"]) for _, path, body, headers in script.requests]


def whole(document: Packed) -> list[tuple[str, bytes, str]]:
    """Return what it is to have read of a push of changes."""
    document.seek(0)
    content = document.read()
    return [("/v1/patrons/changes", content, str(len(content)))]


def reached(both: Ends, connection: SharedConnection, bodies: Bodies) -> NatsBranch:
    """Return a branch as a run of the sender has it, beside others."""
    return NatsBranch(both.name, connection, both.public, bodies, apply_s=5)


async def there(server: NatsServer, subject: str) -> bytes:
    """Return the server's answer."""
    client = Client()
    await client.connect(server.url)
    try:
        return (await client.request(subject, b"", 5)).data
    finally:
        await client.close()


def test_what_branches_say_is_kept_once_a_sender_has_left_rows(server: NatsServer) -> None:
    """It makes that stream too: each subject keeps its last message, and no branch may make one."""
    connection, bodies = SharedConnection(Link((server.url,), None)), Bodies()
    body = PUSH.packed().body
    assert connection.within(10, lambda standing: bodies.lies(standing, body))
    connection.close()

    made = json.loads(asyncio.run(there(server, f"$JS.API.STREAM.INFO.{UP}")))["config"]

    assert made["subjects"] == [up_of("*", "*")]
    assert (made["max_msgs_per_subject"], made["discard"]) == (1, "old")
    assert made.get("max_age", 0) == 0


def test_rows_are_carried_once_and_each_branch_reads_the_same_push(
    tmp_path: Path, server: NatsServer
) -> None:
    """Over any number of branches: each application reads what HTTP would have brought it."""
    scripts = {name: script() for name in ("oest", "syd", "langaa")}
    body = PUSH.packed().body
    with ExitStack() as stack:
        connection, bodies = SharedConnection(Link((server.url,), None)), Bodies()
        stack.callback(connection.close)
        for name, each in scripts.items():
            both = stack.enter_context(ends(tmp_path, server.url, ScriptedApp(each), name))
            document = Packed(Document(branch=name).packed().manifest, body)
            assert reached(both, connection, bodies).send(document, "changes") == Taken(2)
            assert read_of(each) == whole(document)
        info = asyncio.run(there(server, f"$JS.API.STREAM.INFO.{BODIES}"))

    assert -(-body.size // PIECE_BYTES) == PIECES
    assert b'"messages":%d' % PIECES in info.replace(b" ", b"")


def test_a_server_without_streams_carries_the_rows_each_time(tmp_path: Path) -> None:
    """It was set up before there were any, or somebody has left them out."""
    document, each = PUSH.packed(), script()
    with (
        serving_nats(tmp_path) as server,
        ends(tmp_path, server.url, ScriptedApp(each)) as both,
    ):
        assert both.reached(apply_s=5).send(document, "changes") == Taken(2)

    assert read_of(each) == whole(document)


class Old(ScriptedApp):
    """A branch's application that knows nothing of rows at the server."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as for any address that there is not."""
        known = not scope["path"].startswith("/v1/shared")
        self.script.say(*((200, {"epoch": 2}) if known else (404, {})))
        await super().__call__(scope, receive, send)


def test_a_branch_of_the_release_before_is_sent_the_rows(
    tmp_path: Path, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that there is no such address, and has applied nothing."""
    monkeypatch.setattr(transfers, "SHARED", "/none/")
    document, each = PUSH.packed(), Script()
    with ends(tmp_path, server.url, Old(each)) as both:
        assert both.reached(apply_s=5).send(document, "changes") == Taken(2)

    assert read_of(each)[1:] == whole(document)


def test_rows_that_the_server_has_lost_are_sent(tmp_path: Path, server: NatsServer) -> None:
    """JetStream may lose what it has acknowledged; the branch says so and gets them."""
    document, each = PUSH.packed(), script()
    with ends(tmp_path, server.url, ScriptedApp(each)) as both:
        connection, bodies = SharedConnection(Link((server.url,), None)), Bodies()
        branch = reached(both, connection, bodies)
        assert branch.send(document, "changes") == Taken(2)
        asyncio.run(there(server, f"$JS.API.STREAM.PURGE.{BODIES}"))
        assert branch.send(document, "changes") == Taken(2)
        connection.close()

    first, cut_off, again = read_of(each)
    assert [first, again] == 2 * whole(document)
    assert cut_off[1] == b"cut off"


Damage = dict[int, bytes | None]


def fetched(content: bytes, damage: Damage) -> tuple[Script, Reply]:
    """Have a branch read rows of three pieces at the server, some wrong, some not there."""
    pieces = [content[at : at + 10] for at in range(0, len(content), 10)]
    lying = {body_of(digest(content), n): damage.get(n, piece) for n, piece in enumerate(pieces)}
    own = b"head tail"
    asked, _ = question_of("ab" * 16, Request("POST", "/v1/shared/patrons/changes", own))
    each = script()

    async def fetch(subject: str) -> Msg:
        """Answer as a server does; one that is gone does not."""
        found = lying.get(subject.partition(f"{BODIES}.")[2], b"")
        if found is None:
            raise errors.TimeoutError
        return Msg(_client=None, data=found)  # type: ignore[arg-type]

    async def play() -> Reply:
        """Play it on a loop."""
        here = Transfers(ScriptedApp(each), fetch)
        shared = Shared(digest(content), len(content), 5)
        reply = await here.take(Piece(asked, 0, own, shared))
        assert isinstance(reply, Reply)
        return reply

    return each, asyncio.run(play())


def digest(content: bytes) -> str:
    """Return its name at the server."""
    return hashlib.sha256(content).hexdigest()


@given(
    st.binary(min_size=1, max_size=30),
    st.dictionaries(st.integers(0, 2), st.none() | st.binary(max_size=12), max_size=2),
)
def test_whatever_lies_there_a_branch_reads_the_rows_or_nothing(
    content: bytes, damage: Damage
) -> None:
    """Pieces that are gone, cut, changed or longer: it says that it lacks rows, by 424."""
    each, reply = fetched(content, damage)
    pieces = [content[at : at + 10] for at in range(0, len(content), 10)]
    right = all(damage.get(number, piece) == piece for number, piece in enumerate(pieces))

    ((_, path, read, headers),) = each.requests
    assert (path, headers["Content-Length"]) == ("/v1/patrons/changes", str(len(content) + 9))
    assert (reply.status, read) == (
        (200, b"head " + content + b"tail") if right else (424, b"cut off")
    )
