"""The wait of the door's loop: it ends, whatever wakes it."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from doorctl.doord.jobs import LoopQueue, PinsTouched

LONG_S = 60.0
LATE_S = 4.0


@pytest.fixture
def woken() -> Iterator[None]:
    """Wake this process by a signal, some thousand times a second."""
    ended = threading.Event()

    def wake() -> None:
        while not ended.wait(0.0003):
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    thread = threading.Thread(target=wake, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("woken")
def test_a_wait_ends_whatever_wakes_it() -> None:
    """The loop that waited for ever would be deaf and blind until somebody swiped.

    Bug (end-to-end test, on a busy machine): on Python 3.11 the door's loop could wait for
    ever: a `SimpleQueue.get` that is woken (by a signal, or late) when its time is over never
    ended, and the door was deaf and blind until somebody swiped (about 3 of 100 starts on a
    busy machine; a first mend was not enough).
    """
    event_queue, done = LoopQueue(), threading.Event()

    def rescue() -> None:
        while not done.wait(5.0):
            event_queue.put(PinsTouched())

    threading.Thread(target=rescue, daemon=True).start()
    longest_s = 0.0
    for turn in range(3_000):
        began_s = time.monotonic()
        with suppress(queue.Empty):
            event_queue.get(timeout=(turn % 3) * 0.0005)
        longest_s = max(longest_s, time.monotonic() - began_s)
        if longest_s > LATE_S:
            break
    done.set()

    assert longest_s <= LATE_S


def test_what_is_posted_is_taken_in_order_by_whoever_waits() -> None:
    """Before the wait, during it, and several at once; with a limit or without."""
    event_queue, first, second = LoopQueue(), PinsTouched(), PinsTouched()
    event_queue.put(first)
    event_queue.put(second)
    assert event_queue.get(timeout=0.0) is first
    assert event_queue.get_nowait() is second
    with pytest.raises(queue.Empty):
        event_queue.get_nowait()

    for limit_s in (LONG_S, None):
        threading.Timer(0.05, event_queue.put, (first,)).start()
        assert event_queue.get(timeout=limit_s) is first


def test_a_wait_is_not_cut_short_by_an_event_that_was_taken_before_it_was_told() -> None:
    """Whoever posts may stand still between the two, on a busy machine."""
    event_queue = LoopQueue()
    event_queue.put(PinsTouched())
    event_queue.get_nowait()
    began_s = time.monotonic()
    threading.Timer(0.05, event_queue._posted.release).start()  # noqa: SLF001 - as `put` does at its end

    with pytest.raises(queue.Empty):
        event_queue.get(timeout=0.3)

    assert time.monotonic() - began_s >= 0.3
