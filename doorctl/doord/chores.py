"""What the door does beside opening: purge, prove it, test itself, count, keep the time.

None of them may end the door: our own mistake in one raises an alarm, and patrons come in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from doorctl.config import Config
from doorctl.core.errors import DoorctlError, StoreError
from doorctl.core.ports import AlarmOnce, EventLog
from doorctl.devices.pins import outputs_kept
from doorctl.doord.probes import DiskOverThread, OverThread
from doorctl.doord.purge_schedule import PurgeSchedule
from doorctl.doord.self_test import house
from doorctl.doord.self_test import run as run_self_test
from doorctl.doord.stores import DoorStores
from doorctl.lookup.calendar import calendar_of
from doorctl.privacy.passages import OPENED, HourCount
from doorctl.privacy.retention import PurgeReport
from doorctl.rpc.status import Finding
from doorctl.store.purge_job import Purging

KEPT_GRACE_S, FREED_GRACE_S = 0.4, 0.7
"""How late the loop may lock before the kernel ends it, to be locked a second after the release.

Where the kernel keeps a dead process's outputs, a shell still has to lock (`lock_when_dead`): 0.2 s
on an emulated Pi (tests/pi), on a starved one 0.6. Where it frees them, the pin falls at once and
the loop may have more. Both are longer than the 0.3 s for which an SD card stalls; the loop itself
never waits for one.
"""

KEEP_TIME_EVERY_S = 600.0
"""How often the high-water mark goes to disk; a power cut loses no more than this."""


PURGE_EVERY_H = 6.0
PURGE_AGAIN_S = 30.0
"""Until a purge that a reader blocked is tried again: at the next pulse, so in a minute."""

TEST_AGAIN_S = 600.0
"""How soon a self-test that has failed is run again; it costs as much as a card."""

PURGE_STEP_S = 3600.0
"""Wait before the next step of a limited purge, whatever the clock does meanwhile."""


@dataclass(eq=False)
class Chores:
    """The door's standing tasks; each call only has the worker or the door log's thread do it.

    `config` is public, for it may be read again.
    """

    config: Config
    stores: DoorStores
    purging: Purging
    log: EventLog

    def __post_init__(self) -> None:
        # Asked once: the kernel's answer does not change, and a release waits for nothing.
        self.grace_s = FREED_GRACE_S if outputs_kept() is False else KEPT_GRACE_S
        self._next_step_s = 0.0
        self._opened: tuple[HourCount, ...] = ()
        # Each belongs to the thread that does it; the proof's has one of its own.
        self._unwritten: set[str] = set()
        self._test_again_s = 0.0
        self._testing = AlarmOnce(self.log, "self_test_failed")
        self._purge_failing = AlarmOnce(self.log, "purge_failed")
        self._proof_failing = AlarmOnce(self.log, "purge_failed", "proof")
        self._incomplete = AlarmOnce(self.log, "purge_incomplete")
        self._unproved = AlarmOnce(self.log, "purge_incomplete", "proof")
        self._limited = AlarmOnce(self.log, "purge_limited")
        self.schedule = PurgeSchedule(
            PURGE_EVERY_H,
            lambda: self._write("purge", self._purge, watched=False),
            self.stores.clock.monotonic_s,
        )

    def keep_time(self) -> None:
        """Store the highest trusted time, and an opening of the day that could not be written."""
        self._write("time", self._keep_time)
        if self._opened:
            self.count(())

    def keep_clock(self) -> None:
        """Store what the next process has to know of the clock: a crash ends no doubt."""
        self._write("clock", self._keep_clock)

    def count(self, counts: tuple[HourCount, ...]) -> None:
        """Add to the hours' counts."""
        self._write("counts", lambda: self._count(counts))

    def test(self, lines: Callable[[], dict[str, bool]]) -> None:
        """Run the self-test, and alarm each fault."""
        self._test_again_s = self.stores.clock.monotonic_s() + TEST_AGAIN_S
        self.do("self-test", lambda: self._test(lines(), again=True))

    def test_again(self, lines: Callable[[], dict[str, bool]]) -> None:
        """Run a self-test that has failed once more, if its rest is over: its alarm may end."""
        now_s = self.stores.clock.monotonic_s()
        if self._testing.stands and now_s >= self._test_again_s:
            self._test_again_s = now_s + TEST_AGAIN_S
            self.do("self-test", lambda: self._test(lines(), again=False))

    def self_test(self, lines: dict[str, bool]) -> tuple[Finding, ...]:
        """Return the findings of the self-test; on the worker's thread."""
        stores, over = self.stores, OverThread(self.stores)
        return run_self_test(
            house(
                self.config,
                clock=stores.clock,
                disk=DiskOverThread(self.config.storage.door_directory, over),
                sealer=stores.sealer,
                patrons=stores.patrons,
                calendar=lambda: calendar_of(self.config.opening, stores.branch.calendar()),
                visits=over,
                lines=lines,
                purged_s=self.purging.purged_s,
            )
        )

    def do(self, name: str, chore: Callable[[], None]) -> None:
        """Have the worker do a job that may fail without ending the door."""
        self.stores.worker.submit(self._guarded(name, chore))

    def _write(self, name: str, chore: Callable[[], None], *, watched: bool = True) -> None:
        """Have the door log's thread do it; `watched` where it takes milliseconds."""
        submit = self.stores.write if watched else self.stores.log_thread.submit
        submit(self._guarded(name, chore))

    def _guarded(self, name: str, chore: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            failing = self.stores.steady.failing
            try:
                chore()
                if name in self._unwritten:
                    self._unwritten.discard(name)
                    failing.tell(None)
            except StoreError as err:
                self._unwritten.add(name)
                failing.tell(str(err), again=True)
            except Exception as err:  # noqa: BLE001 - see the head of this file
                # The text may quote anything; the kind says enough to be found.
                self.stores.alarm("rounds_failing", f"{name}: {type(err).__name__}")

        return guarded

    def _purge(self) -> None:
        now_s = self.stores.clock.monotonic_s()
        if now_s < self._next_step_s:
            # The clock was set: this call took the place of the one that was to come.
            self.schedule.nudge(in_s=self._next_step_s - now_s)
            return
        try:
            report = self.purging.purge(whole=False)
        except StoreError as err:
            self._purge_failing.tell(str(err), again=True)
            return
        self._purge_failing.tell(None)
        if report.limited:
            self._next_step_s = now_s + PURGE_STEP_S
            why = f"everything before {report.cutoff:%Y-%m-%d} UTC is gone; the rest waits an hour"
            self._limited.tell(why, again=True)
            self.schedule.nudge(in_s=PURGE_STEP_S)
        elif not report.postponed:
            self._limited.tell(None)
        if not report.complete:
            when = "with the rest" if report.limited else "in a minute"
            why = f"a reader kept traces alive; trying again {when}"
            self._incomplete.tell(why, again=True)
            if not report.limited:
                self.schedule.nudge(in_s=PURGE_AGAIN_S)
        self.log.emit("purge", **report.as_dict())
        if report.complete:
            self._incomplete.tell(None)
            # A patron at the door does not wait for the search, nor does a stop.
            prove = self._guarded("proof", lambda: self._prove(report))
            threading.Thread(target=prove, name="proof", daemon=True).start()

    def _prove(self, report: PurgeReport) -> None:
        try:
            proof, path = self.purging.prove(report)
        except DoorctlError as err:
            self._proof_failing.tell(str(err), again=True)
            return
        self._proof_failing.tell(None)
        why = f"it is not proved that all is gone; see {path.name}"
        self._unproved.tell(None if proof.clean else why, again=True)

    def _count(self, counts: tuple[HourCount, ...]) -> None:
        # A disk that fails is alarmed by the door log; what was counted meanwhile is lost, but for
        # the opening of the day: after a restart it would be shut to everybody.
        counts += self._opened
        self._opened = tuple(count for count in counts if count.kind == OPENED)
        with suppress(StoreError):
            self.stores.visits.add_counts(counts)
            self._opened = ()

    def _keep_clock(self) -> None:
        if kept := self.stores.clock.kept():
            self.stores.visits.keep_clock(kept)
        if bounds := self.stores.clock.bounded().bounds:
            self.stores.visits.keep_carried(bounds.carried)

    def _keep_time(self) -> None:
        moment, boot = self.stores.clock.moment(), self.stores.clock.boot_time()
        if moment.dependable:
            self.stores.visits.keep_time(moment.local, boot, moment.high_water)

    def _test(self, lines: dict[str, bool], *, again: bool) -> None:
        failed = [f"{each.what} {each.do}" for each in self.self_test(lines) if not each.ok]
        for why in failed or (None,):
            self._testing.tell(why, again=again)
