"""What the loop is given: a queue by the fake clock, a worker by hand, and a supervisor."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from doorctl.doord.ledger import Worker
from doorctl.doord.loop_events import PostedEvent
from doorctl.ops.supervisor import SystemdSupervisor
from tests.fakes.clock import FakeClock


class FakeQueue(queue.SimpleQueue[PostedEvent]):
    """Deliver events at their moments; where none is due, let the whole time-out pass.

    Args:
        clock: moved by each wait.
        events: moments in seconds from now, and what is posted then; in order.
        turn_s: what taking an event costs.
    """

    def __init__(
        self, clock: FakeClock, *events: tuple[float, PostedEvent], turn_s: float = 0.0
    ) -> None:
        self._clock = clock
        self._turn_s = turn_s
        self._events = deque((clock.monotonic_s() + at_s, event) for at_s, event in events)
        self.waits_s: list[float] = []

    def get(self, block: bool = True, timeout: float | None = None) -> PostedEvent:
        """Return what is due within `timeout`; an empty queue would wait for ever."""
        assert block
        assert timeout is not None
        assert self._events, "the loop goes on, but the test has no more events"
        self.waits_s.append(timeout)
        at_s = self._events[0][0]
        wait_s = max(0.0, at_s - self._clock.monotonic_s())
        if wait_s > timeout:
            assert timeout > 0.0, "a deadline that was let pass is still due: the loop spins"
            self._clock.advance(timeout)
            raise queue.Empty
        self._clock.advance(wait_s + self._turn_s)
        return self._events.popleft()[1]


Job = Callable[[], PostedEvent | None]


@dataclass
class FakeWorker(Worker):
    """Jobs in order, none of them run by itself.

    `post`: takes what a job returns, such as ``controller.handle``.
    """

    post: Callable[[PostedEvent], None]
    jobs: deque[Job] = field(default_factory=deque)

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self.jobs.append(job)

    def backlog(self) -> int:
        """Return how many jobs wait."""
        return len(self.jobs)

    def work(self) -> None:
        """Do all jobs, those that are asked for meanwhile too."""
        while self.jobs:
            self.work_once()

    def work_once(self) -> None:
        """Do the next job."""
        posted = self.jobs.popleft()()
        if posted is not None:
            self.post(posted)


@dataclass
class FakeSupervisor(SystemdSupervisor):
    """The calls in order: ``ready``, ``alive``, ``stopping``."""

    told: list[str] = field(default_factory=list)
    within_s: float | None = None

    def ready(self) -> None:
        """Remember it."""
        self.told.append("ready")

    def alive(self, within_s: float | None = None) -> None:
        """Remember it, and the limit given last."""
        self.told.append("alive")
        self.within_s = within_s

    def stopping(self) -> None:
        """Remember it."""
        self.told.append("stopping")
