"""A branch and its people under one clock: runs the real loop and looks on at every step."""

from __future__ import annotations

import queue
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from random import Random

from doorctl.access.messages import Prepared
from doorctl.access.throttle import CardThrottle
from doorctl.controller import KEYPAD, READER, PinsTouched, PostedEvent, StopRequested
from doorctl.errors import DeviceError, DoorctlError, PushError, StoreError
from doorctl.ports import BytesReceived, LineConnected, LineLost
from doorctl.privacy.retention import PurgeReport
from doorctl.privacy.subject import Subject
from doorctl.store.subject_erasing import erase_patron, erase_visits
from doorctl.store.subject_rights import erase_rights
from tests.simulation import invariants, oracle
from tests.simulation.clock import COPENHAGEN, Agenda, SimClock
from tests.simulation.disk import BRANCH, PATRONS, VISITS, Disk, PowerCutError
from tests.simulation.house import (
    GUARD_FLOOR,
    GUARD_PERCENT,
    DoorProcess,
    Machine,
    WebProcess,
    high_water,
)
from tests.simulation.lines import SimInputs, SimRelay, SimSignals, SimSupervisor
from tests.simulation.oracle import Guesses, Now, Person
from tests.simulation.pushes import Document, Library, key_of, take_in
from tests.simulation.trace import Trace
from tests.simulation.witness import Entry, Swipe, Witness, must

TURN_MS = 1000
LONG_AGO_MS = -1_000_000
WATCHDOG_MS = 3_000
LAZY_MS = 2_400
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

    Args:
        seed: decides everything.
        root: an empty directory on a RAM disk.
    """

    def __init__(self, seed: int, root: Path) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.clock = SimClock()
        self.agenda = Agenda(self.clock)
        self.trace = Trace()
        self.counts: Counter[str] = Counter()
        self.witness = Witness()
        self.disk = Disk(root, self.rng, self._go_dark)
        self.relay = SimRelay(self._edge, lambda: self.clock.mono_ms)
        self.machine = Machine(
            self.clock,
            self.agenda,
            self.disk,
            self.rng,
            SimLog(self),
            self.relay,
            SimSignals(),
            SimInputs(),
            SimSupervisor(
                lambda: self.clock.mono_ms, limit_ms=self.rng.choice((WATCHDOG_MS, 30_000))
            ),
            stands_free=self.rng.random() < 0.5,
        )
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
        self.backup: tuple[Document, datetime] | None = None
        self.exit_until_ms = self.silent_until_ms = 0

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
        self.mailbox.put(StopRequested())

    def _live_once(self) -> None:
        self._boot()
        power_cut = False
        try:
            self.door.controller.run(self.mailbox)
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
        self.mailbox = SimMailbox(self)
        if self.web is None:
            self.web = WebProcess(self.machine)
        self.machine.supervisor.is_ready = False
        self.cause_ms, self.causes, self.edges_on = LONG_AGO_MS, 0, 0
        self.machine.supervisor.alive()
        self.door = DoorProcess(
            self.machine, self.mailbox, self, self.opened, self.closed, self.purged
        )
        self._settle()
        invariants.after_start(self)
        for line in (READER, KEYPAD):
            self.agenda.after(self.rng.randrange(5, 900), lambda name=line: self.plug(name))

    def _settle(self) -> None:
        """Find out whether the push that a power cut struck is held; either is right."""
        if self.unsettled is not None and self.web is not None:
            (document, at), self.unsettled = self.unsettled, None
            if self.web.reception.held().epoch == document.epoch:
                self.take_over(document, at)

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
            self.clock.suspend(self.rng.randrange(1_000, 900_000))
        else:
            self.counts["restarts"] += 1
            self.clock.advance(self.rng.randrange(500, 3_000))
        self.clock.restart(high_water(self.disk), power_cut=power_cut)
        self.disturb()
        if power_cut:
            self._set_after_cut()
        self.note("start", "power" if power_cut else "process")

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
        if self.rng.random() < 0.5:
            return
        self.clock.vouched = False
        self.clock.off_ms = self.rng.randrange(-40 * 86_400_000, 86_400_000)
        self.agenda.after(self.rng.randrange(20_000, 3 * 3_600_000), self.set_clock)

    # Time.

    def go_on(self, wait_ms: int, is_posted: object) -> None:
        """Let at most so many milliseconds pass, and do what is due in them."""
        assert callable(is_posted)
        left = wait_ms
        while not is_posted():
            due = self.agenda.next_in_ms()
            if due <= left:
                self.clock.advance(due)
                left -= due
                self.agenda.do_next()
            elif left == TURN_MS and self.door.controller.deadline_s is None:
                # Nothing is pending: the machine sleeps until just before what comes next.
                self.clock.suspend(due - left)
                self.clock.advance(left)
                return
            else:
                self.clock.advance(min(due, self._lazily(left)))
                return

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
        return Now(self.clock.true_local, known, self.clock.dependable)

    # What comes in.

    def plug(self, line: str) -> None:
        """Plug a line in."""
        if line not in self.connected:
            self.connected.add(line)
            self.mailbox.put(LineConnected(line))

    def unplug(self, line: str) -> None:
        """Pull a line's cable."""
        if line in self.connected:
            self.connected.discard(line)
            self.mailbox.put(LineLost(line, "unplugged"))
            if line == READER:
                self.disturb()

    def send(self, line: str, data: bytes, card: str = "", key: str = "") -> None:
        """Have a device say something; what it means is told beside it."""
        if line not in self.connected:
            return
        self.note("bytes", f"{line} {len(data)}")
        self.mailbox.put(BytesReceived(line, data))
        if card:
            self.counts["visits"] += 1
            self.witness.saw_swipe(card, self.clock.true_ms)
        if key:
            self.witness.saw_key(key, self.clock.true_ms)

    def touch(self, **levels: bool) -> None:
        """Change what the inputs say."""
        inputs = self.machine.inputs
        inputs.standing = type(inputs.standing)(
            **{
                "contact_open": inputs.standing.contact_open,
                "exit_pressed": inputs.standing.exit_pressed,
                **levels,
            }
        )
        self.mailbox.put(PinsTouched())

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
        if event == "decision":
            self.counts["decisions"] += 1
            invariants.decided(self, int(fields["attempt"] or 0), str(fields["reason"]))

    def _edge(self, energised: bool) -> None:
        if energised:
            self.edges_on += 1

    # What the ledger and the door log do.

    def in_danger(self, _attempt: int, card: str) -> None:
        """See the ledger begin: cut off in it, nobody knows what became of the guess."""
        self.endangered = card
        if VISITS in self.disk.failing or self.disk.cut_in is not None:
            self.witness.doubt(card)

    def prepared(self, attempt: int, card: str, found: Prepared) -> None:
        """See the ledger end."""
        guesses = self.witness.branch.guesses.get(card, Guesses())
        boot, boot_ms = self.clock.boot, self.clock.boot_ms
        waits = guesses.waits(boot, boot_ms)
        if guesses.doubt:
            guesses, waits = self._adopted(found), found.throttled
        invariants.prepared(self, card, found, guesses, waits=waits)
        swipe = self.witness.swipe
        if swipe is not None and swipe.card == card and not swipe.attempt:
            swipe.attempt, swipe.waits = attempt, waits
            swipe.prepared_at_ms = self.clock.true_ms
        if not found.throttled:
            count, true_ms = min(guesses.count + 1, 10), self.clock.true_ms
            charged = Guesses(count, boot, boot_ms, true_ms, guesses.doubt)
            self.witness.branch.guesses[card] = guesses
            self.witness.charge(attempt, card, charged)

    def settled(self, attempt: int, reason: str) -> None:
        """See an outcome handed over."""
        card, _ = self.witness.charged.get(attempt, ("", None))
        now = Guesses(0, self.clock.boot, self.clock.boot_ms, self.clock.true_ms)
        self.witness.settle(attempt, reason, now)
        if card and VISITS in self.disk.failing:
            self.witness.doubt(card)

    def opened(self, number: int, row_key: bytes | None) -> None:
        """See an attempt on record."""
        must(15, number not in self.witness.entries, "an attempt's number was used before")
        entry = Entry(self.clock.true_ms, row_key, self.clock.moment().dependable)
        self.witness.entries[number] = entry

    def closed(self, number: int, reason: str, row_key: bytes | None) -> None:
        """See an outcome on record."""
        entry = self.witness.entries[number]
        entry.reason, entry.row_key = reason, row_key or entry.row_key

    def purged(self, report: PurgeReport) -> None:
        """See a purge."""
        self.counts["purges"] += 1
        self.note("purge", f"{report.deleted} {report.complete} {report.postponed}")
        if report.complete:
            invariants.purged(self, report)

    def _adopted(self, found: Prepared) -> Guesses:
        """Take the count as the door has it; when its last guess was stays in doubt."""
        stored: CardThrottle = self.door.steady.card_throttle(found.row_key)
        count = stored.failures if found.throttled else max(0, stored.failures - 1)
        doubt = VISITS in self.disk.failing or count > 0
        return Guesses(count, self.clock.boot, self.clock.boot_ms, self.clock.true_ms, doubt)

    # What the library does.

    def push(self, document: Document, expected: str = "") -> None:
        """Bring a document to the branch, and see that it does what it should and no more.

        Args:
            document: as it arrives.
            expected: what has to come of it; by the reference if nothing is said.
        """
        assert self.web is not None
        self.counts["pushes"] += 1
        expected = expected or self._outcome(document)
        before = "" if expected == "applied" else invariants.register_dump(self)
        at = self.clock.moment().local.astimezone(UTC)
        self.unsettled = (document, at) if expected == "applied" else None
        outcome = self._take_in(document)
        self.unsettled = None
        self.counts[f"push {outcome}"] += 1
        self.note("push", f"{document.kind} {document.epoch} {outcome}")
        if outcome == "applied":
            self.take_over(document, at)
        invariants.pushed(self, expected, outcome, before)

    def _take_in(self, document: Document) -> str:
        assert self.web is not None
        try:
            chunk_bytes = self.rng.randrange(200, 5000)
            received = take_in(self.web.reception, document, chunk_bytes)
        except PushError as err:
            return type(err).__name__
        except StoreError:
            return "StoreError"
        return "unchanged" if received.unchanged else "applied"

    def take_over(self, document: Document, at: datetime) -> None:
        """Believe that the branch decides by this register from now on."""
        self.held = document
        branch = self.witness.branch
        branch.register = {
            card: person
            for card, person in document.register.items()
            if self.erased.get(card, 0) < document.epoch
        }
        branch.applied_at = at

    def _outcome(self, document: Document) -> str:
        held = 0 if self.held is None else self.held.epoch
        if self.held is not None and document.epoch == held:
            return "unchanged" if document.data == self.held.data else "PushConflictError"
        if document.epoch < held or (document.kind == "changes" and document.previous != held):
            return "PushOutOfOrderError"
        if PATRONS in self.disk.failing:
            return "StoreError"
        if self._shuts_out_too_many(document.register):
            return "PushGuardedError"
        return "StoreError" if self.disk.fails_commit else "applied"

    def _shuts_out_too_many(self, after: dict[str, Person]) -> bool:
        before = self.witness.branch.register
        both = [(before[card], after[card]) for card in before if card in after]
        losses = (
            len(before) - len(both),
            sum(bool(now.blocks and not was.blocks) for was, now in both),
            sum(was.resident and not now.resident for was, now in both),
        )
        return any(one > GUARD_FLOOR and one * 100 > GUARD_PERCENT * len(before) for one in losses)

    def erase(self, card: str) -> None:
        """Erase a person everywhere, as the data-protection officer does."""
        assert self.web is not None
        held = self.held
        person = Subject(frozenset({key_of(card)}), f"ref-{card}")
        try:
            store = self.door.visits.open()
            moment = self.clock.moment()
            erase_rights(self.web.rights, person, held.epoch if held else 0, "dpo", moment)
            erase_visits(store.path, store.database, person)
            erase_patron(self.web.register.path, self.web.register.database, person)
        except DoorctlError:
            self.counts["erasure failed"] += 1
            return
        self.counts["erasures"] += 1
        self.note("erase")
        self.library.register.pop(card, None)
        self.erased[card] = held.epoch if held else 0
        self._forget(card)
        invariants.erased(self, card)

    def _forget(self, card: str) -> None:
        branch = self.witness.branch
        branch.register.pop(card, None)
        branch.banned.pop(card, None)
        branch.restricted.discard(card)
        branch.guesses.pop(card, None)
        key = key_of(card)
        for number, entry in list(self.witness.entries.items()):
            if entry.row_key == key and entry.reason is not None:
                del self.witness.entries[number]
            elif entry.row_key == key:
                entry.row_key = None

    def set_clock(self) -> None:
        """Set the system clock right, and vouch for it."""
        self.clock.vouched, self.clock.off_ms = True, 0
        self.disturb()

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
