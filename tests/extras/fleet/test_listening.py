"""A branch's connection out: a real server that is away, is killed and comes back."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from doorctl.extras.fleet import keeping
from doorctl.extras.fleet.messages import PIECE_BYTES
from doorctl.sync.branch import Away, Held, Refused, Taken
from doorctl.sync.signing import SigningKey
from tests.extras.fleet.ends import Ends, ScriptedApp, ends
from tests.extras.fleet.nats_server import NatsServer, serving_nats
from tests.fakes.waiting import until
from tests.sources.http_server import Script

HELD = {"epoch": 41, "digest": "ab" * 32, "nonce": "n", "key_id": "0badcafe", "minimum_age": 14}

REFUSED = Away("the NATS server: no connection (Connection refused)")

CONTENT = bytes(range(256)) * 4096
"""A push of eight pieces."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server."""
    with serving_nats(tmp_path) as server:
        yield server


@pytest.fixture
def script() -> Script:
    """What the branch answers."""
    script = Script()
    script.say(200, HELD)
    return script


@pytest.fixture
def both(tmp_path: Path, server: NatsServer, script: Script) -> Iterator[Ends]:
    """A branch that listens."""
    with ends(tmp_path, server.url, ScriptedApp(script)) as both:
        yield both


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test can wait for."""
    monkeypatch.setattr(keeping, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(keeping, "LONGEST_PAUSE_S", 0.2)


def test_a_server_that_goes_and_comes_is_one_line_each(both: Ends, server: NatsServer) -> None:
    """However often the branch tries meanwhile; then it is reached again, by the same ends."""
    reached = both.reached(ask_s=1)
    assert isinstance(reached.held(), Held)

    server.end()
    both.wait_for("lost")
    # A sender's own connection may end a moment later than the branch's.
    until(lambda: reached.held() == REFUSED)
    # Time for many tries.
    time.sleep(1)
    server.start()
    both.wait_for("connected", times=2)

    assert isinstance(reached.held(), Held)
    assert [line["state"] for line in both.log.named("nats")] == ["connected", "lost", "connected"]
    assert both.log.alarms == []


def test_a_server_that_is_not_there_at_the_start_is_found_later(tmp_path: Path) -> None:
    """The branch begins without it, says so once, and an alarm stands only after long."""
    server = NatsServer(tmp_path)
    both = Ends(tmp_path, (server.url,), ScriptedApp(Script()), "oest")
    both.start()
    try:
        both.wait_for("lost")
        (line,) = both.log.named("nats")
        assert line["why"] == "the NATS server: no connection (Connection refused)"
        both.clock.advance(keeping.ALARM_AFTER_S)
        until(lambda: both.log.alarms)
        server.start()
        both.wait_for("connected")
        until(lambda: "nats_back" in both.log.alarms)
    finally:
        both.end()
        server.end()

    assert both.log.alarms == ["nats_lost", "nats_back"]


def test_the_next_server_is_taken_where_one_is_away(tmp_path: Path, script: Script) -> None:
    """In the order in which they are named."""
    gone = NatsServer(tmp_path)
    with (
        serving_nats(tmp_path) as server,
        ends(tmp_path, server.url, ScriptedApp(script)) as both,
    ):
        assert isinstance(both.reached(gone.url, server.url).held(), Held)
        assert isinstance(both.reached(gone.url, ask_s=1).held(), Away)


def test_a_branch_that_listens_nowhere_is_away(server: NatsServer, tmp_path: Path) -> None:
    """The server says so at once."""
    nobody = Ends(tmp_path, (server.url,), ScriptedApp(Script()), "oest")

    assert nobody.reached().held() == Away("it is not connected to the NATS server")
    nobody.loop.close()


class Halting:
    """An application that reads pieces of a request only when it is told to."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended: list[str] = []
        self.going_on = asyncio.Event()

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        """Read; answer 200."""
        more = True
        while more:
            if self.pieces:
                await self.going_on.wait()
            message = await receive()
            self.pieces.append(message.get("body", b""))
            more = message.get("more_body", False)
            self.ended.append(message["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps({"epoch": 42}).encode()})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_push_goes_on_where_the_server_broke_off(
    tmp_path: Path, server: NatsServer, number: int
) -> None:
    """The sender sends the same push again, and what the branch had is not sent twice."""
    app = Halting()
    with ends(tmp_path, server.url, app) as both:
        reached = both.reached(apply_s=3)
        answers: list[Any] = []
        sending = Thread(target=lambda: answers.append(reached.send(BytesIO(CONTENT), "snapshot")))
        sending.start()
        until(lambda: app.pieces)
        server.end(number)
        sending.join()
        both.loop.call_soon_threadsafe(app.going_on.set)
        server.start()
        both.wait_for("connected", times=2)

        again = reached.send(BytesIO(CONTENT), "snapshot")

    assert isinstance(answers[0], Away), answers
    assert again == Taken(42)
    assert b"".join(app.pieces) == CONTENT
    assert len(app.pieces) == len(CONTENT) // PIECE_BYTES
    assert {*app.ended} == {"http.request"}


def test_whoever_answers_for_a_branch_is_not_believed(
    tmp_path: Path, server: NatsServer, script: Script
) -> None:
    """Another client on its subject, with another key: not a number of its is taken over."""
    script.say(200, {**HELD, "epoch": 2**52})
    with ends(tmp_path, server.url, ScriptedApp(script)) as liar:
        reached = liar.reached(key=SigningKey().verify_key())

        held = reached.held()
        sent = reached.send(BytesIO(CONTENT), "snapshot")

    assert isinstance(held, Refused)
    assert held == sent
    assert "public_key_file" in held.why


def test_half_a_push_is_forgotten(both: Ends, script: Script) -> None:
    """A sender that forgot how far it came, as by a restart, begins anew and is taken."""
    script.say(200, {"epoch": 42})

    first = both.reached().send(BytesIO(CONTENT), "snapshot")
    second = both.reached().send(BytesIO(CONTENT), "snapshot")

    assert first == second == Taken(42)
    assert [request[2] for request in script.requests] == [CONTENT, CONTENT]
