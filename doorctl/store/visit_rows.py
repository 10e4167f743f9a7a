"""The tables of visits: their migrations, and times as they are stored there."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from doorctl.access.throttle import CardThrottle
from doorctl.errors import StoreDamagedError
from doorctl.moments import BootTime
from doorctl.store import wrong_pins
from doorctl.store.older_file import Layout
from doorctl.store.statistics import create_hourly

THROTTLE = "SELECT failures, boot_id, boot_ms FROM throttles WHERE row_key = ?"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

migrations = Layout("visits")


@migrations()
def create_attempts_throttles_reader_and_clock(database: sqlite3.Connection) -> None:
    """Lay out the four tables; AUTOINCREMENT keeps the highest number past every purge."""
    database.execute("""
        CREATE TABLE attempts (
            attempt INTEGER PRIMARY KEY AUTOINCREMENT,
            at_ms INTEGER NOT NULL,
            clock TEXT NOT NULL,
            boot_id TEXT NOT NULL,
            boot_ms INTEGER NOT NULL,
            row_key BLOB,
            verdict TEXT,
            reason TEXT
        ) STRICT
    """)
    database.execute("CREATE INDEX attempts_by_time ON attempts (at_ms)")
    database.execute("""
        CREATE TABLE throttles (
            row_key BLOB NOT NULL PRIMARY KEY,
            failures INTEGER NOT NULL,
            boot_id TEXT,
            boot_ms INTEGER,
            touched_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
    """)
    database.execute("""
        CREATE TABLE reader (
            only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
            spent_ms INTEGER NOT NULL,
            boot_id TEXT,
            boot_ms INTEGER
        ) STRICT
    """)
    database.execute("""
        CREATE TABLE clock (
            only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
            high_water_ms INTEGER NOT NULL
        ) STRICT
    """)


@migrations()
def add_canaries_and_holds(database: sqlite3.Connection) -> None:
    """Lay out what a purge is proved by and what it spares.

    Canaries have the layout from which deleting alone leaves most: a table with an index on its
    keys.
    """
    database.execute("""
        CREATE TABLE canaries (
            row_key BLOB NOT NULL,
            at_ms INTEGER NOT NULL
        ) STRICT
    """)
    database.execute("CREATE UNIQUE INDEX canaries_by_key ON canaries (row_key)")
    database.execute("""
        CREATE TABLE holds (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            since_ms INTEGER NOT NULL,
            to_ms INTEGER NOT NULL,
            case_number TEXT NOT NULL,
            reason TEXT NOT NULL,
            until_ms INTEGER NOT NULL,
            added_ms INTEGER NOT NULL,
            added_by TEXT NOT NULL
        ) STRICT
    """)


@migrations()
def add_hourly(database: sqlite3.Connection) -> None:
    """Lay out the counts that outlive the visits; see `doorctl.store.statistics`."""
    create_hourly(database)


@migrations()
def add_wrong_pins(database: sqlite3.Connection) -> None:
    """Lay out what no right PIN forgets; see `doorctl.store.wrong_pins`."""
    wrong_pins.create(database)


def to_ms(at: datetime) -> int:
    """Return an aware time as whole milliseconds since 1970, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """Return the UTC time of milliseconds since 1970.

    Raises:
        StoreDamagedError: no calendar has that time.
    """
    try:
        return _EPOCH + ms * _MILLISECOND
    except OverflowError:
        raise StoreDamagedError("a stored time lies beyond the calendar") from None


def to_boot(boot_id: str | None, ms: int | None) -> BootTime | None:
    """Return a boot time of its two columns, None where they are empty."""
    return None if boot_id is None or ms is None else BootTime(boot_id, ms)


def to_throttle(record: tuple[int, str | None, int | None] | None) -> CardThrottle:
    """Return the throttle of a record of :data:`THROTTLE`; no record is no failure."""
    if record is None:
        return CardThrottle()
    failures, boot_id, boot_ms = record
    return CardThrottle(failures, to_boot(boot_id, boot_ms))
