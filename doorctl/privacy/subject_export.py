"""All that is held of a person, as a value for scripts; see `subject_page` for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Any

from doorctl.privacy.audit import Action, AuditReader, Entry
from doorctl.privacy.subject import HeldRow, Lookup, Subject
from doorctl.privacy.subject_table import Column, Shown
from doorctl.privacy.subject_tombstones import Tombstone

FORMAT = "doorctl-subject/1"

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LISTED: Mapping[Action, str] = MappingProxyType(
    {
        Action.VISITS_LISTED: "attempts",
        Action.BANS_LISTED: "bans",
        Action.PASSES_LISTED: "passes",
    }
)
"""Looks at a whole list, and the table whose rows stand in it."""


@dataclass(frozen=True, slots=True)
class Export:
    """All that is held of a person.

    Args:
        rows: of all tables about people, in the order of `subject_table.PERSON_TABLES`.
        lookups: what staff looked at or changed, oldest first.
        tombstones: that the person was erased before.
    """

    rows: tuple[HeldRow, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is held, but that there was an erasure."""
        return not self.rows and not self.lookups

    def as_dict(self, zone: tzinfo) -> dict[str, Any]:
        """Return it for scripts: times in `zone`, bytes in hex, names as in the databases."""
        held: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for row in self.rows:
            tables = held.setdefault(row.table.database, {})
            tables.setdefault(row.table.name, []).append(_row(row, zone))
        return {
            "format": FORMAT,
            "held": held,
            "lookups": [
                {"at": _time(one.at, zone), "what": one.what, "why": one.why}
                for one in self.lookups
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


class AuditedLookups:
    """The audit log as a person may read it: what and when and why, and not who.

    Args:
        audit: the log.
        rows: what is held of the person: who stands in a list was looked at with it.
    """

    def __init__(self, audit: AuditReader, rows: Iterable[HeldRow]) -> None:
        self._audit = audit
        self._tables = frozenset(row.table.name for row in rows)

    def lookups(self, subject: Subject) -> tuple[Lookup, ...]:
        """Return what staff looked at or changed, oldest first."""
        named = self._audit.about(subject.row_keys, subject.patron_ref)
        found = {entry.number: entry for entry in (*named, *self._lists())}
        return tuple(_lookup(found[number]) for number in sorted(found))

    def _lists(self) -> Iterable[Entry]:
        wanted = {action for action, table in _LISTED.items() if table in self._tables}
        if not wanted:
            return ()
        return (one for one in self._audit.entries() if one.deed.action in wanted)


def value(column: Column, stored: Any, zone: tzinfo) -> str | int | None:
    """Return a stored value as scripts read it; what names a member of staff is left out."""
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


def _lookup(entry: Entry) -> Lookup:
    return Lookup(entry.at, entry.deed.action.value, entry.deed.why)
