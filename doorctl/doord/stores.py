"""The door's databases; a log that can't be written, or in time, keeps nobody out.

What a slow disk does not take in time waits in memory: see `log_thread`. Of a disk that fails, the
outage is alarmed once, and attempts during it are not on record. Guesses are still counted, in
memory, and stored with the card's next attempt that can be. A restart before that forgets them,
so a person who cuts the power gets them anew; but a full disk still takes the note that the door
has started, and that is charged first. From the second start in a row on whose log can't be written
a card has one guess a start, and from the sixth on one once the door has run for an hour: ten in
all, as on a disk that is well, then as many as the longest wait gives. A read-only disk takes not
even that.
A count that can't be read starts at zero. This holds for failures in a row only: wrong PINs that
no right PIN clears are counted again once the disk works.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import RLock
from typing import TypeVar

from doorctl.access.messages import Closed, Opened, VisitLog
from doorctl.access.patron import CacheStamp
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.config import Config
from doorctl.core.alarms import KINDS
from doorctl.core.errors import NotAnsweringError, StoreBusyError, StoreError, StoreSlowError
from doorctl.core.moments import Stamped
from doorctl.core.ports import AlarmOnce, Clock, EventLog
from doorctl.doord.ledger import Worker
from doorctl.doord.log_thread import (
    MOST_CUTS,
    PATIENCE_S,
    SETTLED_S,
    STOP_S,
    DiskWatch,
    QueuedVisitLog,
)
from doorctl.doord.loop_events import EventQueue, ThreadFailed
from doorctl.lookup.configured import system_clock
from doorctl.ops.clock import SystemClock
from doorctl.store import door_log
from doorctl.store import patrons as patron_rows
from doorctl.store.branch import BranchRecords
from doorctl.store.damage.set_aside import is_damaged, set_aside_if_damaged
from doorctl.store.door_log import VisitHistory
from doorctl.store.key_age import Days
from doorctl.store.keys import read_key
from doorctl.store.layout import Layout
from doorctl.store.patrons import PatronCache
from doorctl.store.sealer import sealer_of
from doorctl.store.starts import UnwrittenStarts
from doorctl.store.visits import RetriedVisits

KEPT_CARDS = 10_000
"""Most cards whose failures are kept in memory; an evening sees a few hundred, and it is 2 MB."""

ResultT = TypeVar("ResultT")


class SteadyVisitLog:
    """A `VisitLog` that never raises `StoreError`; same thread rules as the log that it wraps.

    `failing` alarms what could not be written, also by others, until a write of this one goes.
    `most_blind` returns how many guesses a card gets that can't be stored, None for no limit;
    `last_attempt` is the highest number that was found before.
    """

    def __init__(
        self,
        inner: VisitLog,
        log: EventLog,
        most_blind: Callable[[], int | None] = lambda: None,
        last_attempt: int = 0,
    ) -> None:
        self._inner = inner
        self._most_blind = most_blind
        self._blind: dict[int, bytes] = {}
        self._refused: int | None = None
        self.failing = AlarmOnce(log, "visit_log_failing")
        self._cards: OrderedDict[bytes, CardThrottle] = OrderedDict()
        self._reader: ReaderThrottle | None = None
        self._last_attempt = last_attempt

    def open_attempt(self, opened: Opened) -> None:
        """Put an attempt on record, or at least keep its charge in memory."""
        self._last_attempt = max(self._last_attempt, opened.attempt)
        stored = self._tried(lambda: self._inner.open_attempt(opened))
        self._note(opened.row_key, opened.throttle, stored=bool(stored))
        if opened.throttle is not None and opened.row_key is not None:
            self._note_guess(opened.attempt, opened.row_key, stored=stored is not False)

    def is_refused(self, attempt: int) -> bool:
        """Tell whether the guess of the attempt that was opened last is one too many."""
        return attempt == self._refused

    def close_attempt(self, closed: Closed) -> None:
        """Record an outcome, or at least keep its cost in memory."""
        stored = self._tried(lambda: self._inner.close_attempt(closed))
        self._note(closed.row_key, closed.throttle, stored=bool(stored))
        if closed.right is not False:
            self._blind.pop(closed.attempt, None)
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

    def wrong_pins_by(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs at a card are on record, as :meth:`wrong_pins`."""
        return self._read(lambda: self._inner.wrong_pins_by(row_key, patron_ref), 0)

    def reset_card(self, row_key: bytes, patron_ref: str | None = None) -> None:
        """Forget a card's failures and a patron's.

        Raises StoreError: it could not be stored; staff see the error and try again.
        """
        self._inner.reset_card(row_key, patron_ref)
        self._cards.pop(row_key, None)

    def last_attempt(self) -> int:
        """Return the highest attempt number, at least of those that this process has seen."""
        return max(self._last_attempt, self._read(self._inner.last_attempt, 0))

    def _tried(self, write: Callable[[], None]) -> bool | None:
        """Tell whether it is stored; None where a slow disk will take it."""
        try:
            write()
        except StoreSlowError:
            # `disk_slow` tells of the disk.
            return None
        except StoreError as err:
            self.failing.tell(str(err))
            return False
        self.failing.tell(None)
        return True

    def _read(self, read: Callable[[], ResultT], otherwise: ResultT) -> ResultT:
        try:
            return read()
        except StoreSlowError:
            return otherwise
        except StoreError as err:
            self.failing.tell(str(err))
            return otherwise

    def _note_guess(self, attempt: int, row_key: bytes, *, stored: bool) -> None:
        if stored:
            # With it goes what was counted in memory.
            self._blind = {n: key for n, key in self._blind.items() if key != row_key}
            return
        self._blind[attempt] = row_key
        if len(self._blind) > KEPT_CARDS:
            del self._blind[next(iter(self._blind))]
        most, guesses = self._most_blind(), list(self._blind.values()).count(row_key)
        self._refused = attempt if most is not None and guesses > most else None

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


FREE_STARTS, MOST_STARTS, BLIND_PAUSE_S = 1, 5, 3600.0
"""See the head of this file: so many starts in a row give what every start gives, or one guess a
card; after them a card is guessed at once the door has run for an hour."""


def most_blind(unwritten_starts: int, up_s: float) -> int | None:
    """Return how many guesses that can't be stored a card gets in this process; None for any.

    `unwritten_starts` came right before it, and none of them could write the log.
    """
    if unwritten_starts < FREE_STARTS:
        return None
    return 1 if unwritten_starts < MOST_STARTS or up_s >= BLIND_PAUSE_S else 0


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
"""Longest wait for either thread to answer a question from outside the loop."""

A_DAY = timedelta(days=1)


def why_lost(stamp: CacheStamp) -> str | None:
    """Return what to say where nothing is left of a damaged register, else None."""
    if stamp.incomplete and not stamp.patrons:
        return "the patron register was damaged, and none has come since; push a snapshot"
    return None


class DoorStores:
    """The door's databases, the threads that may wait for them, and what they are sealed with.

    `queue` gets what the worker's jobs return; `stack` closes all of it. `worker` reads what cards
    are judged by; the door log belongs to `log_thread`, which a slow `disk` may hold. `log` is the
    given one, which also keeps `events` once the door log is open. `register` is how the
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
        self.key = read_key(config.secrets.installation_key_file)
        self.sealer = sealer_of(self.key, config.seal)
        self.patrons = PatronCache(
            config.storage.patrons_db, self.sealer.seal, self.sealer.earlier, self.clock.monotonic_s
        )
        stack.callback(self.patrons.close)
        self.branch = BranchRecords(config.storage.branch_db, self.clock.monotonic_s)
        stack.callback(self.branch.close)
        path = config.storage.visits_db
        self._reading = VisitHistory(path)
        sound = partial(self._set_aside, path, door_log.migrations)
        self.visits = RetriedVisits(path, partial(self.alarm, "store_damaged"), sound)
        self.register_failing = AlarmOnce(log, "patron_cache_failing")
        self.log_thread, self.worker = (Worker(event_queue.put, self.failed) for _ in range(2))
        self.disk = DiskWatch(self.clock.monotonic_s)
        self.late = QueuedVisitLog(
            self.visits,
            self.log_thread,
            self._reading,
            self.disk,
            late=self._written_late,
            may_go_on=self._may_go_on,
        )
        self._starts, self._unwritten = UnwrittenStarts(config.storage.door_directory), 0
        self._cuts, self._on_record, self._began_s = 0, False, self.clock.monotonic_s()
        self._start_threads(stack)
        self.register = CacheStamp(0, None, config.policy.minimum_age, 0)
        self.backup_at: datetime | None = None
        self.days: Mapping[str, Days] = {}
        last = self.log_thread.call(partial(self._open, sound), timeout_s=STORES_LIMIT_S)
        self.log = self.events = KeptEvents(log, self.clock, self._add_events, self.write)
        self.register_failing.log = self.log
        # Before anything else that this process keeps: by it a kill of the one before is seen.
        self.events.keep("started")
        self.log_thread.submit(self._count_cuts)
        self.steady = SteadyVisitLog(self.late, self.log, self._most_blind, last)

    def _start_threads(self, stack: ExitStack) -> None:
        # Each ends before its files are closed: SQLite does not survive that in the middle of a
        # query. The worker ends first, for what it settles goes to the other.
        for thread in (self.log_thread, self.worker):
            thread.start()
        stack.callback(self._stop_writing)
        stack.callback(self._reading.close)
        stack.callback(self.worker.stop, STOP_S)

    def alarm(self, kind: str, why: str) -> None:
        """Emit an alarm."""
        self.log.emit("alarm", kind=kind, why=why)

    def failed(self, error: BaseException) -> None:
        """End the door by an unexpected exception, on the loop's own thread."""
        self._event_queue.put(ThreadFailed(error))

    def write(self, job: Callable[[], None]) -> None:
        """Have the door log's thread write something, in its turn; its time is watched."""
        self.log_thread.submit(lambda: self.disk.timed(job))

    def answer(self, job: Callable[[], ResultT]) -> ResultT:
        """Have the door log's thread do a job in its turn; return its result or raise its error."""
        return self.log_thread.call(job, timeout_s=ANSWER_LIMIT_S)

    def answer_soon(self, job: Callable[[], ResultT], patience_s: float = PATIENCE_S) -> ResultT:
        """Do the same for the worker, whom a patron may be waiting for.

        Raises StoreSlowError: the disk holds the door log; the job is done later all the same.
        """
        try:
            return self.log_thread.call(job, timeout_s=patience_s)
        except NotAnsweringError as err:
            raise StoreSlowError(str(err)) from err

    def answer_by_worker(self, job: Callable[[], ResultT]) -> ResultT:
        """Have the worker do a job in its turn, and return its result or raise its error."""
        return self.worker.call(job, timeout_s=ANSWER_LIMIT_S)

    def must_wait(self, row_key: bytes | None) -> bool:
        """Tell whether a card may not be guessed at now; see `LateGuesses`. The worker's."""
        return self.late.must_wait(row_key)

    def is_refused(self, attempt: int) -> bool:
        """Tell whether the guess of the attempt that was opened last may not be made."""
        return self.late.is_refused(attempt) or self.steady.is_refused(attempt)

    def _add_events(self, events: Sequence[KeptEvent]) -> None:
        self.visits.add_events(events)
        self._starts.written()

    def _most_blind(self) -> int | None:
        return most_blind(self._unwritten, self.clock.monotonic_s() - self._began_s)

    def _stop_writing(self) -> None:
        self.log_thread.submit(self.visits.close)
        if not self.log_thread.stop(STOP_S):
            why = f"the door was stopped before the disk had taken {self.late.waiting} entries"
            self.alarm("visit_log_failing", why)

    def _may_go_on(self) -> bool:
        up_s = self.clock.monotonic_s() - self._began_s
        return self._cuts < MOST_CUTS and (self._on_record or up_s >= SETTLED_S)

    def _count_cuts(self) -> None:
        with suppress(StoreError):
            since = self.clock.moment().local.astimezone(UTC) - A_DAY
            self._cuts = self.visits.cut_off_since(since)
            self._on_record = True

    def _written_late(self, error: StoreError | None) -> None:
        why = None if error is None else str(error)
        self.worker.submit(lambda: self.steady.failing.tell(why))

    def _open(self, sound: Callable[[], None]) -> int:
        self._unwritten = self._starts.begin()
        sound()
        self._look_at_register()
        last = 0
        try:
            last = self.visits.open().last_attempt()
        except StoreBusyError:
            raise
        except StoreError:
            # A disk that fails keeps nobody out; the first call that needs the log alarms.
            pass
        try:
            self.register = self.patrons.stamp()
        except StoreError as err:
            self.register_failing.tell(str(err))
        else:
            if lost := why_lost(self.register):
                self.register_failing.tell(lost)
        return last

    def _look_at_register(self) -> None:
        path = self._config.storage.patrons_db
        try:
            if not is_damaged(path, patron_rows.migrations):
                return
        except OSError as err:  # Ours are.
            self.alarm("store_damaged", str(err))
            return
        # It is another process's file, and its rows that are whole let in all the same.
        self.patrons.doubt()
        self.alarm("store_damaged", f"{path.name} is damaged; a start of doorctl-web mends it")

    def _set_aside(self, path: Path, migrations: Layout) -> None:
        try:
            aside = set_aside_if_damaged(path, self.clock.moment().local, migrations)
        except OSError as err:  # A disk that fails keeps no patron out.
            self.alarm("store_damaged", str(err))
            return
        if aside is not None:
            why = f"{path.name} is damaged and was set aside as {aside.name}"
            self.alarm("store_damaged", why)
