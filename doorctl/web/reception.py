"""One push from its first byte to the commit, on the one thread that owns the patron cache."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from doorctl.core.errors import Problem, PushInvalidError, StoreError
from doorctl.core.ports import Clock, EventLog
from doorctl.privacy.audit import SYNC, Action, Deed, Details
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_changes import PushJournal
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.sync.delivery import number_of
from doorctl.sync.document import SUBJECT, Kind, Manifest
from doorctl.sync.receive import Applying, Received, Staging, Terms, judge, receive

if TYPE_CHECKING:
    from doorctl.services.branch import WebsAudit


@dataclass(frozen=True, slots=True)
class Held:
    """Which push the cache holds; epoch 0 and no digest for none, no digest where it was lost.

    `digest` is the SHA-256 of its rows in hex; empty for a feed that was loaded on this machine.
    `patrons` are identifiers that the door can find; 0 where they were sealed otherwise.
    """

    epoch: int
    digest: str
    patrons: int


class Reception:
    """Takes pushes in, one at a time. Belongs to the thread that made `writer`.

    `lookup` is the same cache as the writer's, for counting. In `directory`, on the databases' own
    disk, a document waits for its last byte. `journal` keeps which pushes the audit log is owed;
    None where there is no audit log. `floor` is the highest number that the branch has taken, by
    its audit log.

    Raises:
        StoreError: by each method: the cache or the journal can't be read or written.
    """

    def __init__(
        self,
        terms: Terms,
        *,
        writer: PatronCacheWriter,
        lookup: PatronCache,
        clock: Clock,
        directory: Path,
        journal: PushJournal | None = None,
        floor: int = 0,
    ) -> None:
        self.terms = terms
        self.writer = writer
        self._lookup = lookup
        self._clock = clock
        self._directory = directory
        self._journal = journal
        self._floor = floor

    def held(self) -> Held:
        """Return which push is held."""
        push = self.writer.held()
        try:
            patrons = self._lookup.stamp().patrons
        except StoreError:
            # The call just before has read the same row of the same file.
            patrons = 0
        if push.epoch < self._floor:
            # The sender knows of no push without a digest, so it sends all rows, numbered above.
            return Held(self._floor, "", patrons)
        return Held(push.epoch, push.digest, patrons)

    def staging(self) -> Staging:
        """Return a staging for the next document, on any thread; the caller closes it."""
        # Readable by nobody else and without a name: no crash can leave it behind.
        return Staging(self.terms, lambda: tempfile.TemporaryFile(dir=self._directory))

    def judge(self, manifest: Manifest | None) -> Received | None:
        """Judge a push by its first line, if there is one; return the answer if it is held already.

        A push that is refused whatever its rows are then costs no more time.
        """
        if manifest is None:
            return None
        return judge(manifest, self.writer.held(), self.terms, self._floor)

    def settle(self, staging: Staging, kind: Kind | None) -> Received:
        """Apply the whole document, or change nothing; without a kind only return the result."""
        staged = staging.finish()
        manifest = staged.manifest
        if kind is not None and manifest.kind != kind:
            what = f'kind: sent to where a push is of kind "{kind}"; see the address'
            raise PushInvalidError(SUBJECT, [Problem("line 1", what)])
        return receive(
            staged,
            self.writer,
            self.terms,
            applied_at=self._clock.moment().local.astimezone(UTC),
            floor=self._floor,
            before_commit=partial(self._owe, manifest),
            rehearsed=kind is None,
        )

    def owed(self) -> tuple[Applying, ...]:
        """Return the pushes that were committed and are not on the audit log."""
        return self._journal.owed(self.writer.held()) if self._journal else ()

    def noted(self, applying: Applying) -> None:
        """Note that a push is on the audit log."""
        if self._journal:
            self._journal.noted(applying)

    def _owe(self, manifest: Manifest) -> None:
        if self._journal:
            applying = Applying(
                epoch=manifest.epoch,
                digest=manifest.sha256,
                kind=manifest.kind,
                lines=manifest.count,
                approved_by=manifest.approved_by,
            )
            self._journal.begin(applying, self.writer.held())


class Noting:
    """Puts each committed push on the audit log, after a kill or a full disk too.

    The pushes that the journal holds are put on record, then removed from the journal: if the
    process dies between the two, a push is on record twice, but never missing. One thread at a
    time; `reception` is used on `worker` alone, as in `doorctl.web.pushes.Pushes`.
    """

    def __init__(
        self, reception: Reception, worker: Executor, log: EventLog, record: WebsAudit
    ) -> None:
        self._reception = reception
        self._worker = worker
        self._log = log
        self._record = record
        self._alarmed: set[Applying] = set()

    def catch_up(self) -> None:
        """Put all that is owed on record; where that fails there is an alarm, but no error.

        The pushes are committed, so a fault here must not look like a refused push.
        """
        try:
            for applying in self._worker.submit(self._reception.owed).result():
                self._tell(applying)
                self._note(applying)
                self._worker.submit(self._reception.noted, applying).result()
                self._alarmed.discard(applying)
        except StoreError as err:
            self._log.emit("alarm", kind="branch_failing", why=str(err))
        except Exception as err:  # noqa: BLE001 - as said above
            # The text may quote anything; the kind says enough to be found.
            why = f"a push is not on the audit log: a fault of doorctl's own ({type(err).__name__})"
            self._log.emit("alarm", kind="branch_failing", why=why)

    def compare(self, heads: Mapping[str, str]) -> int:
        """Return up to which number the audit log is the one a sender saw; alarm if entries miss.

        `heads` has the log's end of each day, the last day first.

        Raises:
            StoreError: it can't be read, or it can't be put on record that it is an older copy.
        """
        if not heads:
            return 0
        last_day, last = next(iter(heads.items()))
        held = self._record.first_held(heads.values())
        agreed = 0 if held is None else number_of(held)
        missing = number_of(last) - agreed
        if missing > 0:
            since = next((day for day, head in heads.items() if head == held), "its beginning")
            why = (
                f"of the {number_of(last)} entries of the audit log that the sender saw up to "
                f"{last_day}, as many as {missing} are missing, from number {agreed + 1} on: "
                f"what was done since {since} and before the copy was put back"
            )
            self._log.emit("alarm", kind="branch_rolled_back", why=why)
            details: Details = {"entries": missing, "from": agreed + 1, "since": since}
            self._record.note(Deed(Action.BRANCH_ROLLED_BACK, details=details), SYNC)
        return agreed

    def _tell(self, applying: Applying) -> None:
        if applying.approved_by is None or applying in self._alarmed:
            return
        self._alarmed.add(applying)
        why = f"push {applying.epoch} was let past the guard, by the name that stands in it"
        self._log.emit("alarm", kind="push_approved", why=why)

    def _note(self, applying: Applying) -> None:
        details = {"epoch": applying.epoch, "kind": applying.kind, "applied": applying.lines}
        self._record.note(Deed(Action.PUSH_APPLIED, details=details), SYNC)
        if applying.approved_by is not None:
            approval = Deed(Action.PUSH_APPROVED, details={"epoch": applying.epoch})
            self._record.note(approval, applying.approved_by)
