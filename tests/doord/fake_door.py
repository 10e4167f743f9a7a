"""A whole door in memory: the real controller, parser and ledger over fakes of every port."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import Any

from doorctl.access.calendar import Calendar, StoredCalendar
from doorctl.access.code_throttle import CODES_KEY
from doorctl.access.day import DayRules
from doorctl.access.messages import Concluded, PadRules, Rules
from doorctl.access.panel import Display, PanelRules
from doorctl.access.patron import Patron, Reason, SealedRow, pin_check, row_key
from doorctl.access.policy import Policy
from doorctl.access.rights import Ban, Pass
from doorctl.cards.keys import KeypadLine
from doorctl.cards.reader import CardReader
from doorctl.config.tables import Door
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.core.ports import AlarmOnce, Sealer
from doorctl.devices.lines import KEYPAD, READER, BytesReceived, LineConnected
from doorctl.devices.pins import GpioRelay
from doorctl.doord.controller import Controller
from doorctl.doord.door_driver import DoorDriver
from doorctl.doord.hours import DailyRound, Follower
from doorctl.doord.ledger import Ledger, Worker
from doorctl.doord.library_question import Asking
from doorctl.doord.loop_events import PostedEvent
from doorctl.doord.slow_jobs import SlowJobs
from doorctl.doord.stores import SteadyVisitLog
from doorctl.store.door_log import Visit
from doorctl.sync.sealing import lent_patron
from tests.fakes.cards import replace_rows
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.library import FakeLibrary
from tests.fakes.loop import FakeWorker
from tests.fakes.memory_store import FastSealer, MemoryBranch, MemoryPatrons, MemoryVisits
from tests.fakes.panel import FakePanel
from tests.fakes.pins import FakeInputs, FakeRelay, FakeSignals

RELEASE_S = 5.0
HELD_OPEN_S = 30.0
KEY_GAP_S = 0.2
DOOR_RULES = Door(release_s=RELEASE_S, held_open_s=HELD_OPEN_S)
NO_CLOSING = DayRules()
CARD = "3000001234"
OTHER_CARD = "3000005678"
UNKNOWN_CARD = "3000009999"
RIGHT_PIN = "4711"
WRONG_PIN = "4712"


def swiped(number: str) -> bytes:
    """Return what the reader says of a plastic card."""
    return number.encode() + b"\r"


def identifier(number: str) -> Identifier:
    """Return a plastic card's identifier."""
    return Identifier(IdentifierKind.CARD, number)


def key_of(number: str) -> bytes:
    """Return the row key of a plastic card."""
    return row_key(FastSealer().stretch(identifier(number)))


def resident(number: str, pin: str = RIGHT_PIN) -> Patron:
    """Return a patron whom nothing keeps out."""
    check = pin_check(FastSealer().stretch(identifier(number)), Pin(pin))
    return Patron(f"ref {number}", check, resident=True)


def nothing() -> None:
    """Do nothing."""


@dataclass
class FakeDoor:
    """Two residents are known; the worker does nothing until `work`.

    `calendar_of` makes the calendar of what is stored; None for `calendar`, whatever is.
    """

    rules: Rules = field(default_factory=lambda: Rules(Policy(), PadRules()))
    carries_keys: bool = False
    each_turn: Callable[[], None] = nothing
    clock: FakeClock = field(default_factory=FakeClock)
    signals: FakeSignals = field(default_factory=FakeSignals)
    log: FakeEventLog = field(default_factory=FakeEventLog)
    patrons: MemoryPatrons = field(default_factory=MemoryPatrons)
    visits: MemoryVisits = field(default_factory=MemoryVisits)
    sealer: Sealer = field(default_factory=FastSealer)
    lines: frozenset[str] = frozenset({READER, KEYPAD})
    library: FakeLibrary | None = None
    keeper: FakeWorker | None = None
    branch: MemoryBranch = field(default_factory=MemoryBranch)
    calendar: Calendar = field(default_factory=Calendar)
    calendar_of: Callable[[StoredCalendar], Calendar] | None = None
    inputs: FakeInputs | None = None
    followers: tuple[Follower, ...] = ()
    door_rules: Door = DOOR_RULES
    day_rules: DayRules = NO_CLOSING
    stands_free: bool = True
    panel: FakePanel = field(default_factory=FakePanel)
    panel_rules: PanelRules = field(default_factory=PanelRules)
    opened_on: date | None = None
    readied: int = 0
    pause: Callable[[float], object] = lambda _s: None

    def __post_init__(self) -> None:
        self.relay = FakeRelay(self.clock.monotonic_s)
        self.push({CARD: resident(CARD), OTHER_CARD: resident(OTHER_CARD)})
        self.start(self.relay)

    def start(self, relay: GpioRelay) -> None:
        """Make the controller, as a new process does."""
        self.steady = SteadyVisitLog(self.visits, self.log)
        self.worker = FakeWorker(self._hear)
        self.asker = FakeWorker(self._hear)
        self.controller = self.build(relay, self.worker)
        self.begin()

    def begin(self) -> None:
        """Turn once, as the loop does at first: the hours are read."""
        self.controller.pass_time()
        self.work()

    def build(self, relay: GpioRelay, worker: Worker) -> Controller:
        """Return a controller over these ports."""
        self.doorway = DoorDriver(
            rules=self.door_rules,
            relay=relay,
            signals=self.signals,
            inputs=self.inputs,
            clock=self.clock,
            log=self.log,
        )
        self.daily = DailyRound(
            rules=self.day_rules,
            calendar_of=self.calendar_of or (lambda _stored: self.calendar),
            branch=self.branch,
            submit=worker.submit,
            doorway=self.doorway,
            log=self.log,
            followers=self.followers,
            stands_free=self.stands_free,
        )
        self.ledger = Ledger(
            sealer=self.sealer,
            patrons=self.patrons,
            branch=self.branch,
            visits=self.steady,
            clock=self.clock,
            log=self.log,
            counts_guesses=self.rules.policy.require_pin,
        )
        return Controller(
            rules=self.rules,
            cards=CardReader(carries_keys=self.carries_keys),
            keypad=KeypadLine(),
            doorway=self.doorway,
            daily=self.daily,
            branch=self.branch,
            clock=self.clock,
            log=self.log,
            cache=self.patrons,
            jobs=SlowJobs(
                self.ledger,
                worker,
                AlarmOnce(self.log, "patron_cache_failing"),
                self._line(),
                pause=self.pause,
            ),
            display=Display(self.panel_rules),
            show=self.panel.show,
            last_number=self.steady.last_attempt(),
            lines=self.lines,
            when_ready=self._count_ready,
            each_turn=self.each_turn,
            opened_on=self.opened_on,
            day_opened=self._keep_opened,
        )

    def _keep_opened(self) -> None:
        self.opened_on = self.clock.moment().local.date()
        self.log.emit("day_opened")

    def _line(self) -> Asking | None:
        if self.library is None:
            return None
        return Asking(
            self.library,
            self.clock,
            asker=self.asker,
            keeper=self.keeper or self.asker,
            lend=partial(lent_patron, minimum_age=self.rules.policy.minimum_age),
            row_lasts=timedelta(days=3),
            pin_lasts=timedelta(days=30),
        )

    def restart(self) -> None:
        """Let the process die and start another one over the same files."""
        self.relay.de_energise()
        self.visits = MemoryVisits(self.visits)
        self.start(self.relay)

    def push(self, register: dict[str, Patron]) -> None:
        """Replace the whole register."""
        rows = [SealedRow(key_of(number), patron) for number, patron in register.items()]
        replace_rows(self.patrons, rows, self.clock.moment().local, self.rules.policy.minimum_age)

    def says(self, data: bytes) -> None:
        """Let the reader's line say something, each byte by itself."""
        for byte in data:
            self.controller.handle(BytesReceived(READER, bytes([byte])))

    def swipe(self, number: str) -> None:
        """Swipe a plastic card."""
        self.says(swiped(number))

    def types(self, keys: str) -> None:
        """Press keys; on the reader's line at a person's speed, which tells them from a card."""
        line = READER if self.carries_keys else KEYPAD
        for key in keys:
            self.controller.handle(BytesReceived(line, key.encode()))
            self.wait(KEY_GAP_S if self.carries_keys else 0.0)

    def work(self) -> None:
        """Let the worker do all that waits."""
        self.worker.work()

    def present(self, number: str, keys: str = "") -> None:
        """Swipe a card, have it looked up, and type."""
        self.swipe(number)
        self.work()
        self.types(keys)

    def visit(self, number: str, pin: str) -> str:
        """Swipe, type, wait, and return the reason."""
        self.present(number, pin)
        self.work()
        return self.reasons[-1]

    def wait(self, seconds: float) -> None:
        """Let time pass, waking at every deadline as the loop does."""
        end_s = self.clock.monotonic_s() + seconds
        while (due_s := self.controller.deadline_s) is not None and due_s <= end_s:
            self.clock.advance(max(0.0, due_s - self.clock.monotonic_s()))
            self.controller.pass_time()
            assert due_s < (self.controller.deadline_s or math.inf), "the loop would spin"
        self.clock.advance(end_s - self.clock.monotonic_s())
        self.controller.pass_time()

    def connect(self) -> None:
        """Let both lines connect."""
        for line in sorted(self.lines):
            self.controller.handle(LineConnected(line))

    @property
    def reasons(self) -> list[str]:
        """How attempts ended, in order."""
        return [str(line["reason"]) for line in self.log.named("decision")]

    @property
    def recorded(self) -> list[Visit]:
        """The door log, oldest first."""
        long_ago = self.clock.wall.replace(year=2000)
        return sorted(self.visits.visits(long_ago), key=lambda visit: visit.attempt)

    @property
    def outcomes(self) -> list[str | None]:
        """How attempts ended by the door log; None for one that is open."""
        return [visit.reason for visit in self.recorded]

    def _hear(self, event: PostedEvent) -> None:
        self.controller.handle(event)

    def _count_ready(self) -> None:
        self.readied += 1


# The ledger alone, and attempts that are told to it.

BAN = Ban(0, "shouting", START - timedelta(days=1), None, "staff-7", frozenset({"*"}))


class CountingSealer(FastSealer):
    """Remembers what it stretched."""

    def __init__(self) -> None:
        self.stretched: list[Identifier] = []

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return the key, and remember for what."""
        self.stretched.append(identifier)
        return super().stretch(identifier)


@dataclass
class Books:
    """A ledger and what it writes to."""

    counts_guesses: bool = True
    clock: FakeClock = field(default_factory=FakeClock)
    sealer: CountingSealer = field(default_factory=CountingSealer)
    patrons: MemoryPatrons = field(default_factory=MemoryPatrons)
    visits: Any = field(default_factory=MemoryVisits)
    branch: MemoryBranch = field(default_factory=MemoryBranch)
    log: FakeEventLog = field(default_factory=FakeEventLog)
    attempts: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(
            sealer=self.sealer,
            patrons=self.patrons,
            visits=self.visits,
            clock=self.clock,
            log=self.log,
            counts_guesses=self.counts_guesses,
            branch=self.branch,
        )
        self.push(SealedRow(key_of(CARD), resident(CARD)))

    def push(self, *rows: SealedRow) -> None:
        """Replace the register."""
        replace_rows(self.patrons, rows, START)

    def open(self, *identifiers: Identifier) -> int:
        """Prepare an attempt and return its number."""
        self.attempts += 1
        self.prepared = self.ledger.prepare(self.attempts, identifiers or (identifier(CARD),))
        return self.attempts

    def attempt(
        self,
        reason: Reason,
        *identifiers: Identifier,
        proved: bool = False,
        unchecked: bool = False,
    ) -> None:
        """Prepare an attempt and settle it a second later."""
        number = self.open(*identifiers)
        self.clock.advance(1.0)
        self.settle(number, reason, proved=proved, unchecked=unchecked)

    def settle(
        self, number: int, reason: Reason, *, proved: bool = False, unchecked: bool = False
    ) -> None:
        """Settle an attempt, which is counted nowhere."""
        self.ledger.settle(Concluded(number, reason, proved=proved, unchecked=unchecked))

    def ban(self, ban: Ban = BAN, *, key: bytes | None = None, ref: str | None = None) -> Ban:
        """Let staff ban a card or a patron."""
        return self.branch.ban(ban, self.clock.moment(), row_key=key, patron_ref=ref)

    def issue(self, new: Pass, key: bytes) -> Pass:
        """Let staff issue a pass."""
        return self.branch.issue(new, self.clock.moment(), row_key=key)

    @property
    def code_failures(self) -> int:
        """All codes' failures."""
        return int(self.visits.card_throttle(CODES_KEY).failures)

    def failures(self, number: str = CARD) -> int:
        """Return a card's failures in a row."""
        return int(self.ledger.visits.card_throttle(key_of(number)).failures)

    @property
    def recorded(self) -> list[Visit]:
        """The door log."""
        return list(self.visits.visits(START.replace(year=2000)))
