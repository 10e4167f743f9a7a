"""Whom pushes have shut out within a week: kept by the database itself while rows are put.

A temporary trigger notes how a row was before the first push that shut it out: to compare whole
registers would read everything twice, and a copy of one would double the file. What is noted is
judged anew at each push, so what another push has put right again is forgotten. The conditions
are those of `doorctl.access.policy`, as far as a row alone decides; a test compares the two.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import orjson

from doorctl.access.policy import KNOWN_BLOCKS, Policy, WeakPin
from doorctl.ports import Changes

WEEK = timedelta(days=7)
"""So long a card that was shut out counts, and so far ahead a row is judged."""

NO_CLOCK = datetime(1, 1, 2, tzinfo=UTC)
"""Stands for today where nobody knows it: then no date is past."""

_COUNTS = (
    "removed",
    "newly_blocked",
    "newly_non_resident",
    "newly_expired",
    "newly_under_age",
    "newly_restricted",
    "newly_weak",
    "pins_lost",
    "pins_changed",
)

# What a row says for good.
_BLOCKED = """(
    {row}.blocks <> '[]' AND EXISTS (
        SELECT 1 FROM json_each({row}.blocks) AS code
        WHERE code.value IN (SELECT value FROM json_each(denied))
        OR denies_other AND code.value NOT IN (SELECT value FROM json_each(known))
    )
)"""
_NON_RESIDENT = "(needs_resident AND NOT {row}.resident)"
_WEAK = "(refuses_weak AND {row}.weak_pin)"
_CLOSED = f"""(
    NOT {{row}}.active OR {{row}}.restricted OR {_NON_RESIDENT} OR {_WEAK} OR {_BLOCKED}
)"""
# What it says for one day.
_OVER = """(
    coalesce({row}.valid_until < day, 0)
    OR coalesce({row}.hold_from <= day AND coalesce({row}.hold_until >= day, 1), 0)
)"""
_YOUNG = "coalesce({row}.enter_from > day, 0)"
_DATED = f"({_OVER} OR {_YOUNG})"

# A row that never had a check is no refusal: the library system is asked about its PIN.
_PIN_GONE = "(needs_pin AND old.pin_check IS NOT NULL AND new.pin_check IS NOT old.pin_check)"
_DAYS = f"(SELECT coalesce(sum(1 << n), 0) FROM ahead WHERE NOT {_DATED.format(row='old')})"  # noqa: S608 -- constants of ours
_NOTE = f"""
    INSERT INTO shut_out (row_key, at, days, pin_check)
    SELECT old.row_key, at, {_DAYS}, old.pin_check FROM watching
    WHERE NOT EXISTS (SELECT 1 FROM shut_out AS noted WHERE noted.row_key = old.row_key)
    AND NOT {_CLOSED.format(row="old")} AND {_DAYS}
"""  # noqa: S608 -- constants of ours
_DIFFERENT = " OR ".join(
    f"old.{name} IS NOT new.{name}"
    for name in (
        "pin_check",
        "blocks",
        "resident",
        "active",
        "valid_until",
        "hold_from",
        "hold_until",
        "enter_from",
        "restricted",
        "weak_pin",
    )
)
_OPENS_TODAY = f"(NOT {_CLOSED} AND EXISTS (SELECT 1 FROM ahead WHERE n = 0 AND NOT {_DATED}))"  # noqa: S608
# A day that lies before or behind the week that was noted counts as one that was not open.
_WAS_OPEN = "(days >> CAST(julianday(day) - julianday(substr(since, 1, 10)) AS INTEGER) & 1)"
_AHEAD = f"EXISTS (SELECT 1 FROM ahead WHERE {_WAS_OPEN} AND {{dated}})"  # noqa: S608
# Most dates lie outside these days, and are not looked at one by one.
_FIRST, _LAST = "(SELECT min(day) FROM ahead)", "(SELECT max(day) FROM ahead)"

# The constants above are all that these are made of; values are always bound.
_WATCH = (
    """
    CREATE TEMP TABLE IF NOT EXISTS watching (
        at, needs_resident, needs_pin, refuses_weak, denied, known, denies_other, held, let_in
    )
    """,
    "CREATE TEMP TABLE IF NOT EXISTS ahead (n INTEGER PRIMARY KEY, day TEXT NOT NULL)",
    # Most rows of a push are as they were: for those nothing but this comparison is done.
    f"""
    CREATE TEMP TRIGGER IF NOT EXISTS note_changed AFTER UPDATE ON patrons WHEN {_DIFFERENT}
    BEGIN
        {_NOTE} AND (
            {_CLOSED.format(row="new")} OR {_PIN_GONE} OR EXISTS (
                SELECT 1 FROM ahead
                WHERE NOT {_DATED.format(row="old")} AND {_DATED.format(row="new")}
            )
        );
        UPDATE watching SET let_in = let_in + 1
        WHERE NOT {_OPENS_TODAY.format(row="old")} AND {_OPENS_TODAY.format(row="new")};
    END
    """,  # noqa: S608 -- as said
    f"""
    CREATE TEMP TRIGGER IF NOT EXISTS note_removed AFTER DELETE ON patrons BEGIN {_NOTE}; END
    """,
    f"""
    CREATE TEMP VIEW IF NOT EXISTS judged AS
    SELECT noted.row_key,
        now.row_key IS NULL AS removed,
        coalesce({_BLOCKED.format(row="now")}, 0) AS newly_blocked,
        coalesce({_NON_RESIDENT.format(row="now")}, 0) AS newly_non_resident,
        CASE WHEN NOT now.active THEN 1
            WHEN now.valid_until < {_LAST} OR now.hold_from <= {_LAST}
            THEN {_AHEAD.format(dated=_OVER.format(row="now"))} ELSE 0 END AS newly_expired,
        CASE WHEN now.enter_from > {_FIRST}
            THEN {_AHEAD.format(dated=_YOUNG.format(row="now"))} ELSE 0 END AS newly_under_age,
        coalesce(now.restricted, 0) AS newly_restricted,
        coalesce({_WEAK.format(row="now")}, 0) AS newly_weak,
        needs_pin AND now.row_key IS NOT NULL AND noted.pin_check IS NOT NULL
            AND now.pin_check IS NULL AS pins_lost,
        needs_pin AND coalesce(now.pin_check <> noted.pin_check, 0) AS pins_changed
    FROM watching
    JOIN (SELECT row_key, at AS since, days, pin_check FROM shut_out) AS noted
    LEFT JOIN patrons AS now ON now.row_key = noted.row_key
    """,  # noqa: S608 -- as said
    "DELETE FROM watching",
    "DELETE FROM ahead",
)
_BEGIN = """
    INSERT INTO watching
    SELECT ?, ?, ?, ?, ?, ?, ?, cache.patrons + (
        SELECT count(*) FROM shut_out
        WHERE NOT EXISTS (SELECT 1 FROM patrons WHERE patrons.row_key = shut_out.row_key)
    ), 0 FROM cache
"""
_LOST = " OR ".join(_COUNTS)
_COUNT = f"""
    SELECT count(*), total({_LOST}), {", ".join(f"total({name})" for name in _COUNTS)}
    FROM (SELECT * FROM judged LIMIT -1)
"""  # noqa: S608 -- as said
_FORGET_HEALED = f"""
    DELETE FROM shut_out WHERE row_key IN (SELECT row_key FROM judged WHERE NOT ({_LOST}))
"""  # noqa: S608 -- as said
# What stands more than a day ahead was dated by a clock that was wrong.
_FORGET_OLD = "DELETE FROM shut_out WHERE at <= ? OR at > ?"


def watch(connection: sqlite3.Connection, policy: Policy, at: datetime | None) -> None:
    """Note from now on, in the push's transaction, before its first row; until :func:`stop`.

    Args:
        connection: the one that puts the rows.
        policy: the branch's rules.
        at: when the push is applied, UTC; None for not known: then no date is past.
    """
    for statement in _WATCH:
        connection.execute(statement)
    if at is not None:
        forget(connection, at)
    now = NO_CLOCK if at is None else at
    days = [(n, (now.date() + timedelta(n)).isoformat()) for n in range(WEEK.days + 1)]
    connection.executemany("INSERT INTO ahead VALUES (?, ?)", days)
    rules = (
        _text(now),
        policy.require_resident,
        policy.require_pin,
        policy.require_pin and policy.weak_pin is WeakPin.REFUSE,
        orjson.dumps(sorted(policy.deny_blocks)).decode(),
        orjson.dumps(sorted(KNOWN_BLOCKS)).decode(),
        policy.deny_other_blocks,
    )
    connection.execute(_BEGIN, rules)


def counted(connection: sqlite3.Connection) -> Changes:
    """Return what the pushes of a week have changed; once all rows are put and removed."""
    held, let_in = connection.execute("SELECT held, let_in FROM watching").fetchone()
    noted, shut_out, *counts = map(int, connection.execute(_COUNT).fetchone())
    if noted > shut_out:
        connection.execute(_FORGET_HEALED)
    by_name = dict(zip(_COUNTS, counts, strict=True))
    return Changes(held=held, shut_out=shut_out, let_in=let_in, **by_name)


def stop(connection: sqlite3.Connection, *, forgets: bool) -> None:
    """Note nothing more: what else removes rows shuts out nobody by mistake.

    Args:
        connection: in the push's transaction.
        forgets: whether somebody has approved of the push, and with it of all that is noted.
    """
    connection.execute("DELETE FROM watching")
    if forgets:
        connection.execute("DELETE FROM shut_out")


def forget(connection: sqlite3.Connection, at: datetime) -> int:
    """Forget what is older than a week, in the caller's transaction; return how many cards."""
    around = (_text(at - WEEK), _text(at + timedelta(days=1)))
    return connection.execute(_FORGET_OLD, around).rowcount


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
