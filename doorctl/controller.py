"""The door process's loop: events in, effects out, one thread, never sleeps, never touches disk.

Everybody else only posts: serial lines, signal handlers, the worker. Each turn first lets time
pass, so that a flood of events can't hold the relay; then takes one event. Relay and lamps are
driven here and at once; whatever touches the disk goes to the worker and comes back as an event.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from doorctl.access.attempt import Attempt, Phase, after
from doorctl.access.messages import (
    Asked,
    Clicked,
    Concluded,
    Effect,
    Event,
    LookAgain,
    Now,
    Prepare,
    Prepared,
    PrepareFailed,
    Rules,
    Stalled,
    TimePassed,
)
from doorctl.access.reasons import Reason
from doorctl.cards.keypad import keys
from doorctl.cards.reader import CardReader
from doorctl.door import strike
from doorctl.door.indicator import Indicator, Lamps, Signal
from doorctl.errors import DeviceError, StoreError
from doorctl.ledger import Ledger
from doorctl.ports import (
    BytesReceived,
    Clock,
    EventLog,
    LineConnected,
    LineEvent,
    LineLost,
    PatronLookup,
    Relay,
    Signals,
)
from doorctl.readings import CardRead

READER = "reader"
KEYPAD = "keypad"

TURN_LIMIT_S = 1.0
"""Longest sleep of the loop: how often the watchdog is fed and the clock looked at."""

BACKLOG_LIMIT = 8
"""Jobs in the worker's queue beyond which a card is turned away.

A reader that repeats itself brings 80 cards a second; the smallest Pi prepares three. More waiting
would outlast the patience of whoever comes next.
"""

UNRECORDED_LIMIT = BACKLOG_LIMIT // 2
"""Jobs beyond which an unreadable card is not recorded, so that garbage turns no card away."""

STALL_LIMIT_S = 3.0
"""A loop that has not turned for so long stood still (SIGSTOP, a dying disk under swap)."""

STALE_S = 0.5
"""After standing still, what the lines deliver within this was sent before: it opens nothing."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody asked the daemon to stop."""


@dataclass(frozen=True, slots=True)
class ThreadFailed:
    """A thread ended by an exception that nobody expected: the daemon must not go on without it."""

    error: BaseException


PostedEvent = LineEvent | Prepared | PrepareFailed | StopRequested | ThreadFailed
Mailbox = queue.SimpleQueue[PostedEvent]


class Worker(Protocol):
    """A thread that does slow jobs in order and posts what they return."""

    def submit(self, job: Callable[[], PostedEvent | None]) -> None:
        """Queue a job; its event, if any, is posted to the controller."""

    def backlog(self) -> int:
        """Return how many jobs wait."""


class Controller:
    """Run the door.

    Args:
        rules: the branch's rules.
        release_s: how long the strike is released.
        cards: the parser of the reader's line.
        relay: the strike's.
        signals: lamps and buzzer.
        clock: the machine's.
        log: takes the fixed log lines.
        cache: asked for its version only.
        ledger: what the worker is asked to do.
        worker: the thread that does it.
        last_number: the highest attempt number on record.
        lines: names of the serial lines; once each has been tried, the daemon is ready.
        when_ready: called then, once.
        each_turn: called at least every second while the loop turns (watchdog, clock watch).
    """

    def __init__(
        self,
        *,
        rules: Rules,
        release_s: float,
        cards: CardReader,
        relay: Relay,
        signals: Signals,
        clock: Clock,
        log: EventLog,
        cache: PatronLookup,
        ledger: Ledger,
        worker: Worker,
        last_number: int,
        lines: frozenset[str],
        when_ready: Callable[[], None],
        each_turn: Callable[[], None],
    ) -> None:
        self._rules = rules
        self._release_s = release_s
        self._cards = cards
        self._relay = relay
        self._signals = signals
        self._clock = clock
        self._log = log
        self._cache = cache
        self._ledger = ledger
        self._worker = worker
        self._untried = set(lines)
        self._when_ready = when_ready
        self._each_turn = each_turn
        self.connected: dict[str, bool] = dict.fromkeys(lines, False)
        self._attempt = Attempt(number=last_number, last_number=last_number)
        self._strike = strike.Strike()
        self._indicator = Indicator()
        self._lamps_failing = False
        self._was_overloaded = False
        self._turned_s: float | None = None
        self._stale_until_s = 0.0

    @property
    def released(self) -> bool:
        """Whether the strike is released just now. Thread-safe."""
        return self._strike.energised

    @property
    def deadline_s(self) -> float | None:
        """When time has to pass next, monotonic seconds; None while nothing is pending."""
        pending = (
            self._strike.until_s,
            self._attempt.deadline_s,
            self._indicator.deadline_s,
            self._cards.deadline_s,
        )
        return min((at for at in pending if at is not None), default=None)

    def run(self, mailbox: Mailbox) -> None:
        """Turn until `StopRequested`; the relay is off afterwards, whatever happened."""
        try:
            while True:
                self._notice_stall()
                self.pass_time()
                self._each_turn()
                try:
                    event = mailbox.get(timeout=self._wait_s())
                except queue.Empty:
                    continue
                if isinstance(event, StopRequested):
                    return
                self._notice_stall()
                self.handle(event)
        finally:
            self.shut_down()

    def _notice_stall(self) -> None:
        now_s = self._clock.monotonic_s()
        if self._turned_s is not None and now_s - self._turned_s > STALL_LIMIT_S:
            self._log.emit(
                "alarm", kind="stalled", why="the door stood still; what was typed is void"
            )
            self._cards.reset()
            self._step(Stalled())
            self._stale_until_s = now_s + STALE_S
        self._turned_s = now_s

    def shut_down(self) -> None:
        """Lock the door; idempotent."""
        try:
            self._drive(self._strike.after(strike.ShutDown()))
        finally:
            self._relay.de_energise()

    def pass_time(self) -> None:
        """Let every deadline that is due have its effect."""
        now_s = self._clock.monotonic_s()
        self._drive(self._strike.after(strike.TimePassed(now_s)))
        self._cards.pass_time(now_s)
        self._take_readings()
        if self._attempt.deadline_s is not None and now_s >= self._attempt.deadline_s:
            self._step(TimePassed())
        self._indicate(self._indicator.at(now_s))

    def handle(self, event: PostedEvent) -> None:
        """Take one event."""
        match event:
            case BytesReceived() if self._clock.monotonic_s() < self._stale_until_s:
                pass
            case BytesReceived(line=line, data=data) if line == KEYPAD:
                for key in keys(data):
                    self._step(key)
            case BytesReceived(data=data):
                self._cards.receive(data, self._clock.monotonic_s())
                self._take_readings()
            case LineConnected(line=line):
                self._log.emit(line, state="connected")
                self._note_line(line, connected=True)
            case LineLost(line=line, why=why):
                if line == READER:
                    self._cards.reset()
                self._log.emit(line, state="lost", why=why)
                self._note_line(line, connected=False)
            case Prepared() | PrepareFailed():
                self._step(event)
            case ThreadFailed(error=error):
                raise error

    def _note_line(self, line: str, *, connected: bool) -> None:
        self.connected[line] = connected
        if self._untried:
            self._untried.discard(line)
            if not self._untried:
                self._when_ready()

    def _take_readings(self) -> None:
        while True:
            typing = self._attempt.phase is Phase.TYPING
            reading = self._cards.next_reading(awaiting_pin=typing)
            if reading is None:
                return
            if isinstance(reading, CardRead) and self._overloaded():
                self._show(Signal.REFUSED)
            else:
                self._step(reading)

    def _overloaded(self) -> bool:
        overloaded = self._worker.backlog() >= BACKLOG_LIMIT
        if overloaded and not self._was_overloaded:
            self._log.emit(
                "alarm", kind="overloaded", why="cards come faster than they are looked up"
            )
        self._was_overloaded = overloaded
        return overloaded

    def _step(self, event: Event) -> None:
        now = Now(self._clock.monotonic_s(), self._clock.moment(), self._cache_version())
        self._attempt, effects = after(self._attempt, event, now, self._rules)
        for effect in effects:
            self._carry_out(effect)

    def _cache_version(self) -> int | None:
        try:
            return self._cache.version()
        except StoreError:
            return None

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Prepare(attempt=number, identifiers=identifiers):
                self._ask(number, lambda: self._ledger.prepare(number, identifiers))
            case LookAgain(prepared=prepared):
                self._ask(prepared.attempt, lambda: self._ledger.look_again(prepared))
            case Asked():
                self._show(Signal.CARD_READ)
            case Clicked():
                self._show(Signal.KEY)
            case Concluded():
                self._conclude(effect)

    def _ask(self, number: int, question: Callable[[], Prepared]) -> None:
        def answered() -> PostedEvent:
            if number < self._attempt.number:
                # Another card came meanwhile: stretching this one would only keep that one waiting.
                return PrepareFailed(number)
            try:
                return question()
            except StoreError as err:
                self._log.emit("alarm", kind="patron_cache_failing", why=str(err))
                return PrepareFailed(number)

        self._worker.submit(answered)

    def _conclude(self, concluded: Concluded) -> None:
        reason, number = concluded.reason, concluded.attempt
        if reason is Reason.OK:
            now_s = self._clock.monotonic_s()
            self._drive(self._strike.after(strike.Granted(now_s, self._release_s)))
        if not concluded.silent:
            self._show(Signal.GRANTED if reason is Reason.OK else Signal.REFUSED)
        shape = {} if concluded.shape is None else {"shape": concluded.shape.value}
        self._log.emit(
            "decision", verdict=reason.verdict, reason=reason.value, attempt=number, **shape
        )
        if concluded.shape is None or self._worker.backlog() < UNRECORDED_LIMIT:
            self._worker.submit(lambda: self._ledger.settle(number, reason))

    def _drive(self, after: strike.Strike) -> None:
        switched = after.energised != self._strike.energised
        self._strike = after
        if not switched:
            return
        if after.energised:
            self._relay.energise()
        else:
            self._relay.de_energise()
        edge_ns = round(self._clock.monotonic_s() * 1e9)
        self._log.emit("relay", energised=after.energised, monotonic_ns=edge_ns)
        self._log.emit("door", state=after.state.value)

    def _show(self, signal: Signal) -> None:
        self._indicate(self._indicator.signalled(signal, self._clock.monotonic_s()))

    def _indicate(self, after: Indicator) -> None:
        if after.lamps != self._indicator.lamps:
            self._light(after.lamps)
        self._indicator = after

    def _light(self, lamps: Lamps) -> None:
        try:
            self._signals.show(lamps)
        except DeviceError as err:
            # A broken lamp keeps nobody out; each further failure would say the same.
            if not self._lamps_failing:
                self._log.emit("alarm", kind="lamps_failing", why=str(err))
            self._lamps_failing = True
        else:
            self._lamps_failing = False

    def _wait_s(self) -> float:
        deadline_s = self.deadline_s
        if deadline_s is None:
            return TURN_LIMIT_S
        return max(0.0, min(TURN_LIMIT_S, deadline_s - self._clock.monotonic_s()))
