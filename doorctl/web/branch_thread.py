"""The web process's ``branch.db``, on a thread of its own, and its audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import date, datetime, time

from doorctl.core.errors import (
    StuckError,
)
from doorctl.core.moments import Moment
from doorctl.lookup.app import App
from doorctl.privacy.audit import Deed
from doorctl.privacy.audit_chain import Head
from doorctl.rpc.question import Answers
from doorctl.services.branch import ResultT, opened_branch
from doorctl.services.deeds import WRITE_LIMIT_S, OpenBranch, Request, branch_answers
from doorctl.store.branch_writer import BranchRecordsWriter


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
            self._branch = opened_branch(self._app, self._stack)
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
