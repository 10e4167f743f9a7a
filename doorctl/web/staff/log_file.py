"""Attempts as a file: CSV that Danish spreadsheets open by themselves, or JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Final

import msgspec

from doorctl.services.visits import as_dict
from doorctl.store.door_log import OPEN, Visit
from doorctl.web.staff.log_rows import FURTHER, ending, further, grouped
from doorctl.web.staff.spreadsheet import inert, table_of
from doorctl.web.words import Words

COLUMNS: Final = ("attempt", "time", "clock", "outcome", "reason", "meaning", "card", *FURTHER)


def as_csv(words: Words, visits: Iterable[Visit]) -> str:
    """Return a table with a head line; times are local, with their offset."""
    return table_of((COLUMNS, *_cells(words, visits)))


def as_json(visits: Iterable[Visit]) -> bytes:
    """Return a list of objects; times are UTC."""
    return msgspec.json.encode(
        [as_dict(visit) | {"at": visit.at.astimezone(UTC)} for visit in visits]
    )


def _cells(words: Words, visits: Iterable[Visit]) -> Iterator[list[str]]:
    for visit in visits:
        cells = (
            str(visit.attempt),
            words.local(visit.at).isoformat(sep=" ", timespec="seconds"),
            visit.clock.value,
            visit.verdict or OPEN,
            visit.reason or "",
            ending(words, visit.reason),
            grouped(visit.card),
            *further(words, visit),
        )
        yield [inert(cell) for cell in cells]
