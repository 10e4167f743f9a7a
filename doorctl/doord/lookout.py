"""Faults of the machine and its devices, told when they have lasted, and again when they end.

What begins and ends within a moment (a cable pushed in anew, web restarting) sends no alarm
at night; a lasting fault is reported before a patron stands outside because of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from doorctl.access.patron import CacheStamp
from doorctl.config import Config
from doorctl.config.tables import OLD_SHARE
from doorctl.core.errors import StoreError
from doorctl.core.ports import WELL
from doorctl.doord.stores import DoorStores, why_lost
from doorctl.lookup.configured import outdated, retention
from doorctl.lookup.key_days import CERTIFICATE, days_of_keys
from doorctl.lookup.release import Release
from doorctl.ops.machine import disk_low, undervoltage, upgrade_not_begun
from doorctl.store.records import AuditRecords, LastBackup

LOOK_PATIENCE_S = 0.5
"""Longest wait of the worker for a look that may as well be had a minute later."""


DAY_S = 86_400.0


FAULTS: Mapping[str, float] = MappingProxyType(
    {
        "reader_lost": 20.0,
        "keypad_lost": 20.0,
        "purge_overdue": 300.0,
        "register_old": 0.0,
        "register_too_old": 0.0,
        "patrons_outdated": 0.0,
        "patrons_unusable": 0.0,
        "release_differs": 300.0,
        "disk_low": 0.0,
        "disk_slow": 0.0,
        "backup_old": 0.0,
        "key_old": 0.0,
        "web_silent": 60.0,
        "undervoltage": 0.0,
        "upgrade_not_begun": 70.0,
    }
)
"""Alarm -> how long it lasts before it is reported, seconds; its end is called ``NAME_cleared``."""


AGAIN_S: Mapping[str, float] = MappingProxyType({"key_old": 7 * DAY_S})
"""How soon one is reported again; the others daily."""


LOOK_EVERY_S = 60.0
"""How often the worker looks at power supply, register and disk."""


OVERDUE = timedelta(days=1)
"""How far a row may outlive the retention, by any clock, before that is alarmed: a purge comes
every 6 hours."""


BACKUP_OLD = timedelta(days=2)
"""One is made each night, so two were missed; without one it counts from the installation."""


WEB_RESTS_S = 60.0
"""Web asks the door every 20 s; a restart takes less. So two minutes of silence are reported."""


@dataclass(eq=False)
class Lookout:
    """Watches lines, disk, register and web; one turn with each turn of the loop, one thread.

    `config` is public, for it may be read again. `web_seen_s` returns when web gave its last sign
    of life, monotonic seconds; None where there is no web.
    """

    config: Config
    stores: DoorStores
    lines: Callable[[], Mapping[str, bool]]
    web_seen_s: Callable[[], float | None]

    def __post_init__(self) -> None:
        self._directory = self.config.storage.door_directory
        self._since_s: dict[str, float] = {}
        self._reported_s: dict[str, float] = {}
        self._look_at_s = self.stores.clock.monotonic_s()
        self._looked: Mapping[str, str | None] = {}
        self._told_epoch = 0
        self._backups = LastBackup()
        self._found_well: set[str] = set()

    def turn(self) -> None:
        """Alarm the faults that have lasted."""
        now_s = self.stores.clock.monotonic_s()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_EVERY_S
            self.stores.worker.submit(self._look)
        faults = {
            f"{name}_lost": None if up else "it is not there" for name, up in self.lines().items()
        }
        if not self.config.keypad.port:
            # It is the reader's own and lost with it, which is one alarm; or there is none.
            faults["keypad_lost"] = None
        faults["disk_slow"] = self.stores.disk.slow()
        seen_s = self.web_seen_s()
        if seen_s is not None:
            silent = now_s - seen_s >= WEB_RESTS_S
            faults["web_silent"] = "it has stopped asking the door" if silent else None
        self.see({**self._looked, **faults}, now_s)

    def see(self, faults: Mapping[str, str | None], now_s: float) -> None:
        """Take the reason for each fault of :data:`FAULTS`; None where it is not there.

        What is left out is unknown now, and stays as it was.
        """
        for kind, why in faults.items():
            if why is None:
                self._since_s.pop(kind, None)
                if self._reported_s.pop(kind, None) is not None:
                    self.stores.alarm(f"{kind}_cleared", "")
                elif kind not in self._found_well:
                    # An earlier process may have reported it.
                    self._found_well.add(kind)
                    self.stores.log.emit(WELL, kind=kind)
            elif self._is_due(kind, now_s):
                self._reported_s[kind] = now_s
                self.stores.alarm(kind, why)

    def _is_due(self, kind: str, now_s: float) -> bool:
        if (reported_s := self._reported_s.get(kind)) is not None:
            return now_s - reported_s >= AGAIN_S.get(kind, DAY_S)
        return now_s - self._since_s.setdefault(kind, now_s) >= FAULTS[kind]

    def _look(self) -> None:
        faults = {"undervoltage": undervoltage(), **self._register(), **self._backup()}
        faults |= {**self._keys(), **self._overdue()}
        if (release := Release.of_this_program()).package is not None:
            faults["release_differs"] = release.differs
        with suppress(OSError):
            faults["disk_low"] = disk_low(self._directory)
        with suppress(OSError):
            faults["upgrade_not_begun"] = begun = upgrade_not_begun()
            if begun is not None:
                # Which says more of the same.
                faults["release_differs"] = None
        self._looked = faults

    def _register(self) -> dict[str, str | None]:
        moment = self.stores.clock.moment()
        stamp = CacheStamp(0, None, 0, 0)
        # Where it can't be read, the next card tells so; that it can again, no card may tell.
        with suppress(StoreError):
            stamp = self.stores.patrons.stamp()
            self.stores.register_failing.tell(why_lost(stamp))
        if stamp.epoch and stamp.epoch != self._told_epoch:
            self._told_epoch = stamp.epoch
            self.stores.events.keep("push", str(stamp.epoch))
        self.stores.register, age, policy = stamp, stamp.age(moment), self.config.policy
        found: dict[str, str | None] = {}
        if stamp.epoch:
            problem = outdated(stamp, self.config)
            lower = stamp.minimum_age < policy.minimum_age
            found = {"patrons_outdated": problem, "patrons_unusable": problem if lower else None}
        # By a clock in doubt everybody is refused.
        if age is None:
            return found
        limit = timedelta(hours=policy.max_cache_age_h)
        why = f"it came {_hours(age)} ago; after {_hours(limit)} nobody is let in by it"
        old, too_old = age > limit * OLD_SHARE, age > limit
        return {
            **found,
            "register_old": why if old else None,
            "register_too_old": why if too_old else None,
        }

    def _backup(self) -> dict[str, str | None]:
        moment, stores = self.stores.clock.moment(), self.stores
        if not self.config.backup.recipients or not moment.dependable:
            return {}
        with suppress(StoreError), closing(AuditRecords(self.config.storage.branch_db)) as records:
            self._backups.look(records)
            stores.backup_at = at = self._backups.made
            since = at or self._backups.began or moment.local
            why = f"the last one is {_hours(moment.local - since)} old"
            why = why if at else "none was ever made"
            return {"backup_old": why if moment.local - since > BACKUP_OLD else None}
        return {}

    def _overdue(self) -> dict[str, str | None]:
        with suppress(StoreError):
            oldest = self.stores.answer_soon(self.stores.visits.oldest_row, LOOK_PATIENCE_S)
            latest = self.stores.clock.bounded().latest
            limit = retention(self.config) + OVERDUE
            if oldest is None or latest - oldest < limit:
                return {"purge_overdue": None}
            kept = f"the oldest is of {oldest:%Y-%m-%d} UTC"
            return {"purge_overdue": f"{kept}, and it may be {latest:%Y-%m-%d} now"}
        return {}

    def _keys(self) -> dict[str, str | None]:
        moment = self.stores.clock.moment()
        self.stores.days = days = days_of_keys(self.config)
        if not moment.dependable:
            return {}
        # Web, which serves by the certificate, alarms that one itself.
        old = [n for n, each in days.items() if n != CERTIFICATE and each.near(moment.local)]
        why = "; ".join(f"{name}: change it by {days[name].ends:%Y-%m-%d}" for name in old)
        return {"key_old": why or None}


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.0f} h"
