"""What a self-test writes, by the door log's thread: a patron waits for the worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from doorctl.core.errors import StoreSlowError
from doorctl.core.moments import BootTime
from doorctl.doord.stores import DoorStores
from doorctl.ops.machine import DataDisk

PROBE_PATIENCE_S = 1.0
"""Longest wait of the worker for what the self-test writes. With the look above and the wait for an
attempt's own row it is less than a card may take to be prepared."""


@dataclass
class OverThread:
    """What one self-test, which the worker runs, writes: by the door log's thread.

    A patron waits for the worker. So a disk that is slow once is not waited for a second time.
    """

    stores: DoorStores
    slow: StoreSlowError | None = None

    def keep_time(self, now: datetime, boot: BootTime) -> None:
        """Store the time, durably."""
        visits = self.stores.visits
        self.soon(lambda: visits.keep_time(now, boot))

    def prove_writable(self) -> None:
        """Try to write a row."""
        self.soon(self.stores.visits.prove_writable)

    def soon(self, job: Callable[[], None]) -> None:
        """Have the thread do it, and wait a little; StoreSlowError: it was slow, now or before."""
        if self.slow is not None:
            raise self.slow
        try:
            self.stores.answer_soon(job, PROBE_PATIENCE_S)
        except StoreSlowError as err:
            self.slow = err
            raise


class DiskOverThread(DataDisk):
    """The disk that holds the door log, as one self-test tries it."""

    def __init__(self, directory: Path, over: OverThread) -> None:
        super().__init__(directory)
        self._over = over

    def prove_writable(self) -> None:
        """Try to write a page."""
        self._over.soon(super().prove_writable)
