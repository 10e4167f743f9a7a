"""The purge, its proof, and holds: for the door process, and for a command while there is none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

import msgspec

import doorctl
from doorctl.config import Config
from doorctl.core.errors import DoorctlError, InputError, KeyFileError, StoreError
from doorctl.core.identity import ROOT, owner_of
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import Moment
from doorctl.core.ports import Clock
from doorctl.privacy.audit import Action, Deed, Details
from doorctl.privacy.proof import Proof, ReportSigner, Trim, prove
from doorctl.privacy.retention import (
    Canaries,
    Hold,
    HoldAdded,
    HoldAsked,
    HoldBook,
    HoldLifted,
    ProvableRetention,
    PurgeReport,
    WatchedTime,
    accepted,
    chosen,
    purge,
    readable_since,
)
from doorctl.privacy.subject import PartErased, Subject
from doorctl.rpc.control import Answers, Question, ask
from doorctl.rpc.door import ERASE_VISITS, Done
from doorctl.services.app import App, branch_db, by_the_owner, retention, system_clock, visits_db
from doorctl.store.door_log import Visit, VisitHistory
from doorctl.store.keys import earlier_keys, first_key, read_key
from doorctl.store.residue import PurgeReports, read_report, search_apart, trim
from doorctl.store.subject import StoredErasures, erase_visits, forget_erased
from doorctl.store.visits import VisitStore, open_or_create_visits

# What the door process does for a person's rights: it owns the door log.

Opened = Callable[[], VisitStore]
"""Opens the door log unless it is open; on its own thread."""


def doors_answers(
    run: Callable[[Callable[[], PartErased]], PartErased],
    opened: Opened,
    forget: Callable[[frozenset[bytes]], None],
) -> Answers:
    """Return the door process's answers about a person's rights.

    `run` does a job on the door log's thread. There, `forget` takes row keys, so that no open
    attempt stores them again.
    """

    def erase(subject: Subject) -> PartErased:
        visits = opened()
        forget(subject.row_keys)
        return erase_visits(visits.path, visits.database, subject)

    return ERASE_VISITS.answered(lambda request: Done(run(lambda: erase(request.subject))))


def forget_left(config: Config, opened: Opened) -> None:
    """Delete what an erasure had to leave in the door log; a part of each purge, on its thread.

    Where the erasures can't be read, the purge goes on without this.
    """
    with suppress(StoreError), closing(StoredErasures(branch_db(config))) as erasures:
        visits = opened()
        forget_erased(visits.path, visits.database, erasures.tombstones())


PURGE_LIMIT_S = 60.0
PROVE_LIMIT_S = 200.0
"""Longest wait for a proof: three purges, and a search that is given up after 120 s."""

RETRY_S = (1.0, 3.0)
"""Pauses before a purge that a reader blocked is tried again; no reader of ours stays longer than
the 500 rows that it reads at a time."""

PROVE, REPORTS = "prove", "purges"

Audited = PurgeReport | HoldAdded | HoldLifted
Audit = Callable[[Audited], None]
"""Puts an event on the audit log; must not raise."""

ResultT = TypeVar("ResultT")
Run = Callable[[Callable[[], ResultT]], ResultT]
"""Does a job on the thread that the door log belongs to, and returns its result."""


def unaudited(_event: Audited) -> None:
    """Drop an event where nothing is audited."""


def nobody_erased() -> None:
    """Delete nothing where nobody was erased."""


class Purging:
    """One door log's purge.

    `audit` hears of each purge that was not postponed, and `erased` deletes what an erasure has
    left for a purge, both on the door log's thread. Without a `key` nothing can be proved.

    Attributes:
        purged_s: when a purge was last complete, or when this was made; monotonic seconds.
        since_s: when the purge began that is under way, monotonic seconds; None while none is.
    """

    def __init__(
        self,
        config: Config,
        visits: ProvableRetention,
        clock: Clock,
        *,
        key: InstallationKey | None,
        run: Run[Any],
        audit: Audit = unaudited,
        erased: Callable[[], None] = nobody_erased,
    ) -> None:
        self._config = config
        self._erased = erased
        self._visits = visits
        self._clock = clock
        self.purged_s = clock.monotonic_s()
        self.since_s: float | None = None
        # Those of the days before a rotation are looked for as well, and are no secret.
        self._keys = None if key is None else (Canaries(first_key(key)), ReportSigner(key))
        self._run = run
        self._audit = audit
        self._reports = PurgeReports(config.storage.door_directory / REPORTS)
        self._pending: frozenset[bytes] = frozenset()
        self._watched = WatchedTime()
        # Two searches at a time would only be in each other's way.
        self._proving = threading.Lock()

    def purge(self, *, whole: bool = True) -> PurgeReport:
        """Purge once; on the thread that the door log belongs to.

        `whole` is that of :func:`~doorctl.privacy.retention.purge`.

        Raises:
            StoreError: the door log failed.
        """
        self.since_s = self._clock.monotonic_s()
        try:
            return self._purge(whole=whole)
        finally:
            self.since_s = None

    def _purge(self, *, whole: bool) -> PurgeReport:
        self._erased()
        moment = self._clock.moment()
        report = purge(
            self._visits,
            moment,
            self._clock.boot_time(),
            retention(self._config),
            believed=self._watched.stands(moment, self._clock.monotonic_s()),
            whole=whole,
            canaries=self._keys and self._keys[0],
            earlier=self._pending,
            remember=self._remember,
        )
        self._pending = frozenset() if report.complete else report.traces
        if report.complete:
            self.purged_s = self._clock.monotonic_s()
        if not report.postponed:
            self._audit(replace(report, traces=frozenset()))
        return report

    def _remember(self, traces: frozenset[bytes]) -> None:
        self._pending = traces

    def prove(self, report: PurgeReport) -> tuple[Proof, Path]:
        """Search, and keep the signed report. Takes seconds; not on the door log's thread.

        Raises:
            DoorctlError: nothing was proved, or the report could not be kept.
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
                still_kept=self._still_kept,
                search=partial(search_apart, visits_db(self._config)),
                trim=partial(trim, self._config.storage.door_directory),
            )
            return proof, self._reports.keep(signer.signed(self._fields(proof)), proof.at)

    def answer(self, question: Question) -> Mapping[str, Any]:
        """Purge, with a proof if that is wanted, and return the report. Not on the log's thread."""
        if not question.about.get(PROVE):
            report: PurgeReport = self._run(self.purge)
            return report.as_dict()
        report = self._without_readers()
        if report.postponed:
            return report.as_dict()
        proof, path = self.prove(report)
        return {**self._fields(proof), "file": str(path)}

    def _without_readers(self) -> PurgeReport:
        report: PurgeReport = self._run(self.purge)
        for pause_s in RETRY_S:
            if report.complete or report.postponed:
                break
            threading.Event().wait(pause_s)
            deleted = report.deleted
            report = self._run(self.purge)
            report = report.after(deleted)
        return report

    def _still_kept(self, traces: frozenset[bytes]) -> frozenset[bytes]:
        kept: frozenset[bytes] = self._run(partial(self._visits.still_kept, traces))
        return kept

    def _fields(self, proof: Proof) -> dict[str, Any]:
        whose = {"branch": self._config.branch.id, "version": doorctl.__version__}
        return {**proof.as_dict(), **whose}


def purge_now(config: Config, *, proved: bool) -> dict[str, Any]:
    """Have the running door purge, or do it here while none is running; return the report.

    `proved` searches the files afterwards and keeps a signed report.
    """
    question = Question("purge", {PROVE: True} if proved else {})
    limit_s = PROVE_LIMIT_S if proved else PURGE_LIMIT_S

    def by_door() -> dict[str, Any]:
        return _trimmed(config, ask(config.control.socket, question, timeout_s=limit_s))

    def alone() -> dict[str, Any]:
        key = _key(config, needed=proved)
        with closing(open_or_create_visits(visits_db(config))) as visits:
            purging = Purging(
                config,
                visits,
                system_clock(config),
                key=key,
                run=lambda job: job(),
                erased=lambda: forget_left(config, lambda: visits),
            )
            return dict(purging.answer(question))

    return by_the_owner(by_door, alone, of=config.storage.door_directory)


def verify(config: Config, path: Path) -> dict[str, Any]:
    """Return what a purge report says, if its signature is this installation's.

    Raises:
        InputError: it was changed, or is none of this installation's.
        DoorctlError: it or the installation key can't be read.
    """
    key = read_key(config.secrets.installation_key_file)
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

ADD, LIFT = "hold_add", "hold_lift"
HOLD_LIMIT_S = 30.0
"""Longest wait for the door; a hold takes milliseconds, a purge before it longer."""


@dataclass(frozen=True, slots=True)
class Lifting:
    """The number of a hold to be lifted, and who lifts it."""

    number: int
    by: str


@dataclass(frozen=True, slots=True)
class Held:
    """A hold and the visits of it that may be shown now, oldest first.

    Unless it is `in_force` for certain, these are only visits that any list shows.
    """

    hold: Hold
    in_force: bool
    visits: tuple[Visit, ...]


class Holding:
    """The door log's holds, on the side that writes them.

    `run` does a job on the door log's thread; `audit` gets each change.
    """

    def __init__(
        self,
        config: Config,
        book: HoldBook,
        clock: Clock,
        *,
        run: Run[Any],
        audit: Audit = unaudited,
    ) -> None:
        self._config = config
        self._book = book
        self._clock = clock
        self._run = run
        self._audit = audit

    def answers(self) -> Answers:
        """Return the answers on the door's socket."""
        return {ADD: self.add, LIFT: self.lift}

    def add(self, question: Question) -> dict[str, Any]:
        """Add a hold, a :class:`HoldAsked`, and return it.

        Raises:
            InputError: it makes no sense.
            StoreError: nothing was changed.
        """
        request = msgspec.convert(question.about, HoldAsked)
        request = replace(request, by=question.signed(request.by))
        hold = accepted(request, self._clock.moment(), retention(self._config))
        added: Hold = self._run(partial(self._book.add_hold, hold))
        self._audit(HoldAdded(added))
        return _as_answer(added)

    def lift(self, question: Question) -> dict[str, Any]:
        """Lift a hold, a :class:`Lifting`, and return it as it was.

        Raises:
            InputError: there is none of that number.
            StoreError: nothing was changed.
        """
        lifting = msgspec.convert(question.about, Lifting)
        by = question.signed(lifting.by)
        lifted: Hold = self._run(partial(self._book.lift_hold, lifting.number))
        self._audit(HoldLifted(lifted, by))
        return _as_answer(lifted)


def add_hold(app: App, request: HoldAsked) -> Hold:
    """Add a hold, by the door where it runs; return it with its number.

    Audited: it is taken back where the entry can't be written.

    Raises:
        DoorctlError: it makes no sense, or it could not be stored.
    """
    added = _changed(app, Question(ADD, msgspec.to_builtins(request)), Holding.add)
    times = {"from": added.since, "to": added.to, "until": added.until}
    span = {name: at.isoformat(timespec="seconds") for name, at in times.items()}
    details: Details = {"number": added.number, **span}
    try:
        _note_hold(app, Deed(Action.HOLD_ADDED, why=request.reason, details=details), request.by)
    except DoorctlError:
        _lift(app, added.number, request.by)
        raise
    return added


def lift_hold(app: App, number: int, by: str) -> Hold:
    """Lift a hold, by the door where it runs, if the audit log takes the entry.

    Return it as it was.

    Raises:
        DoorctlError: there is none of that number, or it could not be lifted.
    """
    chosen(stored_holds(app)[0], number)
    _note_hold(app, Deed(Action.HOLD_LIFTED, details={"number": number}), by)
    return _lift(app, number, by)


def _lift(app: App, number: int, by: str) -> Hold:
    return _changed(app, Question(LIFT, msgspec.to_builtins(Lifting(number, by))), Holding.lift)


def stored_holds(app: App) -> tuple[tuple[Hold, ...], Moment]:
    """Return the holds, oldest first, and the moment by which they are judged.

    Raises:
        StoreError: the door log can't be read.
    """
    with closing(VisitHistory(app.visits_db)) as history:
        return history.holds(), app.clock.moment()


def show_hold(app: App, number: int, by: str, why: str = "") -> Held:
    """Return a hold with its visits that may be shown now; audited.

    Raises:
        InputError: there is no such hold, or the reason says nothing.
        StoreError: the door log can't be read, or the look can't be put on record.
    """
    moment = app.clock.moment()
    with closing(VisitHistory(app.visits_db)) as history:
        hold = chosen(history.holds(), number)
        since = readable_since(hold, moment, retention(app.config))
        visits = tuple(takewhile(lambda visit: visit.at < hold.to, history.visits(since)))
    details = {"number": number, "visits": len(visits)}
    _note_hold(app, Deed(Action.HOLD_SHOWN, why=why, details=details), by)
    return Held(hold, hold.in_force(moment), visits)


def _changed(
    app: App, question: Question, change: Callable[[Holding, Question], dict[str, Any]]
) -> Hold:
    def alone() -> dict[str, Any]:
        with closing(open_or_create_visits(app.visits_db)) as visits:
            holding = Holding(app.config, visits, app.clock, run=lambda job: job())
            return change(holding, question)

    by_door = partial(ask, app.config.control.socket, question, timeout_s=HOLD_LIMIT_S)
    done = by_the_owner(by_door, alone, of=app.config.storage.door_directory)
    return msgspec.convert(done, Hold)


def _as_answer(hold: Hold) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.to_builtins(hold)
    return answer


def _note_hold(app: App, deed: Deed, by: str) -> None:
    from doorctl.services.branch import note  # noqa: PLC0415 - the door process does without

    note(app, deed, by)
