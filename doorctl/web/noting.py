"""Puts each push that was committed on the audit log, after a kill or a full disk too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from typing import Protocol

from doorctl.errors import StoreError
from doorctl.ports import EventLog
from doorctl.privacy.audit import SYNC, Action, Deed, Details
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

    def first_held(self, heads: Iterable[str]) -> str | None:
        """Return the first of some heads that is in the chain, None for none."""


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

    def compare(self, heads: Mapping[str, str]) -> int:
        """Return up to which number the audit log is the one that a sender saw; alarm if not whole.

        Args:
            heads: day -> where it ended then, the last first.

        Raises:
            StoreError: it can't be read, or it can't be put on record that it is an older copy.
        """
        if not heads:
            return 0
        last_day, last = next(iter(heads.items()))
        held = self._record.first_held(heads.values())
        agreed = 0 if held is None else _number(held)
        missing = _number(last) - agreed
        if missing > 0:
            since = next((day for day, head in heads.items() if head == held), "its beginning")
            why = (
                f"of the {_number(last)} entries of the audit log that the sender saw up to "
                f"{last_day}, as many as {missing} are missing, from number {agreed + 1} on: "
                f"what was done since {since} and before the copy was put back"
            )
            self._log.emit("alarm", kind="branch_rolled_back", why=why)
            details: Details = {"entries": missing, "from": agreed + 1, "since": since}
            self._record.note(Deed(Action.BRANCH_ROLLED_BACK, details=details), SYNC)
        return agreed

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


def _number(head: str) -> int:
    return int(head.partition(":")[0])
