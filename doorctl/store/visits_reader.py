"""The door log, read-only: works while the door writes, and never stands in the purge's way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from doorctl.access.codes_throttle import A_CODE, CODES_KEY
from doorctl.access.throttle import CardThrottle
from doorctl.moments import ClockState
from doorctl.ports import Visit
from doorctl.privacy.hold import Hold
from doorctl.store.connection import translated
from doorctl.store.older_file import execute_fitting
from doorctl.store.visit_holds import HOLDS, to_hold
from doorctl.store.visit_rows import THROTTLE, from_ms, migrations, to_ms, to_throttle
from doorctl.store.watched_reader import WatchedReader
from doorctl.store.wrong_pins import COUNT, MANY

PAGE_ROWS = 500
"""Rows read at a time; between two pages no transaction is open, however slow the caller."""

CARD_HEX_DIGITS = 8

_PAGE = """
    SELECT at_ms, attempt, clock, verdict, reason, row_key FROM attempts
    WHERE (at_ms, attempt) > (?, ?) ORDER BY at_ms, attempt LIMIT ?
"""
_BEFORE_HOLDS = "SELECT NULL FROM attempts WHERE 0"
"""No rows; but an error where the file is not ours."""

_BEFORE_WRONG_PINS = "SELECT count(*) FROM attempts WHERE 0 AND row_key IN (?, ?)"
_NO_WRONG_PINS = "SELECT NULL, NULL FROM attempts WHERE 0 AND (attempt, at_ms) = (?, ?)"


class VisitHistory:
    """Read ``visits.db`` from any process; implements `VisitReader`. One thread.

    The file is opened at the first call and again when another file takes its place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = WatchedReader(path, "start the door, which makes one", migrations)

    def visits(self, not_before: datetime) -> Iterator[Visit]:
        """Yield attempts from a UTC time on, oldest first; ones that end meanwhile may show it."""
        last = (to_ms(not_before), -1)
        while page := self._fetch((_PAGE,), *last, PAGE_ROWS):
            yield from map(to_visit, page)
            last = page[-1][:2]

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row; a card never seen has none."""
        found = self._fetch((THROTTLE,), row_key)
        return to_throttle(found[0] if found else None)

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are on record."""
        count: int = self._fetch((COUNT, _BEFORE_WRONG_PINS), row_key, patron_ref)[0][0]
        return count

    def many_wrong_pins(self, least: int, most: int) -> dict[str, int]:
        """Return patron -> wrong PINs of those who have `least` or more; the `most` who have most.

        None where a door that runs since before an upgrade has no table of them.
        """
        return dict(self._fetch((MANY, _NO_WRONG_PINS), least, most))

    def high_water(self) -> datetime | None:
        """Return the highest trusted time ever stored, UTC."""
        found = self._fetch(("SELECT high_water_ms FROM clock",))
        return from_ms(found[0][0]) if found else None

    def holds(self) -> tuple[Hold, ...]:
        """Return the holds that are stored, oldest first; one that is over goes with a purge.

        None where a door that runs since before an upgrade has no table of them.
        """
        return tuple(map(to_hold, self._fetch((HOLDS, _BEFORE_HOLDS))))

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._reader.close()

    def _fetch(self, statements: tuple[str, ...], *parameters: object) -> list[tuple[Any, ...]]:
        with translated(self.path):
            database = self._reader.current()
            return execute_fitting(database, statements, parameters).fetchall()


def to_visit(record: tuple[Any, ...]) -> Visit:
    """Return the attempt of a record of time, number, clock, verdict, reason and row key."""
    at_ms, attempt, clock, verdict, reason, row_key = record
    return Visit(
        attempt=attempt,
        at=from_ms(at_ms),
        clock=ClockState(clock),
        verdict=verdict,
        reason=reason,
        card=_card(row_key),
    )


def _card(row_key: bytes | None) -> str | None:
    if row_key == CODES_KEY:
        return A_CODE
    return None if row_key is None else row_key.hex()[:CARD_HEX_DIGITS]
