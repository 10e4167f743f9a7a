"""Attempts as a file: CSV that Danish spreadsheets open by themselves, or JSON for scripts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Final

import msgspec
from starlette.responses import Response

from doorctl.ports import Visit
from doorctl.web.pages.words import Words
from doorctl.web.staff.log_rows import grouped, state, told

CSV, JSON = "csv", "json"
FORMATS: Final = (CSV, JSON)

SEPARATOR: Final = ";"
"""Where the comma is in decimals, as in Danish, spreadsheets take it for no separator."""

MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""By it Excel knows UTF-8."""

ACTIVE: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would calculate."""

COLUMNS: Final = ("attempt", "time", "clock", "outcome", "reason", "meaning", "card")


def exported(words: Words, visits: Iterable[Visit], form: str, name: str) -> Response:
    """Return a file to keep.

    Args:
        words: the language in which a CSV says what a reason means.
        visits: in order.
        form: one of :data:`FORMATS`.
        name: the file's, without its ending; plain ASCII.
    """
    content = as_json(visits) if form == JSON else as_csv(words, visits)
    kind = "application/json" if form == JSON else "text/csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(content, media_type=kind, headers=headers)


def as_csv(words: Words, visits: Iterable[Visit]) -> str:
    """Return a table with a head; times are local, with their offset."""
    written = io.StringIO()
    table = csv.writer(written, delimiter=SEPARATOR)
    table.writerow(COLUMNS)
    table.writerows(_cells(words, visits))
    return MARK + written.getvalue()


def as_json(visits: Iterable[Visit]) -> bytes:
    """Return a list of objects; times are UTC."""
    return msgspec.json.encode(
        [
            {
                "attempt": one.attempt,
                "at": one.at.astimezone(UTC),
                "clock": one.clock.value,
                "verdict": one.verdict,
                "reason": one.reason,
                "card": one.card,
            }
            for one in visits
        ]
    )


def inert(cell: str) -> str:
    """Return a cell that no spreadsheet calculates."""
    return f"'{cell}" if cell.startswith(ACTIVE) else cell


def _cells(words: Words, visits: Iterable[Visit]) -> Iterator[list[str]]:
    for one in visits:
        cells = (
            str(one.attempt),
            words.local(one.at).isoformat(sep=" ", timespec="seconds"),
            one.clock.value,
            state(one),
            one.reason or "",
            told(words, one.reason),
            grouped(one.card),
        )
        yield [inert(cell) for cell in cells]
