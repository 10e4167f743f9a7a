"""Puts each push that was committed on the audit log, after a kill or a full disk too."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Protocol

from doorctl.errors import StoreError
from doorctl.ports import EventLog
from doorctl.privacy.audit import SYNC, Action, Deed
from doorctl.sync.journal import Applying
from doorctl.web.reception import Reception


class PushRecord(Protocol):
    """The branch's audit log. Thread-safe; each call may wait for a disk.

    Raises:
        StoreError: it can't be written or read.
    """

    def note(self, deed: Deed, by: str) -> None:
        """Put a deed on record, durably."""

    def head(self) -> str:
        """Return the chain's end."""


class Noting:
    """Tell of each push what has to be told of it. One thread at a time.

    What the journal says is owed is put on record, then struck out of the journal: where the
    process dies between the two, it is on record twice and never not at all.

    Args:
        reception: knows what is owed; is asked on `worker` alone.
        worker: see `doorctl.web.pushes.Pushes`.
        log: takes the alarms.
        record: the audit log.
    """

    def __init__(
        self, reception: Reception, worker: Executor, log: EventLog, record: PushRecord
    ) -> None:
        self._reception = reception
        self._worker = worker
        self._log = log
        self._record = record
        self._told: set[Applying] = set()

    def catch_up(self) -> None:
        """Put all that is owed on record; where that fails there is an alarm, and no error.

        The pushes are committed: whatever goes wrong here must not make anybody think otherwise.
        """
        try:
            for applying in self._worker.submit(self._reception.owed).result():
                self._tell(applying)
                self._note(applying)
                self._worker.submit(self._reception.noted, applying).result()
                self._told.discard(applying)
        except StoreError as err:
            self._log.emit("alarm", kind="branch_failing", why=str(err))
        except Exception as err:  # noqa: BLE001 - as said above
            # The text may quote anything; the kind says enough to be found.
            why = f"a push is not on the audit log: a fault of doorctl's own ({type(err).__name__})"
            self._log.emit("alarm", kind="branch_failing", why=why)

    def _tell(self, applying: Applying) -> None:
        if applying.approved_by is None or applying in self._told:
            return
        self._told.add(applying)
        why = f"push {applying.epoch} was let past the guard, by the name that stands in it"
        self._log.emit("alarm", kind="push_approved", why=why)

    def _note(self, applying: Applying) -> None:
        details = {"epoch": applying.epoch, "kind": applying.kind, "applied": applying.lines}
        self._record.note(Deed(Action.PUSH_APPLIED, details=details), SYNC)
        if applying.approved_by is not None:
            approval = Deed(Action.PUSH_APPROVED, details={"epoch": applying.epoch})
            self._record.note(approval, applying.approved_by)
