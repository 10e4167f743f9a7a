"""Builds both ends of ``branch.db``: its one writer, and those that ask it or only read."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from typing import TypeVar

from doorctl.accounts.account import Books
from doorctl.core.errors import InputError, NotAnsweringError, NotRunningError, StuckError
from doorctl.core.identity import caller
from doorctl.core.moments import Moment
from doorctl.rpc.branch import ask_web, branch_answers
from doorctl.rpc.control import Answers
from doorctl.rpc.deeds import OpenBranch, Request
from doorctl.services.app import App, by_the_owner
from doorctl.store.accounts import StoredAccounts, StoredFailures, StoredSessions
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import open_or_create_branch
from doorctl.store.records import AuditTrail

ResultT = TypeVar("ResultT")

WRITE_LIMIT_S = 30.0
"""Longest wait for a write; it takes milliseconds, on a failing disk long."""


def change(app: App, request: Request[ResultT], by: str | None = None) -> ResultT:
    """Have the web process, which owns ``branch.db``, change it; own it while web is not running.

    The change and its entry on the audit log are made together, or neither; `by` None means the
    caller.

    Raises:
        InputError: it makes no sense; nothing was changed.
        StuckError: web was asked and did not answer; it may have been done.
        DoorctlError: it could not be done.
    """
    whose = caller() if by is None else by

    def by_web() -> ResultT:
        socket, now_s = app.config.web.socket, app.clock.monotonic_s()
        return ask_web(socket, request, by=whose, timeout_s=WRITE_LIMIT_S, monotonic_s=now_s)

    def alone() -> ResultT:
        with ExitStack() as stack:
            return request.run(_opened(app, stack), whose, app.clock.moment())

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

        Raises:
            StuckError: it did not end in time; if it had not begun, it is dropped.
            StoreError: the file can't be opened, or whatever `use` raises.
        """
        return result_of(self._worker.submit(self._used, use), self._limit_s)

    def change(self, request: Request[ResultT], by: str) -> ResultT:
        """Do a deed of the login or account `by`; see :meth:`run`."""
        return self.run(lambda branch, moment: request.run(branch, by, moment))

    def open(self) -> None:
        """Open the file now, so that a fault shows early.

        Raises:
            StoreError: it can't be opened; the next use tries again.
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
        return use(self._branch, self._app.clock.moment())


def result_of(job: Future[ResultT], limit_s: float = WRITE_LIMIT_S) -> ResultT:
    """Return the result of a job on a thread of web's own that writes to a disk.

    A job that has not begun after `limit_s` seconds is dropped.

    Raises:
        StuckError: it did not end in time; says whether it may be done all the same.
    """
    if wait([job], limit_s).done:
        return job.result()
    if job.cancel():
        raise StuckError("the disk is busy and nothing was changed; try again in a minute")
    raise StuckError("the disk does not answer; it may be done yet, so look before you try again")


def _opened(app: App, stack: ExitStack) -> OpenBranch:
    path = app.branch_db
    writer = stack.enter_context(closing(open_or_create_branch(path)))
    book = stack.enter_context(closing(BranchRecords(path)))
    staff = Books(StoredAccounts(writer), StoredSessions(writer), StoredFailures(writer))
    return OpenBranch(book, writer, AuditTrail(writer), staff)
