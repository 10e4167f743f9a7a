"""Cards, and what stands in a register of whoever holds one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from doorctl.access.patron import Patron, SealedRow, pin_check, row_key
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.core.ports import Sealer
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.sync.guard import unguarded


def plastic(number: str) -> Identifier:
    """Return a plastic card's identifier."""
    return Identifier(IdentifierKind.CARD, number)


def cpr(number: str) -> Identifier:
    """Return a health card's identifier."""
    return Identifier(IdentifierKind.CPR, number)


def sealed(sealer: Sealer, card: Identifier, patron: Patron, pin: str | None = None) -> SealedRow:
    """Return a patron's row as the library's server seals it, with a PIN where there is one."""
    stretched = sealer.stretch(card)
    check = None if pin is None else pin_check(stretched, Pin(pin))
    return SealedRow(row_key(stretched), replace(patron, pin_check=check))


def replace_rows(
    writer: PatronCacheWriter, rows: Iterable[SealedRow], at: datetime | None, minimum_age: int = 0
) -> None:
    """Have a cache hold these rows and no others, pushed then; None as no push has confirmed."""
    terms: Any = {"applied_at": at, "minimum_age": minimum_age, "guard": unguarded}
    writer.apply(rows, full=True, **terms)
