"""What the door looks out for beside its patrons: its lines, its disk, its register, web."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta

from doorctl.bootstrap.door_stores import DoorStores
from doorctl.config import Config
from doorctl.errors import StoreError
from doorctl.lasting_faults import LastingFaults
from doorctl.ops.machine import disk_low, undervoltage

LOOK_EVERY_S = 60.0
"""How often the worker looks at what may make it wait."""

WEB_RESTS_S = 60.0
"""Web asks the door every few seconds; a restart takes less."""

OLD_SHARE = 1 / 3
"""Of the age at which nobody is let in: with the usual 72 h a day, in which somebody can act."""


class Lookout:
    """Turn once with each turn of the loop; one thread.

    Args:
        config: the whole configuration; a public attribute, for it may be read again.
        stores: the door's.
        lines: which serial lines are connected, by name.
        web_asked_s: when web asked the door last, monotonic seconds; None where it never has.
    """

    def __init__(
        self,
        config: Config,
        stores: DoorStores,
        lines: Callable[[], Mapping[str, bool]],
        web_asked_s: Callable[[], float | None],
    ) -> None:
        self._directory = config.storage.door_directory
        self.config = config
        self._stores = stores
        self._lines = lines
        self._web_asked_s = web_asked_s
        self._faults = LastingFaults(stores.alarm)
        self._look_at_s = stores.clock.monotonic_s()
        self._looked: Mapping[str, str | None] = {}

    def turn(self) -> None:
        """Tell of what has lasted."""
        now_s = self._stores.clock.monotonic_s()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_EVERY_S
            self._stores.worker.submit(self._look)
        found = {
            f"{name}_lost": None if up else "it is not there" for name, up in self._lines().items()
        }
        asked_s = self._web_asked_s()
        if asked_s is not None:
            silent = now_s - asked_s >= WEB_RESTS_S
            found["web_silent"] = "it has stopped asking the door" if silent else None
        self._faults.see({**self._looked, **found}, now_s)

    def _look(self) -> None:
        found = {"undervoltage": undervoltage(), **self._register()}
        with suppress(OSError):
            found["disk_low"] = disk_low(self._directory)
        self._looked = found

    def _register(self) -> dict[str, str | None]:
        moment = self._stores.clock.moment()
        # What can't be read is told elsewhere, and by a clock in doubt everybody is refused.
        with suppress(StoreError):
            applied_at = self._stores.patrons.stamp().applied_at
            if applied_at is None or not moment.dependable:
                return {}
            age = moment.local - applied_at
            limit = timedelta(hours=self.config.policy.max_cache_age_h)
            told = f"it came {_hours(age)} ago; after {_hours(limit)} nobody is let in by it"
            return {"register_old": told if age > limit * OLD_SHARE else None}
        return {}


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.0f} h"
