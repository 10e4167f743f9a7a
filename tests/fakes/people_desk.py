"""What is held of a few invented people; the same contract as the real desk's."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from doorctl.cards.numbers import normalise
from doorctl.core.errors import InputError
from doorctl.core.staff_text import refuse_text
from doorctl.privacy.letters import Export
from doorctl.privacy.subject import (
    ALL_GONE,
    Erasure,
    HeldRow,
    HeldVisit,
    Lookup,
    PartErased,
    refuse_ref,
)
from doorctl.privacy.subject_table import BRANCH
from doorctl.store.tables import TABLES
from doorctl.web.desks import Named

NOW = datetime(2026, 11, 25, 18, 30, tzinfo=UTC)


def row(table: str, **values: Any) -> HeldRow:
    """Return a row of a table, None for what is not given."""
    (found,) = [one for one in TABLES if one.name == table]
    return HeldRow(found, tuple(values.get(name) for name in found.names))


@dataclass
class FakePeopleDesk:
    """Holds rows of people.

    Args:
        held: rows by the library system's number, or by what is typed where there is none.
        owners: the library system's number, by what is typed.
        deeds: what was done: which, whose, why, by whom.
        left: what an erasure can't reach.
        stay: the visits that it leaves for a case.
    """

    held: dict[str, list[HeldRow]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    deeds: list[tuple[str, str, str, str]] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    stay: tuple[HeldVisit, ...] = ()

    def branch(self) -> str:
        """Return an id."""
        return "oest"

    def export(self, named: Named, why: str, by: str) -> Export:
        """Return the rows, and that somebody looked before."""
        whose = self._whose(named)
        refuse_text("reason", why, optional=True)
        rows = tuple(self.held.get(whose, ()))
        seen = [one for one in self.deeds if one[1] == whose and one[0] == "export"]
        looks = tuple(Lookup(NOW, "subject_exported", one[2]) for one in seen) if rows else ()
        self.deeds.append(("export", whose, why, by))
        return Export(rows, looks)

    def erase(self, named: Named, why: str, by: str) -> Erasure:
        """Erase the rows."""
        whose = self._deed("erase", named, why, by)
        rows = len(self.held.pop(whose, ()))
        return Erasure({BRANCH: PartErased(rows, ALL_GONE, held=self.stay)}, self.left)

    def restrict(self, named: Named, why: str, by: str) -> bool:
        """Add a restriction; tell whether a card is known."""
        if self._restriction(named) is not None:
            raise InputError("the person's data are restricted already")
        whose = self._deed("restrict", named, why, by)
        self.held.setdefault(whose, []).append(row("restrictions", number=1, since_ms=0, by=by))
        return named.typed is not None or whose in self.owners.values()

    def unrestrict(self, named: Named, why: str, by: str) -> None:
        """Take the restriction away."""
        found = self._restriction(named)
        if found is None:
            raise InputError(
                "the person's data are not restricted here; if the door says so all the same, "
                "the library system does"
            )
        self.held[self._deed("unrestrict", named, why, by)].remove(found)

    def _deed(self, what: str, named: Named, why: str, by: str) -> str:
        whose = self._whose(named)
        refuse_text("reason", why, optional=True)
        self.deeds.append((what, whose, why, by))
        return whose

    def _restriction(self, named: Named) -> HeldRow | None:
        rows = self.held.get(self._whose(named), ())
        return next((one for one in rows if one.table.name == "restrictions"), None)

    def _whose(self, named: Named) -> str:
        if named.patron_ref is not None:
            if named.patron_ref not in self.held:
                refuse_ref(named.patron_ref)
            return named.patron_ref
        typed = named.typed or ""
        if not any(named.taken_as in (None, one.kind.value) for one in normalise(typed)):
            raise InputError("that is no card number and no CPR number")
        return self.owners.get(typed, typed)
