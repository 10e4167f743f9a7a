"""The patron cache, by which the door decides: its tables, and a read-only view of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson

from doorctl.access.patron import CacheStamp, Patron, SealedRow
from doorctl.core.errors import AnswerDamagedError, StoreDamagedError, StoreError
from doorctl.core.ports import Seal
from doorctl.privacy.tables import PATRONS
from doorctl.store.layout import Layout, releases
from doorctl.store.reader import LOOP_PATIENCE_MS, Lasting, WatchedReader
from doorctl.store.tables import ASKED, CACHE, KEY_SUM, LEARNT, REGISTER, key_sum, select, whole

COLUMNS = REGISTER.but("row_key", "epoch", KEY_SUM)
"""The columns of a patron, in the order of :func:`to_patron`."""

migrations = Layout("patrons", releases(PATRONS, (0, 2), (0, 3)))


def to_record(row: SealedRow, *more: object) -> tuple[object, ...]:
    """Return a sealed row's values: ``row_key``, :data:`COLUMNS`, `more` and the checksum."""
    patron = row.patron
    return (
        row.row_key,
        patron.pin_check,
        patron.patron_ref,
        patron.resident,
        patron.active,
        _from_codes(patron.blocks),
        patron.restricted,
        _from_day(patron.enter_from),
        _from_day(patron.valid_until),
        _from_day(patron.hold_from),
        _from_day(patron.hold_until),
        _from_codes(patron.tags),
        patron.weak_pin,
        *more,
        key_sum(row.row_key, patron.pin_check),
    )


def to_patron(record: tuple[Any, ...]) -> Patron:
    """Return the patron of :data:`COLUMNS`, `pin_until`, `pushed`; else TypeError or ValueError."""
    pin_check, patron_ref, resident, active, blocks, restricted, *days = record[:10]
    tags, weak_pin, pin_until, pushed = record[10:]
    enter_from, valid_until, hold_from, hold_until = map(_to_day, days)
    barred = (_to_codes(blocks), bool(restricted), enter_from, valid_until, hold_from, hold_until)
    may_enter = (pin_check, bool(resident), bool(active), *barred)
    learnt = (bool(weak_pin), _to_day(pin_until), bool(pushed))
    return Patron(patron_ref, *may_enter, _to_codes(tags), *learnt)


def _from_codes(codes: frozenset[str]) -> str:
    # JSON, because an unknown block code still blocks, even an empty one or one with a space.
    return orjson.dumps(sorted(codes)).decode() if codes else "[]"


def _to_codes(text: str) -> frozenset[str]:
    return frozenset(orjson.loads(text)) if text != "[]" else frozenset()


def _from_day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _to_day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


_PUSHED = COLUMNS.replace("pin_check", "coalesce(patrons.pin_check, learnt.pin_check)").replace(
    "weak_pin", "coalesce(learnt.weak_pin, patrons.weak_pin)"
)
_FIND = f"""
    SELECT {_PUSHED}, good_until, 1, {whole(REGISTER)}, patrons.key_sum, patrons.pin_check,
    learnt.row_key IS NULL OR {whole(LEARNT)}, learnt.key_sum FROM patrons
    LEFT JOIN learnt ON ?2 AND patrons.pin_check IS NULL AND learnt.row_key = patrons.row_key
    WHERE patrons.row_key = ?1
    UNION ALL SELECT {COLUMNS}, asked_until, 0, 1, NULL, pin_check, {whole(ASKED)}, key_sum
    FROM asked WHERE ?2 AND row_key = ?1
"""  # noqa: S608 -- only constants
"""A row that a push brought comes first; where one stands, the writer's `keep` kept no other."""

_CARDS_OF = """
    SELECT row_key FROM patrons WHERE patron_ref = ?1
    UNION SELECT row_key FROM asked WHERE patron_ref = ?1 LIMIT 64
"""
_HELD = select("epoch", "cache")
_INSPECT = select(
    f"row_key, pin_check, {whole(REGISTER)} AND epoch <= ({_HELD}), key_sum",
    "patrons WHERE row_key > ? ORDER BY row_key LIMIT ?",
)
SLICE_ROWS = 5_000
"""Rows that are inspected at once."""

_STAMP = f"""
    SELECT {whole(CACHE)}, epoch, applied_at, minimum_age, patrons, incomplete, key_id,
    memory_kib, iterations FROM cache
"""  # noqa: S608 -- only constants
_CURE = "load the full feed: doorctl patrons load FEED --full"


class PatronCache:
    """Look patrons up in ``patrons.db``, on one thread.

    The file is opened at the first call and again when another file takes its place, so a door
    can start before there is one. `version` has a connection of its own and may be called on
    another thread; any thread may close both. `now_s` is as in `Lasting`. StoreError: the file is
    missing or can't be read, and lets no one in.

    Args:
        seal: the one that the reader seals identifiers with.
        earlier: others that it can use as well.
    """

    def __init__(
        self,
        path: Path,
        seal: Seal,
        earlier: tuple[Seal, ...] = (),
        now_s: Callable[[], float] | None = None,
    ) -> None:
        self.path = path
        self._seals = (seal, *earlier)
        self._doubted = (0, 0)
        lasting = None if now_s is None else Lasting(now_s)
        self._rows = WatchedReader(path, _CURE, migrations, lasting=lasting)
        self._commits = WatchedReader(
            path, _CURE, migrations, patience_ms=LOOP_PATIENCE_MS, lasting=lasting
        )

    def doubt(self) -> None:
        """Take the file that is there now for incomplete, whatever stands in it."""
        with suppress(OSError):
            status = self.path.stat()
            self._doubted = (status.st_dev, status.st_ino)

    def find(self, row_key: bytes, *, pushed_alone: bool = False) -> Patron | None:
        """Return the row of a 16-byte key, as of the last committed push or `keep`.

        `pushed_alone` leaves out what `keep` kept. Raises AnswerDamagedError: that is damaged.
        StoreDamagedError: the row that a push brought is.
        """
        for *patron, is_whole, pushed_sum, pushed_check, kept_whole, kept_sum in self._rows.fetch(
            _FIND, row_key, not pushed_alone
        ):
            if not (is_whole and _sums_up(pushed_sum, row_key, pushed_check)):
                raise self._damaged()
            if not (kept_whole and _sums_up(kept_sum, row_key, patron[0])):
                raise AnswerDamagedError(f"{self.path} is damaged: an answer can't be read")
            try:
                return to_patron(tuple(patron))
            except (TypeError, ValueError):
                # The cause would quote the row.
                raise self._damaged() from None
        return None

    def cards_of(self, patron_ref: str | None) -> tuple[bytes, ...]:
        """Return the row keys of a patron's cards, as of :meth:`find`; none for None."""
        return tuple(key for (key,) in self._rows.fetch(_CARDS_OF, patron_ref))

    def inspect(self, after: bytes) -> tuple[bytes, int]:
        """Look for wrong bits in the next rows of pushes behind a key, b"" for the first ones.

        Returns the last key, b"" at the end, and how many of the rows are damaged.
        """
        rows = self._rows.fetch(_INSPECT, after, SLICE_ROWS)
        damaged = sum(
            not (is_whole and _sums_up(total, key, check)) for key, check, is_whole, total in rows
        )
        return (rows[-1][0] if len(rows) == SLICE_ROWS else b""), damaged

    def stamp(self) -> CacheStamp:
        """Return the cache's epoch and age; StoreError if never filled, or under another seal."""
        records = self._rows.fetch(_STAMP)
        if not records:
            raise StoreError(f"{self.path} was never filled; load the full feed")
        is_whole, epoch, applied_at, minimum_age, patrons, incomplete, *seal = records[0]
        if not is_whole:
            raise self._damaged()
        if Seal(*seal) not in self._seals:
            raise StoreError(
                f"{self.path} was sealed with another installation key or other seal costs; "
                "load the full feed again"
            )
        try:
            at = None if applied_at is None else datetime.fromisoformat(applied_at)
        except (TypeError, ValueError):
            raise self._damaged() from None
        in_doubt = self._rows.is_at(self._doubted)
        return CacheStamp(epoch, at, minimum_age, patrons, bool(incomplete) or in_doubt)

    def version(self) -> int:
        """Return a number that changes with each commit and each new file."""
        return self._commits.version()

    def close(self) -> None:
        """Close both connections; idempotent."""
        self._rows.close()
        self._commits.close()

    def _damaged(self) -> StoreDamagedError:
        return StoreDamagedError(f"{self.path} is damaged: a row can't be read; set it aside")


def _sums_up(total: int | None, row_key: bytes, pin_check: Any) -> bool:
    """Tell whether a checksum is right; a row of release 0.2 has none."""
    if total is None:
        return True
    return isinstance(pin_check, bytes | None) and total == key_sum(row_key, pin_check)
