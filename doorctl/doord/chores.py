"""What the door does beside opening: purge, prove it, test itself, count, keep the time.

None of them may end the door: our own mistake in one raises an alarm, and patrons come in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from doorctl.config import Config
from doorctl.core.errors import DoorctlError, StoreError
from doorctl.core.ports import EventLog, Supervisor
from doorctl.devices.pins import outputs_kept
from doorctl.doord.self_test import Finding, house
from doorctl.doord.self_test import run as run_self_test
from doorctl.doord.stores import DoorStores
from doorctl.doord.watchdog import FREED_GRACE_S, KEPT_GRACE_S, Housekeeping, LastingFaults
from doorctl.ops.machine import disk_low, undervoltage
from doorctl.ops.scheduler import PurgeSchedule
from doorctl.privacy.retention import PurgeReport
from doorctl.privacy.statistics import OPENED, HourCount
from doorctl.services.hours import calendar_of
from doorctl.services.purging import Purging

PURGE_EVERY_H = 6.0
PURGE_AGAIN_S = 60.0
PURGE_STEP_S = 3600.0
"""Wait before the next step of a limited purge, whatever the clock does meanwhile."""


def grace_s() -> float:
    """Return how late the loop may lock; later where the kernel frees a dead process's pins."""
    return FREED_GRACE_S if outputs_kept() is False else KEPT_GRACE_S


@dataclass(eq=False)
class Chores:
    """The door's standing tasks; each call only has the worker do it.

    `config` is public, for it may be read again.
    """

    config: Config
    stores: DoorStores
    purging: Purging
    log: EventLog

    def __post_init__(self) -> None:
        self._next_step_s = 0.0
        self._opened: tuple[HourCount, ...] = ()
        self.schedule = PurgeSchedule(
            PURGE_EVERY_H, lambda: self.do("purge", self._purge), self.stores.clock.monotonic_s
        )

    def housekeeping(
        self,
        supervisor: Supervisor,
        lines_alive: Callable[[], bool],
        relocks_s: Callable[[], float | None],
        grace_s: float,
    ) -> Housekeeping:
        """Return what feeds the watchdog while everything that the door rests on works.

        `lines_alive` tells whether each serial line's thread runs, even where the device is
        missing; `relocks_s` and `grace_s` are those of
        :class:`~doorctl.doord.watchdog.Housekeeping`.
        """
        return Housekeeping(
            clock=self.stores.clock,
            supervisor=supervisor,
            threads_alive=lines_alive,
            overdue_s=self.schedule.overdue_s,
            purging_since_s=lambda: self.purging.since_s,
            stepped=self.stores.clock.stepped,
            purge_soon=self.schedule.nudge,
            keep_time=self.keep_time,
            keep_clock=lambda: self.do("clock", self._keep_clock),
            ping=self.stores.worker.submit,
            alarm=self.stores.alarm,
            relocks_s=relocks_s,
            grace_s=grace_s,
        )

    def keep_time(self) -> None:
        """Store the highest trusted time, and an opening of the day that could not be written."""
        self.do("time", self._keep_time)
        if self._opened:
            self.count(())

    def count(self, counts: tuple[HourCount, ...]) -> None:
        """Add to the hours' counts."""
        self.do("counts", lambda: self._count(counts))

    def test(self, lines: Callable[[], dict[str, bool]]) -> None:
        """Run the self-test, and alarm each fault."""
        self.do("self-test", lambda: self._test(lines()))

    def self_test(self, lines: dict[str, bool]) -> tuple[Finding, ...]:
        """Return the findings of the self-test; on the worker's thread."""
        stores = self.stores
        return run_self_test(
            house(
                self.config,
                clock=stores.clock,
                sealer=stores.sealer,
                patrons=stores.patrons,
                calendar=lambda: calendar_of(self.config.opening, stores.branch.calendar()),
                visits=stores.visits,
                lines=lines,
                purged_s=self.purging.purged_s,
            )
        )

    def do(self, name: str, chore: Callable[[], None]) -> None:
        """Have the worker do a job that may fail without ending the door."""

        def guarded() -> None:
            try:
                chore()
            except Exception as err:  # noqa: BLE001 - see the head of this file
                # The text may quote anything; the kind says enough to be found.
                self.stores.alarm("rounds_failing", f"{name}: {type(err).__name__}")

        self.stores.worker.submit(guarded)

    def _purge(self) -> None:
        now_s = self.stores.clock.monotonic_s()
        if now_s < self._next_step_s:
            # The clock was set: this call took the place of the one that was to come.
            self.schedule.nudge(in_s=self._next_step_s - now_s)
            return
        try:
            report = self.purging.purge(whole=False)
        except StoreError as err:
            self.stores.alarm("purge_failed", str(err))
            return
        if report.limited:
            self._next_step_s = now_s + PURGE_STEP_S
            why = f"everything before {report.cutoff:%Y-%m-%d} UTC is gone; the rest waits an hour"
            self.stores.alarm("purge_limited", why)
            self.schedule.nudge(in_s=PURGE_STEP_S)
        if not report.complete and not report.postponed:
            when = "with the rest" if report.limited else "in a minute"
            why = f"a reader kept traces alive; trying again {when}"
            self.stores.alarm("purge_incomplete", why)
            if not report.limited:
                self.schedule.nudge(in_s=PURGE_AGAIN_S)
        self.log.emit("purge", **report.as_dict())
        if report.complete:
            # A patron at the door does not wait for the search, nor does a stop.
            threading.Thread(target=self._prove, args=(report,), name="proof", daemon=True).start()

    def _prove(self, report: PurgeReport) -> None:
        try:
            proof, path = self.purging.prove(report)
        except DoorctlError as err:
            self.stores.alarm("purge_failed", str(err))
            return
        if not proof.clean:
            why = f"it is not proved that all is gone; see {path.name}"
            self.stores.alarm("purge_incomplete", why)

    def _count(self, counts: tuple[HourCount, ...]) -> None:
        # A disk that fails is alarmed by the door log; what was counted meanwhile is lost, but for
        # the opening of the day: after a restart it would be shut to everybody.
        counts += self._opened
        self._opened = tuple(count for count in counts if count.kind == OPENED)
        with suppress(StoreError):
            self.stores.visits.add_counts(counts)
            self._opened = ()

    def _keep_clock(self) -> None:
        try:
            if kept := self.stores.clock.kept():
                self.stores.visits.keep_clock(kept)
        except StoreError as err:
            self.stores.alarm("visit_log_failing", str(err))

    def _keep_time(self) -> None:
        moment = self.stores.clock.moment()
        if not moment.dependable:
            return
        boot = self.stores.clock.boot_time()
        try:
            self.stores.visits.keep_time(moment.local, boot, moment.high_water)
        except StoreError as err:
            self.stores.alarm("visit_log_failing", str(err))

    def _test(self, lines: dict[str, bool]) -> None:
        for finding in self.self_test(lines):
            if not finding.ok:
                self.stores.alarm("self_test_failed", f"{finding.what} {finding.do}")


LOOK_EVERY_S = 60.0
"""How often the worker looks at power supply, register and disk."""

WEB_RESTS_S = 60.0
"""Web asks the door every few seconds; a restart takes less."""

OLD_SHARE = 1 / 3
"""Share of the age at which nobody is let in: with the usual 72 h a day: time for staff to act."""


@dataclass(eq=False)
class Lookout:
    """Watches lines, disk, register and web; one turn with each turn of the loop, one thread.

    `config` is public, for it may be read again. `web_request_s` returns when web asked the door
    last, monotonic seconds; None where it never has.
    """

    config: Config
    stores: DoorStores
    lines: Callable[[], Mapping[str, bool]]
    web_request_s: Callable[[], float | None]

    def __post_init__(self) -> None:
        self._directory = self.config.storage.door_directory
        self._faults = LastingFaults(self.stores.alarm)
        self._look_at_s = self.stores.clock.monotonic_s()
        self._looked: Mapping[str, str | None] = {}

    def turn(self) -> None:
        """Alarm the faults that have lasted."""
        now_s = self.stores.clock.monotonic_s()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_EVERY_S
            self.stores.worker.submit(self._look)
        faults = {
            f"{name}_lost": None if up else "it is not there" for name, up in self.lines().items()
        }
        request_s = self.web_request_s()
        if request_s is not None:
            silent = now_s - request_s >= WEB_RESTS_S
            faults["web_silent"] = "it has stopped asking the door" if silent else None
        self._faults.see({**self._looked, **faults}, now_s)

    def _look(self) -> None:
        faults = {"undervoltage": undervoltage(), **self._register()}
        with suppress(OSError):
            faults["disk_low"] = disk_low(self._directory)
        self._looked = faults

    def _register(self) -> dict[str, str | None]:
        moment = self.stores.clock.moment()
        # What can't be read is told elsewhere, and by a clock in doubt everybody is refused.
        with suppress(StoreError):
            age = self.stores.patrons.stamp().age(moment)
            if age is None:
                return {}
            limit = timedelta(hours=self.config.policy.max_cache_age_h)
            why = f"it came {_hours(age)} ago; after {_hours(limit)} nobody is let in by it"
            return {"register_old": why if age > limit * OLD_SHARE else None}
        return {}


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.0f} h"
