"""Threads that do jobs in order, and threads that repeat one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Generic, TypeVar

from doorctl.core.errors import NotAnsweringError
from doorctl.core.ports import EventLog

PostedT = TypeVar("PostedT")
ResultT = TypeVar("ResultT")


class WorkerThread(Generic[PostedT]):
    """Do jobs in order on one thread, so that a database connection can belong to it.

    `post` gets what a job returns, unless that is None; `failed` an exception of a job: a bug, or
    a dying machine.
    """

    def __init__(
        self, post: Callable[[PostedT], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._post = post
        self._failed = failed
        self._jobs: queue.SimpleQueue[Callable[[], PostedT | None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, job: Callable[[], PostedT | None]) -> None:
        """Queue a job. Thread-safe, never blocks."""
        self._jobs.put(job)

    def call(self, job: Callable[[], ResultT], *, timeout_s: float) -> ResultT:
        """Do a job in its turn and return its result, or raise its error.

        Thread-safe; not for the worker itself, nor for the controller's loop, which it would hold.
        Raises NotAnsweringError: it was not done in time; it is done later all the same.
        """
        done: Future[ResultT] = Future()

        def fulfil() -> None:
            try:
                done.set_result(job())
            except BaseException as err:  # noqa: BLE001 - raised again where it was asked for
                done.set_exception(err)

        self.submit(fulfil)
        if not wait([done], timeout_s).done:
            raise NotAnsweringError("the disk is busy; try again in a minute")
        return done.result()

    def backlog(self) -> int:
        """Return about how many jobs wait. Thread-safe."""
        return self._jobs.qsize()

    def stop(self, timeout_s: float) -> bool:
        """Finish the queued jobs and end; return whether it ended in time."""
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                posted = job()
            except BaseException as err:  # noqa: BLE001 - handed over whole, to be raised there
                self._failed(err)
                return
            if posted is not None:
                self._post(posted)


AFTER_FAILURE_S = 60.0
"""A turn that fails by a bug in doorctl fails again at once: no use in filling the log."""

STOP_S = 2.0
"""Longest wait at the end for a turn under way, such as a deletion or a question to the website.

A deletion's commit is whole or not at all.
"""


class RepeatingJob:
    """Calls `turn` at once, then after each pause and at each `wake`, until it is stopped.

    A pause is monotonic, so setting the clock changes nothing. `turn` reads the clock itself and
    may take its time; where it returns False nothing is left, and only a `wake` brings the next
    one. An exception ends that turn only and goes to `failed`; the next then comes after
    `after_failure_s`, None for the usual pause.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], bool | None],
        pause_s: float,
        failed: Callable[[Exception], None],
        after_failure_s: float | None = None,
    ) -> None:
        self._turn = turn
        self._pause_s = pause_s
        self._failed = failed
        self._after_failure_s = pause_s if after_failure_s is None else after_failure_s
        self._woken = threading.Event()
        self._stopping = False
        # A turn may hang in a name lookup, and must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin; call once."""
        self._thread.start()

    def wake(self) -> None:
        """Have a turn now, or right after the one under way. Thread-safe, never blocks."""
        self._woken.set()

    @contextmanager
    def going(self, close: Callable[[], None]) -> Iterator[None]:
        """Begin, and stop at the end of the block; then `close` what the turns use."""
        self.start()
        try:
            yield
        finally:
            # While a turn hangs its connection is in use; it ends with the process.
            if self.stop():
                close()

    def stop(self, timeout_s: float = STOP_S) -> bool:
        """Begin no other turn; return whether the present one ended in time. Idempotent."""
        self._stopping = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stopping:
            pause_s: float | None = self._pause_s
            try:
                if self._turn() is False:
                    pause_s = None
            except Exception as error:  # noqa: BLE001 - one bad turn must not end all of them
                pause_s = self._after_failure_s
                # An error while the process ends, such as a closed database, is not a fault.
                if not self._stopping:
                    self._failed(error)
            self._woken.wait(pause_s)
            self._woken.clear()


def regular(
    name: str,
    turn: Callable[[], None],
    pause_s: float,
    log: EventLog,
    after_failure_s: float = AFTER_FAILURE_S,
) -> RepeatingJob:
    """Return turns whose failures are logged as ``rounds_failing``."""

    def failed(error: Exception) -> None:
        # The text of a bug's error may quote anything; its kind says enough.
        log.emit("alarm", kind="rounds_failing", why=f"{name}: {type(error).__name__}")

    return RepeatingJob(name, turn, pause_s, failed, after_failure_s)
