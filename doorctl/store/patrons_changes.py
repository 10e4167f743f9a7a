"""What a push changes: whom pushes shut out within a week, what was learnt, and rows that go.

A temporary trigger notes how a row was before the first push that shut it out: to compare whole
registers would read everything twice, and a copy of one would double the file. What is noted is
judged anew at each push, so a note that another push has put right is forgotten. The conditions
are those of `doorctl.access.policy`, as far as a row alone decides; a test compares the two.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sized
from datetime import datetime, timedelta

import orjson

from doorctl.access.patron import SealedRow
from doorctl.access.policy import KNOWN_BLOCKS, Policy, WeakPin
from doorctl.core.errors import RowsClashError
from doorctl.store.connection import batches
from doorctl.store.tables import KEY_SUM, REGISTER
from doorctl.sync.guard import MOST_CARDS, SOON, Changes

WEEK = timedelta(days=7)
"""How long a card that was shut out counts, and how far ahead of it a card counts as shut out."""

_COUNTS = (
    "removed",
    "newly_blocked",
    "newly_non_resident",
    "newly_expired",
    "newly_under_age",
    "newly_untagged",
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
_UNTAGGED = """(
    required <> '[]' AND EXISTS (
        SELECT 1 FROM json_each(required) AS tag
        WHERE tag.value NOT IN (SELECT value FROM json_each({row}.tags))
    )
)"""
_CLOSED = f"""(
    NOT {{row}}.active OR {{row}}.restricted OR {_NON_RESIDENT} OR {_WEAK} OR {_BLOCKED}
    OR {_UNTAGGED}
)"""
# What it says for one day.
_OVER = """(
    coalesce({row}.valid_until < day, 0)
    OR coalesce({row}.hold_from <= day AND coalesce({row}.hold_until >= day, 1), 0)
)"""
_YOUNG = """(
    coalesce({row}.enter_from > day, 0) AND NOT EXISTS (
        SELECT 1 FROM json_each({row}.tags) AS tag
        WHERE tag.value IN (SELECT value FROM json_each(of_any_age))
    )
)"""
_DATED = f"({_OVER} OR {_YOUNG})"

# Most dates lie outside the days ahead, and are not looked at one by one.
_FIRST = "(SELECT day FROM ahead WHERE n = 0)"
_LAST = f"(SELECT day FROM ahead WHERE n = {SOON.days})"  # noqa: S608 -- constants of ours
_ENDS = f"({{row}}.valid_until < {_LAST} OR {{row}}.hold_from <= {_LAST})"
_MAY_CLOSE = f"({_ENDS} OR {{row}}.enter_from > {_FIRST})"

# A row that never had a check is no refusal: the library system is asked about its PIN.
_PIN_GONE = "(needs_pin AND old.pin_check IS NOT NULL AND new.pin_check IS NOT old.pin_check)"
_DAYS = f"""
    CASE WHEN {_MAY_CLOSE.format(row="old")}
    THEN (SELECT coalesce(sum(1 << n), 0) FROM ahead WHERE NOT {_DATED.format(row="old")})
    ELSE {(2 << SOON.days) - 1} END
"""  # noqa: S608 -- as said
_NOTE = f"""
    INSERT INTO shut_out (row_key, at, days, pin_check)
    SELECT old.row_key, at, {_DAYS}, old.pin_check FROM watching
    WHERE NOT EXISTS (SELECT 1 FROM shut_out AS noted WHERE noted.row_key = old.row_key)
    AND NOT {_CLOSED.format(row="old")} AND EXISTS (
        SELECT 1 FROM ahead WHERE n <= {WEEK.days} AND NOT {_DATED.format(row="old")}
    )
"""  # noqa: S608 -- constants of ours
_DIFFERENT = " OR ".join(
    f"old.{name} IS NOT new.{name}"
    for name in REGISTER.but("row_key", "patron_ref", "epoch", KEY_SUM).split(", ")
)
_OPENS_TODAY = f"(NOT {_CLOSED} AND EXISTS (SELECT 1 FROM ahead WHERE n = 0 AND NOT {_DATED}))"  # noqa: S608
# A day that lies before or behind those that were noted counts as one that was not open. Who is
# shut out is asked of the first week alone: an end that staff were told of refuses no later push.
_WAS_OPEN = "({days} >> CAST(julianday(day) - julianday(substr(since, 1, 10)) AS INTEGER) & 1)"
_WEEK_OPEN = _WAS_OPEN.format(days=f"(days & {(2 << WEEK.days) - 1})")
_IN_WEEK = f"EXISTS (SELECT 1 FROM ahead WHERE n <= {WEEK.days} AND {{dated}} AND {_WEEK_OPEN})"  # noqa: S608
_SOON = f"EXISTS (SELECT 1 FROM ahead WHERE {{dated}} AND {_WAS_OPEN.format(days='days')})"  # noqa: S608

# The constants above are all that these are made of; values are always bound.
_WATCH = (
    """
    CREATE TEMP TABLE IF NOT EXISTS watching (
        at, needs_resident, needs_pin, refuses_weak, denied, known, denies_other, required,
        of_any_age, held, let_in, moved
    )
    """,
    "CREATE TEMP TABLE IF NOT EXISTS crowds (patron_ref TEXT PRIMARY KEY, cards) WITHOUT ROWID",
    "CREATE TEMP TABLE IF NOT EXISTS ahead (n INTEGER PRIMARY KEY, day TEXT NOT NULL)",
    # Most rows of a push are as they were: for those nothing but this comparison is done.
    f"""
    CREATE TEMP TRIGGER IF NOT EXISTS note_changed AFTER UPDATE ON patrons WHEN {_DIFFERENT}
    BEGIN
        {_NOTE} AND (
            {_CLOSED.format(row="new")} OR {_PIN_GONE}
            OR {_MAY_CLOSE.format(row="new")} AND EXISTS (
                SELECT 1 FROM ahead
                WHERE {_DATED.format(row="new")} AND NOT {_DATED.format(row="old")}
            )
        );
        UPDATE watching SET let_in = let_in + 1
        WHERE NOT {_OPENS_TODAY.format(row="old")} AND {_OPENS_TODAY.format(row="new")};
    END
    """,  # noqa: S608 -- as said
    """
    CREATE TEMP TRIGGER IF NOT EXISTS note_moved AFTER UPDATE ON patrons
    WHEN old.patron_ref <> new.patron_ref
    BEGIN UPDATE watching SET moved = moved + 1; END
    """,
    f"""
    CREATE TEMP TRIGGER IF NOT EXISTS note_removed AFTER DELETE ON patrons BEGIN {_NOTE}; END
    """,
    f"""
    CREATE TEMP VIEW IF NOT EXISTS judged AS
    SELECT noted.row_key, since = at AS is_new,
        now.row_key IS NULL AS removed,
        coalesce({_BLOCKED.format(row="now")}, 0) AS newly_blocked,
        coalesce({_NON_RESIDENT.format(row="now")}, 0) AS newly_non_resident,
        CASE WHEN NOT now.active THEN 1
            WHEN {_ENDS.format(row="now")}
            THEN {_IN_WEEK.format(dated=_OVER.format(row="now"))} ELSE 0 END AS newly_expired,
        CASE WHEN {_ENDS.format(row="now")}
            THEN {_SOON.format(dated=_OVER.format(row="now"))} ELSE 0 END AS ending,
        CASE WHEN now.enter_from > {_FIRST}
            THEN {_IN_WEEK.format(dated=_YOUNG.format(row="now"))} ELSE 0 END AS newly_under_age,
        now.row_key IS NOT NULL AND {_UNTAGGED.format(row="now")} AS newly_untagged,
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
    "DELETE FROM crowds",
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
_BEGIN = """
    INSERT INTO watching
    SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, cache.patrons + (
        SELECT count(*) FROM shut_out
        WHERE NOT EXISTS (SELECT 1 FROM patrons WHERE patrons.row_key = shut_out.row_key)
    ), 0, 0 FROM cache
"""
_LOST = " OR ".join(_COUNTS)
_COUNT = f"""
    SELECT count(*), total({_LOST}), total(ending AND NOT ({_LOST})),
        total(ending AND is_new AND NOT ({_LOST})),
        {", ".join(f"total({name})" for name in _COUNTS)}
    FROM (SELECT * FROM judged LIMIT -1)
"""  # noqa: S608 -- as said
_FORGET_HEALED = f"""
    DELETE FROM shut_out
    WHERE row_key IN (SELECT row_key FROM judged WHERE NOT (ending OR {_LOST}))
"""  # noqa: S608 -- as said
# What stands more than a day ahead was dated by a clock that was wrong.
_FORGET_OLD = "DELETE FROM shut_out WHERE at <= ? OR at > ?"


def watch(connection: sqlite3.Connection, policy: Policy, at: datetime) -> None:
    """Note from now on whom a push shuts out, until :func:`stop`; call it before the first row.

    In the push's transaction. `at` is when it is applied, UTC.
    """
    for statement in _WATCH:
        connection.execute(statement)
    forget(connection, at)
    days = [(n, (at.date() + timedelta(n)).isoformat()) for n in range(SOON.days + 1)]
    connection.executemany("INSERT INTO ahead VALUES (?, ?)", days)
    connection.execute(f"INSERT INTO crowds {_CROWDED}")
    rules = (
        _text(at),
        policy.require_resident,
        policy.require_pin,
        policy.require_pin and policy.weak_pin is WeakPin.REFUSE,
        _listed(policy.deny_blocks),
        _listed(KNOWN_BLOCKS),
        policy.deny_other_blocks,
        _listed(policy.require_tags),
        _listed(policy.age_exception_tags),
    )
    connection.execute(_BEGIN, rules)


def _listed(names: Iterable[str]) -> str:
    return orjson.dumps(sorted(names)).decode()


def counted(connection: sqlite3.Connection) -> Changes:
    """Return what the pushes of a week changed; call it once all rows are put and removed."""
    held, let_in, moved = connection.execute("SELECT held, let_in, moved FROM watching").fetchone()
    counts = map(int, connection.execute(_COUNT).fetchone())
    noted, shut_out, ending, ending_now, *reasons = counts
    if noted > shut_out + ending:
        connection.execute(_FORGET_HEALED)
    crowded, largest = map(int, connection.execute(_COUNT_CROWDED).fetchone())
    if not held:
        (held,) = connection.execute("SELECT count(*) FROM patrons").fetchone()
    return Changes(
        held=held,
        shut_out=shut_out,
        let_in=let_in,
        ending=ending,
        ending_now=ending_now,
        moved=moved,
        crowded=crowded,
        largest=largest,
        **dict(zip(_COUNTS, reasons, strict=True)),
    )


def stop(connection: sqlite3.Connection, *, forgets: bool) -> None:
    """Stop noting: other removals shut out nobody by mistake. `forgets`: staff approved of all."""
    connection.execute("DELETE FROM watching")
    if forgets:
        connection.execute("DELETE FROM shut_out")


def forget(connection: sqlite3.Connection, at: datetime) -> int:
    """Forget notes older than a week, in the caller's transaction; return how many cards."""
    around = (_text(at - WEEK), _text(at + timedelta(days=1)))
    return connection.execute(_FORGET_OLD, around).rowcount


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


# PIN checks and whole rows that came from the library system's answers and not from a push.

_FORGET_CHANGED = (
    "DELETE FROM learnt WHERE row_key = ? AND learnt_on <= ?",
    "DELETE FROM asked WHERE row_key = ? AND learnt_on <= ?",
)
_HAND_ON = """
    INSERT INTO learnt (row_key, pin_check, weak_pin, learnt_on, good_until, key_sum)
    SELECT asked.row_key, asked.pin_check, asked.weak_pin, learnt_on, good_until, asked.key_sum
    FROM asked JOIN patrons ON patrons.row_key = asked.row_key WHERE patrons.pin_check IS NULL
"""
_REPLACE_ALL = "DELETE FROM asked"
_REPLACE_MENTIONED = """
    DELETE FROM asked
    WHERE EXISTS (SELECT 1 FROM patrons WHERE patrons.row_key = asked.row_key)
    OR EXISTS (
        SELECT 1 FROM patrons WHERE patrons.patron_ref = asked.patron_ref AND epoch = :epoch
    )
"""
_REMOVE_PATRON = "DELETE FROM asked WHERE patron_ref = ?"
_FORGET_LEARNT = (
    "DELETE FROM learnt WHERE good_until < ?",
    "DELETE FROM asked WHERE asked_until < ?",
)


def forget_changed(connection: sqlite3.Connection, batch: Iterable[SealedRow]) -> None:
    """Forget what was learnt before a PIN was changed, for a push's batch that was just put."""
    changed = [
        (row.row_key, row.pin_changed.isoformat()) for row in batch if row.pin_changed is not None
    ]
    for statement in _FORGET_CHANGED if changed else ():
        connection.executemany(statement, changed)


def give_way(connection: sqlite3.Connection, epoch: int, at: datetime, *, full: bool) -> None:
    """Delete learnt rows that a push replaces: once its rows are put, before others are removed.

    In the push's transaction. A row that the push brings without a PIN check gets the check that
    was learnt for it. SQLite itself deletes the checks of removed rows. `at` is now, UTC.
    """
    connection.execute(_HAND_ON)
    if full:
        connection.execute(_REPLACE_ALL)
    else:
        connection.execute(_REPLACE_MENTIONED, {"epoch": epoch})
    # A day ends earlier in Denmark than in UTC: nothing goes before its last day is over.
    for statement in _FORGET_LEARNT:
        connection.execute(statement, (at.date().isoformat(),))


MOST_KEPT = 10_000
"""Patrons of changes who are kept in memory. For more of them the whole table is looked through
once: that takes no memory, and then hardly more time."""

_REMOVE_ALL_ELSE = "DELETE FROM patrons WHERE epoch < :epoch"
# IN (SELECT ...) would put every patron_ref of the push into memory first.
_REMOVE_ALL_OTHERS = """
    DELETE FROM patrons WHERE epoch < :epoch AND EXISTS (
        SELECT 1 FROM patrons AS brought
        WHERE brought.patron_ref = patrons.patron_ref AND brought.epoch = :epoch
    )
"""
_REMOVE_OTHERS = "DELETE FROM patrons WHERE epoch < ? AND patron_ref IN ({marks})"
_REMOVE_NAMED = "DELETE FROM patrons WHERE patron_ref = ?"
_FIND_OWNERS = "SELECT row_key, patron_ref FROM patrons WHERE epoch < ? AND row_key IN ({marks})"
_IS_BROUGHT = "SELECT EXISTS (SELECT 1 FROM patrons WHERE patron_ref = ? AND epoch = ?)"


class Leaving:
    """Rows that a push leaves out or removes; memory grows with cards that change hands only."""

    def __init__(self, connection: sqlite3.Connection, epoch: int, *, full: bool) -> None:
        self._connection = connection
        self._epoch = epoch
        self._full = full
        self._brought: set[str] = set()
        self._robbed: set[str] = set()

    def note(self, batch: list[SealedRow]) -> None:
        """Note some of the push's rows; call it before they are put."""
        if self._full:
            return
        self._robbed.update(self._owners_robbed(batch))
        if len(self._brought) <= MOST_KEPT:
            self._brought.update(row.patron.patron_ref for row in batch)

    def remove(self, removals: Iterable[str]) -> int:
        """Remove rows, once all of the push's are put; return how many.

        `removals` are the `patron_ref` that the push removes by name; they are read once. Raises
        RowsClashError: a row has taken an identifier from a patron who is neither among the rows
        nor removed.
        """
        named = sum(map(self._remove_named, batches(removals)))
        self._refuse_robbery()
        return named + self._remove_others()

    def _remove_named(self, batch: list[str]) -> int:
        self._robbed.difference_update(batch)
        refs = [(ref,) for ref in batch]
        self._connection.executemany(_REMOVE_PATRON, refs)
        return self._connection.executemany(_REMOVE_NAMED, refs).rowcount

    def _remove_others(self) -> int:
        if self._full or len(self._brought) > MOST_KEPT:
            remove = _REMOVE_ALL_ELSE if self._full else _REMOVE_ALL_OTHERS
            return self._connection.execute(remove, {"epoch": self._epoch}).rowcount
        # In order, so that neighbours in the index are read together.
        return sum(map(self._remove_others_of, batches(sorted(self._brought))))

    def _remove_others_of(self, batch: list[str]) -> int:
        remove = _REMOVE_OTHERS.format(marks=_marks(batch))
        return self._connection.execute(remove, (self._epoch, *batch)).rowcount

    def _refuse_robbery(self) -> None:
        for patron_ref in self._robbed:
            if not self._connection.execute(_IS_BROUGHT, (patron_ref, self._epoch)).fetchone()[0]:
                raise RowsClashError(
                    "a row takes an identifier from a patron who is not among the rows; "
                    "nothing was changed"
                )

    def _owners_robbed(self, batch: list[SealedRow]) -> Iterator[str]:
        owners = {row.row_key: row.patron.patron_ref for row in batch}
        find = _FIND_OWNERS.format(marks=_marks(owners))
        rows = self._connection.execute(find, (self._epoch, *owners))
        return (owner for row_key, owner in rows if owner != owners[row_key])


def _marks(values: Sized) -> str:
    return ", ".join("?" * len(values))
