"""One thread for all jobs that may wait for a disk or for Argon2, in the order of the requests."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Generic, TypeVar

from doorctl.core.errors import NotAnsweringError
from doorctl.ports import EventLog

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

        Raises:
            NotAnsweringError: it was not done in time; it is done later all the same.
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
"""A turn that fails by a bug of ours fails again at once: no use in filling the log."""

STOP_S = 2.0
"""Longest wait at the end for a turn under way, such as a deletion or a question to the website.

A deletion's commit is whole or not at all.
"""


class Turns:
    """Calls `turn` at once and then after each pause, until it is stopped.

    A pause is monotonic, so setting the clock changes nothing. `turn` reads the clock itself and
    may take its time. An exception ends that turn only, and its kind is told to `log` as
    ``rounds_failing``; the next turn then comes after `after_failure_s`.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], None],
        pause_s: float,
        log: EventLog,
        after_failure_s: float = AFTER_FAILURE_S,
    ) -> None:
        self._name = name
        self._turn = turn
        self._pause_s = pause_s
        self._log = log
        self._after_failure_s = after_failure_s
        self._stopping = threading.Event()
        # A turn may hang in a name lookup, and must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin; call once."""
        self._thread.start()

    @contextmanager
    def going(self, close: Callable[[], None]) -> Iterator[None]:
        """Begin, and stop at the end of the block; then `close` what the turns use."""
        self.start()
        try:
            yield
        finally:
            # While a turn hangs its connection is in use; it ends with the process.
            if self.stop(STOP_S):
                close()

    def stop(self, timeout_s: float) -> bool:
        """Begin no other turn; return whether the present one ended in time. Idempotent."""
        self._stopping.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        pause_s = 0.0
        while not self._stopping.wait(pause_s):
            pause_s = self._pause_s
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - told, and the server goes on
                pause_s = self._after_failure_s
                # An error while the process ends, such as a closed database, is not a fault.
                if not self._stopping.is_set():
                    # The text of a mistake of ours may quote anything; its kind says enough.
                    why = f"{self._name}: {type(error).__name__}"
                    self._log.emit("alarm", kind="rounds_failing", why=why)
