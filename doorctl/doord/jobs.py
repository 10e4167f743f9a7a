"""What other threads do for the door's loop, and the events by which they tell it.

One prepares an attempt while the patron types, and puts the outcome on record after the relay;
another asks the library system, by way of web.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import date, timedelta
from math import inf
from typing import Any, Protocol

from doorctl.access.code_throttle import CODES_KEY, codes_charged
from doorctl.access.day import DayRules
from doorctl.access.messages import (
    AskLibrary,
    Closed,
    Concluded,
    LibraryAnswer,
    LibraryAnswered,
    LookAgain,
    Opened,
    Prepare,
    Prepared,
    PrepareFailed,
    Rules,
    VisitLog,
)
from doorctl.access.panel import PanelRules
from doorctl.access.patron import (
    BEFORE_PROOF,
    Patron,
    Reason,
    SealedRow,
    levels,
    pin_check,
    row_key,
)
from doorctl.access.throttle import GUESSED_AT, CardThrottle
from doorctl.access.weak_pins import easy_to_guess
from doorctl.core.errors import BranchStoreError, StoreError
from doorctl.core.masked import Identifier, Pin, StretchedKey
from doorctl.core.moments import BootTime, Stamped
from doorctl.core.ports import AlarmOnce, Clock, EventLog, Sealer
from doorctl.devices.serial_line import LineEvent
from doorctl.doord.hours import HoursRead
from doorctl.lookup.cards import (
    Found,
    Reading,
    look_up,
    restricted,
    rights_of,
    row_of,
    united,
    wait_of,
)
from doorctl.ops.threads import WorkerThread
from doorctl.rpc.library import LibraryOverSocket
from doorctl.store.branch import BranchRecords
from doorctl.store.patrons import PatronCache


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody asked the daemon to stop."""


@dataclass(frozen=True, slots=True)
class PinsTouched:
    """A level may have changed: look at the inputs."""


@dataclass(frozen=True, slots=True)
class StaffOpened:
    """Staff open the door once, remotely; counts until just before `until_s`, monotonic."""

    reason: str
    by: str
    until_s: float


@dataclass(frozen=True, slots=True)
class PanelKeyPressed:
    """A key of the screen at the door, for the attempt of that number."""

    key: str = field(repr=False)
    attempt: int


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Other rules for everything that begins from now on; what is under way keeps its own.

    `taken` is called when they come into force, on the loop's thread.
    """

    rules: Rules
    day: DayRules
    panel: PanelRules
    taken: Callable[[], None]


@dataclass(frozen=True, slots=True)
class ThreadFailed:
    """A thread ended by an unexpected exception: the daemon must not go on without it."""

    error: BaseException


PostedEvent = (
    LineEvent
    | PinsTouched
    | Prepared
    | PrepareFailed
    | LibraryAnswered
    | HoursRead
    | StaffOpened
    | PanelKeyPressed
    | Reloaded
    | StopRequested
    | ThreadFailed
)
EventQueue = queue.SimpleQueue[PostedEvent]

Worker = WorkerThread[PostedEvent]
"""Does slow jobs in order, and posts to the loop what they return."""


class LoopQueue(EventQueue):
    """The loop's queue. `put` may be called from any thread and from a signal's handler.

    In Python 3.11 SimpleQueue's own `get` waits for ever if it is woken when its time is over: the
    door did nothing until the next swipe. This `get` waits for a lock, and that wait ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self._posted = threading.Lock()
        self._posted.acquire()

    def put(self, item: PostedEvent, block: bool = True, timeout: float | None = None) -> None:
        """Post an event; never waits."""
        super().put(item, block, timeout)
        with suppress(RuntimeError):  # Not waited for, or told already.
            self._posted.release()

    def get(self, block: bool = True, timeout: float | None = None) -> PostedEvent:
        """Return the next event, or raise queue.Empty. One thread."""
        ends_s = inf if timeout is None else time.monotonic() + timeout  # noqa: TID251 - a wait
        while True:
            self._posted.acquire(blocking=False)  # What was told of an event that is taken since.
            with suppress(queue.Empty):
                return super().get(block=False)
            left_s = ends_s - time.monotonic()  # noqa: TID251 - a wait
            if not block or left_s <= 0:
                raise queue.Empty
            self._posted.acquire(timeout=min(left_s, threading.TIMEOUT_MAX))


ALARMED_AGAIN_MS = 24 * 3_600_000
"""A right PIN of a patron after many wrong ones is alarmed once in this time."""


@dataclass(frozen=True, slots=True)
class _OpenAttempt:
    # `row_key` is None once the person was erased. `before` is None where no guess was charged: no
    # PIN is asked for, or the card has to wait.
    row_key: bytes | None = field(repr=False)
    before: CardThrottle | None
    wrong_pins: int = 0
    by_code: bool = False
    restricted: bool = False
    whose: str | bytes = field(default=b"", repr=False)
    guessed: bool = True

    def charged(self, now: BootTime) -> CardThrottle:
        before = self.before or CardThrottle()
        return codes_charged(before, now) if self.by_code else before.charged(now)


class LateGuesses(Protocol):
    """What a slow disk owes: guesses whose charge it has not taken yet. One thread; may wait."""

    def must_wait(self, row_key: bytes | None) -> bool:
        """Tell whether a card may not be guessed at now."""

    def is_refused(self, attempt: int) -> bool:
        """Tell whether the guess of the attempt that was opened last may not be made."""


@dataclass(eq=False, kw_only=True)
class Ledger:
    """Prepare attempts and settle them; all calls on one thread.

    Wrap the door log `visits` in :class:`~doorctl.doord.stores.SteadyVisitLog` so that a full disk
    keeps nobody out. `counts_guesses` says whether a PIN is required at all; codes are counted in
    any case. `late` says which guesses have to wait for a slow disk, None where none does. Raises
    BranchStoreError: from `prepare` and `look_again`: bans and passes can't be read. StoreError:
    from these two: the patron cache can't be read.
    """

    sealer: Sealer
    patrons: PatronCache
    visits: VisitLog
    clock: Clock
    log: EventLog
    branch: BranchRecords
    counts_guesses: bool
    late: LateGuesses | None = None

    def __post_init__(self) -> None:
        self._open: dict[int, _OpenAttempt] = {}
        self._guessed: dict[str | bytes, BootTime] = {}
        self._answers = AlarmOnce(self.log, "store_damaged", "answers")

    def prepare(self, attempt: int, identifiers: tuple[Identifier, ...]) -> Prepared:
        """Find out everything about a card or a code and put the attempt on record, durably.

        The guess is charged before it is made, so that a power cut never gives a guess away. The
        steps are the same for an unknown card. All codes are counted and put on record as one, so
        the door log does not tell which was used.
        """
        prepared, found = self._find(attempt, identifiers)
        now = self.clock.boot_time()
        key = CODES_KEY if found.by_code else prepared.row_key
        wait = wait_of(found, self.visits, self.branch, now)
        counts = self.counts_guesses or found.by_code
        late = self.late
        owed = counts and not wait.holds and late is not None and late.must_wait(key)
        throttled = counts and (wait.holds or owed)
        opened = _OpenAttempt(
            key,
            wait.throttle if counts and not throttled else None,
            wrong_pins=wait.wrong_pins,
            by_code=found.by_code,
            restricted=found.patron is not None and found.patron.restricted,
            whose=found.patron_ref or key,
        )
        charged = None if opened.before is None else opened.charged(now)
        whose = None if charged is None or found.by_code else opened.whose
        self.visits.open_attempt(Opened(attempt, self._stamped(now), key, charged, whose))
        if charged is not None and late is not None and late.is_refused(attempt):
            throttled, opened = True, replace(opened, guessed=False)
        self._open[attempt] = opened
        delay_s = self.visits.reader_throttle().delay_s(now) if self.counts_guesses else 0.0
        return replace(prepared, throttled=throttled, delay_s=delay_s)

    def look_again(self, prepared: Prepared) -> Prepared:
        """Read a card's row, bans and pass once more; everything else stays as it was.

        This includes the bans of a patron whom the library system has just named.
        """
        key, lent = prepared.row_key, prepared.lent
        patron, damaged = (None, False) if prepared.by_code else row_of(key, self.patrons)
        own = rights_of(key, patron or lent, self.branch, by_code=prepared.by_code)
        others = (rights_of(key, None, self.branch) for key in prepared.other_keys)
        found = united(own, others)
        cache = self._cache(by_code=prepared.by_code, damaged=damaged)
        again = replace(prepared, patron=patron, **cache)
        return _with_rights(again, found)

    def settle(self, end: Concluded, counted_as: str | None = None) -> None:
        """Record how an attempt ended, and charge its card and this reader.

        A PIN that was proved ends the card's count, because it was no guess. One that was unchecked
        costs the reader, but not the card, because its answer revealed nothing.

        The statistics count it under the mode `counted_as`, or not at all for None. They never
        count a patron whose data are restricted, because such data are used for nothing.
        """
        now, attempt, reason = self.clock.boot_time(), end.attempt, end.reason
        opened = self._open.pop(attempt, None)
        if opened is None:
            self.visits.open_attempt(Opened(attempt, self._stamped(now), None, None))
            self.visits.close_attempt(Closed(attempt, reason, counted_as=counted_as))
            return
        reader = None
        if self.counts_guesses and reason in BEFORE_PROOF and not opened.by_code:
            reader = self.visits.reader_throttle().charged(now)
        throttle, right = opened.before, None
        if throttle is not None and opened.guessed and not end.unchecked:
            throttle = _throttle_after(opened, end, now)
            right = True if end.proved else False if reason in BEFORE_PROOF else None
        if opened.restricted or reason is Reason.RESTRICTED:
            counted_as = None
        closed = Closed(
            attempt, reason, opened.row_key, throttle, reader, counted_as=counted_as, right=right
        )
        self.visits.close_attempt(closed)
        if right and opened.wrong_pins >= GUESSED_AT and self._news_of(opened.whose, now):
            self.log.emit("alarm", kind="card_guessed", wrong=opened.wrong_pins)

    def _news_of(self, whose: str | bytes, now: BootTime) -> bool:
        """Note an alarm about a patron; tell whether it is the first in a day. Drop older notes."""
        lately = {
            key: at for key, at in self._guessed.items() if now.ms_since(at) < ALARMED_AGAIN_MS
        }
        self._guessed = {whose: now} | lately
        return whose not in lately

    def has_failures(self, row_key: bytes) -> bool:
        """Tell whether `unlock` has anything to forget.

        Raises StoreError: the patron cache can't be read.
        """
        whose, keys = self._with_all_cards(row_key)
        wrong = self.visits.wrong_pins(row_key, whose)
        return wrong > 0 or any(self.visits.card_throttle(key).failures for key in keys)

    def _with_all_cards(self, row_key: bytes) -> tuple[str | None, set[bytes]]:
        """Return a card's patron, and the row keys of all cards that are the patron's."""
        whose = _ref(self.patrons.find(row_key))
        return whose, {row_key, *self.patrons.cards_of(whose)}

    def unlock(self, row_key: bytes) -> None:
        """Forget the failures of a card and its patron's others; no open attempt brings them back.

        Raises StoreError: it could not be stored, or the patron cache can't be read; nothing is
        forgotten.
        """
        whose, keys = self._with_all_cards(row_key)
        for key in keys:
            self.visits.reset_card(key, whose)
        for number, opened in self._open.items():
            if opened.row_key in keys and opened.before is not None:
                self._open[number] = replace(opened, before=CardThrottle())

    def forget(self, row_keys: frozenset[bytes]) -> None:
        """Forget an erased person's cards, so that no open attempt brings them back when it ends.

        The open attempt goes on, and its record names no person. Raises StoreError: their failures
        could not be deleted; call this again.
        """
        for key in row_keys:
            self.visits.reset_card(key)
        for number, opened in self._open.items():
            if opened.row_key in row_keys:
                self._open[number] = replace(opened, row_key=None, whose=b"")
        # The patrons of these cards are unknown here; at worst others' alarms come once more.
        self._guessed.clear()

    def _find(self, attempt: int, identifiers: tuple[Identifier, ...]) -> tuple[Prepared, Found]:
        # Each reading is stretched and looked up, found or not: the work must not tell which.
        stretched: dict[bytes, tuple[StretchedKey, Identifier]] = {}
        readings = []
        for identifier in identifiers:
            by_key = {row_key(key): key for key in levels(self.sealer.stretch(identifier))}
            stretched |= {key: (secret, identifier) for key, secret in by_key.items()}
            readings.append(Reading(identifier.kind, next(iter(by_key)), tuple(by_key)[1:]))
        found = look_up(readings, self.patrons, self.branch)
        key = found.keys[0]
        secret, meant = stretched[key]
        prepared = Prepared(attempt, secret, key, found.patron, identifier=meant)
        cache = self._cache(by_code=found.by_code, damaged=found.damaged)
        prepared = replace(prepared, other_keys=found.other_keys, **cache)
        return _with_rights(prepared, found), found

    def _cache(self, *, by_code: bool, damaged: bool) -> dict[str, Any]:
        stamp = self.patrons.stamp()
        if damaged:
            self._answers.tell("patrons.db: an answer of the library system is damaged; not used")
        return {
            "cache_applied_at": stamp.applied_at,
            "cache_minimum_age": stamp.minimum_age,
            # No register holds a code, and each wrong one has to count.
            "damaged": not by_code and (damaged or stamp.incomplete),
        }

    def _stamped(self, now: BootTime) -> Stamped:
        moment = self.clock.moment()
        return Stamped(moment.local, moment.state, now)


def _with_rights(prepared: Prepared, found: Found) -> Prepared:
    held, *older = found.passes or (None,)
    patron, lent = prepared.patron, prepared.lent
    if found.restricted:
        patron, lent = restricted(patron), restricted(lent)
    return replace(
        prepared, bans=found.bans, held=held, older=tuple(older), patron=patron, lent=lent
    )


def _ref(patron: Patron | None) -> str | None:
    return None if patron is None else patron.patron_ref


def _throttle_after(opened: _OpenAttempt, end: Concluded, now: BootTime) -> CardThrottle | None:
    if end.reason in BEFORE_PROOF:
        return opened.charged(now)
    # A right code does not prove that nobody is guessing others.
    return CardThrottle() if end.proved and not opened.by_code else opened.before


# The door asks once when its own copy of the register can't judge a card, and keeps the answer.
#
# On a thread of its own: a library system that hangs holds up only a patron whom the copy does not
# know.


@dataclass(eq=False)
class Asking:
    """Ask about one attempt at a time, on the `asker`'s thread; keep the answers on the `keeper`'s.

    Keeping may take longer than the next patron waits.

    `lend` makes a row of an answer, as `doorctl.sync.sealing.lent_patron` by the branch's rules. A
    that no push has brought yet is kept for `row_lasts`, the PIN check of one that a push brought
    without it for `pin_lasts`. With `flags_weak` a PIN that is too easy to guess is marked so, in
    the answer and in what is kept: only where the policy makes use of it.
    """

    library: LibraryOverSocket
    clock: Clock
    _: KW_ONLY
    asker: Worker
    keeper: Worker
    lend: Callable[..., Patron]
    row_lasts: timedelta
    pin_lasts: timedelta
    flags_weak: bool = False

    def __post_init__(self) -> None:
        self._learnt: deque[SealedRow] = deque()

    def put(self, question: AskLibrary) -> bool:
        """Have a question asked and its answer kept; tell whether it was put. From the loop."""
        if self.asker.backlog() >= ASKING_LIMIT:
            return False

        def answered() -> PostedEvent:
            answer = self.ask(question.prepared, question.pin)
            self.keeper.submit(self.keep)
            return answer

        self.asker.submit(answered)
        return True

    def ask(self, prepared: Prepared, pin: Pin) -> LibraryAnswered:
        """Ask about the card and the PIN of an attempt."""
        try:
            return self._outcome(prepared, pin)
        except ValueError:
            # Web's answer describes no possible patron; no answer of web may end the door process.
            return LibraryAnswered(prepared.attempt, LibraryAnswer.SILENT)

    def _outcome(self, prepared: Prepared, pin: Pin) -> LibraryAnswered:
        silent = LibraryAnswered(prepared.attempt, LibraryAnswer.SILENT)
        if prepared.identifier is None:
            return silent
        # A row from an earlier answer is requested anew: its rights may have changed.
        row_wanted = prepared.patron is None or not prepared.patron.pushed
        reply = self.library.ask(prepared.row_key, prepared.identifier, pin, row_wanted=row_wanted)
        if reply.answer is not LibraryAnswer.YES:
            return LibraryAnswered(prepared.attempt, reply.answer)
        lent = None
        is_weak = self.flags_weak and easy_to_guess(pin, (prepared.identifier,))
        if row_wanted:
            if reply.patron is None:
                return silent
            card = (prepared.identifier, prepared.stretched)
            lent = self.lend(reply.patron, reply.birthday, *card, pin, on=self._today())
            is_weak = lent.weak_pin
        known = lent or prepared.patron
        if known is not None:
            check = pin_check(prepared.stretched, pin)
            learnt = replace(known, pin_check=check, weak_pin=is_weak)
            self._learnt.append(SealedRow(prepared.row_key, learnt))
        return LibraryAnswered(prepared.attempt, reply.answer, lent, is_weak)

    def keep(self) -> None:
        """Store the answers, if there are any; called after the door has its answer."""
        while self._learnt:
            row, today = self._learnt.popleft(), self._today()
            self.library.keep(
                row,
                row_until=None if row.patron.pushed else today + self.row_lasts,
                pin_until=today + self.pin_lasts,
                learnt_on=today,
            )

    def _today(self) -> date:
        return self.clock.moment().latest_known.date()


# Jobs that the loop gives to other threads, and how many of them may wait.
#
# The loop itself never touches a disk or a network: the answers come back to its queue.

BACKLOG_LIMIT = 8
"""Jobs in the worker's queue beyond which a card is turned away.

A reader that repeats itself brings 80 cards a second; the smallest Pi prepares three. With more
waiting, the next patron would lose patience.
"""

ASKING_LIMIT = 2
"""Waiting questions to the library system beyond which no other is put, because it hangs."""

UNRECORDED_LIMIT = BACKLOG_LIMIT // 2
"""Jobs beyond which an unreadable card is not recorded, so that garbage turns no card away."""

AGAIN_S = 1.0
"""A database that can't be read may be in the middle of a restore: it is read once more."""


@dataclass(eq=False)
class SlowJobs:
    """Submit jobs and return at once; on the loop's thread.

    `register_failing` takes each failure to read the register, and its end. `library` is None where
    nobody is asked. `pause` lets the worker's thread wait for so many seconds.
    """

    ledger: Ledger
    worker: Worker
    register_failing: AlarmOnce
    library: Asking | None = None
    _: KW_ONLY
    pause: Callable[[float], object] = lambda _s: None

    def overloaded(self) -> bool:
        """Tell whether so many jobs wait that the next card is turned away."""
        return self.worker.backlog() >= BACKLOG_LIMIT

    def prepare(self, wanted: Prepare | LookAgain, newest: Callable[[], int]) -> None:
        """Have an attempt prepared, or looked at again; `Prepared` or `PrepareFailed` follows.

        `newest` is called on the worker's thread, for the number of the attempt that is current by
        then.
        """
        number = wanted.attempt if isinstance(wanted, Prepare) else wanted.prepared.attempt

        def answered() -> PostedEvent:
            if number < newest():
                # Another card came meanwhile: stretching this one would only keep that one waiting.
                return PrepareFailed(number)
            try:
                prepared = self._prepared_at_last(wanted)
            except BranchStoreError as err:
                why = str(err)
                # The job that reads the hours reports it, once.
                self.worker.submit(lambda: HoursRead(failing=why, wanted=False))
                return PrepareFailed(number)
            except StoreError as err:
                self.register_failing.tell(str(err), again=True)
                return PrepareFailed(number)
            if not prepared.damaged:
                self.register_failing.tell(None)
            return prepared

        self.worker.submit(answered)

    def settle(self, concluded: Concluded, counted_as: str | None) -> None:
        """Have an attempt's end recorded; see :meth:`Ledger.settle`."""
        if concluded.shape is not None and self.worker.backlog() >= UNRECORDED_LIMIT:
            return
        self.worker.submit(lambda: self.ledger.settle(concluded, counted_as))

    def _prepared_at_last(self, wanted: Prepare | LookAgain) -> Prepared:
        try:
            return self._prepared(wanted)
        except StoreError:
            # Nothing is on record yet, and the patron still types.
            self.pause(AGAIN_S)
            return self._prepared(wanted)

    def _prepared(self, wanted: Prepare | LookAgain) -> Prepared:
        if isinstance(wanted, Prepare):
            return self.ledger.prepare(wanted.attempt, wanted.identifiers)
        return self.ledger.look_again(wanted.prepared)
