"""The purge, its proof, and holds: for the door process, and for a command while there is none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

import doorctl
from doorctl.config import Config
from doorctl.core.errors import DoorctlError, InputError, KeyFileError, StoreError
from doorctl.core.identity import ROOT, owner_of
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import SMALL, Moment
from doorctl.lookup.app import App
from doorctl.lookup.configured import retention
from doorctl.privacy.audit import Action, Deed, Details
from doorctl.privacy.erasure import PartErased
from doorctl.privacy.holds import Hold, accepted, chosen, readable_since
from doorctl.privacy.purge_proof import Canaries, Proof, ReportSigner, Trim, prove
from doorctl.privacy.retention import PurgeReport, WatchedTime
from doorctl.privacy.subject import Subject
from doorctl.rpc.messages import Line
from doorctl.rpc.question import Answers, Done
from doorctl.rpc.retention import (
    ADD_HOLD,
    ERASE_VISITS,
    LIFT_HOLD,
    PROVE_LIMIT_S,
    PURGE,
    PURGE_LIMIT_S,
    LiftHold,
    Purge,
)
from doorctl.services.owner import by_the_owner
from doorctl.store.door_log import Visit, VisitHistory
from doorctl.store.erasure import erase_visits, forget_erased
from doorctl.store.keys import read_key
from doorctl.store.residue import PurgeReports, read_report, search_apart, trim
from doorctl.store.sealer import earlier_keys, first_key
from doorctl.store.tombstones import StoredErasures
from doorctl.store.visit_purge import PurgedVisits, purge
from doorctl.store.visits import VisitStore, open_or_create_visits

# What the door process does for a person's rights: it owns the door log.

Opened = Callable[[], VisitStore]
"""Opens the door log unless it is open; on its own thread."""


def doors_answers(
    run: Callable[[Callable[[], PartErased]], PartErased],
    opened: Opened,
    forget: Callable[[frozenset[bytes]], None],
    held: Callable[[Callable[[], PartErased]], PartErased] = lambda job: job(),
) -> Answers:
    """Return the door process's answers about a person's rights.

    `run` does a job on the door log's thread, after what was to be written before it. `held` does
    one on the thread of those who prepare attempts, so that none comes in between. There, `forget`
    takes row keys, so that no open attempt stores them again.
    """

    def erase(subject: Subject) -> PartErased:
        forget(subject.row_keys)
        return run(lambda: erase_visits(opened(), subject))

    return ERASE_VISITS.answered(lambda request: Done(held(lambda: erase(request.subject))))


def forget_left(app: App, opened: Opened) -> None:
    """Delete what an erasure had to leave in the door log; a part of each purge, on its thread.

    Where the erasures can't be read, the purge goes on without this.
    """
    with suppress(StoreError), closing(StoredErasures(app.storage.branch_db)) as erasures:
        visits = opened()
        forget_erased(visits, erasures.tombstones())


RETRY_S = (1.0, 3.0)
"""Pauses before a purge that a reader blocked is tried again; no reader of ours stays longer than
the 500 rows that it reads at a time."""

REPORTS = "purges"
"""The directory of the signed reports, below the door's."""

ResultT = TypeVar("ResultT")
Run = Callable[[Callable[[], ResultT]], ResultT]
"""Does a job on the thread that the door log belongs to, and returns its result."""


class Purging:
    """One door log's purge.

    `run` does a job on the door log's thread. There, `erased` deletes what an erasure has left for
    a purge. Without a `key` nothing can be proved.

    Attributes:
        purged_s: when a purge was last complete, or when this was made; monotonic seconds.
        since_s: when the purge began that is under way, monotonic seconds; None while none is.
    """

    def __init__(
        self,
        app: App,
        visits: PurgedVisits,
        *,
        key: InstallationKey | None,
        run: Run[Any],
        erased: Callable[[], None] = lambda: None,
    ) -> None:
        self._app = app
        self._erased = erased
        self._visits = visits
        self.purged_s = app.clock.monotonic_s()
        self.since_s: float | None = None
        # Those of the days before a rotation are looked for as well, and are no secret.
        self._keys = None if key is None else (Canaries(first_key(key)), ReportSigner(key))
        self._run = run
        self._reports = PurgeReports(app.config.storage.door_directory / REPORTS)
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
        clock = self._app.clock
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
                retention(self._app.config),
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
            moment = self._app.clock.moment()
            proof = prove(
                report,
                moment,
                canaries,
                kept=self._run(self._visits.canaries),
                still_kept=lambda traces: self._run(partial(self._visits.still_kept, traces)),
                search=partial(search_apart, self._app.storage.visits_db),
                trim=partial(trim, self._app.config.storage.door_directory),
            )
            return proof, self._reports.keep(signer.signed(self._fields(proof)), proof.at)

    def answer(self, wanted: Purge) -> dict[str, Any]:
        """Purge, with a proof if that is wanted, and return the report. Not on the log's thread."""
        purge = partial(self.purge, believed=wanted.believe)
        if not wanted.prove:
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
        whose = {"branch": self._app.config.branch.id, "version": doorctl.__version__}
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


def purge_now(app: App, *, proved: bool, believed: bool = False) -> dict[str, Any]:
    """Have the running door purge, or do it here while none is running; return the report.

    `proved` searches the files afterwards and keeps a signed report. `believed`: the caller answers
    for the wall clock; that goes on the audit log first. Raises InputError: it can't be right.
    """
    if not believed:
        return _purged(app, proved=proved, believed=False)
    from doorctl.services.branch import noted  # the door process does without

    said = {"clock": app.clock.bounded(believed=True).local.isoformat(timespec="seconds")}
    with noted(app, Deed(Action.PURGE_CLOCK_BELIEVED, details=said)):
        return _purged(app, proved=proved, believed=True)


def _purged(app: App, *, proved: bool, believed: bool) -> dict[str, Any]:
    config, wanted = app.config, Purge(prove=proved, believe=believed)
    limit_s = PROVE_LIMIT_S if proved else PURGE_LIMIT_S

    def by_door() -> dict[str, Any]:
        return _trimmed(config, PURGE.ask(config.control.socket, wanted, timeout_s=limit_s))

    def alone() -> dict[str, Any]:
        key = _key(config, needed=proved)
        with closing(open_or_create_visits(app.storage.visits_db)) as visits:
            erased = partial(forget_left, app, lambda: visits)
            purging = Purging(app, visits, key=key, run=lambda job: job(), erased=erased)
            return purging.answer(wanted)

    return by_the_owner(by_door, alone, of=config.storage.door_directory)


def verify(app: App, path: Path) -> dict[str, Any]:
    """Return what a purge report says, if its signature is this installation's.

    Raises InputError: it was changed, or is none of this installation's.
    """
    key = read_key(app.config.secrets.installation_key_file)
    with owner_of(path.parent):
        report = read_report(path)
    for earlier in earlier_keys(key):
        # One of before a rotation.
        with suppress(InputError):
            return ReportSigner(earlier).verified(report)
    return ReportSigner(key).verified(report)


def _trimmed(config: Config, report: dict[str, Any]) -> dict[str, Any]:
    """Trim where the caller is root, which the door is not; the signed report stays as it is."""
    if report.get("trim") != Trim.NOT_PERMITTED.value or os.getuid() != ROOT:
        return report
    return {**report, "trim_by_caller": trim(config.storage.door_directory).value}


def _key(config: Config, *, needed: bool) -> InstallationKey | None:
    try:
        return read_key(config.secrets.installation_key_file)
    except KeyFileError:
        if needed:
            raise
        return None


# Incident holds: the door process's side, and a command's.


@dataclass(frozen=True, slots=True)
class Held:
    """A hold and the visits of it that may be shown now, oldest first.

    Unless it is `in_force` for certain, these are only visits that any list shows.
    """

    hold: Hold
    in_force: bool
    visits: tuple[Visit, ...]


def hold_answers(app: App, book: VisitStore, run: Run[Hold]) -> Answers:
    """Return the answers about holds on the door's socket; `run` is that of :class:`Purging`."""

    def add(wanted: Hold, line: Line) -> Hold:
        return run(partial(book.add_hold, _acceptable(app, wanted, line.signed(wanted.by))))

    def lift(wanted: LiftHold) -> Hold:
        return run(partial(book.lift_hold, wanted.number))

    return {**ADD_HOLD.answered_to(add), **LIFT_HOLD.answered(lift)}


def _acceptable(app: App, wanted: Hold, by: str) -> Hold:
    return accepted(replace(wanted, by=by), app.clock.moment(), retention(app.config))


def add_hold(app: App, wanted: Hold) -> Hold:
    """Add a hold, by the door where it runs; return it with its number.

    Audited: it is taken back where the entry can't be written. Raises DoorctlError: it makes no
    sense, or it could not be stored.
    """
    added = by_the_owner(
        lambda: ADD_HOLD.ask(app.config.control.socket, wanted),
        lambda: _alone(app, lambda book: book.add_hold(_acceptable(app, wanted, wanted.by))),
        of=app.config.storage.door_directory,
    )
    times = {"from": added.since, "to": added.to, "until": added.until}
    span = {name: at.isoformat(timespec="seconds") for name, at in times.items()}
    details: Details = {"number": added.number, **span}
    try:
        _note_hold(app, Deed(Action.HOLD_ADDED, why=wanted.reason, details=details))
    except DoorctlError:
        _lift(app, added.number)
        raise
    return added


def lift_hold(app: App, number: int) -> Hold:
    """Lift a hold, by the door where it runs, if the audit log takes the entry.

    Return it as it was. Raises DoorctlError: there is none of that number, or it could not be
    lifted.
    """
    from doorctl.services.branch import noted  # the door process does without

    chosen(stored_holds(app)[0], number)
    with noted(app, Deed(Action.HOLD_LIFTED, details={"number": number})):
        return _lift(app, number)


def _lift(app: App, number: int) -> Hold:
    return by_the_owner(
        lambda: LIFT_HOLD.ask(app.config.control.socket, LiftHold(number, app.by)),
        lambda: _alone(app, lambda book: book.lift_hold(number)),
        of=app.config.storage.door_directory,
    )


def stored_holds(app: App) -> tuple[tuple[Hold, ...], Moment]:
    """Return the holds, oldest first, and the moment by which they are judged."""
    with closing(VisitHistory(app.storage.visits_db)) as history:
        return history.holds(), app.clock.moment()


def show_hold(app: App, number: int, why: str = "") -> Held:
    """Return a hold with its visits that may be shown now; audited.

    Raises InputError: there is no such hold, or the reason says nothing.
    """
    moment = app.clock.bounded()
    with closing(VisitHistory(app.storage.visits_db)) as history:
        hold = chosen(history.holds(), number)
        since = readable_since(hold, moment, retention(app.config))
        visits = tuple(takewhile(lambda visit: visit.at < hold.to, history.visits(since)))
    details = {"number": number, "visits": len(visits)}
    _note_hold(app, Deed(Action.HOLD_SHOWN, why=why, details=details))
    return Held(hold, hold.in_force(moment), visits)


def _alone(app: App, change: Callable[[VisitStore], Hold]) -> Hold:
    with closing(open_or_create_visits(app.storage.visits_db)) as visits:
        return change(visits)


def _note_hold(app: App, deed: Deed) -> None:
    from doorctl.services.branch import note  # the door process does without

    note(app, deed)
