"""Opens what the door process reads and writes, in the order in which it must start."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

from doorctl.bootstrap.rules import branch_db, outdated, patrons_db, system_clock, visits_db
from doorctl.config import Config
from doorctl.continuity import SteadyVisitLog
from doorctl.errors import StoreBusyError, StoreError
from doorctl.mailbox import Mailbox, PostedEvent, ThreadFailed
from doorctl.ops.clock import SystemClock
from doorctl.ops.worker import WorkerThread
from doorctl.ports import CacheStamp, EventLog
from doorctl.store import patron_rows, visit_rows
from doorctl.store.branch import BranchRecords
from doorctl.store.key_file import read_key
from doorctl.store.older_file import Layout
from doorctl.store.patrons import PatronCache
from doorctl.store.quarantine import set_aside_if_damaged
from doorctl.store.sealing import ArgonSealer
from doorctl.store.visits_retried import RetriedVisits

STORES_LIMIT_S = 60.0
"""Longest wait for the databases at the start; a check of 100 000 patrons takes 20 ms."""

ANSWER_LIMIT_S = 30.0
"""Longest wait of somebody who asked for something that the worker does."""

ResultT = TypeVar("ResultT")


class DoorStores:
    """The door's databases, the thread that may wait for them, and what they are sealed with.

    Args:
        config: the whole configuration.
        mailbox: gets what the worker's jobs return.
        log: takes the alarms.
        stack: closes all of it.

    Raises:
        DoorctlError: the key can't be read, or another process is the writer of the door log.
    """

    def __init__(self, config: Config, mailbox: Mailbox, log: EventLog, stack: ExitStack) -> None:
        self._config = config
        self._mailbox = mailbox
        self._log = log
        self.clock: SystemClock = system_clock(config, wary=True)
        seal = config.seal
        self.key = read_key(config.secrets.installation_key_file)
        self.sealer = ArgonSealer(self.key, seal.memory_kib, seal.iterations)
        self.worker: WorkerThread[PostedEvent] = WorkerThread(mailbox.put, self.failed)
        self.worker.start()
        stack.callback(self.worker.stop, 10.0)
        self.patrons = PatronCache(
            patrons_db(config), self.sealer.seal, self.sealer.earlier, self.clock.monotonic_s
        )
        stack.callback(self.patrons.close)
        self.branch = BranchRecords(branch_db(config), self.clock.monotonic_s)
        stack.callback(self.branch.close)
        self.stamp = CacheStamp(0, None, config.policy.minimum_age, 0)
        self.visits = self.worker.call(self._open, timeout_s=STORES_LIMIT_S)
        stack.callback(lambda: self.worker.submit(self.visits.close))
        self.steady = SteadyVisitLog(self.visits, log)

    def alarm(self, kind: str, why: str) -> None:
        """Tell somebody."""
        self._log.emit("alarm", kind=kind, why=why)

    def failed(self, error: BaseException) -> None:
        """End the door by an exception that nobody expected, on the loop's own thread."""
        self._mailbox.put(ThreadFailed(error))

    def answer(self, job: Callable[[], ResultT]) -> ResultT:
        """Have the worker do a job in its turn and return its result, or raise what it raised."""
        return self.worker.call(job, timeout_s=ANSWER_LIMIT_S)

    def _open(self) -> RetriedVisits:
        path = visits_db(self._config)
        sound = partial(self._set_aside, path, visit_rows.migrations)
        sound()
        self._set_aside(patrons_db(self._config), patron_rows.migrations)
        visits = RetriedVisits(path, partial(self.alarm, "store_damaged"), sound)
        try:
            visits.open()
        except StoreBusyError:
            raise
        except StoreError:
            # A disk that fails keeps nobody out; the first call that needs the log alarms.
            pass
        try:
            self.stamp = self.patrons.stamp()
        except StoreError as err:
            self.alarm("patron_cache_failing", str(err))
        problem = outdated(self.stamp, self._config)
        if problem is not None:
            self.alarm("patrons_outdated", problem)
        return visits

    def _set_aside(self, path: Path, migrations: Layout) -> None:
        try:
            aside = set_aside_if_damaged(path, self.clock.moment().local, migrations)
        except StoreError as err:
            self.alarm("store_damaged", str(err))
            return
        if aside is not None:
            why = f"{path.name} is damaged and was set aside as {aside.name}"
            self.alarm("store_damaged", why)
