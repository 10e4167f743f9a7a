"""Builds both ends of ``branch.db``: its one writer, and whoever asks that one or only reads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from typing import Any, TypeVar

from doorctl.accounts.ports import Books
from doorctl.config import Config
from doorctl.core.errors import InputError, NotAnsweringError, NotRunningError, StuckError
from doorctl.core.identity import caller
from doorctl.core.moments import Moment
from doorctl.core.staff_text import refuse_purpose
from doorctl.ops.clock import SystemClock
from doorctl.ports import Clock
from doorctl.rpc.branch import Audited, OpenBranch, Request, ask_web, branch_answers
from doorctl.rpc.control import Answers, Question, ask
from doorctl.services.app import WRITE_LIMIT_S, branch_db, by_the_owner, result_of, system_clock
from doorctl.store.accounts import StoredAccounts, StoredFailures, StoredSessions
from doorctl.store.audit import AuditTrail
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import open_or_create_branch

ResultT = TypeVar("ResultT")


def change(config: Config, request: Request[ResultT], by: str | None = None) -> ResultT:
    """Have the web process, which owns ``branch.db``, change it; own it while web is not running.

    It goes on the audit log too: the change and its entry, or neither.

    Args:
        config: the whole configuration.
        request: what is to be done.
        by: whose deed it is; None for whoever calls.

    Raises:
        InputError: it makes no sense; nothing was changed.
        StuckError: web was asked and did not answer; it may have been done.
        DoorctlError: it could not be done.
    """
    clock = system_clock(config)
    whose = caller() if by is None else by

    def asked() -> ResultT:
        now_s = clock.monotonic_s()
        return ask_web(
            config.web.socket, request, by=whose, timeout_s=WRITE_LIMIT_S, monotonic_s=now_s
        )

    def alone() -> ResultT:
        with ExitStack() as stack:
            branch = _opened(config, stack)
            return Audited(request, whose).carried_out(branch, clock.moment())

    try:
        return by_the_owner(asked, alone, absent=NotRunningError)
    except OverflowError:
        raise InputError("a number is larger than any that was ever given; list them") from None
    except NotAnsweringError as err:
        raise StuckError(
            "the web process was asked and did not answer: it may have been done, so look before "
            "you try again (systemctl status doorctl-web)"
        ) from err


class BranchDesk:
    """The web process's ``branch.db``, on a thread of its own: a push keeps no lockdown waiting.

    The file is opened at the first use, and where that fails again at the next. Thread-safe.

    Args:
        config: the whole configuration.
        clock: says when it is.
        limit_s: longest wait for one use, in seconds.
    """

    def __init__(self, config: Config, clock: Clock, limit_s: float = WRITE_LIMIT_S) -> None:
        self._config = config
        self._clock = clock
        self._limit_s = limit_s
        self._stack = ExitStack()
        self._branch: OpenBranch | None = None
        self._worker = ThreadPoolExecutor(1, "branch")

    def run(self, use: Callable[[OpenBranch, Moment], ResultT]) -> ResultT:
        """Use the file on its thread at the moment that is then, and return the result.

        Raises:
            StuckError: it did not end in time; what had not begun is not done later.
            StoreError: the file can't be opened, or whatever `use` raises.
        """
        return result_of(self._worker.submit(self._used, use), self._limit_s)

    def open(self) -> None:
        """Open the file now, to learn of it early.

        Raises:
            StoreError: it can't be opened; the next use tries again.
        """
        self.run(lambda _branch, _moment: None)

    def answers(self) -> Answers:
        """Return what the web process answers on its socket."""
        return branch_answers(self._carry_out, self._clock.monotonic_s)

    def close(self) -> None:
        """Finish what is under way and let the next writer in; nothing can be used after it."""
        # On the thread that opened the file, for SQLite takes it from no other.
        self._worker.submit(self._stack.close).result()
        self._worker.shutdown()

    def _carry_out(self, request: Request[Any]) -> Any:
        return self.run(request.carried_out)

    def _used(self, use: Callable[[OpenBranch, Moment], ResultT]) -> ResultT:
        if self._branch is None:
            self._branch = _opened(self._config, self._stack)
        return use(self._branch, self._clock.moment())


def _opened(config: Config, stack: ExitStack) -> OpenBranch:
    path = branch_db(config)
    writer = stack.enter_context(closing(open_or_create_branch(path)))
    book = stack.enter_context(closing(BranchRecords(path)))
    staff = Books(StoredAccounts(writer), StoredSessions(writer), StoredFailures(writer))
    return OpenBranch(book, writer, AuditTrail(writer), staff)


# Asks the running door to let somebody in once, or to take its clock as right.

TRUST_CLOCK = "trust_clock"


def open_once(config: Config, clock: Clock, reason: str, by: str, limit_s: float) -> None:
    """Have the door released once; after the limit it is not, whatever the door does later.

    Args:
        config: the whole configuration.
        clock: the machine's, which the door goes by as well.
        reason: why, in a few words.
        by: which account asks.
        limit_s: longest wait for the door, seconds.

    Raises:
        InputError: the reason has no place on record.
        NotAnsweringError: the door did not answer in time; it does not open any more.
        StoreError: the door could not do it.
    """
    refuse_purpose(reason, "reason")
    until_s = clock.monotonic_s() + limit_s
    question = Question("open", {"reason": reason, "by": by, "until_s": until_s})
    ask(config.control.socket, question, timeout_s=limit_s)


def trust_clock(config: Config, limit_s: float) -> str:
    """Have door and web take the wall clock as right; return it as the door has it, ISO.

    While web is not running there is nothing to tell it: it has no doubt of its own at a start,
    once the door has mended the high-water mark.

    Raises:
        NotAnsweringError: the door did not answer in time.
        StoreError: the door took it, and could not store that.
    """
    question = Question(TRUST_CLOCK)
    told = ask(config.control.socket, question, timeout_s=limit_s)
    with suppress(NotAnsweringError):
        ask(config.web.socket, question, timeout_s=limit_s)
    return str(told["at"])


def believes(clock: SystemClock) -> dict[str, Any]:
    """Take a clock as right; return the time as it is answered to whoever said so."""
    clock.believe()
    return {"at": clock.moment().local.isoformat(timespec="seconds")}
