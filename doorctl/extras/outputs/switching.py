"""Switches outputs, and says once what fails; in the door, those that are pins."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from doorctl.access.calendar import Calendar
from doorctl.access.day import Override
from doorctl.core.errors import DeviceError
from doorctl.core.moments import Moment
from doorctl.core.ports import WELL, EventLog
from doorctl.extras.outputs.following import Output, outputs_on


class Outputs(Protocol):
    """Outputs that follow the hours, by name. Idempotent.

    DeviceError: there is none of that name or it could not be switched; the others are as they
    were.
    """

    def switch(self, name: str, *, on: bool) -> None:
        """Switch one of them."""


def switch_all(
    outputs: Outputs,
    names: Iterable[str],
    on: AbstractSet[str],
    failing: AbstractSet[str],
    log: EventLog,
) -> frozenset[str]:
    """Switch each output on or off; return those that fail, each told when it was not `failing`."""
    failed = set()
    for name in names:
        try:
            outputs.switch(name, on=name in on)
        except DeviceError as err:
            failed.add(name)
            if name not in failing:
                log.emit("alarm", kind="output_failing", why=str(err), part=name)
    return frozenset(failed)


@dataclass(eq=False)
class PinFollower:
    """Switches the outputs that are pins, as the door looks at the hours; one thread.

    `log` gets ``output_failing`` once for each that fails, until it works.
    """

    rules: tuple[Output, ...]
    outputs: Outputs
    log: EventLog
    _on: frozenset[str] | None = None
    _failing: frozenset[str] = frozenset()

    def follow(self, calendar: Calendar | None, override: Override | None, moment: Moment) -> None:
        """Switch all where others are to be on than before; `moment` is dependable."""
        on = outputs_on(self.rules, calendar, override, moment.local)
        if on == self._on:
            return
        self._on = on
        names = [output.name for output in self.rules]
        self._failing = switch_all(self.outputs, names, on, self._failing, self.log)
        for name in {*names} - self._failing:
            self.log.emit(WELL, kind="output_failing", part=name)
