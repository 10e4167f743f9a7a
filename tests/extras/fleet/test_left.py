"""Pushes that lie at the server for a branch: which it takes, whatever lies there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats import errors
from nats.aio.msg import Msg

from doorctl.extras.fleet import left, transfers
from doorctl.extras.fleet.bodies import Bodies
from doorctl.extras.fleet.connection import Link, SharedConnection
from doorctl.extras.fleet.left import LeftPush, LeftTaken
from doorctl.extras.fleet.messages import PIECE_BYTES, PUSHES, body_of, pushes_of, reading
from doorctl.sync.document import Kind
from doorctl.sync.packing import Document as Packed
from tests.extras.fleet.ends import ScriptedApp, ends
from tests.extras.fleet.nats_server import STREAMS, serving_nats
from tests.extras.fleet.test_bodies import reached, there
from tests.fakes.waiting import until
from tests.sources.http_server import Script
from tests.sync.pushes import Document, row


class HoldingApp:
    """Takes a push as a branch does, by its number alone; can be busy, and lose what it reads."""

    def __init__(self, held: int, busy: int = 0) -> None:
        self.held, self.busy = held, busy
        self.taken: list[tuple[str, int]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Read, and answer."""
        content, more, status = b"", True, 200
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
            status = 400 if message["type"] == "http.disconnect" else status
        if scope["method"] != "GET" and status == 200:
            status = self._taken(scope["path"], content)
        body = json.dumps({"epoch": self.held}).encode()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def _taken(self, path: str, content: bytes) -> int:
        if self.busy:
            self.busy -= 1
            return 503
        packed = next(each for each in PUSHED if each.content == content)
        if packed.epoch == REFUSED:
            return 422
        self.taken.append((path, packed.epoch))
        self.held = packed.epoch
        return 200


class Pushed:
    """A push as it lies, and as it travels."""

    def __init__(self, kind: Kind, epoch: int, previous: int) -> None:
        self.epoch = epoch
        self.document = Document([row(epoch)], kind, epoch, previous).packed()
        self.content = self.document.read()
        body = self.document.body
        self.left = LeftPush(self.document.head, self.document.tail, body.packed_sha256, body.size)
        self.lying = {body_of(body.packed_sha256, 0): body.read(0, PIECE_BYTES)}


REFUSED = 9
SNAPSHOT, FIRST, SECOND, WRONG = PUSHED = (
    Pushed("snapshot", 7, 0),
    Pushed("changes", 5, 3),
    Pushed("changes", 6, 5),
    Pushed("changes", REFUSED, 7),
)


def message(*pushes: Pushed) -> bytes:
    """Return what lies at the server."""
    return msgspec.json.encode({"pushes": [push.left for push in pushes]})


def taken(app: HoldingApp, *data: bytes, lost: Sequence[Pushed] = ()) -> HoldingApp:
    """Have a branch take messages, one after another; the rows of some are lost."""
    lying = {
        subject: rows for push in PUSHED if push not in lost for subject, rows in push.lying.items()
    }

    async def fetch(subject: str) -> Msg:
        """Answer as a server does."""
        found = lying.get(subject.partition("DOORCTL_BODIES.")[2])
        if found is None:
            raise errors.TimeoutError
        return Msg(_client=None, data=found)  # type: ignore[arg-type]

    async def play() -> None:
        """Play it on a loop."""
        here = LeftTaken(app, fetch)
        for each in data:
            await here.take(each)

    asyncio.run(play())
    return app


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test can wait for."""
    monkeypatch.setattr(left, "AGAIN_S", 0.001)
    monkeypatch.setattr(transfers, "HOLD_S", 0.5)


@pytest.mark.parametrize(
    ("held", "there", "epochs"),
    [
        (3, [FIRST, SECOND], [5, 6]),
        (3, [SECOND, FIRST], [5, 6]),
        (5, [FIRST, SECOND], [6]),
        (4, [FIRST, SECOND], []),
        (4, [FIRST, SECOND, SNAPSHOT], [7]),
        (3, [FIRST, SECOND, SNAPSHOT], [5, 6, 7]),
        (7, [FIRST, SECOND, SNAPSHOT], []),
        (8, [SNAPSHOT], []),
        (7, [WRONG], []),
    ],
)
def test_a_branch_takes_what_follows_on_what_it_holds(
    held: int, there: list[Pushed], epochs: list[int]
) -> None:
    """One after another in their order; nothing old, nothing that follows on something else."""
    app = taken(HoldingApp(held), message(*there))

    assert [epoch for _, epoch in app.taken] == epochs
    assert {path for path, epoch in app.taken if epoch != 7} <= {"/v1/patrons/changes"}
    assert {path for path, epoch in app.taken if epoch == 7} <= {"/v1/patrons"}


def test_a_push_is_tried_once() -> None:
    """A refusal has its alarm; it must not come again with each connection."""
    asked = []

    class Counting(HoldingApp):
        """Counts what it is asked to take."""

        def _taken(self, path: str, content: bytes) -> int:
            asked.append(path)
            return super()._taken(path, content)

    taken(Counting(7), message(WRONG), message(WRONG))

    assert len(asked) == 1


def test_a_branch_that_is_busy_waits() -> None:
    """Another push is coming in: this one is older or newer, and its turn comes."""
    assert taken(HoldingApp(3, busy=3), message(FIRST)).held == 5


def test_rows_that_are_lost_are_looked_for_again() -> None:
    """By the next connection, or once the sender has left them anew."""
    app = taken(HoldingApp(3), message(FIRST), lost=[FIRST])
    assert app.taken == []

    assert taken(app, message(FIRST)).held == 5


@given(
    st.binary()
    | st.lists(
        st.fixed_dictionaries(
            {
                "head": st.sampled_from(["", "AAAA", "x", None]) | st.text(max_size=4),
                "tail": st.just(""),
                "body": st.text(max_size=4) | st.just("0" * 64) | st.just("0" * 62 + " x"),
                "size": st.integers() | st.none(),
            }
        ),
        max_size=6,
    ).map(lambda pushes: json.dumps({"pushes": pushes}).encode())
)
def test_whatever_lies_there_nothing_else_is_taken(data: bytes) -> None:
    """A server that lies, or somebody who wrote there: no push, no traceback."""
    assert taken(HoldingApp(3), data).taken == []


def test_the_same_is_left_once_and_something_newer_in_its_place(tmp_path: Path) -> None:
    """A run that has nothing new writes nothing; each branch finds the last message alone."""
    with (
        serving_nats(tmp_path, STREAMS.format(store=tmp_path / "store")) as server,
        ends(tmp_path, server.url, ScriptedApp(Script())) as both,
    ):
        connection, bodies = SharedConnection(Link((server.url,), None)), Bodies()
        branch = reached(both, connection, bodies)
        found = []
        for pushes in ([FIRST], [FIRST], [FIRST, SECOND]):
            documents = [Packed(each.document.manifest, each.document.body) for each in pushes]
            assert branch.leave(documents)
            subject = reading(PUSHES, pushes_of("oest"))
            found.append(asyncio.run(there(server, subject)))
        info = json.loads(asyncio.run(there(server, f"$JS.API.STREAM.INFO.{PUSHES}")))
        connection.close()

    assert found == [message(FIRST), message(FIRST), message(FIRST, SECOND)]
    assert (info["state"]["messages"], info["state"]["last_seq"]) == (1, 2)


def test_a_branch_that_listens_is_given_what_is_left(tmp_path: Path) -> None:
    """As one whose connection a server has not yet missed; it need not come back first."""
    with (
        serving_nats(tmp_path, STREAMS.format(store=tmp_path / "store")) as server,
        ends(tmp_path, server.url, app := HoldingApp(3)) as both,
    ):
        connection = SharedConnection(Link((server.url,), None))
        assert reached(both, connection, Bodies()).leave([FIRST.document])
        until(lambda: app.held == 5)
        connection.close()


def test_without_streams_nothing_is_left_and_nothing_ends(tmp_path: Path) -> None:
    """The sender is told that it does not lie there."""
    with (
        serving_nats(tmp_path) as server,
        ends(tmp_path, server.url, ScriptedApp(Script())) as both,
    ):
        connection = SharedConnection(Link((server.url,), None))
        assert not reached(both, connection, Bodies()).leave([FIRST.document])
        connection.close()
        assert [line["state"] for line in both.log.named("nats")] == ["connected"]


OLD = """
listen: "127.0.0.1:{port}"
authorization {
  users: [
    { user: "oest", password: "o", permissions: {
      subscribe: { allow: ["doorctl.branch.oest"] }, allow_responses: { max: 1 }
    } }
  ]
}
"""


def test_a_server_configured_by_0_3_keeps_its_branches(tmp_path: Path) -> None:
    """It forbids what was not needed then; a branch listens all the same, and is not lost."""
    password = tmp_path / "password"
    password.write_text("o")
    password.chmod(0o600)
    app = ScriptedApp(Script())
    account: dict[str, Any] = {"user": "oest", "password_file": password}
    with serving_nats(tmp_path, OLD) as server, ends(tmp_path, server.url, app, **account) as both:
        own = both.listener.connection._own  # noqa: SLF001 - what it was refused is told nowhere
        assert own is not None
        until(lambda: len(own[1].refusals) >= 2)
        assert [line["state"] for line in both.log.named("nats")] == ["connected"]
