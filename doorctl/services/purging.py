"""Builds the purge and its proof, for the door process and for a command while there is none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import doorctl
from doorctl.config import Config
from doorctl.core.errors import InputError, KeyFileError, StoreError
from doorctl.core.identity import ROOT, owner_of
from doorctl.core.masked import InstallationKey
from doorctl.core.ports import Clock
from doorctl.privacy.canaries import Canaries
from doorctl.privacy.hold import HoldAdded, HoldLifted
from doorctl.privacy.proof import Proof, ReportSigner, Trim, prove
from doorctl.privacy.retention import ProvableRetention, PurgeReport, purge
from doorctl.privacy.subject import PartErased, Subject
from doorctl.privacy.watched_time import WatchedTime
from doorctl.rpc.control import Answers, Question, ask
from doorctl.rpc.door import ERASE_VISITS, Done
from doorctl.services.app import branch_db, by_the_owner, retention, system_clock, visits_db
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
        self._canaries = None if key is None else Canaries(first_key(key))
        self._signer = None if key is None else ReportSigner(key)
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
            canaries=self._canaries,
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
        assert self._canaries is not None  # noqa: S101 - a proof needs the key
        assert self._signer is not None  # noqa: S101 - as above
        with self._proving:
            moment = self._clock.moment()
            proof = prove(
                report,
                moment,
                self._canaries,
                kept=self._run(self._visits.canaries),
                still_kept=self._still_kept,
                search=partial(search_apart, visits_db(self._config)),
                trim=partial(trim, self._config.storage.door_directory),
            )
            return proof, self._reports.keep(self._signer.signed(self._fields(proof)), proof.at)

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
