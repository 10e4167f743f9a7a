"""The wait of the door's loop, on a real queue."""

from __future__ import annotations

import queue
import threading

from doorctl.mailbox import Mailbox, PinsTouched, wait_for_event


def test_a_wait_of_no_time_ends() -> None:
    """However short: the loop that stood still would be deaf until somebody else came.

    Each wait follows on an event, as in the loop.
    """
    mailbox: Mailbox = queue.SimpleQueue()
    done = threading.Event()

    def wait() -> None:
        for turn in range(80_000):
            mailbox.put(PinsTouched())
            assert wait_for_event(mailbox, 1.0) == PinsTouched()
            assert wait_for_event(mailbox, (turn % 7) * 1e-6) is None
        done.set()

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(60.0)

    assert done.is_set()
