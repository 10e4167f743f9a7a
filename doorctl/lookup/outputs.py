"""Outputs switched by either process, each that fails told once."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from doorctl.core.errors import DeviceError
from doorctl.core.ports import EventLog, Outputs


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
