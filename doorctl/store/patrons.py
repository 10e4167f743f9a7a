"""The patron cache, read-only: what the door decides by."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from doorctl.access.patron import Patron
from doorctl.errors import StoreDamagedError, StoreError
from doorctl.ports import CacheStamp
from doorctl.store.connection import translated
from doorctl.store.kept_twice import whole
from doorctl.store.older_file import execute_fitting
from doorctl.store.patron_rows import (
    ASKED_DECIDING,
    CACHE_DECIDING,
    COLUMNS,
    DECIDING,
    LEARNT_DECIDING,
    migrations,
    to_patron,
)
from doorctl.store.sealing import Seal
from doorctl.store.watched_reader import LOOP_PATIENCE_MS, WatchedReader

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

_BEFORE_TWICE = f"""
    SELECT {_PUSHED}, good_until, 1, 1 FROM patrons
    LEFT JOIN learnt ON patrons.pin_check IS NULL AND learnt.row_key = patrons.row_key
    WHERE patrons.row_key = ?1
    UNION ALL SELECT {COLUMNS}, asked_until, 0, 1 FROM asked WHERE row_key = ?1
"""  # noqa: S608 -- constants of ours
_BEFORE_WEAK_PIN = _BEFORE_TWICE.replace(
    "coalesce(learnt.weak_pin, patrons.weak_pin)", "0"
).replace("weak_pin", "0")
_BEFORE_ASKED = _BEFORE_WEAK_PIN.partition("UNION ALL")[0]
_BEFORE_LEARNT = f"""
    SELECT {COLUMNS.replace("weak_pin", "0")}, NULL, 1, 1 FROM patrons WHERE row_key = ?1
"""  # noqa: S608 -- constants of ours
_FINDS = (_FIND, _BEFORE_TWICE, _BEFORE_WEAK_PIN, _BEFORE_ASKED, _BEFORE_LEARNT)
"""One for each layout that a writer of ours ever left; all that keeps people out is in the first.

The door is upgraded with its file as it was, and must not wait for web, which lays out the rest.
"""

_STAMP = f"""
    SELECT {whole("cache", CACHE_DECIDING)}, epoch, applied_at, minimum_age, patrons, key_id,
    memory_kib, iterations FROM cache
"""  # noqa: S608 -- constants of ours
_STAMPS = (_STAMP, _STAMP.replace(whole("cache", CACHE_DECIDING), "1"))
_COMMITS_BITS = 32
_CURE = "load the full feed: doorctl patrons load FEED --full"


class PatronCache:
    """Look patrons up in ``patrons.db``; implements `PatronLookup`.

    The file is opened at the first call and again when another file takes its place, so a door
    can start before there is one. `version` has a connection of its own and may be called on
    another thread than the rest; closing may be left to whoever shuts down.

    Args:
        path: the database.
        seal: what the reader seals identifiers with.
        earlier: what it can seal them with as well.
        now_s: as of `WatchedReader`.
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
        self._rows = WatchedReader(path, _CURE, migrations, now_s=now_s)
        self._commits = WatchedReader(
            path, _CURE, migrations, patience_ms=LOOP_PATIENCE_MS, now_s=now_s
        )

    def find(self, row_key: bytes) -> Patron | None:
        """Return the row of a 16-byte key, as of the last committed push or `keep`.

        A file that an older doorctl laid out is read as far as it goes.
        """
        record = self._fetch(_FINDS, row_key)
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
            StoreError: it can't be read, or its rows can't be found under this seal.
        """
        record = self._fetch(_STAMPS)
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

    def behind(self) -> str | None:
        """Return what is to be done where an older doorctl laid the file out, or None.

        Its rows are found all the same. Called like `find`.

        Raises:
            StoreError: it can't be read.
        """
        with translated(self.path):
            if not migrations.pending(self._rows.current()):
                return None
        return f"{self.path} is of an older doorctl; start doorctl-web once, or load the full feed"

    def version(self) -> int:
        """Return a number that is another one after each commit and each new file."""
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

    def _fetch(self, statements: tuple[str, ...], *parameters: object) -> tuple[Any, ...] | None:
        with translated(self.path):
            database = self._rows.current()
            record: tuple[Any, ...] | None = execute_fitting(
                database, statements, parameters
            ).fetchone()
            return record

    def _damaged(self) -> StoreDamagedError:
        return StoreDamagedError(f"{self.path} is damaged: a row can't be read; set it aside")
