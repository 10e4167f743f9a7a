"""All that is held of a person, and who looked at it, as scripts read it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Any

from doorctl.privacy.audit import Action, Entry
from doorctl.privacy.tables import Column, Shown, Table
from doorctl.privacy.tombstones import Tombstone


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One stored row of a person; `values` in the order of the table's columns."""

    table: Table
    values: tuple[Any, ...] = field(repr=False)

    @property
    def by_column(self) -> dict[str, Any]:
        """The values by the names of their columns."""
        return dict(zip(self.table.names, self.values, strict=True))


@dataclass(frozen=True, slots=True)
class Lookup:
    """A look at data of the person, or a change of them; it does not say by whom.

    `at` is UTC, `what` the audit log's name for it; `why` is empty where no reason was given.
    """

    at: datetime
    what: str
    why: str = ""


FORMAT = "doorctl-subject/1"

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LISTED: Mapping[Action, tuple[str, Action | None]] = MappingProxyType(
    {
        Action.VISITS_LISTED: ("attempts", None),
        Action.BANS_LISTED: ("bans", Action.BAN_ADDED),
        Action.PASSES_LISTED: ("passes", Action.PASS_ISSUED),
    }
)
"""The table of each list that staff can look at, and the deed that adds to it."""

OF_LETTER = re.compile(r"letter about ban ([0-9]{1,18})")
"""The reason that stood on the audit log beside a ban's letter before 0.3 had a detail for it."""


@dataclass(frozen=True, slots=True)
class Export:
    """All that is held of a person.

    Rows are in the order of `doorctl.store.tables`, lookups of staff oldest first;
    tombstones are the marks of earlier erasures.
    """

    rows: tuple[HeldRow, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is held but the mark of an erasure."""
        return not self.rows and not self.lookups

    def as_dict(self, zone: tzinfo) -> dict[str, Any]:
        """Return the export for scripts: times in `zone`, bytes in hex, the databases' names."""
        held: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for row in self.rows:
            tables = held.setdefault(row.table.database, {})
            tables.setdefault(row.table.name, []).append(_row(row, zone))
        return {
            "format": FORMAT,
            "held": held,
            "lookups": [
                {"at": _time(lookup.at, zone), "what": lookup.what, "why": lookup.why}
                for lookup in self.lookups
            ],
            "erased": [
                {
                    "mark": stone.mark.hex(),
                    "epoch": stone.epoch,
                    "at": _time(stone.erased_at, zone),
                    "until": _time(stone.until, zone),
                }
                for stone in self.tombstones
            ],
        }


def lookups(
    rows: Collection[HeldRow], named: Collection[Entry], every: Callable[[], Iterable[Entry]]
) -> tuple[Lookup, ...]:
    """Return what staff looked at or changed of a person, oldest first; not who did.

    It is what is `named` on the audit log as about the person, and those lists among `every` entry
    in which one of the person's `rows` stood.
    """
    stand = {action: _standing(action, rows, named) for action in _LISTED}
    lists = every() if any(stand.values()) else ()
    found = {one.number: one for one in lists if _showed(one, stand.get(one.deed.action, ()))}
    found |= {entry.number: entry for entry in named}
    return tuple(
        Lookup(entry.at, entry.deed.action.value, entry.deed.why)
        for _, entry in sorted(found.items())
    )


_Stands = tuple[int, datetime]
"""The number of a row, and since when it stands in its list."""


def _standing(action: Action, rows: Collection[HeldRow], named: Iterable[Entry]) -> list[_Stands]:
    """Return the rows that a list shows; one whose addition no entry tells was there before all."""
    table, adds = _LISTED[action]
    added = {one.deed.details.get("number"): one.at for one in named if one.deed.action is adds}
    listed = [row.by_column for row in rows if row.table.name == table]
    if adds is None:
        return [
            (row["attempt"], UNIX_EPOCH + timedelta(milliseconds=row["at_ms"])) for row in listed
        ]
    return [(row["number"], added.get(row["number"], UNIX_EPOCH)) for row in listed]


def _showed(entry: Entry, standing: Iterable[_Stands]) -> bool:
    """Tell whether a look at a list showed one of the rows, by what the look was limited to."""
    deed = entry.deed
    letter = OF_LETTER.fullmatch(deed.why)
    one = int(letter[1]) if letter else deed.details.get("letter", deed.details.get("number"))
    limited = deed.action is Action.VISITS_LISTED and "since" in deed.details
    begins = datetime.fromisoformat(str(deed.details["since"])) if limited else UNIX_EPOCH
    return any(begins <= since <= entry.at and one in {None, number} for number, since in standing)


def value(column: Column, stored: Any, zone: tzinfo) -> str | int | None:
    """Return a stored value as scripts read it, without the names of staff."""
    if stored is None or column.shown is Shown.OF_STAFF:
        return None
    if column.shown is Shown.TIME:
        return _time(UNIX_EPOCH + timedelta(milliseconds=stored), zone)
    if isinstance(stored, bytes):
        return stored.hex()
    return stored if isinstance(stored, int) else str(stored)


def _row(row: HeldRow, zone: tzinfo) -> dict[str, str | int | None]:
    pairs = zip(row.table.columns, row.values, strict=True)
    return {column.name: value(column, stored, zone) for column, stored in pairs}


def _time(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).isoformat(timespec="milliseconds")
