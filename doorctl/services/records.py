"""Builds both ends of the audit log: commands that write it, and questions to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from doorctl.core.errors import StoreError
from doorctl.core.staff_text import refuse_purpose
from doorctl.privacy.audit import Action, Deed, Entry, Head, Verdict, erased_before
from doorctl.privacy.audit import verify as verify_chain
from doorctl.rpc import deeds
from doorctl.services.app import App
from doorctl.services.branch import BranchThread, change
from doorctl.store.records import AuditRecords


def note(app: App, deed: Deed, by: str | None = None) -> None:
    """Put a look or a deed on the audit log, durably; `by` None means the caller.

    Code that shows personal data calls this first and shows nothing if it raises.

    Raises:
        InputError: it has a reason that says nothing.
        StoreError: it could not be written.
    """
    refuse_purpose(deed.why, "reason", optional=True)
    change(app, deeds.note(deed), by)


def note_done(app: App, deed: Deed, by: str | None = None) -> None:
    """Put on the audit log what has been done already, as :func:`note` does.

    Call it before any output about the deed: an output may fail.

    Raises:
        StoreError: it could not be written; the text says that it is done all the same.
    """
    try:
        note(app, deed, by)
    except StoreError as err:
        raise StoreError(f"it is done, but the audit log does not say so: {err}") from err


def entries(
    app: App, since: datetime | None, why: str = "", by: str | None = None
) -> tuple[Entry, ...]:
    """Return the entries that are kept, oldest first; the look is first noted on the log.

    A `since` without an offset is local, None means all; `by` None means the caller.

    Raises:
        StoreError: the log can't be read or can't be written.
    """
    moment = app.clock.moment()
    start = since
    if start is not None and start.tzinfo is None:
        start = start.replace(tzinfo=moment.local.tzinfo)
    oldest = erased_before(moment)
    with _records(app) as records:
        kept = records.entries(None if start is None else start.astimezone(UTC))
    shown = tuple(entry for entry in kept if oldest is None or entry.at >= oldest)
    note(app, Deed(Action.AUDIT_READ, why=why, details={"entries": len(shown)}), by)
    return shown


def verify(app: App, anchors: Collection[Head] = ()) -> Verdict:
    """Check the whole chain; see `doorctl.privacy.audit.verify`.

    Raises:
        StoreError: it can't be read.
    """
    with _records(app) as records:
        # Asked before the links: what is added in between is no break.
        last_number = records.last_number()
        return verify_chain(records.links(), last_number, anchors)


def head(app: App) -> Head:
    """Return the chain's end.

    Raises:
        StoreError: it can't be read.
    """
    with _records(app) as records:
        return records.head()


class WebsAudit:
    """The web process's audit log. Thread-safe; each call may wait for a disk."""

    def __init__(self, thread: BranchThread) -> None:
        self._thread = thread

    def note(self, deed: Deed, by: str) -> None:
        """Put a deed on record, durably."""
        self._thread.run(lambda branch, moment: branch.audit.append(deed, by, moment))

    def head(self) -> str:
        """Return the chain's end."""
        return str(self._thread.run(lambda branch, _moment: branch.audit.head()))

    def first_held(self, heads: Iterable[str]) -> str | None:
        """Return the first of some heads that is in the chain, None for none."""
        read = {text: Head.read(text) for text in heads}
        return self._thread.run(
            lambda branch, _moment: next(
                (t for t, h in read.items() if branch.audit.holds(h)), None
            )
        )


@contextmanager
def _records(app: App) -> Iterator[AuditRecords]:
    with closing(AuditRecords(app.branch_db)) as records:
        yield records
