"""The door log as a file to take away: pseudonymous, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

from doorctl.ports import Visit
from doorctl.web.pages.words import Words

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What begins with one of these a spreadsheet might carry out (OWASP, "CSV injection")."""

BOM: Final = "\ufeff"
"""Without it Excel takes UTF-8 for Latin-1."""


def as_csv(visits: Iterable[Visit], words: Words) -> str:
    """Return them with semicolons, as Danish spreadsheets want it; times are the branch's."""
    written = io.StringIO()
    lines = csv.writer(written, delimiter=";")
    lines.writerow(("attempt", "at", "clock", "verdict", "reason", "card"))
    for one in visits:
        at = words.local(one.at).isoformat(timespec="seconds")
        row = (one.attempt, at, one.clock.value, one.verdict, one.reason, one.card)
        lines.writerow([_harmless("" if value is None else str(value)) for value in row])
    return BOM + written.getvalue()


def as_dicts(visits: Iterable[Visit], words: Words) -> list[dict[str, Any]]:
    """Return them for scripts."""
    return [
        {
            "attempt": one.attempt,
            "at": words.local(one.at).isoformat(timespec="seconds"),
            "clock": one.clock.value,
            "verdict": one.verdict,
            "reason": one.reason,
            "card": one.card,
        }
        for one in visits
    ]


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text
