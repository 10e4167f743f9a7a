"""Extras, which not every branch has: the list of them, how one declares itself, how it is found.

An extra is a folder of `doorctl/extras`, and a line of :data:`EXTRAS` says what in a configuration
asks for it. It is imported where a configuration does, and only there: a folder that was deleted is
missed by nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from doorctl.config.rules import Rule, Values
from doorctl.core.alarms import AlarmKind, enlist
from doorctl.core.errors import Problem


@dataclass(frozen=True, slots=True)
class Listed:
    """One extra, and what asks for it: a `table` of its own, or some `values` of a `key`.

    Of its table a file may have many if `is_list`, each under ``[[table]]``.
    """

    name: str
    table: str = ""
    key: str = ""
    values: tuple[str, ...] = ()
    is_list: bool = False

    @property
    def in_table(self) -> str:
        """The table that it adds, or adds keys to."""
        return self.table or self.key.rpartition(".")[0]

    @property
    def where(self) -> str:
        """The table or the key that asks for it."""
        return self.table or self.key

    def is_wanted(self, tables: Mapping[str, object]) -> bool:
        """Tell whether a file's tables, as they are written, ask for it."""
        found: object = tables
        for part in self.where.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found is not None if self.table else found in self.values


EXTRAS = (
    Listed("fbs", key="lms.kind", values=("fbs",)),
    Listed("sip2", key="lms.kind", values=("sip2",)),
    Listed("website", key="hours.source", values=("website",)),
    Listed("holidays", key="hours.holidays", values=("closed", "sunday")),
    Listed("outputs", table="outputs", is_list=True),
    Listed("metrics", table="metrics"),
    Listed("oidc", table="signin.oidc"),
)
"""Every extra; their tables stand in this order in ``config/doorctl.toml``, behind all others."""

PACKAGE = "doorctl.extras"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What an extra adds to the configuration and to the list of alarms.

    Args:
        section: its table; or the table of its kind, derived from the one that all kinds share.
        rules: what must hold between keys, as `RULES` of `config/rules.py`.
        alarms: the kinds that it raises, and their ends.
        modules: what it imports beside doorctl's own dependencies.
    """

    section: type[Any] | None = None
    rules: tuple[Rule, ...] = ()
    alarms: Mapping[str, AlarmKind] = field(default_factory=dict)
    modules: tuple[str, ...] = ()


def wanted(tables: Mapping[str, object]) -> tuple[Listed, ...]:
    """Return the extras that a file's tables ask for, as they are written."""
    return tuple(extra for extra in EXTRAS if extra.is_wanted(tables))


def wanted_by(values: Values) -> tuple[Listed, ...]:
    """Return the extras that values by full key ask for; those of a table are there, or none is."""
    tables = {name.rpartition(".")[0] for name in values} | values.keys()
    return tuple(
        extra
        for extra in EXTRAS
        if (extra.table and extra.table in tables) or values.get(extra.key) in extra.values
    )


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


def missing(extra: Listed) -> Iterator[Problem]:
    """Yield one problem where an extra that is wanted is not whole on this machine."""
    declared = find(extra.name)
    if declared is None:
        what = f"this installation has no extra {extra.name}; install one that has it, or "
        yield Problem(
            extra.where,
            what + (f"leave out [{extra.table}]" * bool(extra.table) or "give another value"),
        )
    elif lacking := [name for name in declared.modules if find_spec(name) is None]:
        what = f"needs {', '.join(lacking)}, not installed; pip install 'doorctl[{extra.name}]'"
        yield Problem(extra.where, what)
