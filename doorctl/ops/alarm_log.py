"""Where alarms leave the log for the way out, and the thread that goes it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

from doorctl.notices.rationing import Heard
from doorctl.ports import Clock, EventLog

ALARM = "alarm"

REST_S = 15.0
"""Between two turns while something waits; the shortest pause after a failure is 5 s."""


class AlarmLog:
    """An EventLog that also hands each ``alarm`` on. Thread-safe, never blocks, never raises.

    Args:
        log: takes every line first, so that the journal has it whatever happens then.
        hear: takes an alarm; must neither block nor raise.
        clock: tells when it was.
    """

    def __init__(self, log: EventLog, hear: Callable[[Heard], None], clock: Clock) -> None:
        self._log = log
        self._hear = hear
        self._clock = clock

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Write one line; of an alarm its kind and its words go further, and nothing else."""
        self._log.emit(event, **fields)
        if event == ALARM:
            kind, why = str(fields.get("kind", "")), str(fields.get("why") or "")
            self._hear(Heard(kind, why, self._clock.monotonic_s()))


class TurningThread:
    """Call `turn` whenever woken, and every `rest_s` while it says that something is left.

    Args:
        turn: does what is to be done now, however long that takes; tells whether to come again.
        failed: takes what `turn` raised, which is a bug; the next turn comes all the same.
        name: the thread's.
        rest_s: seconds between two turns.
    """

    def __init__(
        self,
        turn: Callable[[], bool],
        failed: Callable[[Exception], None],
        name: str,
        rest_s: float = REST_S,
    ) -> None:
        self._turn = turn
        self._failed = failed
        self._rest_s = rest_s
        self._woken = Event()
        self._ending = False
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Have the first turn now."""
        self._thread.start()

    def wake(self) -> None:
        """Have a turn now, or right after the one under way. Thread-safe, never blocks."""
        self._woken.set()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Have no more turns; wait for the one under way, so long and no longer."""
        self._ending = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._ending:
            try:
                again = self._turn()
            except Exception as err:  # noqa: BLE001 - one bad notice must not end all alarms
                self._failed(err)
                again = True
            self._woken.wait(self._rest_s if again else None)
            self._woken.clear()
