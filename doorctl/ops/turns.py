"""Something that is done again and again on a thread of its own, beside the server."""

from __future__ import annotations

import threading
from collections.abc import Callable

AFTER_FAILURE_S = 60.0
"""What failed by a mistake of ours fails again at once: no use in filling the log."""


class Turns:
    """Calls `turn` at once and then after each pause, until it is stopped.

    A pause is monotonic, so setting the clock changes nothing. An exception ends that turn only.

    Args:
        name: the thread's.
        turn: looks at the clock itself, and does what is due; may take its time.
        pause_s: seconds between two turns.
        failed: takes what `turn` raised, on the same thread; must not raise.
        after_failure_s: seconds before the turn after one that raised.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], None],
        pause_s: float,
        failed: Callable[[Exception], None],
        after_failure_s: float = AFTER_FAILURE_S,
    ) -> None:
        self._turn = turn
        self._pause_s = pause_s
        self._failed = failed
        self._after_failure_s = after_failure_s
        self._stopping = threading.Event()
        # A turn may hang in a name lookup, and must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin; call once."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Begin no other turn; tell whether the one under way ended in time. Idempotent."""
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
                # What breaks while the process ends, such as a closed database, is no fault.
                if not self._stopping.is_set():
                    self._failed(error)
