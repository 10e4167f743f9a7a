"""One door log's purge: at its times, on its thread, and proved by a signed report."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import doorctl
from doorctl.config.tables import Storage
from doorctl.core.errors import InputError, StoreError
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import SMALL, Moment
from doorctl.core.ports import Clock
from doorctl.privacy.purge_proof import Canaries, Proof, ReportSigner, prove
from doorctl.privacy.retention import PurgeReport, WatchedTime
from doorctl.store.erasure import forget_erased
from doorctl.store.purge_reports import PurgeReports
from doorctl.store.residue import search_apart
from doorctl.store.sealer import first_key
from doorctl.store.tombstones import StoredErasures
from doorctl.store.trim import trim
from doorctl.store.visit_purge import PurgedVisits, purge
from doorctl.store.visits import VisitStore

Opened = Callable[[], VisitStore]
"""Opens the door log unless it is open; on its own thread."""


def forget_left(branch_db: Path, opened: Opened) -> None:
    """Delete what an erasure had to leave in the door log; a part of each purge, on its thread.

    Where the erasures can't be read, the purge goes on without this.
    """
    with suppress(StoreError), closing(StoredErasures(branch_db)) as erasures:
        visits = opened()
        forget_erased(visits, erasures.tombstones())


RETRY_S = (1.0, 3.0)
"""Pauses before a purge that a reader blocked is tried again: none stays longer than the 500 rows
that it reads at a time."""

REPORTS = "purges"
"""The directory of the signed reports, below the door's."""

ResultT = TypeVar("ResultT")
Run = Callable[[Callable[[], ResultT]], ResultT]
"""Does a job on the thread that the door log belongs to, and returns its result."""


class Purging:
    """One door log's purge.

    Visits are kept for `kept_for`; a report names the `branch`. `run` does a job on the door log's
    thread. There, `erased` deletes what an erasure has left for a purge. Without a `key` nothing
    can be proved.

    Attributes:
        purged_s: when a purge was last complete, or when this was made; monotonic seconds.
        since_s: when the purge began that is under way, monotonic seconds; None while none is.
    """

    def __init__(
        self,
        visits: PurgedVisits,
        clock: Clock,
        storage: Storage,
        *,
        kept_for: timedelta,
        branch: str,
        key: InstallationKey | None,
        run: Run[Any],
        erased: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock, self._storage = clock, storage
        self._kept_for, self._branch = kept_for, branch
        self._erased = erased
        self._visits = visits
        self.purged_s = clock.monotonic_s()
        self.since_s: float | None = None
        # Those of the days before a rotation are looked for as well, and are no secret.
        self._keys = None if key is None else (Canaries(first_key(key)), ReportSigner(key))
        self._run = run
        self._reports = PurgeReports(storage.door_directory / REPORTS)
        self._pending: frozenset[bytes] = frozenset()
        self._watched = WatchedTime()
        # Two searches at a time would only be in each other's way.
        self._proving = threading.Lock()

    def purge(self, *, whole: bool = True, believed: bool = False) -> PurgeReport:
        """Purge once; on the thread that the door log belongs to.

        `whole` is that of :func:`~doorctl.store.visit_purge.purge`. If `believed`, the wall clock
        is right for retention from now on, because somebody answers for it. Raises StoreError: the
        door log failed. InputError: the wall clock can't be right.
        """
        clock = self._clock
        self.since_s = clock.monotonic_s()
        try:
            self._erased()
            if believed:
                _refuse_mistake(clock.bounded())
            moment = clock.bounded(believed=believed)
            stands = self._watched.stands(clock.moment(), clock.monotonic_s())
            report = purge(
                self._visits,
                moment,
                clock.boot_time(),
                self._kept_for,
                believed=believed or stands,
                whole=whole,
                canaries=self._keys and self._keys[0],
                earlier=self._pending,
                remember=partial(setattr, self, "_pending"),
            )
        finally:
            self.since_s = None
        self._pending = frozenset() if report.complete else report.traces
        if report.complete:
            self.purged_s = clock.monotonic_s()
        return report

    def prove(self, report: PurgeReport) -> tuple[Proof, Path]:
        """Search, and keep the signed report. Takes seconds; not on the door log's thread.

        Raises DoorctlError: nothing was proved, or the report could not be kept.
        """
        assert self._keys is not None  # noqa: S101 - a proof needs the key
        canaries, signer = self._keys
        with self._proving:
            moment = self._clock.moment()
            proof = prove(
                report,
                moment,
                canaries,
                kept=self._run(self._visits.canaries),
                still_kept=lambda traces: self._run(partial(self._visits.still_kept, traces)),
                search=partial(search_apart, self._storage.visits_db),
                trim=partial(trim, self._storage.door_directory),
            )
            return proof, self._reports.keep(signer.signed(self._fields(proof)), proof.at)

    def reported(self, *, proved: bool, believed: bool) -> dict[str, Any]:
        """Purge, with a proof if that is wanted, and return the report. Not on the log's thread."""
        purge = partial(self.purge, believed=believed)
        if not proved:
            report: PurgeReport = self._run(purge)
            return report.as_dict()
        report = self._without_readers(purge)
        proof, path = self.prove(report)
        return {**self._fields(proof), "file": str(path)}

    def _without_readers(self, purge: Callable[[], PurgeReport]) -> PurgeReport:
        report: PurgeReport = self._run(purge)
        for pause_s in RETRY_S:
            if report.complete:
                break
            threading.Event().wait(pause_s)
            deleted = report.deleted
            report = self._run(self.purge)
            report = report.after(deleted)
        return report

    def _fields(self, proof: Proof) -> dict[str, Any]:
        whose = {"branch": self._branch, "version": doorctl.__version__}
        return {**proof.as_dict(), **whose}


def _refuse_mistake(moment: Moment) -> None:
    wall, certain = moment.local.astimezone(UTC), moment.certain
    if moment.bounds is not None:
        wall, certain = moment.bounds.wall, moment.bounds.carried.now
    if certain - wall >= SMALL:
        raise InputError(
            f"nothing was deleted: the clock says {wall:%Y-%m-%d %H:%M} UTC, and it is past "
            f"{certain:%Y-%m-%d %H:%M} UTC for certain; set the clock first (timedatectl)"
        )
