"""What the door does beside opening: purge, prove it, test itself, count, keep the time.

None of it may end the door: a mistake of ours in one of them is an alarm, and patrons come in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from doorctl.bootstrap.door_stores import DoorStores
from doorctl.bootstrap.inspection import house
from doorctl.bootstrap.purging import Purging
from doorctl.config import Config
from doorctl.devices.pins import outputs_kept
from doorctl.errors import DoorctlError, StoreError
from doorctl.housekeeping import FREED_GRACE_S, KEPT_GRACE_S, Housekeeping
from doorctl.opening_hours import calendar_of
from doorctl.ops.scheduler import PurgeSchedule
from doorctl.ports import EventLog, HourCount, Supervisor
from doorctl.privacy.retention import PurgeReport
from doorctl.self_test.findings import Finding
from doorctl.self_test.run import run as run_self_test

PURGE_EVERY_H = 6.0
PURGE_AGAIN_S = 60.0
PURGE_STEP_S = 3600.0
"""How long the next step of a purge waits that was limited, whatever the clock does meanwhile."""


def grace_s() -> float:
    """Return how late the loop may lock; the more where the kernel frees a dead process's pins."""
    return FREED_GRACE_S if outputs_kept() is False else KEPT_GRACE_S


class Chores:
    """The door's standing tasks; each call only has the worker do it.

    Args:
        config: the whole configuration; a public attribute, for it may be read again.
        stores: the door's.
        purging: of the door log.
        log: takes `purge` and `alarm` lines.
    """

    def __init__(self, config: Config, stores: DoorStores, purging: Purging, log: EventLog) -> None:
        self.config = config
        self._stores = stores
        self._purging = purging
        self._log = log
        self._next_step_s = 0.0
        self.schedule = PurgeSchedule(
            PURGE_EVERY_H, lambda: self.do("purge", self._purge), stores.clock.monotonic_s
        )

    def housekeeping(
        self,
        supervisor: Supervisor,
        lines_alive: Callable[[], bool],
        relocks_s: Callable[[], float | None],
        grace_s: float,
    ) -> Housekeeping:
        """Return what feeds the watchdog while everything that the door rests on works.

        Args:
            supervisor: is fed.
            lines_alive: whether the thread of each serial line is there, its device or not.
            relocks_s: see :class:`~doorctl.housekeeping.Housekeeping`.
            grace_s: as `relocks_s`.
        """
        return Housekeeping(
            clock=self._stores.clock,
            supervisor=supervisor,
            threads_alive=lines_alive,
            overdue_s=self.schedule.overdue_s,
            purging_since_s=lambda: self._purging.since_s,
            stepped=self._stores.clock.stepped,
            purge_soon=self.schedule.nudge,
            keep_time=self.keep_time,
            ping=self._stores.worker.submit,
            alarm=self._stores.alarm,
            relocks_s=relocks_s,
            grace_s=grace_s,
        )

    def keep_time(self) -> None:
        """Store the highest trusted time."""
        self.do("time", self._keep_time)

    def count(self, counts: tuple[HourCount, ...]) -> None:
        """Add to the hours' counts."""
        self.do("counts", lambda: self._count(counts))

    def test(self, lines: Callable[[], dict[str, bool]]) -> None:
        """Test the house, and tell of each fault."""
        self.do("self-test", lambda: self._test(lines()))

    def self_test(self, lines: dict[str, bool]) -> tuple[Finding, ...]:
        """Look at everything; on the worker's thread."""
        stores = self._stores
        return run_self_test(
            house(
                self.config,
                clock=stores.clock,
                sealer=stores.sealer,
                patrons=stores.patrons,
                calendar=lambda: calendar_of(self.config.opening, stores.branch.calendar()),
                visits=stores.visits,
                lines=lines,
                purged_s=self._purging.purged_s,
            )
        )

    def do(self, name: str, chore: Callable[[], None]) -> None:
        """Have the worker do something that may fail without ending the door."""

        def guarded() -> None:
            try:
                chore()
            except Exception as err:  # noqa: BLE001 - see the head of this file
                # The text may quote anything; the kind says enough to be found.
                self._stores.alarm("rounds_failing", f"{name}: {type(err).__name__}")

        self._stores.worker.submit(guarded)

    def _purge(self) -> None:
        now_s = self._stores.clock.monotonic_s()
        if now_s < self._next_step_s:
            return
        try:
            report = self._purging.purge(whole=False)
        except StoreError as err:
            self._stores.alarm("purge_failed", str(err))
            return
        if not report.complete and not report.postponed:
            why = "a reader kept traces alive; trying again in a minute"
            self._stores.alarm("purge_incomplete", why)
            self.schedule.nudge(in_s=PURGE_AGAIN_S)
        elif report.limited:
            self._next_step_s = now_s + PURGE_STEP_S
            why = f"everything before {report.cutoff:%Y-%m-%d} UTC is gone; the rest waits an hour"
            self._stores.alarm("purge_limited", why)
            self.schedule.nudge(in_s=PURGE_STEP_S)
        self._log.emit("purge", **report.as_dict())
        if report.complete:
            # Whoever stands at the door does not wait for the search, nor does a stop.
            threading.Thread(target=self._prove, args=(report,), name="proof", daemon=True).start()

    def _prove(self, report: PurgeReport) -> None:
        try:
            proof, path = self._purging.prove(report)
        except DoorctlError as err:
            self._stores.alarm("purge_failed", str(err))
            return
        if not proof.clean:
            why = f"it is not proved that all is gone; see {path.name}"
            self._stores.alarm("purge_incomplete", why)

    def _count(self, counts: tuple[HourCount, ...]) -> None:
        # A disk that fails is alarmed by the door log; what was counted meanwhile is lost.
        with suppress(StoreError):
            self._stores.visits.add_counts(counts)

    def _keep_time(self) -> None:
        moment = self._stores.clock.moment()
        if not moment.dependable:
            return
        boot = self._stores.clock.boot_time()
        try:
            self._stores.visits.keep_time(moment.local, boot, moment.high_water)
        except StoreError as err:
            self._stores.alarm("visit_log_failing", str(err))

    def _test(self, lines: dict[str, bool]) -> None:
        for finding in self.self_test(lines):
            if not finding.ok:
                self._stores.alarm("self_test_failed", f"{finding.what} {finding.do}")
