"""What a deleted visit could leave in a file: its row key and its time, as SQLite writes them.

A time is six bytes, high byte first: SQLite writes every whole number from 2^31 to 2^47 so, which
are the milliseconds of all days from 1970-01-26 to the year 6429. A time outside tells nobody
anything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from doorctl.store.visit_purge import HELD

KEY_BYTES = 16
TIME_BYTES = 6
_TIMES = range(2**31, 2**47)

# The constant is all that these are made of; values are always bound.
_KEYS = f"""
    SELECT row_key FROM attempts WHERE row_key IS NOT NULL AND at_ms < :cutoff AND NOT {HELD}
    UNION SELECT row_key FROM throttles WHERE touched_ms < :cutoff
    UNION SELECT row_key FROM canaries WHERE at_ms < :cutoff AND NOT {HELD}
    EXCEPT SELECT row_key FROM attempts WHERE row_key IS NOT NULL AND (at_ms >= :cutoff OR {HELD})
    EXCEPT SELECT row_key FROM throttles WHERE touched_ms >= :cutoff
    EXCEPT SELECT row_key FROM canaries WHERE at_ms >= :cutoff OR {HELD}
"""  # noqa: S608 -- as said
_AT = f"""
    SELECT at_ms FROM attempts WHERE at_ms < :cutoff AND NOT {HELD}
    UNION SELECT at_ms FROM canaries WHERE at_ms < :cutoff AND NOT {HELD}
    EXCEPT SELECT since_ms FROM holds
    EXCEPT SELECT to_ms FROM holds
    EXCEPT SELECT added_ms FROM holds
"""  # noqa: S608 -- as said
_KEPT_KEY = """
    SELECT EXISTS (SELECT 1 FROM throttles WHERE row_key = :key)
    OR EXISTS (SELECT 1 FROM canaries WHERE row_key = :key)
    OR EXISTS (SELECT 1 FROM attempts WHERE row_key = :key)
"""
_KEPT_TIME = """
    SELECT EXISTS (SELECT 1 FROM attempts WHERE at_ms = :ms)
    OR EXISTS (SELECT 1 FROM canaries WHERE at_ms = :ms)
    OR EXISTS (SELECT 1 FROM throttles WHERE touched_ms = :ms)
    OR EXISTS (SELECT 1 FROM holds WHERE :ms IN (since_ms, to_ms, until_ms, added_ms))
"""


def expiring(connection: sqlite3.Connection, cutoff_ms: int) -> frozenset[bytes]:
    """Return the row keys and times that go with all before a time, and that nothing kept holds."""
    times = {"cutoff": cutoff_ms}
    keys = (key for (key,) in connection.execute(_KEYS, times) if len(key) == KEY_BYTES)
    return frozenset((*keys, *_written(ms for (ms,) in connection.execute(_AT, times))))


def kept(connection: sqlite3.Connection, traces: Iterable[bytes]) -> frozenset[bytes]:
    """Return those of some traces that a row holds. Reads the whole log for each: for a few."""
    return frozenset(trace for trace in traces if _is_kept(connection, trace))


def _is_kept(connection: sqlite3.Connection, trace: bytes) -> bool:
    if len(trace) == KEY_BYTES:
        found = connection.execute(_KEPT_KEY, {"key": trace}).fetchone()
    else:
        found = connection.execute(_KEPT_TIME, {"ms": int.from_bytes(trace, "big")}).fetchone()
    return bool(found[0])


def _written(times_ms: Iterable[int]) -> Iterator[bytes]:
    return (ms.to_bytes(TIME_BYTES, "big") for ms in times_ms if ms in _TIMES)
