"""The door process's loop: events in, effects out, one thread, never sleeps, never touches disk.

All other threads only post: lines, pins, signal handlers, the worker. Each turn first lets
time pass, so that a flood of events can't hold the relay; then it takes one event. The doorway is
driven here and at once; whatever touches the disk goes to the worker and comes back as an event.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import InitVar, dataclass, replace
from datetime import date
from math import inf

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
    NoCode,
    Now,
    Prepare,
    Prepared,
    PrepareFailed,
    Rules,
    Stalled,
    TimePassed,
)
from doorctl.access.panel import (
    AGAIN,
    CARD_FIRST,
    HELP_AT,
    HELP_KEYS,
    OURS,
    Display,
    PanelRules,
    PanelState,
)
from doorctl.access.patron import Reason
from doorctl.access.pin_pad import CLEAR
from doorctl.access.refusals import Refusals
from doorctl.cards.keys import KeypadLine, KeyShape, keys
from doorctl.cards.reader import CardReader
from doorctl.config import Config
from doorctl.core.errors import InputError, StoreError, StuckError
from doorctl.core.ports import Clock, EventLog
from doorctl.core.readings import CardRead, CardUnreadable, KeyPressed, Shape
from doorctl.devices.lines import KEYPAD, READER, BytesReceived, LineConnected, LineEvent, LineLost
from doorctl.door.lamps import Signal
from doorctl.doord.door_driver import DoorDriver
from doorctl.doord.hours import DailyRound, HoursRead
from doorctl.doord.loop_events import (
    EventQueue,
    PanelKeyPressed,
    PinsTouched,
    PostedEvent,
    Reloaded,
    StaffOpened,
    StopRequested,
    ThreadFailed,
)
from doorctl.doord.slow_jobs import SlowJobs
from doorctl.privacy.passages import counted_as
from doorctl.store.branch import BranchRecords
from doorctl.store.patrons import PatronCache

MOST_PENDING = 32
"""With this many events waiting the door takes no key: it hangs, and a late key is a danger."""


def press(rules: PanelRules, event_queue: EventQueue, key: str, attempt: int) -> None:
    """Take a key that is pressed on the screen; from any thread."""
    of_pad = rules.keys and len(key) == 1 and keys(key.encode())
    if key != AGAIN and not (rules.help if key in HELP_KEYS else of_pad):
        raise InputError("the screen has no such key; see [panel] and [keypad]")
    if event_queue.qsize() >= MOST_PENDING:
        raise StuckError("the door does not keep up; press the key again")
    event_queue.put(PanelKeyPressed(key, attempt))


def panel_rules(config: Config) -> PanelRules:
    """Return how the screen behaves."""
    panel = config.panel
    return PanelRules(
        keys=config.keys_on_screen,
        help=panel.help_button,
        codes=config.policy.code_entry,
        message_s=panel.message_s,
        countdown_min=max(panel.countdown_min, config.closing.no_entry_min),
    )


TURN_LIMIT_S = 1.0
"""Longest sleep of the loop: how often the watchdog is fed and the clock looked at."""

VERSION_BITS = 64
"""A database's version number has fewer bits than this."""

STALL_LIMIT_S = 3.0
"""A loop that has not turned for this long stood still (SIGSTOP, a dying disk under swap)."""

STALE_S = 0.5
"""What the lines deliver so soon after a standstill was sent before it: it opens nothing.

A patron may have swiped just then, and is told to swipe again."""

FLOOD = 256
"""More events wait only where a device pours out bytes: the longest swipe has fewer."""

FEW = 16
BEHIND_S = 1.0
"""A loop that has had :data:`FEW` events or more waiting for this long does not keep up."""

OVERLOAD_REPORT_S = 60.0
"""Shortest time between two reports that too much comes."""

UNREADABLE_GAP_S = 0.1
"""Nobody swipes twice so soon: faster garbage gets one answer in this time."""

STAYS_S = 2.5
"""A card that is read again so soon may not have left: imagers read a phone each 0.3-2 s."""

ANSWER_S = 6.0
"""So long after an answer a card that has not left begins no attempt by itself: a phone is still
held there while its owner pulls the door open, or reads why it stays shut."""


@dataclass(frozen=True, slots=True)
class Presented:
    """The card that was read last, at `read_s`, monotonic.

    `lies`: the reader repeats it by itself; `typed`: a key was pressed since.
    """

    card: CardRead
    read_s: float
    lies: bool = False
    typed: bool = False

    def stays(self, now_s: float) -> bool:
        """Tell whether the reader repeats it, and has not stopped."""
        return self.lies and now_s - self.read_s < STAYS_S

    def then(self, card: CardRead, now_s: float, *, judged: bool) -> Presented:
        """Return what is read next; `judged` while an attempt with this card goes on.

        Then a key between two readings tells nothing; else it tells a person who swipes again.
        """
        soon = now_s - self.read_s < STAYS_S and self.card.may_be(card)
        return Presented(card, now_s, lies=soon and (self.lies or judged or not self.typed))


@dataclass(eq=False, kw_only=True)
class Controller:
    """Run the door.

    `last_number` is the highest attempt number on record. Once each of the `lines` has been
    tried, the daemon is ready and `when_ready` is called, once. `opened_on` is the day of the last
    opening before this start, see `Policy.first_card`; `day_opened` is called once for each day
    that is opened, to store it. `each_turn` is called at least every second while the loop turns
    (watchdog, clock watch).
    """

    rules: Rules
    cards: CardReader
    keypad: KeypadLine
    doorway: DoorDriver
    daily: DailyRound
    clock: Clock
    log: EventLog
    cache: PatronCache
    branch: BranchRecords
    jobs: SlowJobs
    display: Display
    show: Callable[[PanelState], None]
    last_number: InitVar[int]
    lines: InitVar[frozenset[str]]
    when_ready: Callable[[], None]
    each_turn: Callable[[], None]
    opened_on: date | None = None
    day_opened: Callable[[], None] = lambda: None

    def __post_init__(self, last_number: int, lines: frozenset[str]) -> None:
        self._untried = set(lines)
        self.connected: dict[str, bool | None] = dict.fromkeys(lines)
        self._attempt = Attempt(number=last_number, last_number=last_number)
        self._reloaded: Reloaded | None = None
        self._refusals = Refusals()
        self._shown: PanelState | None = None
        self._unknown_keys: frozenset[KeyShape] = frozenset()
        self._presented: Presented | None = None
        self._answered: tuple[Reason, float] = (Reason.OK, -inf)
        self._turned_s: float | None = None
        self._stale_until_s = 0.0
        self._dropped = False
        self._heard_s = self._kept_up_s = 0.0
        self._overloaded_s = self._unreadable_s = -inf

    @property
    def deadline_s(self) -> float | None:
        """When :meth:`pass_time` is due next, monotonic seconds; None while nothing is pending."""
        pending = (
            self.doorway.deadline_s,
            self._attempt.deadline_s,
            self.cards.deadline_s,
            self.display.deadline_s,
            self._stale_until_s if self._dropped else None,
        )
        return min((at for at in pending if at is not None), default=None)

    @property
    def turns(self) -> bool:
        """Whether the loop has turned lately, so that the door decides; for any thread."""
        turned_s = self._turned_s
        return turned_s is not None and self.clock.monotonic_s() - turned_s <= STALL_LIMIT_S

    def run(self, event_queue: EventQueue) -> None:
        """Run the loop until `StopRequested`; the relay is off afterwards, whatever happened."""
        try:
            self.doorway.begin()
            while True:
                self._notice_stall()
                self.pass_time(heard=not event_queue.qsize())
                self.each_turn()
                for event in self._next(event_queue):
                    if isinstance(event, StopRequested):
                        return
                    self._notice_stall()
                    self.handle(event)
        finally:
            self.doorway.shut_down()

    def _next(self, event_queue: EventQueue) -> Sequence[PostedEvent]:
        """Wait for an event; where a device pours out bytes, return all events but the device's."""
        waiting, now_s = event_queue.qsize(), self.clock.monotonic_s()
        if waiting < FEW or (waiting < FLOOD and now_s - self._kept_up_s <= BEHIND_S):
            events: Sequence[PostedEvent] = ()
            with suppress(queue.Empty):
                events = (event_queue.get(timeout=self._wait_s()),)
            if waiting < FEW:
                self._kept_up_s = self.clock.monotonic_s()
            return events
        events = [event_queue.get_nowait() for _ in range(waiting)]
        kept = [event for event in events if not isinstance(event, BytesReceived)]
        if len(kept) > FEW:  # A buzzing contact, say, which is no reason to refuse anybody.
            return events
        self._note_overload("the reader or the keypad sends without a pause", now_s)
        self._kept_up_s = now_s
        self._void(now_s)
        return kept

    def _note_overload(self, why: str, now_s: float) -> None:
        if now_s - self._overloaded_s >= OVERLOAD_REPORT_S:
            self._overloaded_s = now_s
            self.log.emit("alarm", kind="overloaded", why=why)

    def _notice_stall(self) -> None:
        now_s = self.clock.monotonic_s()
        if self._turned_s is not None and now_s - self._turned_s > STALL_LIMIT_S:
            self.log.emit(
                "alarm", kind="stalled", why="the door stood still; what was typed is void"
            )
            self._void(now_s)
        self._turned_s = now_s

    def _void(self, now_s: float) -> None:
        self.cards.reset()
        self._step(Stalled())
        self._stale_until_s, self._dropped = now_s + STALE_S, False

    def pass_time(self, *, heard: bool = True) -> None:
        """Carry out every deadline that is due; those of the lines if all was `heard` of them."""
        now_s = self.clock.monotonic_s()
        if self._attempt_is_over():
            self._take_reloaded()
        self.doorway.pass_time()
        self.daily.turn(self.clock.moment(), now_s)
        # A file that is replaced answers for some seconds more, counted from the last look.
        with suppress(StoreError):
            self.cache.version()
        if heard:
            # Else the rest of a swipe may wait, which was read in time.
            self._heard_s = now_s
            self.cards.pass_time(now_s)
            self._take_readings()
        if self._dropped and now_s >= self._stale_until_s:
            self._dropped = False
            self._take_reading(CardUnreadable(Shape.CUT_OFF))
        due_s, company = self._attempt.deadline_s, self._attempt.company
        if (due_s is not None and now_s >= due_s) or (company and self.doorway.locked):
            self._step(TimePassed())
        self._show(now_s)

    def handle(self, event: PostedEvent) -> None:
        """Process one event."""
        match event:
            case BytesReceived() | LineConnected() | LineLost():
                self._hear_line(event)
            case Prepared() | PrepareFailed() | LibraryAnswered():
                self._step(event)
            case HoursRead():
                self._hear_hours(event)
            case PanelKeyPressed():
                self._hear_panel(event)
            case StaffOpened():
                self._open_for_staff(event)
            case PinsTouched():
                self.doorway.look()
            case Reloaded():
                self._reloaded = event
            case ThreadFailed(error=error):
                raise error

    def _hear_hours(self, read: HoursRead) -> None:
        self.daily.heard(read, self.clock.moment())
        if read.failing is None:
            self.display = self.display.heard(read.calendar, read.override)

    def _take_reloaded(self) -> None:
        """Switch to other rules between two attempts, so that each is judged by one policy."""
        new, self._reloaded = self._reloaded, None
        if new is not None:
            self.rules = new.rules
            new.taken()
            self.daily.reload(new.day)
            self.display = replace(self.display, rules=new.panel, found_for=None)

    def _open_for_staff(self, opened: StaffOpened) -> None:
        if self.clock.monotonic_s() >= opened.until_s:
            # Staff were told that the door did not answer, and the visitor may be gone.
            self.log.emit("alarm", kind="stalled", why="staff's opening came too late and is void")
            return
        self.log.emit("opened_by_staff", why=opened.reason, by=opened.by)
        self.doorway.let_in()
        if self.rules.policy.first_card:
            self._open_day()

    def _open_day(self) -> None:
        moment = self.clock.moment()
        if moment.dependable and moment.local.date() != self.opened_on:
            self.opened_on = moment.local.date()
            self.day_opened()

    def _hear_line(self, event: LineEvent) -> None:
        match event:
            case BytesReceived() if self.clock.monotonic_s() < self._stale_until_s:
                self._drop(event)
            case BytesReceived(line=line, data=data) if line == KEYPAD:
                self._hear_keypad(data)
            case BytesReceived(data=data, read_s=read_s):
                now_s = self.clock.monotonic_s()
                self._heard_s = max(self._heard_s, now_s if read_s is None else read_s)
                self.cards.receive(data, self._heard_s)
                self._take_readings()
            case LineConnected(line=line):
                self.log.emit(line, state="connected")
                self._note_line(line, connected=True)
            case LineLost(line=line, why=why):
                if line == READER:
                    self.cards.reset()
                self._forget_digits()
                self.log.emit(line, state="lost", why=why)
                self._note_line(line, connected=False)

    def _forget_digits(self) -> None:
        """Drop what was typed where a line is lost: half a PIN must not begin the next one."""
        if self._attempt.phase is Phase.TYPING or self._attempt.code_pad is not None:
            self._step(KeyPressed(CLEAR))

    def _drop(self, stale: BytesReceived) -> None:
        if stale.line == READER and stale.data:
            self._dropped |= self.cards.drop(stale.data, self.clock.monotonic_s())

    def _hear_keypad(self, data: bytes) -> None:
        pressed, unknown = self.keypad.receive(data, self.clock.monotonic_s())
        for key in pressed:
            self._take_reading(key)
        if new := unknown - self._unknown_keys:
            self._unknown_keys |= new
            for shape in sorted(each.value for each in new):
                self.log.emit("key_unknown", shape=shape)

    def _hear_panel(self, pressed: PanelKeyPressed) -> None:
        now_s = self.clock.monotonic_s()
        # A page that was held up may hold what an earlier person typed.
        if now_s < self._stale_until_s or pressed.attempt != self._attempt.number:
            return
        if pressed.key == AGAIN:
            self.display = self.display.again(now_s)
        elif pressed.key not in HELP_KEYS:
            self._take_reading(KeyPressed(pressed.key))
        elif self._shown is not None and self._shown.kind in HELP_AT:
            before, self.display = self.display, self.display.helped(pressed.key, now_s)
            if self.display.called_s != before.called_s:
                self.log.emit("alarm", kind="help_called")

    def _show(self, now_s: float) -> None:
        if self._attempt.code_pad is not None:
            self.display = self.display.telling(None)
        moment = self.clock.moment()
        standing = self.daily.mode_at(moment)
        if self.daily.paused:
            # The door is locked, and a card opens it.
            standing = Mode.SELF_SERVICE, False
        self.display = self.display.at(now_s, moment, standing, self.doorway.relocks_s)
        broken = not self.connected.get(READER, True)
        state = self.display.state(self._attempt, broken=broken)
        if state != self._shown:
            self._shown = state
            self.show(state)

    def _note_line(self, line: str, *, connected: bool) -> None:
        self.connected[line] = connected
        if self._untried:
            self._untried.discard(line)
            if not self._untried:
                self.when_ready()

    def _take_readings(self) -> None:
        while True:
            typing = self._attempt.phase is Phase.TYPING or self._attempt.company is not None
            again = self._attempt_is_over() and self._card_to_try_again() is not None
            awaited = typing or again
            reading = self.cards.next_reading(awaiting_pin=awaited)
            if reading is None:
                return
            self._take_reading(reading)

    def _take_reading(self, reading: CardRead | CardUnreadable | KeyPressed) -> None:
        match reading:
            case KeyPressed():
                self._take_key(reading)
            case CardRead():
                self._take_card(reading)
            case CardUnreadable():
                now_s = self.clock.monotonic_s()
                if now_s - self._unreadable_s >= UNREADABLE_GAP_S:
                    self._unreadable_s = now_s
                    self._take(reading)

    def _take_key(self, key: KeyPressed) -> None:
        if self._attempt_is_over() and key.key.isdigit():
            card = self._card_to_try_again()
            if card is not None:
                self._take(card)
        self._take(key)
        # After the relay: the last digit costs no more than it must.
        if self._presented is not None and not self._presented.typed:
            self._presented = replace(self._presented, typed=True)

    def _take_card(self, card: CardRead) -> None:
        now_s = self.clock.monotonic_s()
        judged = self._attempt.card is not None and self._attempt.card.may_be(card)
        before = self._presented or Presented(card, -inf)
        self._presented = before.then(card, now_s, judged=judged)
        if judged:
            self._step(card)
        elif not self._presented.lies or now_s - self._answered[1] >= ANSWER_S:
            self._take(card)

    def _card_to_try_again(self) -> CardRead | None:
        """Return the card that was refused and has not left: a digit begins its next attempt.

        Only where the attempt is over.
        """
        now_s, presented = self.clock.monotonic_s(), self._presented
        reason, answered_s = self._answered
        if reason is Reason.OK or now_s - answered_s >= ANSWER_S or presented is None:
            return None
        waits = self._attempt.code_pad is None
        stays = waits and self.rules.policy.require_pin and presented.stays(now_s)
        return presented.card if stays else None

    def _take(self, reading: CardRead | CardUnreadable | KeyPressed) -> None:
        standing = self.daily.standing
        staffed = standing is not None and standing.mode is Mode.STAFFED
        if staffed and not self.daily.paused and self._attempt_is_over():
            # In staffed hours no card is judged; the branch decides if the door stands free.
            if isinstance(reading, CardRead):
                self._answered = (Reason.OK, self.clock.monotonic_s())
                free = self.doorway.stands_free
                self.doorway.show(Signal.GRANTED if free else Signal.CARD_READ)
        elif isinstance(reading, CardRead) and self.jobs.overloaded():
            self._turn_away()
        else:
            if isinstance(reading, CardRead):
                # This ends the earlier attempt, whose reason is known by now.
                self._take_reloaded()
            self._step(reading)

    def _turn_away(self) -> None:
        now_s = self.clock.monotonic_s()
        self._note_overload("cards come faster than they are looked up", now_s)
        # The person before has stepped back: the next one's keys are not for that attempt.
        self._step(PrepareFailed(self._attempt.number))
        self.doorway.show(Signal.REFUSED)
        self.display = self.display.turned_away(OURS, now_s)

    def _attempt_is_over(self) -> bool:
        return self._attempt.phase is Phase.IDLE

    def _step(self, event: Event) -> None:
        moment = self.clock.moment()
        # This comes first: it may show that the hours are older than the card.
        version = self._version()
        mode, no_entry = self.daily.mode_at(moment)
        in_doubt = version is None or self.daily.is_reading
        if in_doubt and self._attempt_is_over():
            # A card is looked at again after that; who brings companions can't wait for it.
            mode = None
        now = Now(
            self.clock.monotonic_s(),
            moment,
            version,
            mode,
            no_entry,
            self.opened_on,
            self.doorway.locked,
        )
        self._attempt, effects = after(self._attempt, event, now, self.rules)
        for effect in effects:
            self._carry_out(effect)

    def _version(self) -> int | None:
        """Return a number that changes with everything a card is judged by.

        The worker has been asked for the hours of that version when this returns, so later
        questions to it are answered after the hours.
        """
        try:
            branch = self.branch.version()
            self.daily.look(branch)
            return (self.cache.version() << VERSION_BITS) + branch
        except StoreError:
            return None

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Concluded():
                self._conclude(effect)
            case Prepare() | LookAgain():
                self.jobs.prepare(effect, lambda: self._attempt.number)
            case AskLibrary():
                if self.jobs.library is None or not self.jobs.library.put(effect):
                    number = effect.prepared.attempt
                    self._step(LibraryAnswered(number, LibraryAnswer.SILENT))
            case Asked():
                self.doorway.show(Signal.CARD_READ)
                self.display = self.display.telling(None)
            case Clicked():
                self.doorway.show(Signal.KEY)
            case NoCode(lone=lone) if not lone or self.display.notice is None:
                self.display = self.display.turned_away(CARD_FIRST, self.clock.monotonic_s())
            case Accompanied(attempt=number, companions=companions):
                self.doorway.bring(companions)
                self.log.emit("companions", attempt=number, count=companions)

    def _conclude(self, concluded: Concluded) -> None:
        reason, number = concluded.reason, concluded.attempt
        if reason is Reason.OK:
            self.doorway.let_in(needs_time=concluded.long_release)
            if concluded.opens_day:
                self._open_day()
        if not concluded.silent:
            self.doorway.show(Signal.GRANTED if reason is Reason.OK else Signal.REFUSED)
            self.display = self.display.concluded(concluded, self.clock.monotonic_s())
        more = {} if concluded.shape is None else {"shape": concluded.shape.value}
        if concluded.weak_pin:
            more["hint"] = Reason.WEAK_PIN.value
        self.log.emit(
            "decision", verdict=reason.verdict, reason=reason.value, attempt=number, **more
        )
        if not concluded.silent:
            self._count(reason)
            if concluded.shape is None:
                self._answered = (reason, self.clock.monotonic_s())
        if concluded.duress:
            # The attempt's number is not shown: somebody may read over a shoulder.
            self.log.emit("alarm", kind="duress")
        mode = counted_as(self.daily.mode_at(self.clock.moment())[0])
        self.jobs.settle(concluded, mode)

    def _count(self, reason: Reason) -> None:
        self._refusals, unusual = self._refusals.after(reason, self.clock.monotonic_s())
        for report in unusual:
            self.log.emit("alarm", kind="refusals_unusual", why=report.why)

    def _wait_s(self) -> float:
        # The time sources are asked by a turn of its own, so that no last digit waits for them.
        due_s = min(self.clock.asks_at_s(), inf if self.deadline_s is None else self.deadline_s)
        return max(0.0, min(TURN_LIMIT_S, due_s - self.clock.monotonic_s()))
