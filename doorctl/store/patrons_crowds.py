"""How many more cards a push gives to patrons who then have more than 8 of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping

from doorctl.store.connection import batches, marks
from doorctl.store.tables import select
from doorctl.sync.guard import MOST_CARDS

MOST_KEPT = 10_000
"""Patrons of changes who are kept in memory. For more of them the whole table is looked through
once: that takes no memory, and then hardly more time."""

_CARDS_OF = select(
    "patron_ref, count(*)", "patrons WHERE patron_ref IN ({marks}) GROUP BY patron_ref"
)
_CROWDED = f"""
    SELECT patron_ref, count(*) AS cards FROM patrons
    GROUP BY patron_ref HAVING count(*) > {MOST_CARDS}
"""  # noqa: S608 -- as said
_COUNT_CROWDED = f"""
    SELECT total(cards - before), coalesce(max(cards), 0) FROM (
        SELECT now.cards, coalesce(crowds.cards, 0) AS before
        FROM ({_CROWDED}) AS now LEFT JOIN crowds USING (patron_ref)
    ) WHERE cards > before
"""  # noqa: S608 -- as said
_LOOK_AT_ALL = (
    "CREATE TEMP TABLE IF NOT EXISTS crowds (patron_ref TEXT PRIMARY KEY, cards) WITHOUT ROWID",
    "DELETE FROM crowds",
    f"INSERT INTO crowds {_CROWDED}",
)


class Crowds:
    """How many cards the patrons had whom a push gives a card, or takes one from."""

    def __init__(self, connection: sqlite3.Connection, *, any_held: bool) -> None:
        self._connection = connection
        self._before: dict[str, int] | None = {}
        if not any_held:
            self._note_all({})

    def note(self, more: Mapping[str, int]) -> None:
        """Learn how many cards more patrons have by rows that were just put."""
        if self._before is None:
            return
        unknown = [ref for ref in more if ref not in self._before]
        self._before.update((ref, now - more[ref]) for ref, now in self._cards_of(unknown))
        # Who has none left had as many as were taken.
        self._before.update((ref, -more[ref]) for ref in unknown if ref not in self._before)
        if len(self._before) > MOST_KEPT:
            self._note_all(self._before)

    def grown(self) -> tuple[int, int]:
        """Return how many cards more patrons of more than 8 have, and the most that one has."""
        if self._before is None:
            crowded, largest = self._connection.execute(_COUNT_CROWDED).fetchone()
            return int(crowded), int(largest)
        grown = [
            (cards - before, cards)
            for ref, cards in self._cards_of(sorted(self._before))
            if cards > MOST_CARDS and cards > (before := _if_crowd(self._before[ref]))
        ]
        return sum(more for more, _ in grown), max((cards for _, cards in grown), default=0)

    def _cards_of(self, patrons: Iterable[str]) -> Iterator[tuple[str, int]]:
        for refs in batches(patrons):
            yield from self._connection.execute(_CARDS_OF.format(marks=marks(refs)), refs)

    def _note_all(self, before: Mapping[str, int]) -> None:
        self._before = None
        # Whom the push has not touched yet has as many cards now as before it.
        for statement in _LOOK_AT_ALL:
            self._connection.execute(statement)
        known = [(ref, _if_crowd(cards)) for ref, cards in before.items()]
        self._connection.executemany("INSERT OR REPLACE INTO crowds VALUES (?, ?)", known)


def _if_crowd(cards: int) -> int:
    return cards if cards > MOST_CARDS else 0
