"""Tables that Danish spreadsheets open by themselves, and calculate nothing of."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

SEPARATOR: Final = ";"
"""Where decimals have a comma, as in Danish, spreadsheets do not separate cells by commas."""

MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""The byte order mark, by which Excel recognises UTF-8."""


def table_of(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as CSV that Danish spreadsheets open by themselves."""
    written = io.StringIO()
    csv.writer(written, delimiter=SEPARATOR).writerows(rows)
    return MARK + written.getvalue()


ACTIVE: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet calculates a cell that begins with one of these."""


def inert(cell: str) -> str:
    """Return a cell in a form that no spreadsheet calculates."""
    return f"'{cell}" if cell.startswith(ACTIVE) else cell
