"""One push from its first byte to the commit, on the one thread that owns the patron cache."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from doorctl.access.patron import Applied, SealedRow
from doorctl.core.errors import Problem, PushInvalidError, StoreError
from doorctl.core.ports import AlarmOnce, Clock, EventLog
from doorctl.privacy.audit import SYNC, Action, Deed, Details
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, applied_anew
from doorctl.store.push_journal import Applying, PushJournal
from doorctl.sync.document import SUBJECT, Kind, Manifest
from doorctl.sync.exchange import number_of
from doorctl.sync.guard import Changes
from doorctl.sync.receive import Push, Received, Staged, Staging, Terms, judge
from doorctl.web.branch_thread import WebsAudit


class _RehearsedError(Exception):
    """Undo a rehearsed push that has gone well."""


@dataclass(eq=False)
class Reception:
    """Takes pushes in, one at a time. Belongs to the thread that made `writer`.

    `lookup` is the same cache as the writer's, for counting. In `directory`, on the databases' own
    disk, a document waits for its last byte. `journal` keeps which pushes the audit log is owed;
    None where there is no audit log. `floor` is the highest number that the branch has taken, by
    its audit log. Raises StoreError: by each method: the cache or the journal can't be read or
    written.
    """

    terms: Terms
    writer: PatronCacheWriter
    lookup: PatronCache
    clock: Clock
    directory: Path
    journal: PushJournal | None = None
    floor: int = 0

    def held(self) -> Push:
        """Return which push is held; epoch 0 for none, no digest where it was lost or damaged."""
        push = self.writer.held()
        # The sender knows of no push without a digest, so it sends all rows, numbered above.
        if push.epoch < self.floor:
            return Push(self.floor)
        return Push(push.epoch) if self.writer.is_incomplete() else push

    def patrons(self) -> int:
        """Return how many identifiers the door can find; 0 where they were sealed otherwise."""
        with suppress(StoreError):
            return self.lookup.stamp().patrons
        return 0

    def staging(self) -> Staging:
        """Return a staging for the next document, on any thread; the caller closes it."""
        # No other user can read it, and it has no name: no crash can leave it behind.
        return Staging(self.terms, lambda: tempfile.TemporaryFile(dir=self.directory))

    def judge(self, manifest: Manifest | None) -> Received | None:
        """Judge a push by its first line, if there is one; return the answer if it is held already.

        A push that is refused whatever its rows are then costs no more time.
        """
        if manifest is None:
            return None
        return judge(manifest, self.writer.held(), self.terms, self.floor)

    def settle(self, staged: Staged, kind: Kind | None) -> Received:
        """Apply the whole document, or change nothing; without a kind only return the result.

        Raises PushError: as :func:`judge`, it was sent as another kind, or `PushGuardedError`: it
        would lock out too many. RowsClashError: two rows or two patrons claim one identifier.
        """
        manifest = staged.manifest
        if kind is not None and manifest.kind != kind:
            what = f'kind: sent to where a push is of kind "{kind}"; see the address'
            raise PushInvalidError(SUBJECT, [Problem("line 1", what)])
        known = self.judge(manifest)
        if known is not None:
            return known
        approved = manifest.approved_by is not None
        warnings: dict[str, str] = {}

        def last(changes: Changes) -> None:
            if not approved:
                warnings.update(self.terms.guard(changes) or {})
            if kind is None:
                raise _RehearsedError
            self._owe(manifest)

        at, full = self.clock.moment().local, manifest.kind == "snapshot"

        def apply() -> Applied:
            warnings.clear()
            return self.writer.apply(
                (line for line in staged.lines() if isinstance(line, SealedRow)),
                full=full,
                applied_at=at,
                minimum_age=manifest.minimum_age,
                guard=last,
                removals=staged.removed(),
                push=Push(manifest.epoch, manifest.sha256),
                approved=approved,
            )

        with suppress(_RehearsedError):
            apply() if kind is None else applied_anew(self.writer, apply, at, full=full)
        return Received(manifest.epoch, manifest.count, unchanged=False, warnings=warnings)

    def owed(self) -> tuple[Applying, ...]:
        """Return the pushes that were committed and are not on the audit log."""
        return self.journal.owed(self.writer.held()) if self.journal else ()

    def noted(self, applying: Applying) -> None:
        """Note that a push is on the audit log."""
        if self.journal:
            self.journal.noted(applying)

    def _owe(self, manifest: Manifest) -> None:
        if self.journal:
            applying = Applying(
                epoch=manifest.epoch,
                digest=manifest.sha256,
                kind=manifest.kind,
                lines=manifest.count,
                approved_by=manifest.approved_by,
            )
            self.journal.begin(applying, self.writer.held())


@dataclass(eq=False)
class Noting:
    """Puts each committed push on the audit log, after a kill or a full disk too.

    The pushes that the journal holds are put on record, then removed from the journal: if the
    process dies between the two, a push is on record twice, but never missing. One thread at a
    time; `reception` is used on `worker` alone, as in `doorctl.web.pushes.Pushes`.
    """

    reception: Reception
    worker: Executor
    log: EventLog
    record: WebsAudit

    def __post_init__(self) -> None:
        self._alarmed: set[Applying] = set()
        self._failing = AlarmOnce(self.log, "branch_failing", "pushes")

    def catch_up(self) -> None:
        """Put all that is owed on record; where that fails there is an alarm, but no error.

        The pushes are committed, so a fault here must not look like a refused push.
        """
        try:
            for applying in self.worker.submit(self.reception.owed).result():
                self._tell(applying)
                self._note(applying)
                self.worker.submit(self.reception.noted, applying).result()
                self._alarmed.discard(applying)
            self._failing.tell(None)
        except StoreError as err:
            self._failing.tell(str(err), again=True)
        except Exception as err:  # noqa: BLE001 - as said above
            # The text may quote anything; the kind says enough to be found.
            why = f"a push is not on the audit log: a fault of doorctl's own ({type(err).__name__})"
            self._failing.tell(why, again=True)

    def compare(self, heads: Mapping[str, str]) -> int:
        """Return the last number of the audit log that a sender has seen; alarm if entries miss.

        `heads` has the log's end of each day, the last day first. Raises StoreError: it can't be
        read, or it can't be put on record that it is an older copy.
        """
        if not heads:
            return 0
        last_day, last = next(iter(heads.items()))
        held = self.record.first_held(heads.values())
        agreed = 0 if held is None else number_of(held)
        if number_of(last) > agreed:
            since = next((day for day, head in heads.items() if head == held), "its beginning")
            self._miss(last_day, number_of(last), agreed, since)
        return agreed

    def _miss(self, last_day: str, last: int, agreed: int, since: str) -> None:
        # What is dated before the day on which the sender saw the end was in the copy, what is
        # dated after it came when the copy had been put back; that day's may be either.
        day = date.fromisoformat(last_day)
        kept, at = self.record.last_before(day)
        if agreed < kept < last:
            since = at
        else:
            kept = agreed
        most = last - kept
        least = max(1, last - max(kept, self.record.last_before(day + timedelta(days=1))[0]))
        many = f"{most}" if least == most else f"{least} to {most}"
        why = (
            f"of the {last} entries of the audit log that the sender saw up to {last_day}, {many} "
            f"are missing, from number {kept + 1} on: look at the passes and bans that were made, "
            f"changed or ended since {since} and before the copy was put back"
        )
        self.log.emit("alarm", kind="branch_rolled_back", why=why)
        details: Details = {"entries": most, "from": kept + 1, "since": since}
        if least < most:
            details = {"least": least, **details}
        self.record.note(Deed(Action.BRANCH_ROLLED_BACK, details=details), SYNC)

    def _tell(self, applying: Applying) -> None:
        if applying.approved_by is None or applying in self._alarmed:
            return
        self._alarmed.add(applying)
        why = f"push {applying.epoch} was let past the guard, by the name that stands in it"
        self.log.emit("alarm", kind="push_approved", why=why)

    def _note(self, applying: Applying) -> None:
        details = {"epoch": applying.epoch, "kind": applying.kind, "applied": applying.lines}
        self.record.note(Deed(Action.PUSH_APPLIED, details=details), SYNC)
        if applying.approved_by is not None:
            approval = Deed(Action.PUSH_APPROVED, details={"epoch": applying.epoch})
            self.record.note(approval, applying.approved_by)
