"""Both ends of ``branch.db`` and its audit log: its writer, and those that ask it or only read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar

from doorctl.core.errors import (
    DoorctlError,
    InputError,
    NotAnsweringError,
    NotRunningError,
    StoreError,
    StuckError,
)
from doorctl.core.moments import Moment
from doorctl.core.texts import refuse_purpose
from doorctl.lookup.app import App
from doorctl.lookup.configured import local
from doorctl.privacy.audit import Action, Deed, Entry, Head, Verdict, erased_before
from doorctl.privacy.audit import verify as verify_chain
from doorctl.rpc.control import Answers
from doorctl.services import deeds
from doorctl.services.deeds import OpenBranch, Request, ask_web, branch_answers
from doorctl.services.owner import by_the_owner
from doorctl.store.accounts import Books
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter, open_or_create_branch
from doorctl.store.door_log import CARD_HEX_DIGITS
from doorctl.store.records import AuditRecords, AuditTrail

ResultT = TypeVar("ResultT")

WRITE_LIMIT_S = 30.0
"""Longest wait for a write; it takes milliseconds, on a failing disk long."""


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
            return request.run(_opened(app, stack), app.by, app.clock.bounded())

    try:
        return by_the_owner(by_web, alone, absent=NotRunningError)
    except OverflowError:
        raise InputError("a number is larger than any that was ever given; list them") from None
    except NotAnsweringError as err:
        raise StuckError(
            "the web process was asked and did not answer: it may have been done, so look before "
            "you try again (systemctl status doorctl-web)"
        ) from err


class BranchThread:
    """The web process's ``branch.db``, on a thread of its own: a push keeps no lockdown waiting.

    The file is opened at the first use, and where that fails again at the next. Each use waits
    `limit_s` seconds at most. Thread-safe.
    """

    def __init__(self, app: App, limit_s: float = WRITE_LIMIT_S) -> None:
        self._app = app
        self._limit_s = limit_s
        self._stack = ExitStack()
        self._branch: OpenBranch | None = None
        self._worker = ThreadPoolExecutor(1, "branch")

    def run(self, use: Callable[[OpenBranch, Moment], ResultT]) -> ResultT:
        """Call `use` on the file's thread, with the moment of the call, and return its result.

        Raises StuckError: it did not end in time; if it had not begun, it is dropped. StoreError:
        the file can't be opened, or whatever `use` raises.
        """
        return result_of(self._worker.submit(self._used, use), self._limit_s)

    def change(self, request: Request[ResultT], by: str) -> ResultT:
        """Do a deed of the login or account `by`; see :meth:`run`."""
        return self.run(lambda branch, moment: request.run(branch, by, moment))

    def write(self, job: Callable[[BranchRecordsWriter], object]) -> None:
        """Do a job with the file's writer; see :meth:`run`."""
        self.run(lambda branch, _moment: job(branch.writer))

    def open(self) -> None:
        """Open the file now, so that a fault shows early.

        Raises StoreError: it can't be opened; the next use tries again.
        """
        self.run(lambda _branch, _moment: None)

    def answers(self) -> Answers:
        """Return what the web process answers on its socket."""
        return branch_answers(self.run, self._app.clock.monotonic_s)

    def close(self) -> None:
        """Finish what is under way and let the next writer in; nothing can be used after it."""
        # On the thread that opened the file, for SQLite takes it from no other.
        self._worker.submit(self._stack.close).result()
        self._worker.shutdown()

    def _used(self, use: Callable[[OpenBranch, Moment], ResultT]) -> ResultT:
        if self._branch is None:
            self._branch = _opened(self._app, self._stack)
        return use(self._branch, self._app.clock.bounded())


def result_of(job: Future[ResultT], limit_s: float = WRITE_LIMIT_S) -> ResultT:
    """Return the result of a job on a thread of web's own that writes to a disk.

    A job that has not begun after `limit_s` seconds is dropped. Raises StuckError: it did not end
    in time; says whether it may be done all the same.
    """
    if wait([job], limit_s).done:
        return job.result()
    if job.cancel():
        raise StuckError("the disk is busy and nothing was changed; try again in a minute")
    raise StuckError("the disk does not answer; it may be done yet, so look before you try again")


def _opened(app: App, stack: ExitStack) -> OpenBranch:
    path = app.storage.branch_db
    writer = stack.enter_context(closing(open_or_create_branch(path)))
    book = stack.enter_context(closing(BranchRecords(path)))
    return OpenBranch(book, writer, AuditTrail(writer), Books(writer))


# Builds both ends of the audit log: commands that write it, and questions to it.


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
    """Check the whole chain; see `doorctl.privacy.audit.verify`."""
    with closing(AuditRecords(app.storage.branch_db)) as records:
        # Asked before the links: what is added in between is no break.
        last_number = records.last_number()
        return verify_chain(records.links(), last_number, anchors)


def audit_head(app: App) -> Head:
    """Return the chain's end."""
    with closing(AuditRecords(app.storage.branch_db)) as records:
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

    def last_before(self, day: date) -> tuple[int, str]:
        """Return the number and the day of the last entry before a local day; 0 for none."""

        def look(branch: OpenBranch, moment: Moment) -> tuple[int, str]:
            zone = moment.local.tzinfo
            found = branch.audit.last_before(datetime.combine(day, time(), zone))
            return (found[0], found[1].astimezone(zone).date().isoformat()) if found else (0, "")

        return self._thread.run(look)


# A copy of branch.db, to be kept elsewhere.
