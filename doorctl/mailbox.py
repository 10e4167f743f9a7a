"""What other threads post to the door process's loop, and whom the loop gives its slow jobs."""

from __future__ import annotations

import queue
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from doorctl.access.messages import LibraryAnswered, Prepared, PrepareFailed
from doorctl.daily_round import BranchUnread, HoursRead
from doorctl.ports import LineEvent


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody asked the daemon to stop."""


@dataclass(frozen=True, slots=True)
class PinsTouched:
    """A level may have changed: look at the inputs."""


@dataclass(frozen=True, slots=True)
class StaffOpened:
    """Staff let somebody in from where they are.

    Args:
        reason: why, in their words.
        by: which account it was.
        until_s: just before when it counts, monotonic seconds.
    """

    reason: str
    by: str
    until_s: float


@dataclass(frozen=True, slots=True)
class PanelKeyPressed:
    """A key of the screen at the door, meant for the attempt of that number."""

    key: str = field(repr=False)
    attempt: int


@dataclass(frozen=True, slots=True)
class ThreadFailed:
    """A thread ended by an exception that nobody expected: the daemon must not go on without it."""

    error: BaseException


PostedEvent = (
    LineEvent
    | PinsTouched
    | Prepared
    | PrepareFailed
    | LibraryAnswered
    | HoursRead
    | BranchUnread
    | StaffOpened
    | PanelKeyPressed
    | StopRequested
    | ThreadFailed
)
Mailbox = queue.SimpleQueue[PostedEvent]


class Worker(Protocol):
    """A thread that does slow jobs in order and posts what they return."""

    def submit(self, job: Callable[[], PostedEvent | None]) -> None:
        """Queue a job; its event, if any, is posted to the controller."""

    def backlog(self) -> int:
        """Return how many jobs wait."""


def wait_for_event(mailbox: Mailbox, timeout_s: float) -> PostedEvent | None:
    """Return the next event; None if none comes within `timeout_s`, 0 or more. One thread."""
    # In Python 3.11 a `get` whose time is over before it begins to wait does so for ever, unless a
    # look without waiting came first (seen after waits of some microseconds, on a busy machine).
    with suppress(queue.Empty):
        return mailbox.get_nowait()
    with suppress(queue.Empty):
        return mailbox.get(timeout=timeout_s)
    return None
