"""The patron cache, by which the door decides: its tables, and a read-only view of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson

from doorctl.access.patron import Patron
from doorctl.core.errors import StoreDamagedError, StoreError
from doorctl.ports import CacheStamp, SealedRow
from doorctl.store import kept_twice
from doorctl.store.connection import (
    LOOP_PATIENCE_MS,
    Lasting,
    Layout,
    WatchedReader,
    translated,
)
from doorctl.store.kept_twice import whole
from doorctl.store.keys import Seal

COLUMNS = (
    "pin_check, patron_ref, resident, active, blocks, restricted, "
    "enter_from, valid_until, hold_from, hold_until, tags, weak_pin"
)
"""All that a patron is, in the order of :func:`to_patron`."""

DECIDING = (
    "patron_ref, resident, active, blocks, restricted, "
    "enter_from, valid_until, hold_from, hold_until, tags, weak_pin"
)
"""What is kept twice of a patron. A wrong bit in a row's key or a PIN's check lets nobody in."""
ASKED_DECIDING = f"{DECIDING}, asked_until, good_until"
LEARNT_DECIDING = "weak_pin, good_until"
CACHE_DECIDING = "epoch, applied_at, minimum_age"

migrations = Layout("patrons")


_OF_A_PATRON = """
    patron_ref TEXT NOT NULL,
    resident INTEGER NOT NULL,
    active INTEGER NOT NULL,
    blocks TEXT NOT NULL,
    restricted INTEGER NOT NULL,
    enter_from TEXT,
    valid_until TEXT,
    hold_from TEXT,
    hold_until TEXT,
    tags TEXT NOT NULL,
    weak_pin INTEGER NOT NULL
"""
_KEY = "row_key BLOB NOT NULL PRIMARY KEY CHECK (length(row_key) = 16)"
_CHECK = "BLOB CHECK (length(pin_check) = 32)"
_SCHEMA = (
    # `epoch` is the push that last brought a row.
    f"""
    CREATE TABLE patrons (
        {_KEY},
        pin_check {_CHECK},
        {_OF_A_PATRON},
        epoch INTEGER NOT NULL,
        twice TEXT
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX patrons_by_ref ON patrons (patron_ref)",
    # `digest` is of the push that is held: the same one is answered and not applied again.
    """
    CREATE TABLE cache (
        only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
        epoch INTEGER NOT NULL,
        applied_at TEXT,
        minimum_age INTEGER NOT NULL,
        patrons INTEGER NOT NULL,
        key_id TEXT NOT NULL,
        memory_kib INTEGER NOT NULL,
        iterations INTEGER NOT NULL,
        digest TEXT NOT NULL DEFAULT '',
        twice TEXT
    ) STRICT
    """,
    # PIN checks that no push brought. One goes with its patron's row, and when a push brings that
    # row with a check or for another patron.
    f"""
    CREATE TABLE learnt (
        row_key BLOB NOT NULL PRIMARY KEY REFERENCES patrons ON DELETE CASCADE,
        pin_check {_CHECK} NOT NULL,
        weak_pin INTEGER NOT NULL,
        learnt_on TEXT NOT NULL,
        good_until TEXT NOT NULL,
        twice TEXT
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX learnt_by_end ON learnt (good_until)",
    """
    CREATE TRIGGER learnt_no_more AFTER UPDATE OF pin_check, patron_ref ON patrons
    WHEN old.pin_check IS NULL AND new.pin_check IS NOT NULL
    OR old.patron_ref <> new.patron_ref
    BEGIN DELETE FROM learnt WHERE row_key = new.row_key; END
    """,
    # Rows that no push brought stand in a table of their own: no push or guard counts them.
    f"""
    CREATE TABLE asked (
        {_KEY},
        pin_check {_CHECK} NOT NULL,
        {_OF_A_PATRON},
        learnt_on TEXT NOT NULL,
        good_until TEXT NOT NULL,
        asked_until TEXT NOT NULL,
        twice TEXT
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX asked_by_ref ON asked (patron_ref)",
    # Rows as they were before a push of the last week shut them out: see `patrons_changes`. Bit n
    # of `days` says that the row opened n days after `at`.
    f"""
    CREATE TABLE shut_out (
        {_KEY},
        at TEXT NOT NULL,
        days INTEGER NOT NULL,
        pin_check {_CHECK}
    ) STRICT, WITHOUT ROWID
    """,
)


@migrations()
def release_0_2(database: sqlite3.Connection) -> None:
    """Lay out all tables."""
    for statement in _SCHEMA:
        database.execute(statement)
    kept_twice.keep(database, "patrons", "row_key", DECIDING, given_with="epoch")
    kept_twice.keep(database, "asked", "row_key", ASKED_DECIDING)
    kept_twice.keep(database, "learnt", "row_key", LEARNT_DECIDING)
    kept_twice.keep(database, "cache", "only", CACHE_DECIDING)


def to_record(row: SealedRow, *more: object) -> tuple[object, ...]:
    """Return a sealed row as the values of ``row_key`` and :data:`COLUMNS`, then `more`."""
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
    )


def to_patron(record: tuple[Any, ...]) -> Patron:
    """Return the patron of a record of :data:`COLUMNS`, `pin_until` and `pushed`.

    Raises:
        TypeError, ValueError: :func:`to_record` did not make the record; the text may quote it.
    """
    pin_check, patron_ref, resident, active, blocks, restricted, *days = record[:10]
    tags, weak_pin, end, pushed = record[10:]
    enter_from, valid_until, hold_from, hold_until, pin_until = map(_to_day, (*days, end))
    return Patron(
        patron_ref=patron_ref,
        pin_check=pin_check,
        resident=bool(resident),
        active=bool(active),
        blocks=_to_codes(blocks),
        restricted=bool(restricted),
        enter_from=enter_from,
        valid_until=valid_until,
        hold_from=hold_from,
        hold_until=hold_until,
        tags=_to_codes(tags),
        pin_until=pin_until,
        weak_pin=bool(weak_pin),
        pushed=bool(pushed),
    )


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
_LEARNT_WHOLE = f"(learnt.row_key IS NULL OR {whole('learnt', LEARNT_DECIDING)})"
_FIND = f"""
    SELECT {_PUSHED}, good_until, 1, {whole("patrons", DECIDING)} AND {_LEARNT_WHOLE} FROM patrons
    LEFT JOIN learnt ON patrons.pin_check IS NULL AND learnt.row_key = patrons.row_key
    WHERE patrons.row_key = ?1
    UNION ALL SELECT {COLUMNS}, asked_until, 0, {whole("asked", ASKED_DECIDING)} FROM asked
    WHERE row_key = ?1
"""  # noqa: S608 -- constants of ours
"""A row that a push brought comes first; where one stands, `PatronWriter.keep` kept no other."""

_STAMP = f"""
    SELECT {whole("cache", CACHE_DECIDING)}, epoch, applied_at, minimum_age, patrons, key_id,
    memory_kib, iterations FROM cache
"""  # noqa: S608 -- constants of ours
_COMMITS_BITS = 32
_CURE = "load the full feed: doorctl patrons load FEED --full"


class PatronCache:
    """Look patrons up in ``patrons.db``; implements `PatronLookup`.

    The file is opened at the first call and again when another file takes its place, so a door
    can start before there is one. `version` has a connection of its own and may be called on
    another thread; any thread may close both. `now_s` is as in `Lasting`.

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
        lasting = None if now_s is None else Lasting(now_s)
        self._rows = WatchedReader(path, _CURE, migrations, lasting=lasting)
        self._commits = WatchedReader(
            path, _CURE, migrations, patience_ms=LOOP_PATIENCE_MS, lasting=lasting
        )

    def find(self, row_key: bytes) -> Patron | None:
        """Return the row of a 16-byte key, as of the last committed push or `keep`."""
        record = self._fetch(_FIND, row_key)
        if record is None:
            return None
        *patron, is_whole = record
        if not is_whole:
            raise self._damaged()
        try:
            return to_patron(tuple(patron))
        except (TypeError, ValueError):
            # The cause would quote the row.
            raise self._damaged() from None

    def stamp(self) -> CacheStamp:
        """Return the cache's epoch and age.

        Raises:
            StoreError: the cache can't be read, was never filled, or is under another seal.
        """
        record = self._fetch(_STAMP)
        if record is None:
            raise StoreError(f"{self.path} was never filled; load the full feed")
        is_whole, epoch, applied_at, minimum_age, patrons, *seal = record
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
        return CacheStamp(epoch, at, minimum_age, patrons)

    def version(self) -> int:
        """Return a number that changes with each commit and each new file."""
        with translated(self.path):
            database = self._commits.current()
            commits = 0
            if self._commits.shared:
                commits = database.execute("PRAGMA data_version").fetchone()[0]
        return (self._commits.generation << _COMMITS_BITS) + commits

    def close(self) -> None:
        """Close both connections; idempotent."""
        self._rows.close()
        self._commits.close()

    def _fetch(self, statement: str, *parameters: object) -> tuple[Any, ...] | None:
        with translated(self.path):
            found = self._rows.current().execute(statement, parameters)
            record: tuple[Any, ...] | None = found.fetchone()
            return record

    def _damaged(self) -> StoreDamagedError:
        return StoreDamagedError(f"{self.path} is damaged: a row can't be read; set it aside")
