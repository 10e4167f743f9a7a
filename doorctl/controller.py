"""The door process's loop: events in, effects out, one thread, never sleeps, never touches disk.

Everybody else only posts: serial lines, pins, signal handlers, the worker. Each turn first lets
time pass, so that a flood of events can't hold the relay; then takes one event. The doorway is
driven here and at once; whatever touches the disk goes to the worker and comes back as an event.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from doorctl.access.attempt import Attempt, Phase, after
from doorctl.access.calendar import Mode
from doorctl.access.messages import (
    Accompanied,
    Asked,
    AskLibrary,
    Clicked,
    Concluded,
    Effect,
    Event,
    LibraryAnswer,
    LibraryAnswered,
    LookAgain,
    Now,
    Prepare,
    Prepared,
    PrepareFailed,
    Rules,
    Stalled,
    TimePassed,
)
from doorctl.access.panel import Notice, PanelState, notice_of, turned_away
from doorctl.access.panel_display import Display
from doorctl.access.reasons import Reason
from doorctl.access.refusals import Refusals
from doorctl.cards.keypad import keys
from doorctl.cards.reader import CardReader
from doorctl.daily_round import DailyRound, HoursRead
from doorctl.door.indicator import Signal
from doorctl.doorway import Doorway
from doorctl.errors import BranchStoreError, StoreError
from doorctl.ledger import Ledger
from doorctl.mailbox import (
    Mailbox,
    PanelKeyPressed,
    PinsTouched,
    PostedEvent,
    StaffOpened,
    StopRequested,
    ThreadFailed,
    Worker,
)
from doorctl.masked import Pin
from doorctl.ports import (
    BranchBook,
    BytesReceived,
    Clock,
    EventLog,
    LineConnected,
    LineEvent,
    LineLost,
    Panel,
    PatronLookup,
)
from doorctl.privacy.passages import counted_as
from doorctl.readings import CardRead, CardUnreadable, KeyPressed

READER = "reader"
KEYPAD = "keypad"

TURN_LIMIT_S = 1.0
"""Longest sleep of the loop: how often the watchdog is fed and the clock looked at."""

BACKLOG_LIMIT = 8
"""Jobs in the worker's queue beyond which a card is turned away.

A reader that repeats itself brings 80 cards a second; the smallest Pi prepares three. More waiting
would outlast the patience of whoever comes next.
"""

ASKING_LIMIT = 2
"""Questions to the library system that wait beyond which another is not put: it hangs."""

UNRECORDED_LIMIT = BACKLOG_LIMIT // 2
"""Jobs beyond which an unreadable card is not recorded, so that garbage turns no card away."""

VERSION_BITS = 64
"""The version of either database is a number of fewer bits."""

STALL_LIMIT_S = 3.0
"""A loop that has not turned for so long stood still (SIGSTOP, a dying disk under swap)."""

STALE_S = 0.5
"""After standing still, what the lines deliver within this was sent before: it opens nothing."""


class Asks(Protocol):
    """What :class:`doorctl.asking.Asking` does, which is loaded only where anybody is asked."""

    def ask(self, prepared: Prepared, pin: Pin) -> LibraryAnswered:
        """Ask about the card and the PIN of an attempt; takes a second or two."""

    def keep(self) -> None:
        """Keep what the last question taught."""


@dataclass(frozen=True, slots=True)
class LibraryDesk:
    """Where the library system is asked: what is asked, and the thread that waits for it."""

    asking: Asks
    worker: Worker


class Controller:
    """Run the door.

    Args:
        rules: the branch's rules.
        cards: the parser of the reader's line.
        doorway: strike, leaf, lamps.
        daily: knows which mode stands.
        clock: the machine's.
        log: takes the fixed log lines.
        cache: asked for its version only.
        branch: asked for its version only.
        ledger: what the worker is asked to do.
        worker: the thread that does it.
        last_number: the highest attempt number on record.
        lines: names of the serial lines; once each has been tried, the daemon is ready.
        when_ready: called then, once.
        each_turn: called at least every second while the loop turns (watchdog, clock watch).
        library: asked about a card that the cache can't judge; None where nobody is asked.
        panel: the screen at the door; None where nobody looks.
        display: what it shows at first, by the branch's rules.
    """

    def __init__(
        self,
        *,
        rules: Rules,
        cards: CardReader,
        doorway: Doorway,
        daily: DailyRound,
        clock: Clock,
        log: EventLog,
        cache: PatronLookup,
        branch: BranchBook,
        ledger: Ledger,
        worker: Worker,
        last_number: int,
        lines: frozenset[str],
        when_ready: Callable[[], None],
        each_turn: Callable[[], None],
        library: LibraryDesk | None = None,
        panel: Panel | None = None,
        display: Display = Display(),  # noqa: B008 - frozen
    ) -> None:
        self._rules = rules
        self._cards = cards
        self._doorway = doorway
        self._daily = daily
        self._clock = clock
        self._log = log
        self._cache = cache
        self._branch = branch
        self._ledger = ledger
        self._worker = worker
        self._untried = set(lines)
        self._when_ready = when_ready
        self._each_turn = each_turn
        self._library = library
        self._panel = panel
        self._display = display
        self._displayed: PanelState | None = None
        self.connected: dict[str, bool] = dict.fromkeys(lines, False)
        self._attempt = Attempt(number=last_number, last_number=last_number)
        self._refusals = Refusals()
        self._was_overloaded = False
        self._turned_s: float | None = None
        self._stale_until_s = 0.0

    @property
    def deadline_s(self) -> float | None:
        """When time has to pass next, monotonic seconds; None while nothing is pending."""
        pending = (
            self._doorway.deadline_s,
            self._attempt.deadline_s,
            self._cards.deadline_s,
            self._display.deadline_s,
        )
        return min((at for at in pending if at is not None), default=None)

    def run(self, mailbox: Mailbox) -> None:
        """Turn until `StopRequested`; the relay is off afterwards, whatever happened."""
        try:
            self._doorway.begin()
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
        self._doorway.shut_down()

    def pass_time(self) -> None:
        """Let every deadline that is due have its effect."""
        now_s = self._clock.monotonic_s()
        self._doorway.pass_time()
        self._daily.turn(self._clock.moment())
        self._cards.pass_time(now_s)
        self._take_readings()
        if self._attempt.deadline_s is not None and now_s >= self._attempt.deadline_s:
            self._step(TimePassed())
        self._show_panel(now_s)

    def handle(self, event: PostedEvent) -> None:
        """Take one event."""
        match event:
            case BytesReceived() | LineConnected() | LineLost():
                self._hear_line(event)
            case Prepared() | PrepareFailed() | LibraryAnswered():
                self._step(event)
            case HoursRead():
                self._daily.heard(event, self._clock.moment())
                if event.failing is None:
                    self._display = self._display.heard(event.calendar, event.override)
            case PanelKeyPressed():
                self._hear_panel(event)
            case StaffOpened(reason=reason, by=by):
                self._log.emit("opened_by_staff", why=reason, by=by)
                self._doorway.let_in()
            case PinsTouched():
                self._doorway.look()
            case ThreadFailed(error=error):
                raise error

    def _hear_line(self, event: LineEvent) -> None:
        match event:
            case BytesReceived() if self._clock.monotonic_s() < self._stale_until_s:
                pass
            case BytesReceived(line=line, data=data) if line == KEYPAD:
                for key in keys(data):
                    self._take_reading(key)
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

    def _hear_panel(self, pressed: PanelKeyPressed) -> None:
        stale = self._clock.monotonic_s() < self._stale_until_s
        # A page that was held up has what somebody typed who has gone.
        if not stale and pressed.attempt == self._attempt.number:
            self._take_reading(KeyPressed(pressed.key))

    def _show_panel(self, now_s: float) -> None:
        if self._panel is None:
            return
        moment = self._clock.moment()
        self._display = self._display.at(now_s, moment, self._daily.mode_at(moment))
        state = self._display.state(self._attempt, broken=not self.connected.get(READER, True))
        if state != self._displayed:
            self._displayed = state
            self._panel.show(state)

    def _tell(self, notice: Notice | None) -> None:
        if self._panel is not None:
            self._display = self._display.telling(notice)

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
            self._take_reading(reading)

    def _take_reading(self, reading: CardRead | CardUnreadable | KeyPressed) -> None:
        standing = self._daily.standing
        if standing is not None and standing.mode is Mode.STAFFED and self._attempt_is_over():
            # Nobody is asked who they are; whether the door stands free is a rule of the branch.
            if isinstance(reading, CardRead):
                free = self._doorway.stands_free
                self._doorway.show(Signal.GRANTED if free else Signal.CARD_READ)
        elif isinstance(reading, CardRead) and self._overloaded():
            self._doorway.show(Signal.REFUSED)
            self._tell(turned_away(self._display.rules, self._clock.monotonic_s()))
        else:
            self._step(reading)

    def _attempt_is_over(self) -> bool:
        return self._attempt.phase is Phase.IDLE

    def _overloaded(self) -> bool:
        overloaded = self._worker.backlog() >= BACKLOG_LIMIT
        if overloaded and not self._was_overloaded:
            self._log.emit(
                "alarm", kind="overloaded", why="cards come faster than they are looked up"
            )
        self._was_overloaded = overloaded
        return overloaded

    def _step(self, event: Event) -> None:
        moment = self._clock.moment()
        # First: it may show that the hours are older than the card.
        version = self._version()
        mode, no_entry = self._daily.mode_at(moment)
        in_doubt = version is None or self._daily.is_reading
        if in_doubt and self._attempt_is_over():
            # A card is looked at again after that; who brings companions can't wait for it.
            mode = None
        now = Now(self._clock.monotonic_s(), moment, version, mode, no_entry)
        self._attempt, effects = after(self._attempt, event, now, self._rules)
        for effect in effects:
            self._carry_out(effect)

    def _version(self) -> int | None:
        """Return another number after each change of what a card is judged by.

        The hours of that version have been asked of the worker when this returns, so whatever it
        is asked afterwards, it answers after them.
        """
        try:
            branch = self._branch.version()
            self._daily.look(branch)
            return (self._cache.version() << VERSION_BITS) + branch
        except StoreError:
            return None

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Prepare(attempt=number, identifiers=identifiers):
                self._ask(number, lambda: self._ledger.prepare(number, identifiers))
            case LookAgain(prepared=prepared):
                self._ask(prepared.attempt, lambda: self._ledger.look_again(prepared))
            case AskLibrary():
                self._ask_library(effect)
            case Asked():
                self._doorway.show(Signal.CARD_READ)
                self._tell(None)
            case Clicked():
                self._doorway.show(Signal.KEY)
            case Accompanied(attempt=number, companions=companions):
                self._doorway.bring(companions)
                self._log.emit("companions", attempt=number, count=companions)
            case Concluded():
                self._conclude(effect)

    def _ask(self, number: int, question: Callable[[], Prepared]) -> None:
        def answered() -> PostedEvent:
            if number < self._attempt.number:
                # Another card came meanwhile: stretching this one would only keep that one waiting.
                return PrepareFailed(number)
            try:
                return question()
            except BranchStoreError as err:
                why = str(err)
                # Whoever reads the hours tells of it, once.
                self._worker.submit(lambda: HoursRead(None, None, why))
                return PrepareFailed(number)
            except StoreError as err:
                self._log.emit("alarm", kind="patron_cache_failing", why=str(err))
                return PrepareFailed(number)

        self._worker.submit(answered)

    def _ask_library(self, question: AskLibrary) -> None:
        library = self._library
        if library is None or library.worker.backlog() >= ASKING_LIMIT:
            number = question.prepared.attempt
            self._step(LibraryAnswered(number, LibraryAnswer.SILENT))
            return
        library.worker.submit(lambda: library.asking.ask(question.prepared, question.pin))
        library.worker.submit(library.asking.keep)

    def _conclude(self, concluded: Concluded) -> None:
        reason, number = concluded.reason, concluded.attempt
        if reason is Reason.OK:
            self._doorway.let_in(needs_time=concluded.long_release)
        if not concluded.silent:
            self._doorway.show(Signal.GRANTED if reason is Reason.OK else Signal.REFUSED)
            self._tell(notice_of(concluded, self._display.rules, self._clock.monotonic_s()))
        more = {} if concluded.shape is None else {"shape": concluded.shape.value}
        if concluded.weak_pin:
            more["hint"] = Reason.WEAK_PIN.value
        self._log.emit(
            "decision", verdict=reason.verdict, reason=reason.value, attempt=number, **more
        )
        if not concluded.silent:
            self._count(reason)
        if concluded.duress:
            # Which attempt it was is told to nobody who reads over a shoulder.
            self._log.emit("alarm", kind="duress")
        if concluded.shape is None or self._worker.backlog() < UNRECORDED_LIMIT:
            mode = counted_as(self._daily.mode_at(self._clock.moment())[0])
            proved, unchecked = concluded.proved, concluded.unchecked
            self._worker.submit(
                lambda: self._ledger.settle(
                    number, reason, mode, proved=proved, unchecked=unchecked
                )
            )

    def _count(self, reason: Reason) -> None:
        self._refusals, unusual = self._refusals.after(reason, self._clock.monotonic_s())
        for one in unusual:
            self._log.emit("alarm", kind="refusals_unusual", why=one.why)

    def _wait_s(self) -> float:
        deadline_s = self.deadline_s
        if deadline_s is None:
            return TURN_LIMIT_S
        return max(0.0, min(TURN_LIMIT_S, deadline_s - self._clock.monotonic_s()))
