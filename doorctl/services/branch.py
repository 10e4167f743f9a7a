"""``branch.db`` changed by the web process, which owns it, or here; and its audit log."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from doorctl.core.errors import (
    DoorctlError,
    InputError,
    NotAnsweringError,
    NotRunningError,
    StoreError,
    StuckError,
)
from doorctl.core.texts import refuse_purpose
from doorctl.lookup.app import App
from doorctl.lookup.configured import local
from doorctl.privacy.audit import Action, Deed, Entry, erased_before
from doorctl.privacy.audit_chain import Head, Verdict
from doorctl.privacy.audit_chain import verify as verify_chain
from doorctl.services import deeds
from doorctl.services.deeds import WRITE_LIMIT_S, OpenBranch, Request, ask_web
from doorctl.services.owner import by_the_owner
from doorctl.store.accounts import Books
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import open_or_create_branch
from doorctl.store.door_log import CARD_HEX_DIGITS
from doorctl.store.records import AuditRecords, AuditTrail

ResultT = TypeVar("ResultT")


def change(app: App, request: Request[ResultT]) -> ResultT:
    """Have the web process, which owns ``branch.db``, change it; own it while web is not running.

    The change and its entry on the audit log are made together, or neither. Raises InputError: it
    makes no sense; nothing was changed. StuckError: web was asked and did not answer; it may have
    been done.
    """

    def by_web() -> ResultT:
        socket, now_s = app.config.web.socket, app.clock.monotonic_s()
        return ask_web(socket, request, by=app.by, timeout_s=WRITE_LIMIT_S, monotonic_s=now_s)

    def alone() -> ResultT:
        with ExitStack() as stack:
            return request.run(opened_branch(app, stack), app.by, app.clock.bounded())

    try:
        return by_the_owner(by_web, alone, absent=NotRunningError)
    except OverflowError:
        raise InputError("a number is larger than any that was ever given; list them") from None
    except NotAnsweringError as err:
        raise StuckError(
            "the web process was asked and did not answer: it may have been done, so look before "
            "you try again (systemctl status doorctl-web)"
        ) from err


def opened_branch(app: App, stack: ExitStack) -> OpenBranch:
    """Return ``branch.db`` open for its one writer, until the stack is closed."""
    path = app.storage.branch_db
    writer = stack.enter_context(closing(open_or_create_branch(path)))
    book = stack.enter_context(closing(BranchRecords(path)))
    return OpenBranch(book, writer, AuditTrail(writer), Books(writer))


def note(app: App, deed: Deed) -> None:
    """Put a look or a deed on the audit log, durably.

    Code that shows personal data calls this first and shows nothing if it raises. Raises
    InputError: it has a reason that says nothing.
    """
    refuse_purpose(deed.why, "reason", optional=True)
    change(app, deeds.note(deed))


@contextmanager
def noted(app: App, deed: Deed) -> Iterator[None]:
    """Put on the audit log what the block does, and where it fails, that it did.

    Another process does it: nothing is done that can't be noted, and no entry can be taken back.
    """
    note(app, deed)
    try:
        yield
    except DoorctlError as error:
        outcome = "refused" if isinstance(error, InputError) else "unknown"
        with suppress(DoorctlError):
            # Without the card: the person was looked at once.
            note(app, Deed(deed.action, why=deed.why, details={**deed.details, "outcome": outcome}))
        raise


def note_done(app: App, deed: Deed) -> None:
    """Put on the audit log what has been done already, as :func:`note` does.

    Call it before any output about the deed: an output may fail. Raises StoreError: it could not be
    written; the text says that it is done all the same.
    """
    try:
        note(app, deed)
    except StoreError as err:
        raise StoreError(f"it is done, but the audit log does not say so: {err}") from err


def audit_entries(app: App, since: datetime | None, why: str = "") -> tuple[Entry, ...]:
    """Return the entries that are kept, oldest first; the look is first noted on the log.

    A `since` without an offset is local; None means all.
    """
    start = None if since is None else local(since, app.config).astimezone(UTC)
    oldest = erased_before(app.clock.bounded().latest)
    with closing(AuditRecords(app.storage.branch_db)) as records:
        kept = records.entries(start)
    shown = tuple(entry for entry in kept if entry.at >= oldest)
    note(app, Deed(Action.AUDIT_READ, why=why, details={"entries": len(shown)}))
    return shown


def as_dict(entry: Entry) -> dict[str, Any]:
    """Return an entry of the audit log for scripts; `at` has milliseconds."""
    deed = entry.deed
    return {
        "number": entry.number,
        "at": entry.at.isoformat(timespec="milliseconds"),
        "clock": entry.clock.value,
        "by": entry.by,
        "action": deed.action.value,
        "cards": pseudonyms(entry),
        "patron_ref": deed.patron_ref,
        "why": deed.why,
        "details": dict(deed.details),
    }


def pseudonyms(entry: Entry) -> list[str]:
    """Return what an entry's cards are called in lists and on pages."""
    return [card.hex()[:CARD_HEX_DIGITS] for card in entry.deed.cards]


def verify_audit(app: App, anchors: Collection[Head] = ()) -> Verdict:
    """Check the whole chain; see `doorctl.privacy.audit_chain.verify`."""
    with closing(AuditRecords(app.storage.branch_db)) as records:
        # Asked before the links: what is added in between is no break.
        last_number = records.last_number()
        return verify_chain(records.links(), last_number, anchors)


def audit_head(app: App) -> Head:
    """Return the chain's end."""
    with closing(AuditRecords(app.storage.branch_db)) as records:
        return records.head()
