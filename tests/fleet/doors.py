"""One door's receiving end in this process: the listener, the reception and the stores are real.

The web process has more around them: pages, jobs, the audit log in a database of its own. Here a
thousand doors share the threads on which they wait for a disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from doorctl.config.tables import Push as PushLimits
from doorctl.core.ports import Seal
from doorctl.extras.extra import PushParts
from doorctl.extras.fleet import WebNats
from doorctl.extras.fleet.listening import Listener
from doorctl.privacy.audit import Deed
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, open_or_create_patrons
from doorctl.sync.guard import guard
from doorctl.sync.receive import Terms
from doorctl.sync.signing import VerifyKey
from doorctl.web.application import application
from doorctl.web.inspection import Inspection
from doorctl.web.pushes import Pushes
from doorctl.web.reception import Reception
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.waiting import LIMIT_S

WIDEST_SHARE = 100
"""Percent of a register that a push may remove: the guard has tests of its own."""


@dataclass
class TimedLog(FakeEventLog):
    """Knows when the last push was applied, by the monotonic clock in seconds."""

    applied: dict[int, float] = field(default_factory=dict)

    def emit(self, event: str, **fields: Any) -> None:
        """Keep one line, and when it was written."""
        if event == "push" and fields.get("result") == "applied":
            self.applied[fields["epoch"]] = time.monotonic()
        super().emit(event, **fields)


class NotedAudit:
    """The audit log as a push needs it: a list of what was noted."""

    def __init__(self) -> None:
        self.noted: list[Deed] = []

    def note(self, deed: Deed, _by: str) -> None:
        """Put a deed on record."""
        self.noted.append(deed)

    def head(self) -> str:
        """Return the chain's end, which never moves back."""
        return f"{len(self.noted)}:{hashlib.sha256(b'%d' % len(self.noted)).hexdigest()}"

    def first_held(self, heads: Iterable[str]) -> str | None:
        """Return the first of some heads that is in the chain."""
        return next(iter(heads), None)


class Threads:
    """What all doors of a process share: an event loop, and threads that wait for disks."""

    def __init__(self, workers: int = 16) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="loop")
        self._thread.start()
        self._workers = [ThreadPoolExecutor(1, "store") for _ in range(workers)]

    def worker(self, number: int) -> ThreadPoolExecutor:
        """Return the one thread that a door's stores belong to."""
        return self._workers[number % len(self._workers)]

    def end(self) -> None:
        """End them all, once no door runs."""
        for worker in self._workers:
            worker.shutdown()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(LIMIT_S)
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


@dataclass(frozen=True)
class Identity:
    """Who a door is: its own name, its library's seal and key, its own signing key."""

    name: str
    seal: Seal
    sender: VerifyKey
    signing_key: Path


class Door:
    """A door that can be started and stopped; its files stay in between."""

    def __init__(
        self, directory: Path, number: int, who: Identity, nats: WebNats, threads: Threads
    ) -> None:
        self.directory, self.who, self.nats = directory, who, nats
        self.log, self.clock, self.audit = TimedLog(), FakeClock(), NotedAudit()
        self._threads, self._worker = threads, threads.worker(number)
        self._stack = ExitStack()
        self._listener: Listener | None = None
        self._turns: threading.Thread | None = None
        self._reception: Reception | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> Path:
        """Its register."""
        return self.directory / "patrons.db"

    @property
    def runs(self) -> bool:
        """Whether it is started."""
        return self._listener is not None

    def start(self) -> None:
        """Open the stores and begin to listen."""
        pushes = self._worker.submit(self._opened).result()

        async def missing(*_: object) -> Any:
            raise AssertionError

        app = application(
            pushes.routes(), missing=missing, encrypted=False, senders_certified=False
        )
        config = SimpleNamespace(branch=SimpleNamespace(id=self.who.name))
        own = cast("Any", SimpleNamespace(config=config, clock=self.clock))
        parts = PushParts(own, cast("Any", None), self.log, app, self._stack)
        listener = self._listener = Listener(parts, self.nats, self._threads.loop)
        self._turns = threading.Thread(target=self._run, args=(listener,), name=self.who.name)
        self._turns.start()

    def stop(self) -> None:
        """Stop as at a restart of the web process: a commit under way is finished."""
        listener, self._listener = self._listener, None
        if listener is None or self._turns is None:
            return
        listener.connection.stop()
        self._turns.join(LIMIT_S)
        self._worker.submit(self._stack.close).result()
        self._stack, self._reception = ExitStack(), None

    def held(self) -> tuple[int, str]:
        """Return the number of the push that it holds and the digest of all its rows; it runs."""
        assert self._reception is not None
        push = self._worker.submit(self._reception.held).result()
        return push.epoch, rows_digest(self.path)

    def cards(self) -> int:
        """Return how many rows it holds."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM patrons").fetchone()[0])

    @property
    def epochs(self) -> list[int]:
        """The numbers of the pushes that it applied, in order."""
        return [cast("int", line["epoch"]) for line in self.log.named("push") if _is_applied(line)]

    def _run(self, listener: Listener) -> None:
        while self._listener is listener:
            listener.connection.turn()

    def _opened(self) -> Pushes:
        seal = self.who.seal
        writer: PatronCacheWriter = open_or_create_patrons(self.path, seal)
        self._stack.callback(writer.close)
        lookup = self._stack.enter_context(closing(PatronCache(self.path, seal)))
        terms = Terms(
            branch=self.who.name,
            public_keys=(self.who.sender,),
            limits=PushLimits(),
            seal=seal,
            guard=guard(WIDEST_SHARE, 0),
            minimum_age=0,
        )
        reception = Reception(
            terms, writer=writer, lookup=lookup, clock=self.clock, directory=self.directory
        )
        self._reception = reception
        inspection = Inspection(writer, lookup, self.clock, self.log)
        audit = cast("Any", self.audit)
        return Pushes(reception, self._worker, self.log, audit, dict, inspection)


def _is_applied(line: dict[str, Any]) -> bool:
    return bool(line["result"] == "applied")


ROWS = "SELECT row_key, pin_check, patron_ref, resident, blocks FROM patrons ORDER BY row_key"
"""Without the number of the push that brought a row: a door that was away has it by a later one."""


def rows_digest(path: Path) -> str:
    """Return the digest of all rows of a register, whatever their order in the file."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        for row in database.execute(ROWS):
            digest.update(repr(row).encode())
    return digest.hexdigest()
