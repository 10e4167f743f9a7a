"""Both ends of a request over NATS, and a real server; behind them stands what a test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from doorctl.extras.extra import PushParts
from doorctl.extras.fleet import WebNats
from doorctl.extras.fleet.bodies import Bodies
from doorctl.extras.fleet.branch import NatsBranch
from doorctl.extras.fleet.connection import Link, SharedConnection
from doorctl.extras.fleet.listening import Listener
from doorctl.store.signing_keys import create_signing_key, read_public_keys
from doorctl.sync.signing import VerifyKey
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.waiting import LIMIT_S, until
from tests.sources.http_server import Script


class ScriptedApp:
    """Answers as a script says, once it has read the whole request, as `serving` does over HTTP."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Read, note, answer."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if message["type"] == "http.disconnect":
                body = b"cut off"
        headers = {name.decode().title(): value.decode() for name, value in scope["headers"]}
        script = self.script
        script.requests.append((scope["method"], scope["path"], body, headers))
        said = [(name.encode(), text.encode("latin-1")) for name, text in script.headers.items()]
        await send({"type": "http.response.start", "status": script.status, "headers": said})
        await send({"type": "http.response.body", "body": script.body})


class Ends:
    """A branch's end over an application, on a loop and a thread of its own each."""

    def __init__(
        self, directory: Path, servers: tuple[str, ...], app: Any, name: str, **account: Any
    ) -> None:
        self.log, self.clock, self.name = FakeEventLog(), FakeClock(), name
        key = directory / f"{name}.key"
        create_signing_key(key, directory / f"{name}.pub")
        self._public = directory / f"{name}.pub"
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        config = SimpleNamespace(branch=SimpleNamespace(id=name))
        own = cast("Any", SimpleNamespace(config=config, clock=self.clock))
        parts = PushParts(own, cast("Any", None), self.log, app, ExitStack())
        self.settings = WebNats(servers=servers, signing_key_file=key, **account)
        self.listener = Listener(parts, self.settings, self.loop)
        self._turns = threading.Thread(target=self._run)
        self._ending = False

    @property
    def public(self) -> VerifyKey:
        """The public half of the branch's key."""
        return read_public_keys([self._public])[0]

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        self._turns.start()

    def wait_for(self, state: str, times: int = 1) -> None:
        """Wait until the log has said so that often."""
        until(lambda: sum(line["state"] == state for line in self.log.named("nats")) >= times)

    def end(self) -> None:
        """End both threads."""
        self._ending = True
        self.listener.connection.stop()
        self._turns.join(LIMIT_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(LIMIT_S)
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def _run(self) -> None:
        while not self._ending:
            self.listener.connection.turn()

    def reached(self, *servers: str, key: VerifyKey | None = None, **usual: Any) -> NatsBranch:
        """Return the branch as its sender asks it."""
        link = Link(servers or self.settings.servers, None)
        return NatsBranch(self.name, SharedConnection(link), key or self.public, Bodies(), **usual)


@contextmanager
def ends(directory: Path, url: str, app: Any, name: str = "oest", **account: Any) -> Iterator[Ends]:
    """Listen until the end of the block, which begins once it does."""
    both = Ends(directory, (url,), app, name, **account)
    both.start()
    try:
        both.wait_for("connected")
        yield both
    finally:
        both.end()
