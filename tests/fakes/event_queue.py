"""A queue in which waiting costs no time but the fake clock's."""

from __future__ import annotations

import queue
from collections import deque

from doorctl.doord.jobs import PostedEvent
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
