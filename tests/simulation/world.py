"""A branch and its people under one clock: runs the real loop and looks on at every step."""

from __future__ import annotations

import hashlib
import queue
import shutil
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from pathlib import Path
from random import Random

from doorctl.access.policy import Policy
from doorctl.core.errors import DeviceError, StoreError
from doorctl.devices.lines import KEYPAD, READER, BytesReceived, LineConnected, LineLost
from doorctl.door.inputs import Levels
from doorctl.doord.loop_events import PinsTouched, PostedEvent, StopRequested
from tests.fakes.pins import FakeInputs
from tests.fakes.shut_out import Noted, Week
from tests.simulation import invariants, oracle
from tests.simulation.arrivals import take_over
from tests.simulation.clock import (
    COPENHAGEN,
    REST,
    Agenda,
    SimClock,
    SimRelay,
    SimSignals,
    SimSupervisor,
)
from tests.simulation.disk import BRANCH, PATRONS, Disk, PowerCutError
from tests.simulation.house import DoorProcess, Machine, WebProcess, clock_on_record
from tests.simulation.onlooker import Onlooker
from tests.simulation.oracle import Now, Person, Swipe, Witness, must
from tests.simulation.pushes import Document, Library

# What happened, line by line: hashed, so that two runs can be compared, and the last 30 kept.

KEPT_LINES = 30


class Trace:
    """Lines of a time, an event and an effect; none names a person or a path."""

    def __init__(self) -> None:
        self.steps = 0
        self.last: deque[str] = deque(maxlen=KEPT_LINES)
        self._digest = hashlib.sha256()

    def note(self, ms: int, event: str, effect: object = "") -> None:
        """Add a line."""
        self.steps += 1
        line = f"{ms / 1000:.3f} {event} {effect}"
        self.last.append(f"{self.steps} {line}")
        self._digest.update(line.encode() + b"\n")

    def hash(self) -> str:
        """Return the SHA-256 of all lines so far, in hex."""
        return self._digest.hexdigest()


TURN_MS = 1000
LONG_AGO_MS = -1_000_000
WATCHDOG_MS = 3_000
LAZY_MS = 2_400
SPINS = 50
FIELDS = ("kind", "state", "reason", "attempt", "verdict", "energised", "minutes", "cause")
"""Of a log line, what goes into the trace: neither paths nor other times."""


class KilledError(BaseException):
    """The process is gone; the machine runs on."""


class SimLog:
    """Takes the log lines to whoever looks on."""

    def __init__(self, world: World) -> None:
        self._world = world

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Hear one line."""
        self._world.heard(event, fields)


class SimMailbox(queue.SimpleQueue[PostedEvent]):
    """Waiting here is what lets the world go on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._posted: list[PostedEvent] = []

    def put(self, item: PostedEvent, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 - the queue's
        """Post an event."""
        self._posted.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> PostedEvent:  # noqa: ARG002 - the queue's
        """Return what is posted within `timeout`, and have the world go on meanwhile."""
        self._world.look_on()
        if not self._posted:
            self._world.go_on(ceil((timeout or 0.0) * 1000), lambda: bool(self._posted))
        if not self._posted:
            raise queue.Empty
        return self._posted.pop(0)


class World:
    """One branch from New Year on.

    `seed`: decides everything; `root`: an empty directory on a RAM disk.
    """

    def __init__(self, seed: int, root: Path) -> None:
        self.seed = seed
        self.rng = Random(seed)  # noqa: S311 - no secret
        self.clock = SimClock()
        self.agenda = Agenda(self.clock)
        self.trace = Trace()
        self.counts: Counter[str] = Counter()
        self.witness = Witness()
        self.disk = Disk(root, self.rng, self._go_dark)
        self.relay = SimRelay(on_edge=self._edge)
        self.machine = Machine(
            self.clock,
            self.agenda,
            self.disk,
            self.rng,
            SimLog(self),
            self.relay,
            SimSignals(),
            FakeInputs(standing=REST),
            SimSupervisor(
                lambda: self.clock.mono_ms, limit_ms=self.rng.choice((WATCHDOG_MS, 30_000))
            ),
            stands_free=self.rng.random() < 0.5,
            waits=seed % 2 == 1,
        )
        self.witness.branch.waits = self.machine.waits
        self.library = Library(self.rng, self.clock.begins.date())
        self.held: Document | None = None
        self.erased: dict[str, int] = {}
        self.connected: set[str] = set()
        self.cause_ms = LONG_AGO_MS
        self.causes = 0
        self.edges_on = 0
        self.stopping = False
        self.unsettled: tuple[Document, datetime] | None = None
        self.endangered = ""
        self.answers: dict[str, tuple[bool, bool]] = {}
        self.web: WebProcess | None = None
        self.backup: tuple[Document, datetime, Noted] | None = None
        self.week = Week(Policy())
        self._spins = 0
        self.exit_until_ms = self.silent_until_ms = self.lie_ms = 0

    # What the process does, and what is made of it.

    def live(self, until_ms: int) -> None:
        """Run the branch until then, through every restart.

        Raises:
            BrokenError: an invariant does not hold.
        """
        self.agenda.after(until_ms - self.clock.true_ms, self._stop)
        while not self.stopping:
            self._live_once()
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        self.door.close()
        if self.web is not None:
            self.web.close()
        shutil.rmtree(self.disk.root, ignore_errors=True)

    def _stop(self) -> None:
        self.stopping = True
        self.event_queue.put(StopRequested())

    def _live_once(self) -> None:
        self._boot()
        power_cut = False
        try:
            self.door.controller.run(self.event_queue)
        except PowerCutError:
            power_cut = True
        except KilledError:
            pass
        except DeviceError:
            self.counts["relay failed"] += 1
            self.relay.fall()
        must(3, not self.relay.energised, "the relay is on after the process has ended")
        if not self.stopping:
            self._end(power_cut=power_cut)

    def _boot(self) -> None:
        self.event_queue = SimMailbox(self)
        if self.web is None:
            self.web = WebProcess(self.machine)
        self.machine.supervisor.is_ready = False
        self.cause_ms, self.causes, self.edges_on = LONG_AGO_MS, 0, 0
        self.machine.supervisor.alive()
        self.door = DoorProcess(self.machine, self.event_queue, Onlooker(self))
        self._mend_clock()
        self.witness.branch.restarted(in_doubt=not self.now().dependable)
        self._settle()
        invariants.after_start(self)
        for line in (READER, KEYPAD):
            self.agenda.after(self.rng.randrange(5, 900), partial(self.plug, line))

    def _settle(self) -> None:
        """Find out whether the push that a power cut struck is held; either is right."""
        if self.unsettled is not None and self.web is not None:
            (document, at), self.unsettled = self.unsettled, None
            if self.web.reception.held().epoch == document.epoch:
                take_over(self, document, at)

    def _end(self, *, power_cut: bool) -> None:
        self.door.close()
        self.connected.clear()
        if self.disk.struck:
            self._doubt_what_was_under_way()
        self.witness.died()
        self.disturb()
        self.relay.broken = self.machine.signals.broken = False
        if power_cut:
            self.counts["power cuts"] += 1
            self.disk.failing.clear()
            self.disk.fails_commit = False
            if self.web is not None:
                self.web.close()
            self.web = None
            self.disk.forget_earlier()
            self.clock.lose_power(self._without_power_ms())
        else:
            self.counts["restarts"] += 1
            self.clock.advance(self.rng.randrange(500, 3_000))
        if power_cut and self.lie_ms:
            self.clock.vouched, self.clock.off_ms, self.lie_ms = True, self.lie_ms, 0
        self.clock.restart(*clock_on_record(self.disk), power_cut=power_cut)
        self.disturb()
        if power_cut:
            self._set_after_cut()
        self.note("start", "power" if power_cut else "process")

    def _without_power_ms(self) -> int:
        """Draw how long the power is off: minutes mostly, at times from a minute to 40 days."""
        if self.rng.random() < 0.8:
            return self.rng.randrange(1_000, 900_000)
        minutes: float = (40 * 24 * 60) ** self.rng.random()
        return round(60_000 * minutes)

    def _go_dark(self) -> None:
        self.relay.fall()

    def _doubt_what_was_under_way(self) -> None:
        self.disk.struck = False
        for card, _ in self.witness.charged.values():
            self.witness.doubt(card)
        if self.endangered:
            self.witness.doubt(self.endangered)

    def _set_after_cut(self) -> None:
        """A Pi has no battery clock: it is set by the network, perhaps much later."""
        if self.clock.fooled_ms or self.rng.random() < 0.5:
            return
        self.clock.vouched = False
        self.clock.off_ms = self.rng.randrange(-40 * 86_400_000, 86_400_000)
        self.agenda.after(self.rng.randrange(20_000, 3 * 3_600_000), self.set_clock)

    # Time.

    def go_on(self, wait_ms: int, is_posted: Callable[[], bool]) -> None:
        """Let at most so many milliseconds pass, and do what is due in them."""
        left = wait_ms
        if wait_ms == 0:
            # A loop that spins takes time all the same, so that what it holds up can be seen.
            self._spins += 1
            left = int(self._spins > SPINS)
        else:
            self._spins = 0
        is_idle = True
        while not is_posted():
            due = self.agenda.next_in_ms()
            if due <= left:
                self.clock.advance(due)
                left -= due
                self.agenda.do_next()
                # What was done may need no event: the door looks before the machine sleeps.
                is_idle = False
            elif is_idle and left == TURN_MS and self._may_sleep():
                # Nothing is pending: the machine sleeps until just before what comes next.
                self.clock.suspend(due - left)
                self.clock.advance(left)
                return
            else:
                self.clock.advance(min(due, self._lazily(left)))
                return

    def _may_sleep(self) -> bool:
        # The door counts the turns until it asks again for a branch that could not be read.
        asks_again = self.clock.true_ms < self.witness.branch.locked_ms
        return self.door.controller.deadline_s is None and not asks_again

    def _lazily(self, left_ms: int) -> int:
        """Return how long a turn is while nothing but a deadline is awaited.

        Longer than the loop asks for, as on a busy machine, and shorter than any limit of its
        watchdog: fewer turns make more years.
        """
        deadline_s = self.door.controller.deadline_s
        if left_ms < TURN_MS or deadline_s is None:
            return left_ms
        return min(LAZY_MS, max(left_ms, ceil(deadline_s * 1000) - self.clock.mono_ms))

    def freeze(self, ms: int) -> None:
        """Let the process stand still; systemd kills and locks if the watchdog is not fed."""
        left = self.machine.supervisor.bites_ms - self.clock.mono_ms
        if left < ms:
            self.clock.advance(max(0, left) + 300)
            self.relay.fall()
            invariants.each_step(self)
            raise KilledError
        self.clock.advance(ms)
        self.disturb()

    def disturb(self) -> None:
        """Note that something is done on purpose: whoever stands at the door may feel it."""
        self.witness.disturbed_ms = self.clock.true_ms

    def is_calm(self) -> bool:
        """Tell whether nothing that fails can be felt by whoever swiped last.

        A door log that fails is no excuse.
        """
        well = (
            self.disk.failing.keys().isdisjoint({PATRONS, BRANCH}) and not self.door.worker.slow_ms
        )
        return well and not self.relay.broken and self.witness.calm()

    def look_on(self) -> None:
        """See to what holds at every step."""
        invariants.each_step(self)

    def note(self, event: str, effect: object = "") -> None:
        """Put a line into the trace."""
        self.trace.note(self.clock.true_ms, event, effect)

    def now(self) -> Now:
        """Return the time as the branch can know it, whatever it believes."""
        self.clock.moment()
        known = self.clock.known.astimezone(COPENHAGEN)
        return Now(self.clock.believed.astimezone(COPENHAGEN), known, self.clock.dependable)

    # What comes in.

    def plug(self, line: str) -> None:
        """Plug a line in."""
        if line not in self.connected:
            self.connected.add(line)
            self.event_queue.put(LineConnected(line))

    def unplug(self, line: str) -> None:
        """Pull a line's cable."""
        if line in self.connected:
            self.connected.discard(line)
            self.event_queue.put(LineLost(line, "unplugged"))
            if line == READER:
                self.disturb()

    def send(self, line: str, data: bytes, card: str = "", key: str = "") -> None:
        """Have a device say something; what it means is told beside it."""
        if line not in self.connected:
            return
        self.note("bytes", f"{line} {len(data)}")
        self.event_queue.put(BytesReceived(line, data))
        if card:
            self.counts["visits"] += 1
            self.witness.saw_swipe(card, self.clock.true_ms)
        if key:
            self.witness.saw_key(key, self.clock.true_ms)

    def touch(self, *, contact_open: bool | None = None, exit_pressed: bool | None = None) -> None:
        """Change what the inputs say; None leaves a level as it is."""
        inputs = self.machine.inputs
        was = inputs.standing
        inputs.standing = Levels(
            contact_open=was.contact_open if contact_open is None else contact_open,
            exit_pressed=was.exit_pressed if exit_pressed is None else exit_pressed,
        )
        self.event_queue.put(PinsTouched())

    def press_exit(self) -> None:
        """Press the button inside; it counts once it has settled."""
        self.exit_until_ms = self.clock.true_ms + 2_000
        self.touch(exit_pressed=True)

    # What goes out.

    def heard(self, event: str, fields: dict[str, str | float | bool | None]) -> None:
        """Hear a log line."""
        shown = " ".join(f"{name}={fields[name]}" for name in FIELDS if name in fields)
        self.note(event, shown)
        invariants.says_nothing_of_anybody(self, event, fields)
        if event == "alarm":
            self.counts[f"alarm {fields['kind']}"] += 1
            if fields["kind"] == "store_damaged":
                self.witness.branch.kept_on = None
        if event == "decision":
            self.counts["decisions"] += 1
            invariants.decided(self, int(fields["attempt"] or 0), str(fields["reason"]))

    def _edge(self, energised: bool) -> None:
        if energised:
            self.edges_on += 1

    def set_clock(self) -> None:
        """Set the system clock right, and vouch for it."""
        self.clock.vouched, self.clock.off_ms = True, 0
        self._mend_clock()
        self.disturb()

    def _mend_clock(self) -> None:
        """Have staff press the button where the right time is in doubt: it was not believed."""
        right = self.clock.vouched and not self.clock.off_ms
        if right and self.clock.moment().in_doubt:
            self.counts["clocks confirmed by staff"] += 1
            self.clock.press()
            with suppress(StoreError):
                now, boot = self.clock.true, self.clock.boot_time()
                self.door.visits.open().settle(now, boot)

    def tell_time(self) -> None:
        """Have the library's server tell the door its time, as each run of the sender does."""
        if self.web is None:
            return
        agrees = self.clock.tell()
        self.counts["times told"] += 1
        self.counts["lies that a time told differs from"] += bool(self.clock.fooled_ms)
        must(22, not agrees or self.clock.confirmed, "a witness agrees with a lie")

    def person(self, card: str) -> Person | None:
        """Return who has a card, as the branch knows it."""
        return self.witness.branch.register.get(card)

    def attempt_of(self, attempt: int) -> Swipe | None:
        """Return the swipe at hand, if an attempt is of it."""
        swipe = self.witness.swipe
        return swipe if swipe is not None and swipe.attempt == attempt else None

    def is_strange_hour(self) -> bool:
        """Tell whether the hours change within seconds, so that either mode may count."""
        local = self.now().local
        around = {oracle.mode_at(local + timedelta(seconds=s)) for s in (-20, 0, 20)}
        return len(around) > 1
