"""What the guard of a push judges by: whom the pushes of a week shut out, let in, and put together.

A note keeps how a card was before the first push that shut it out: to compare whole registers would
read everything twice, and a copy of one would double the file. What a card has lost is decided by
`doorctl.access.forecast`, for the rows that a push changes or removes and for notes whose last day
is over. How many cards lost what is kept as a figure, so no push looks at all notes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from doorctl.access.forecast import ENDING, REMOVED, WEEK, Before, Forecast, Loss, forecast, loss
from doorctl.access.policy import Policy
from doorctl.store.connection import batches, marks
from doorctl.store.patrons import COLUMNS, to_patron
from doorctl.store.patrons_crowds import Crowds
from doorctl.store.tables import select
from doorctl.sync.guard import Changes

Record = tuple[Any, ...]
"""A row as it is stored: ``row_key`` and `COLUMNS`, and of a new one more behind them."""

PIN_CHECK, PATRON_REF, RIGHTS, WIDTH = 1, 2, 3, 1 + len(COLUMNS.split(", "))
"""Where they stand in a record: what says who comes in when is behind the first three."""

_MOST_FORECASTS = 1024
_SLICE = 1000
_NOTE_WIDTH = 4
_NOTES = select("row_key, at, days, pin_check", "shut_out WHERE row_key IN ({marks})")
_PUT_NOTE = """
    INSERT INTO shut_out (row_key, at, days, pin_check, reasons, until) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (row_key) DO UPDATE SET reasons = excluded.reasons, until = excluded.until
"""
_FORGET_NOTE = "DELETE FROM shut_out WHERE row_key = ?"
_ANY_HELD = "SELECT EXISTS (SELECT 1 FROM patrons)"
_ANY_NOTES = "SELECT EXISTS (SELECT 1 FROM shut_out)"
_DUE = f"""
    SELECT noted.row_key, noted.at, noted.days, noted.pin_check, now.row_key,
    {", ".join(f"now.{name}" for name in COLUMNS.split(", "))}
    FROM shut_out AS noted LEFT JOIN patrons AS now ON now.row_key = noted.row_key
    WHERE noted.until < ? LIMIT {_SLICE}
"""  # noqa: S608 -- only constants
RECOUNT = "UPDATE cache SET patrons = (SELECT count(*) FROM patrons)"
_COUNTED_ANEW = (
    "UPDATE shut_out SET until = ''",
    "DELETE FROM shut_out_counts",
    "INSERT INTO shut_out_counts SELECT coalesce(reasons, ''), count(*) FROM shut_out GROUP BY 1",
    RECOUNT,
)
_COUNTS = "SELECT reasons, count FROM shut_out_counts"
_ENDING_NOW = "SELECT count(*) FROM shut_out WHERE at = ? AND reasons = ?"
_FORGET_OLD = "DELETE FROM shut_out WHERE at <= ?"
# What stands more than a day ahead was dated by a clock that was wrong.
_FORGET_AHEAD = "DELETE FROM shut_out WHERE at > ?"


class WeekOfPushes:
    """Learn what a push changes, in its transaction, beside what the pushes of a week changed.

    Args:
        at: when the push is applied, UTC.
        anew: the branch's rules, or the rows, may be others than at the last push, or the push
            looks at all rows anyhow: all notes are looked at, and the figures counted anew.

    Attributes:
        any_held: whether a row was held before.
        any_notes: whether a card is noted as shut out.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        policy: Policy,
        at: datetime,
        *,
        anew: bool,
    ) -> None:
        self._connection = connection
        self._policy = policy
        self._at, self._today = _text(at), at.date()
        self._forecasts: dict[Record, Forecast | None] = {}
        self.any_held = bool(connection.execute(_ANY_HELD).fetchone()[0])
        self._crowds = Crowds(connection, any_held=self.any_held)
        self._let_in = self._moved = 0
        forget(connection, at)
        for statement in _COUNTED_ANEW if anew else ():
            connection.execute(statement)
        self._judge_due()
        self.any_notes = bool(connection.execute(_ANY_NOTES).fetchone()[0])
        (self._held,) = connection.execute("SELECT patrons FROM cache").fetchone()
        self._held += sum(cards for reasons, cards in self._counts() if reasons == REMOVED)

    def put(self, after: Mapping[bytes, Record], before: Mapping[bytes, Record]) -> None:
        """Learn of rows that were just put, and of those that they have replaced by others."""
        cards = Counter[str]()
        for key, new in after.items():
            old = before.get(key)
            if old is None:
                cards[new[PATRON_REF]] += 1
                continue
            if old[PATRON_REF] != new[PATRON_REF]:
                self._moved += 1
                cards.update({old[PATRON_REF]: -1, new[PATRON_REF]: 1})
            self._let_in += not self._opens_now(old) and self._opens_now(new)
        self._crowds.note(cards)
        if before or self.any_notes:
            self._note({key: (before.get(key), new) for key, new in after.items()})

    def removed(self, records: Iterable[Record]) -> None:
        """Learn of rows that are about to be removed."""
        self._note({record[0]: (record, None) for record in records})

    def changes(self, held_after: int) -> Changes:
        """Return what the guard judges by, once all rows are put and removed."""
        shut_out, ending, reasons = 0, 0, dict[str, int]()
        for written, cards in self._counts():
            if written == ENDING:
                ending = cards
                continue
            shut_out += cards
            for reason in written.split():
                reasons[reason] = reasons.get(reason, 0) + cards
        crowded, largest = self._crowds.grown()
        return Changes(
            held=self._held or held_after,
            shut_out=shut_out,
            let_in=self._let_in,
            reasons=reasons,
            ending=ending,
            ending_now=self._ending_now() if ending else 0,
            moved=self._moved,
            crowded=crowded,
            largest=largest,
        )

    def _counts(self) -> list[tuple[str, int]]:
        return self._connection.execute(_COUNTS).fetchall()

    def _ending_now(self) -> int:
        counted = self._connection.execute(_ENDING_NOW, (self._at, ENDING)).fetchone()
        return int(counted[0])

    def _opens_now(self, record: Record) -> bool:
        found = self._forecast(record)
        return found is not None and found.opens_now

    def _forecast(self, record: Record) -> Forecast | None:
        """Return what a row says of the days ahead; None where a wrong bit makes it no row."""
        rights = record[RIGHTS:WIDTH]
        try:
            return self._forecasts[rights]
        except KeyError:
            pass
        try:
            # Most rows say the same as others: each saying is asked about once.
            patron = to_patron((None, "", *rights, None, True))
            found = forecast(self._policy, patron, self._today)
        except (TypeError, ValueError):
            found = None
        if len(self._forecasts) >= _MOST_FORECASTS:
            self._forecasts.clear()
        self._forecasts[rights] = found
        return found

    def _note(self, changed: Mapping[bytes, tuple[Record | None, Record | None]]) -> None:
        notes = self._notes(changed)
        for key, (before, after) in changed.items():
            note = notes.get(key) or self._new_note(before)
            if note is not None:
                self._write(note, self._loss(note, after), known=key in notes)

    def _notes(self, keys: Iterable[bytes]) -> dict[bytes, Record]:
        found = dict[bytes, Record]()
        for some in batches(keys if self.any_notes else ()):
            rows = self._connection.execute(_NOTES.format(marks=marks(some)), some)
            found.update((row[0], row) for row in rows)
        return found

    def _new_note(self, before: Record | None) -> Record | None:
        if before is None:
            return None
        found = self._forecast(before)
        if found is None or not found.opens_soon:
            return None
        return (before[0], self._at, found.opens, before[PIN_CHECK])

    def _loss(self, note: Record, after: Record | None) -> Loss:
        _, at, opened, pin_check = note
        try:
            before = Before(date.fromisoformat(at[:10]), opened, pin_check)
        except ValueError:  # A wrong bit: the note says nothing that can be judged.
            return Loss((), self._today)
        now = None if after is None else self._forecast(after)
        now_check = None if after is None else after[PIN_CHECK]
        return loss(self._policy, before, now, now_check, self._today)

    def _write(self, note: Record, lost: Loss, *, known: bool) -> None:
        if lost.reasons:
            row = (*note, " ".join(lost.reasons), lost.until.isoformat())
            self._connection.execute(_PUT_NOTE, row)
            self.any_notes = True
        elif known:
            self._connection.execute(_FORGET_NOTE, note[:1])

    def _judge_due(self) -> None:
        today = self._today.isoformat()
        while due := self._connection.execute(_DUE, (today,)).fetchall():
            for record in due:
                note, now = record[:_NOTE_WIDTH], record[_NOTE_WIDTH:]
                self._write(note, self._loss(note, now if now[0] else None), known=True)


def forget(connection: sqlite3.Connection, at: datetime) -> int:
    """Forget notes older than a week, in the caller's transaction; return how many cards."""
    old = connection.execute(_FORGET_OLD, (_text(at - WEEK),)).rowcount
    return old + connection.execute(_FORGET_AHEAD, (_text(at + timedelta(days=1)),)).rowcount


def forget_all(connection: sqlite3.Connection) -> None:
    """Forget all notes: staff have approved of whom pushes shut out."""
    connection.execute("DELETE FROM shut_out")


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
