"""Whom a push shuts out: counted by the database itself while rows are put.

A temporary trigger does it: to compare afterwards would read everything twice. The conditions are
those of `doorctl.access.policy`, as far as a row alone decides; a test compares the two.
"""

from __future__ import annotations

import sqlite3
from datetime import date

import orjson

from doorctl.access.policy import KNOWN_BLOCKS, Policy, WeakPin
from doorctl.ports import Changes

_RULES = "today, needs_resident, needs_pin, refuses_weak, denied, known, denies_other"
_COUNTS = (
    "shut_out",
    "pins_changed",
    "newly_blocked",
    "newly_non_resident",
    "newly_expired",
    "newly_under_age",
    "newly_restricted",
    "newly_weak",
    "pins_lost",
)

_REFUSALS = {
    "newly_blocked": """(
        {row}.blocks <> '[]' AND EXISTS (
            SELECT 1 FROM json_each({row}.blocks) AS code
            WHERE code.value IN (SELECT value FROM json_each(denied))
            OR denies_other AND code.value NOT IN (SELECT value FROM json_each(known))
        )
    )""",
    "newly_non_resident": "(needs_resident AND NOT {row}.resident)",
    "newly_expired": """(
        NOT {row}.active
        OR coalesce({row}.valid_until < today, 0)
        OR coalesce({row}.hold_from <= today AND coalesce({row}.hold_until >= today, 1), 0)
    )""",
    "newly_under_age": "coalesce({row}.enter_from > today, 0)",
    "newly_restricted": "{row}.restricted",
    "newly_weak": "(refuses_weak AND {row}.weak_pin)",
}
"""Why a row lets nobody in, by what its count is called."""

# A row that never had a check is no refusal: the library system is asked about its PIN.
_PIN_LOST = "(needs_pin AND old.pin_check IS NOT NULL AND new.pin_check IS NULL)"
_PIN_CHANGED = "(needs_pin AND coalesce(old.pin_check <> new.pin_check, 0))"

_OPENED = " OR ".join(one.format(row="old") for one in _REFUSALS.values())
_CLOSED = {
    **{name: one.format(row="new") for name, one in _REFUSALS.items()},
    "pins_lost": _PIN_LOST,
}
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

# The constants above are all that these are made of; values are always bound.
_WATCH = (
    f"CREATE TEMP TABLE IF NOT EXISTS lost ({_RULES}, {', '.join(_COUNTS)})",
    # Most rows of a push are as they were: for those nothing but this comparison is done.
    f"""
    CREATE TEMP TRIGGER IF NOT EXISTS shut_out AFTER UPDATE ON patrons WHEN {_DIFFERENT}
    BEGIN
        UPDATE lost SET pins_changed = pins_changed + 1 WHERE {_PIN_CHANGED};
        UPDATE lost SET shut_out = shut_out + 1,
            {", ".join(f"{name} = {name} + {refused}" for name, refused in _CLOSED.items())}
        WHERE NOT ({_OPENED}) AND ({" OR ".join(_CLOSED.values())});
    END
    """,  # noqa: S608 -- as said
    "DELETE FROM lost",
)
_BEGIN = f"""
    INSERT INTO lost ({_RULES}, {", ".join(_COUNTS)})
    VALUES (?, ?, ?, ?, ?, ?, ?, {", ".join("0" * len(_COUNTS))})
"""  # noqa: S608 -- as said
_COUNT = f"SELECT {', '.join(_COUNTS)} FROM lost"  # noqa: S608 -- as said


def watch(connection: sqlite3.Connection, policy: Policy, today: date | None) -> None:
    """Count from now on, in the push's transaction, before its first row.

    Args:
        connection: the one that puts the rows.
        policy: the branch's rules.
        today: the day on which the push is applied; None for not known: then no date is past.
    """
    for statement in _WATCH:
        connection.execute(statement)
    rules = (
        "" if today is None else today.isoformat(),
        policy.require_resident,
        policy.require_pin,
        policy.require_pin and policy.weak_pin is WeakPin.REFUSE,
        orjson.dumps(sorted(policy.deny_blocks)).decode(),
        orjson.dumps(sorted(KNOWN_BLOCKS)).decode(),
        policy.deny_other_blocks,
    )
    connection.execute(_BEGIN, rules)


def counted(connection: sqlite3.Connection, *, held: int, removed: int) -> Changes:
    """Return what has been counted, beside what the caller knows."""
    counts = connection.execute(_COUNT).fetchone()
    return Changes(held=held, removed=removed, **dict(zip(_COUNTS, counts, strict=True)))
