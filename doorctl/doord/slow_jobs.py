"""Jobs that the loop gives to other threads, and how many of them may wait.

The loop itself never touches a disk or a network: the answers come back to its queue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from doorctl.access.messages import (
    Concluded,
    LookAgain,
    Prepare,
    Prepared,
    PrepareFailed,
)
from doorctl.core.errors import BranchStoreError, StoreError
from doorctl.core.ports import AlarmOnce
from doorctl.doord.hours import HoursRead
from doorctl.doord.ledger import Ledger, Worker
from doorctl.doord.library_question import Asking
from doorctl.doord.loop_events import PostedEvent

BACKLOG_LIMIT = 8
"""Jobs in the worker's queue beyond which a card is turned away.

A reader that repeats itself brings 80 cards a second; the smallest Pi prepares three. With more
waiting, the next patron would lose patience.
"""


UNRECORDED_LIMIT = BACKLOG_LIMIT // 2
"""Jobs beyond which an unreadable card is not recorded, so that garbage turns no card away."""


AGAIN_S = 1.0
"""A database that can't be read may be in the middle of a restore: it is read once more."""


@dataclass(eq=False)
class SlowJobs:
    """Submit jobs and return at once; on the loop's thread.

    `register_failing` takes each failure to read the register, and its end. `library` is None where
    nobody is asked. `pause` lets the worker's thread wait for so many seconds.
    """

    ledger: Ledger
    worker: Worker
    register_failing: AlarmOnce
    library: Asking | None = None
    _: KW_ONLY
    pause: Callable[[float], object] = lambda _s: None

    def overloaded(self) -> bool:
        """Tell whether so many jobs wait that the next card is turned away."""
        return self.worker.backlog() >= BACKLOG_LIMIT

    def prepare(self, wanted: Prepare | LookAgain, newest: Callable[[], int]) -> None:
        """Have an attempt prepared, or looked at again; `Prepared` or `PrepareFailed` follows.

        `newest` is called on the worker's thread, for the number of the attempt that is current by
        then.
        """
        number = wanted.attempt if isinstance(wanted, Prepare) else wanted.prepared.attempt

        def answered() -> PostedEvent:
            if number < newest():
                # Another card came meanwhile: stretching this one would only keep that one waiting.
                return PrepareFailed(number)
            try:
                prepared = self._prepared_at_last(wanted)
            except BranchStoreError as err:
                why = str(err)
                # The job that reads the hours reports it, once.
                self.worker.submit(lambda: HoursRead(failing=why, wanted=False))
                return PrepareFailed(number)
            except StoreError as err:
                self.register_failing.tell(str(err), again=True)
                return PrepareFailed(number)
            if not prepared.damaged:
                self.register_failing.tell(None)
            return prepared

        self.worker.submit(answered)

    def settle(self, concluded: Concluded, counted_as: str | None) -> None:
        """Have an attempt's end recorded; see :meth:`Ledger.settle`."""
        if concluded.shape is not None and self.worker.backlog() >= UNRECORDED_LIMIT:
            return
        self.worker.submit(lambda: self.ledger.settle(concluded, counted_as))

    def _prepared_at_last(self, wanted: Prepare | LookAgain) -> Prepared:
        try:
            return self._prepared(wanted)
        except StoreError:
            # Nothing is on record yet, and the patron still types.
            self.pause(AGAIN_S)
            return self._prepared(wanted)

    def _prepared(self, wanted: Prepare | LookAgain) -> Prepared:
        if isinstance(wanted, Prepare):
            return self.ledger.prepare(wanted.attempt, wanted.identifiers)
        return self.ledger.look_again(wanted.prepared)
