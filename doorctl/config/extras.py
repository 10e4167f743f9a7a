"""Extras, which not every branch has: the list of them, how one declares itself, how it is found.

An extra is a folder of `doorctl/extras`, and a line of :data:`EXTRAS` says what in a configuration
asks for it. It is imported where a configuration does, and only there: the rest runs without a
folder that was deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, get_args

from doorctl.config.rules import OF_OTHER_KINDS, Rule, Values
from doorctl.config.tables import Keypad, LineKind, Reader
from doorctl.core.alarms import AlarmKind, enlist
from doorctl.core.errors import Problem


@dataclass(frozen=True, slots=True)
class Listed:
    """One extra, and what asks for it: any of `tables` of its own, or `values` of any of `keys`.

    Of its table a file may have many if `is_list`, each under ``[[table]]``. If `unlogged`, the log
    says only which of the table's keys was changed or is wrong, as of :data:`UNLOGGED`.
    """

    name: str
    tables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    is_list: bool = False
    unlogged: bool = False

    @property
    def places(self) -> tuple[Place, ...]:
        """Where a file may ask for it."""
        return tuple(Place(self, where) for where in self.tables or self.keys)


@dataclass(frozen=True, slots=True)
class Place:
    """A place where a file may ask for an extra: `where` is the extra's own table, or a key."""

    extra: Listed
    where: str

    @property
    def in_table(self) -> str:
        """The table that the extra adds, or adds keys to, if it is asked for here."""
        return self.where if self.extra.tables else self.where.rpartition(".")[0]

    @property
    def section(self) -> type[Any] | None:
        """What stands in that table then; None where the extra is not there or adds no key."""
        declared = find(self.extra.name)
        return None if declared is None else declared.section_of(self.in_table)

    def is_wanted(self, tables: Mapping[str, object]) -> bool:
        """Tell whether a file's tables, as they are written, ask for the extra here."""
        found: object = tables
        for part in self.where.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if not self.extra.tables:
            return found in self.extra.values
        return found is not None and not self._is_around_others(found)

    def _is_around_others(self, found: object) -> bool:
        """Tell whether what a file has of the table is tables of other extras, and nothing else."""
        inner = {table for table in EXTRA_TABLES if table.startswith(f"{self.where}.")}
        if not isinstance(found, Mapping) or not found:
            return False
        return all(f"{self.where}.{leaf}" in inner for leaf in found)


LINES = ("reader.kind", "keypad.kind")

EXTRAS = (
    Listed("usb", keys=LINES, values=("usb",)),
    Listed("osdp", keys=LINES, values=("osdp",)),
    Listed("fbs", keys=("lms.kind",), values=("fbs",)),
    Listed("sip2", keys=("lms.kind",), values=("sip2",)),
    Listed("koha", keys=("lms.kind",), values=("koha",)),
    Listed("folio", keys=("lms.kind",), values=("folio",)),
    Listed("website", keys=("hours.source",), values=("website",)),
    Listed("holidays", keys=("hours.holidays",), values=("closed", "sunday")),
    Listed("outputs", tables=("outputs",), is_list=True, unlogged=True),
    Listed("metrics", tables=("metrics",)),
    Listed("oidc", tables=("signin.oidc",), unlogged=True),
    Listed("mapping", tables=("source",)),
    Listed("fetching", tables=("source.fetch",)),
    Listed("fleet", tables=("web.nats", "sync.nats", "web.hub")),
)
"""Every extra; their tables stand in this order in ``config/doorctl.toml``, behind all others."""

EXTRA_TABLES = tuple(table for extra in EXTRAS for table in extra.tables)

UNLOGGED = frozenset(
    {"alarms", "backup", "lms", "secrets", "sync"}
    | {table.partition(".")[0] for extra in EXTRAS if extra.unlogged for table in extra.tables}
)
"""Tables that name accounts, people, commands and addresses with a secret in them: the log says
only which of their keys was changed or is wrong, and the file of values keeps a hash of it."""

PACKAGE = "doorctl.extras"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What an extra adds to the configuration and to the list of alarms.

    Args:
        section: its table; or the table of its kind, derived from the one that all kinds share.
        sections: table -> its section, for a kind that adds keys to several tables.
        rules: what must hold between keys, as `RULES` of `config/rules.py`.
        alarms: the kinds that it raises, and their ends.
        modules: what it imports beside doorctl's own dependencies.
        key_files: what a key is called, such as ``reader_key`` -> the full name that its file has
            in the configuration; its age is told of like that of doorctl's own keys.
    """

    section: type[Any] | None = None
    sections: Mapping[str, type[Any]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    alarms: Mapping[str, AlarmKind] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    key_files: Mapping[str, str] = field(default_factory=dict)

    def section_of(self, table: str) -> type[Any] | None:
        """Return what stands in a table where that table asks for it; None for no key of its."""
        return self.sections.get(table, self.section)


def wanted(tables: Mapping[str, object]) -> tuple[Place, ...]:
    """Return where a file's tables, as they are written, ask for an extra."""
    return tuple(place for place in every_place() if place.is_wanted(tables))


def wanted_by(values: Values) -> tuple[Place, ...]:
    """Return where values by full key ask for an extra; those of a table are there, or none is."""
    tables = {name.rpartition(".")[0] for name in values} | values.keys()
    return tuple(
        place
        for place in every_place()
        if (
            place.where in tables
            if place.extra.tables
            else values.get(place.where) in place.extra.values
        )
    )


def every_place() -> Iterator[Place]:
    """Yield each place where a file may ask for an extra."""
    return (place for extra in EXTRAS for place in extra.places)


def extras_at(places: Iterable[Place]) -> tuple[Listed, ...]:
    """Return the extras that are asked for, each once."""
    return tuple(dict.fromkeys(place.extra for place in places))


def installed() -> tuple[Listed, ...]:
    """Return the extras that are on this machine."""
    return tuple(extra for extra in EXTRAS if find(extra.name) is not None)


@cache
def find(name: str) -> Declared | None:
    """Import an extra, and put its alarms on the list; None where it is not on this machine."""
    if find_spec(PACKAGE) is None or find_spec(f"{PACKAGE}.{name}") is None:
        return None
    declared = import_module(f"{PACKAGE}.{name}").EXTRA
    if not isinstance(declared, Declared):
        raise TypeError(f"{PACKAGE}.{name}.EXTRA declares no extra")
    enlist(declared.alarms)
    return declared


def line_has(table: str, kind: str, leaf: str) -> bool:
    """Tell whether [reader] or [keypad] has a key where it is of a kind; one of none is serial."""
    section = {"reader": Reader, "keypad": Keypad}[table]
    kind = kind if kind in get_args(LineKind) else "serial"
    if (declared := find(kind)) is not None:
        section = declared.section_of(table) or section
    is_its_own = leaf in {field.name for field in fields(section)}
    return is_its_own and leaf not in OF_OTHER_KINDS.get((table, kind), ())


def missing(place: Place) -> Iterator[Problem]:
    """Yield one problem where an extra that is asked for is not whole on this machine."""
    extra = place.extra
    declared = find(extra.name)
    if declared is None:
        what = f"this installation has no extra {extra.name}; install one that has it, or "
        yield Problem(
            place.where,
            what + (f"leave out [{place.where}]" if extra.tables else "give another value"),
        )
    elif lacking := [name for name in declared.modules if find_spec(name) is None]:
        what = f"needs {', '.join(lacking)}, not installed; pip install 'doorctl[{extra.name}]'"
        yield Problem(place.where, what)
