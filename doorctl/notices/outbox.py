"""What waits to be handed over, and when it is tried again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from doorctl.ports import NotSentError

T = TypeVar("T")

MOST_WAITING = 50
"""More than a night's alarms; the oldest goes first, for the newest says how things are."""

PAUSES_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0)
"""After each failure in a row; the last one goes on. A line that is down is back after these."""

MOST_TRIES = 7
"""Of one item: some three hours."""


class Outbox(Generic[T]):
    """Keep items in order and try to hand the oldest over until it goes.

    `put` is thread-safe and never waits; `turn` is for one thread.

    Args:
        send: hands one over; raises `NotSentError`.
        failed: told why, once until one goes again.
        most: items kept.
    """

    def __init__(
        self,
        send: Callable[[T], None],
        failed: Callable[[str], None],
        *,
        most: int = MOST_WAITING,
    ) -> None:
        self._send = send
        self._failed = failed
        self._guard = Lock()
        self._waiting: deque[T] = deque(maxlen=most)
        self._tries = 0
        self._failures = 0
        self._next_s = 0.0

    @property
    def waits(self) -> bool:
        """Whether something is still to go."""
        return bool(self._waiting)

    def put(self, item: T) -> None:
        """Keep an item; where there are too many, the oldest is lost."""
        with self._guard:
            self._waiting.append(item)

    def turn(self, now_s: float) -> None:
        """Hand over what can be, unless the last failure was too short ago; monotonic seconds.

        What else than `NotSentError` is raised comes through; its item is lost.
        """
        while now_s >= self._next_s:
            with self._guard:
                if not self._waiting:
                    return
                item = self._waiting[0]
            try:
                self._send(item)
            except NotSentError as err:
                self._put_off(item, str(err), now_s)
            except BaseException:
                # A mistake of ours costs one item, not all that come after it.
                self._drop(item)
                raise
            else:
                self._failures, self._next_s = 0, 0.0
                self._drop(item)

    def _put_off(self, item: T, why: str, now_s: float) -> None:
        pause_s = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._next_s = now_s + pause_s
        self._failures += 1
        self._tries += 1
        if self._tries >= MOST_TRIES:
            self._drop(item)
        if self._failures == 1:
            self._failed(why)

    def _drop(self, item: T) -> None:
        with self._guard:
            # Meanwhile it may have been the oldest of too many.
            if self._waiting and self._waiting[0] is item:
                self._waiting.popleft()
            self._tries = 0
