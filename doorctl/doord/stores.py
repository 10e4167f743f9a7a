"""The door's databases; a log that can't be written keeps nobody out.

The outage is alarmed once, and attempts during it are not on record. Guesses are still counted, in
memory, and stored with the card's next attempt that can be. A restart before that forgets them,
and a count that can't be read starts at zero. This holds for failures in a row only: wrong PINs
that no right PIN clears are counted again once the disk works.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import RLock
from typing import TypeVar

from doorctl.access.messages import Closed, Opened, VisitLog
from doorctl.access.patron import CacheStamp
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.config import Config
from doorctl.core.alarms import KINDS
from doorctl.core.errors import StoreBusyError, StoreError
from doorctl.core.moments import Stamped
from doorctl.core.ports import AlarmOnce, Clock, EventLog
from doorctl.doord.jobs import EventQueue, ThreadFailed, Worker
from doorctl.ops.clock import SystemClock
from doorctl.services.app import system_clock
from doorctl.store import door_log
from doorctl.store import patrons as patron_rows
from doorctl.store.branch import BranchRecords
from doorctl.store.keys import ArgonSealer, Days, read_key
from doorctl.store.layout import Layout
from doorctl.store.patrons import PatronCache
from doorctl.store.residue import set_aside_if_damaged
from doorctl.store.visits import RetriedVisits

KEPT_CARDS = 10_000
"""Most cards whose failures are kept in memory; an evening sees a few hundred, and it is 2 MB."""

ResultT = TypeVar("ResultT")


class SteadyVisitLog:
    """A `VisitLog` that never raises `StoreError`; same thread rules as the log that it wraps.

    `failing` alarms what could not be written, also by others, until a write of this one goes.
    """

    def __init__(self, inner: VisitLog, log: EventLog) -> None:
        self._inner = inner
        self.failing = AlarmOnce(log, "visit_log_failing")
        self._cards: OrderedDict[bytes, CardThrottle] = OrderedDict()
        self._reader: ReaderThrottle | None = None
        self._last_attempt = 0

    def open_attempt(self, opened: Opened) -> None:
        """Put an attempt on record, or at least keep its charge in memory."""
        self._last_attempt = max(self._last_attempt, opened.attempt)
        stored = self._tried(lambda: self._inner.open_attempt(opened))
        self._note(opened.row_key, opened.throttle, stored=stored)

    def close_attempt(self, closed: Closed) -> None:
        """Record an outcome, or at least keep its cost in memory."""
        stored = self._tried(lambda: self._inner.close_attempt(closed))
        self._note(closed.row_key, closed.throttle, stored=stored)
        if closed.reader is not None:
            self._reader = None if stored else closed.reader

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures, from memory where they could not be stored."""
        kept = self._cards.get(row_key)
        if kept is not None:
            return kept
        return self._read(lambda: self._inner.card_throttle(row_key), CardThrottle())

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket, from memory where it could not be stored."""
        if self._reader is not None:
            return self._reader
        return self._read(self._inner.reader_throttle, ReaderThrottle())

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are stored and can be read."""
        return self._read(lambda: self._inner.wrong_pins(row_key, patron_ref), 0)

    def reset_card(self, row_key: bytes, patron_ref: str | None = None) -> None:
        """Forget a card's failures and a patron's.

        Raises StoreError: it could not be stored; staff see the error and try again.
        """
        self._inner.reset_card(row_key, patron_ref)
        self._cards.pop(row_key, None)

    def last_attempt(self) -> int:
        """Return the highest attempt number, at least of those that this process has seen."""
        return max(self._last_attempt, self._read(self._inner.last_attempt, 0))

    def _tried(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except StoreError as err:
            self.failing.tell(str(err))
            return False
        self.failing.tell(None)
        return True

    def _read(self, read: Callable[[], ResultT], otherwise: ResultT) -> ResultT:
        try:
            return read()
        except StoreError as err:
            self.failing.tell(str(err))
            return otherwise

    def _note(self, row_key: bytes | None, throttle: CardThrottle | None, *, stored: bool) -> None:
        if row_key is None or throttle is None:
            return
        if stored:
            self._cards.pop(row_key, None)
            return
        self._cards[row_key] = throttle
        self._cards.move_to_end(row_key)
        if len(self._cards) > KEPT_CARDS:
            self._cards.popitem(last=False)


EVENTS_AN_HOUR = 20
"""Events of one kind that are kept of an hour: a loose cable must not fill the disk."""

HOUR_S = 3600.0

_STATES = frozenset({"mode", "reader", "keypad", "fire"})
"""Log lines whose `state` is kept."""

KeptEvent = tuple[Stamped, str, str, str]


@dataclass(eq=False)
class KeptEvents:
    """An EventLog that also keeps in the door log what the door did without a card.

    Thread-safe; never blocks or raises. One job at a time waits for the worker, which writes all
    that has come; what can't be written is lost, and the next attempt alarms it.
    """

    log: EventLog
    clock: Clock
    write: Callable[[Sequence[KeptEvent]], None]
    submit: Callable[[Callable[[], None]], None]

    def __post_init__(self) -> None:
        # Re-entrant, because a signal handler may log while the main thread is logging.
        self._lock = RLock()
        self._waiting: list[KeptEvent] = []
        self._lately: dict[str, deque[float]] = {}

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Write one line, and keep it if it is an event."""
        self.log.emit(event, **fields)
        if event in _STATES:
            self.keep(event, str(fields["state"]))
        elif event == "opened_by_staff":
            self.keep(event, str(fields["why"]), str(fields["by"]))
        elif event == "alarm":
            known = KINDS.get(str(fields["kind"]))
            # Who asks for help in silence is not to be found by the attempt beside it.
            if known is not None and not known.wordless:
                self.keep(str(fields["kind"]))

    def keep(self, kind: str, why: str = "", by: str = "") -> None:
        """Keep an event as of now, unless too many of its kind have come lately."""
        now_s, moment = self.clock.monotonic_s(), self.clock.moment()
        at = Stamped(moment.local, moment.state, self.clock.boot_time())
        with self._lock:
            lately = self._lately.setdefault(kind, deque(maxlen=EVENTS_AN_HOUR))
            if len(lately) == EVENTS_AN_HOUR and now_s - lately[0] < HOUR_S:
                return
            lately.append(now_s)
            self._waiting.append((at, kind, why, by))
            if len(self._waiting) == 1:
                self.submit(self._written)

    def _written(self) -> None:
        with self._lock:
            events, self._waiting = self._waiting, []
        with suppress(Exception):  # Nobody stands outside because of it.
            self.write(events)


STORES_LIMIT_S = 60.0
"""Longest wait for the databases at the start; a check of 100 000 patrons takes 20 ms."""

ANSWER_LIMIT_S = 30.0
"""Longest wait for the worker to answer a question from outside the loop."""


class DoorStores:
    """The door's databases, the thread that may wait for them, and what they are sealed with.

    `queue` gets what the worker's jobs return; `stack` closes all of it. `log` is the given one,
    which also keeps `events` once the door log is open. `register` is how the
    patron cache was found at the last look, of epoch 0 where it could not be read; `backup_at` when
    the last backup was made, where backups are wanted, and `days` until when each key is good.
    `register_failing` belongs to the worker.

    Raises DoorctlError: the key can't be read, or another process is the writer of the door log.
    """

    def __init__(
        self, config: Config, event_queue: EventQueue, log: EventLog, stack: ExitStack
    ) -> None:
        self._config = config
        self._event_queue = event_queue
        self.log: EventLog = log
        self.clock: SystemClock = system_clock(
            config, wary=True, damaged=partial(self.alarm, "store_damaged")
        )
        seal = config.seal
        self.key = read_key(config.secrets.installation_key_file)
        self.sealer = ArgonSealer(self.key, seal.memory_kib, seal.iterations)
        self.patrons = PatronCache(
            config.storage.patrons_db, self.sealer.seal, self.sealer.earlier, self.clock.monotonic_s
        )
        stack.callback(self.patrons.close)
        self.branch = BranchRecords(config.storage.branch_db, self.clock.monotonic_s)
        stack.callback(self.branch.close)
        # Ends before its files are closed: SQLite does not survive that in the middle of a query.
        self.register_failing = AlarmOnce(log, "patron_cache_failing")
        self.worker = Worker(event_queue.put, self.failed)
        self.worker.start()
        stack.callback(self.worker.stop, 10.0)
        self.register = CacheStamp(0, None, config.policy.minimum_age, 0)
        self.backup_at: datetime | None = None
        self.days: Mapping[str, Days] = {}
        self.visits = self.worker.call(self._open, timeout_s=STORES_LIMIT_S)
        stack.callback(lambda: self.worker.submit(self.visits.close))
        self.log = self.events = KeptEvents(
            log, self.clock, self.visits.add_events, self.worker.submit
        )
        self.register_failing.log = self.log
        # Before anything else that this process keeps: by it a kill of the one before is seen.
        self.events.keep("started")
        self.steady = SteadyVisitLog(self.visits, self.log)

    def alarm(self, kind: str, why: str) -> None:
        """Emit an alarm."""
        self.log.emit("alarm", kind=kind, why=why)

    def failed(self, error: BaseException) -> None:
        """End the door by an unexpected exception, on the loop's own thread."""
        self._event_queue.put(ThreadFailed(error))

    def answer(self, job: Callable[[], ResultT]) -> ResultT:
        """Have the worker do a job in its turn, and return its result or raise its error."""
        return self.worker.call(job, timeout_s=ANSWER_LIMIT_S)

    def _open(self) -> RetriedVisits:
        path = self._config.storage.visits_db
        sound = partial(self._set_aside, path, door_log.migrations)
        sound()
        self._set_aside(self._config.storage.patrons_db, patron_rows.migrations)
        visits = RetriedVisits(path, partial(self.alarm, "store_damaged"), sound)
        try:
            visits.open()
        except StoreBusyError:
            raise
        except StoreError:
            # A disk that fails keeps nobody out; the first call that needs the log alarms.
            pass
        try:
            self.register = self.patrons.stamp()
        except StoreError as err:
            self.register_failing.tell(str(err))
        return visits

    def _set_aside(self, path: Path, migrations: Layout) -> None:
        try:
            aside = set_aside_if_damaged(path, self.clock.moment().local, migrations)
        except OSError as err:  # Ours are, and a disk that fails keeps nobody out.
            self.alarm("store_damaged", str(err))
            return
        if aside is not None:
            why = f"{path.name} is damaged and was set aside as {aside.name}"
            self.alarm("store_damaged", why)
