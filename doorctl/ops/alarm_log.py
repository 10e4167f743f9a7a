"""Where alarms leave the log for the way out, and the thread that goes it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

from doorctl.core.rationing import Heard
from doorctl.ports import Clock, EventLog

ALARM = "alarm"


REST_S = 15.0
"""Pause between two turns while an item waits; the shortest after a failure is 5 s."""


class AlarmLog:
    """An EventLog that also passes on each ``alarm``. Thread-safe, never blocks, never raises.

    `log` gets every line first, so that the journal has it whatever happens then; `hear` must
    neither block nor raise.
    """

    def __init__(self, log: EventLog, hear: Callable[[Heard], None], clock: Clock) -> None:
        self._log = log
        self._hear = hear
        self._clock = clock

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Write one line; of an alarm only its kind and its words are passed on."""
        self._log.emit(event, **fields)
        if event == ALARM:
            kind, why = str(fields.get("kind", "")), str(fields.get("why") or "")
            self._hear(Heard(kind, why, self._clock.monotonic_s()))


class TurningThread:
    """Call `turn` at each `wake`, and every `rest_s` while it returns that something is left.

    A turn may take its time. What it raised goes to `failed`: that is a bug, and the next turn
    comes all the same.
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
        """Start with a turn now."""
        self._thread.start()

    def wake(self) -> None:
        """Have a turn now, or right after the one under way. Thread-safe, never blocks."""
        self._woken.set()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Have no more turns; wait at most `timeout_s` for the present turn."""
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
