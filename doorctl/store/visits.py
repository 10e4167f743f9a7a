"""The door log's one writer: attempts, throttles and the clock's high-water mark."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from doorctl.access.messages import Closed, Opened
from doorctl.access.patron import Reason
from doorctl.access.throttle import (
    CardThrottle,
    ReaderThrottle,
)
from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import BootTime, ClockState, KeptReadings, Stamped
from doorctl.privacy.holds import Hold, chosen
from doorctl.privacy.passages import ATTEMPT, HourCount
from doorctl.privacy.tables import VISITS
from doorctl.store.connection import create_file, transaction, translated
from doorctl.store.door_log import HOLD_COLUMNS, migrations, to_hold
from doorctl.store.hourly import NO_HOUR, to_hour
from doorctl.store.tables import maybe, rehearse, to_ms
from doorctl.store.visit_purge import PurgedVisits, identity, value
from doorctl.store.writer import Writer
from doorctl.store.wrong_pins import (
    COUNT_WRONG_PINS,
    COUNT_WRONG_PINS_BY,
    READER,
    TAKE_BACK_WRONG_PIN,
    THROTTLE,
    at_card,
    to_bucket,
    to_throttle,
)

FORGET_WRONG_PINS = "DELETE FROM wrong_pins WHERE row_key = ? OR patron_ref = ?"

_CHARGE = """
    INSERT INTO wrong_pins (attempt, day, row_key, patron_ref, answered, at_card)
    VALUES (?, date(? / 1000, 'unixepoch'), ?, ?, 0, ?)
"""
# A right PIN at one card answers none that were typed at another: that one may be stolen.
_ANSWER = """
    UPDATE wrong_pins SET answered = 1 FROM wrong_pins AS right
    WHERE right.attempt = ? AND wrong_pins.patron_ref = right.patron_ref
    AND (wrong_pins.at_card IS NULL OR wrong_pins.at_card IS right.at_card)
"""

_COUNT_ATTEMPT = """
    INSERT INTO hourly (hour, mode, kind, outcome, count)
    SELECT CASE clock WHEN ? THEN ? ELSE at_ms / 3600000 END, ?, ?, ?, 1
    FROM attempts WHERE attempt = ?
    ON CONFLICT DO UPDATE SET count = count + 1
"""
_ADD = """
    INSERT INTO hourly (hour, mode, kind, outcome, count) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET count = count + excluded.count
"""

MOST_HOLDS = 20
"""Most holds at one time: more than any branch needs; it stops a script that adds one an hour."""
_ADD_HOLD = f"INSERT INTO holds ({HOLD_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_LIFT = f"DELETE FROM holds WHERE number = ? RETURNING {HOLD_COLUMNS}"  # noqa: S608

_OPEN = """
    INSERT INTO attempts (attempt, at_ms, clock, boot_id, boot_ms, row_key)
    VALUES (?, ?, ?, ?, ?, ?)
"""
TRIED = "INSERT INTO attempts (at_ms, clock, boot_id, boot_ms) VALUES (0, 'untrusted', '', 0)"
_CLOSE = """
    UPDATE attempts SET verdict = ?, reason = ?, row_key = coalesce(?, row_key)
    WHERE attempt = ? AND verdict IS NULL
"""
# A state that the door finds at its start may stand there already; a door that starts, and has not
# said that it stops, was killed.
_ADD_EVENT = """
    INSERT INTO events (at_ms, clock, boot_id, boot_ms, kind, why, by)
    SELECT ?1, ?2, ?3, ?4, CASE WHEN ?5 = 'started' AND
        (SELECT kind FROM events ORDER BY number DESC LIMIT 1) <> 'stopped'
        THEN 'restarted' ELSE ?5 END, ?6, ?7
    WHERE ?5 NOT IN ('mode', 'push', 'reader', 'keypad', 'fire')
    OR ?6 IS NOT (SELECT why FROM events WHERE kind = ?5 ORDER BY number DESC LIMIT 1)
"""
_CUT_OFF = "SELECT count(*) FROM events WHERE kind = 'restarted' AND at_ms >= ?"
_CLOSE_ALL = "UPDATE attempts SET verdict = ?, reason = ? WHERE verdict IS NULL"

_KEEP_READER = """
    INSERT OR REPLACE INTO reader (only, spent_ms, boot_id, boot_ms) VALUES (1, ?, ?, ?)
"""
_KEEP_THROTTLE = """
    INSERT OR REPLACE INTO throttles (row_key, failures, boot_id, boot_ms, touched_ms)
    VALUES (?, ?, ?, ?, ?)
"""
_KEEP_CLOCK = """
    INSERT OR REPLACE INTO clock_readings (only, boot_id, accepted_ms, doubt_ms,
    accepted_boot_ms, doubt_boot_ms, doubted_boot_ms, leap_ms) VALUES (1, ?, ?, ?, ?, ?, ?, ?)
"""

CACHE_KIB = 256
"""SQLite's own would grow to 2 MB at each purge and stay: 1.4 MB of the door (measured)."""


class VisitStore(PurgedVisits):
    """Write ``visits.db``; implements `VisitLog`.

    Belongs to the thread that makes it; the file must exist. Opening it closes attempts that a
    power cut left open as refused by a fault; what their throttle was charged stays charged. Raises
    as `Writer`.
    """

    _writer: Writer | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin()

    def _begin(self) -> Writer:
        self._file, self._now_ms = identity(self.path), None
        writer = Writer(self.path, migrations)
        try:
            with translated(self.path), transaction(writer.database) as connection:
                connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
                connection.execute(_CLOSE_ALL, (Reason.FAULT.verdict, Reason.FAULT.value))
        except BaseException:
            writer.close()
            raise
        self._writer = writer
        return writer

    @property
    def database(self) -> sqlite3.Connection:
        """The one writing connection; the erasure of a person uses it, on the same thread."""
        return (self._writer or self._begin()).database

    def open_attempt(self, opened: Opened) -> None:
        """Record an attempt, with what is charged for it."""
        number, at, row_key = opened.attempt, opened.at, opened.row_key
        at_ms = to_ms(at.utc)
        with self.transaction() as connection:
            connection.execute(
                _OPEN,
                (number, at_ms, at.state.value, at.boot.boot_id, at.boot.ms, row_key),
            )
            if row_key is not None and opened.throttle is not None:
                _keep_throttle(connection, row_key, opened.throttle, at_ms)
            # A PIN counts as wrong before it is compared: for a patron, or a card of no patron.
            if isinstance(opened.whose, str):
                by = None if row_key is None else at_card(row_key)
                connection.execute(_CHARGE, (number, at_ms, None, opened.whose, by))
            elif opened.whose is not None:
                connection.execute(_CHARGE, (number, at_ms, opened.whose, None, None))

    def close_attempt(self, closed: Closed) -> None:
        """Record how an attempt ended, with the throttles then; StoreError if none is open."""
        number, reason, row_key = closed.attempt, closed.reason, closed.row_key
        with self.transaction() as connection:
            ending = (reason.verdict, reason.value, row_key, number)
            if connection.execute(_CLOSE, ending).rowcount != 1:
                raise StoreError(f"{self.path}: attempt {number} is not open")
            if closed.counted_as is not None:
                cell = (closed.counted_as, ATTEMPT, reason.value)
                values = (ClockState.UNTRUSTED.value, NO_HOUR, *cell, number)
                connection.execute(_COUNT_ATTEMPT, values)
            if row_key is not None and closed.throttle is not None:
                at_ms = value(connection, "SELECT at_ms FROM attempts WHERE attempt = ?", number)
                _keep_throttle(connection, row_key, closed.throttle, at_ms or 0)
            if closed.right:
                connection.execute(_ANSWER, (number,))
            if closed.right is not False:
                connection.execute(TAKE_BACK_WRONG_PIN, (number,))
            if closed.reader is not None:
                bucket = (closed.reader.spent_ms, *_columns(closed.reader.at))
                connection.execute(_KEEP_READER, bucket)

    def add_events(self, events: Iterable[tuple[Stamped, str, str, str]]) -> None:
        """Keep what the door did: when, kind, why and by whom; a state only where it changed."""
        with self.transaction() as connection:
            for at, *texts in events:
                boot = at.boot
                stamp = (to_ms(at.utc), at.state.value, boot.boot_id, boot.ms)
                connection.execute(_ADD_EVENT, (*stamp, *texts))

    def cut_off_since(self, at: datetime) -> int:
        """Return how often the door has started since a UTC time without having been stopped."""
        with translated(self.path):
            return value(self.database, _CUT_OFF, to_ms(at)) or 0

    def add_counts(self, counts: Iterable[HourCount]) -> None:
        """Add to the hourly counts, which no purge touches."""
        rows = ((to_hour(row.hour), row.mode, row.kind, row.outcome, row.count) for row in counts)
        with self.transaction() as connection:
            connection.executemany(_ADD, rows)

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row; a card never seen has none."""
        with translated(self.path):
            return to_throttle(self.database.execute(THROTTLE, (row_key,)).fetchone())

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket; a new file's is full."""
        with translated(self.path):
            return to_bucket(self.database.execute(READER).fetchall())

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are on record."""
        with translated(self.path):
            return value(self.database, COUNT_WRONG_PINS, row_key, patron_ref) or 0

    def wrong_pins_by(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many of these were typed at that card, or it is not known at which."""
        parameters = row_key, patron_ref, at_card(row_key)
        with translated(self.path):
            return value(self.database, COUNT_WRONG_PINS_BY, *parameters) or 0

    def reset_card(self, row_key: bytes, patron_ref: str | None = None) -> None:
        """Forget a card's failures and a patron's: staff have seen the patron."""
        with self.transaction() as connection:
            _forget_throttle(connection, row_key)
            connection.execute(FORGET_WRONG_PINS, (row_key, patron_ref))

    def last_attempt(self) -> int:
        """Return the highest attempt number ever on record, purged or not; 0 for none."""
        with translated(self.path):
            last = "SELECT seq FROM sqlite_sequence WHERE name = 'attempts'"
            return value(self.database, last) or 0

    def prove_writable(self) -> None:
        """Insert an attempt, and a row into each other table that has some, and take all back.

        Raises StoreError: one can't be written.
        """
        with translated(self.path):
            rehearse(self.database, VISITS, TRIED)

    def keep_clock(self, kept: KeptReadings) -> None:
        """Store what the next process has to know of the clock, in place of what stood there."""
        accepted, doubt = kept.accepted, kept.doubt or (None, None)
        walls_ms = (to_ms(accepted[0]), maybe(to_ms, doubt[0]))
        spans = accepted[1], doubt[1], kept.doubted_at, kept.leap
        spans_ms = [maybe(_in_ms, span) for span in spans]
        with self.transaction() as connection:
            connection.execute(_KEEP_CLOCK, (kept.boot_id, *walls_ms, *spans_ms))

    def add_hold(self, hold: Hold) -> Hold:
        """Store a hold; return it with its number. Raises InputError: there are too many."""
        window, times = (hold.since, hold.to), (hold.until, hold.added_at)
        values = (*map(to_ms, window), hold.case, hold.reason, *map(to_ms, times), hold.by)
        with self.transaction() as connection:
            stored = value(connection, "SELECT count(*) FROM holds") or 0
            if stored >= MOST_HOLDS:
                raise InputError(
                    "there are {n} holds already; lift those that are not needed", n=stored
                )
            return replace(hold, number=connection.execute(_ADD_HOLD, values).lastrowid or 0)

    def lift_hold(self, number: int) -> Hold:
        """Forget a hold and return it; InputError where there is none. A purge takes the visits."""
        with self.transaction() as connection:
            lifted = connection.execute(_LIFT, (number,)).fetchall()
        return chosen(map(to_hold, lifted), number)

    def close(self) -> None:
        """Let the next writer in; idempotent."""
        if self._writer is not None:
            self._writer.close()


def create_visits(path: Path) -> None:
    """Create an empty door log; raises as `create_file`."""
    create_file(path, migrations)


def open_or_create_visits(path: Path) -> VisitStore:
    """Open the door log, an empty one if it is missing or was set aside: the door must go on."""
    _make_missing(path)
    return VisitStore(path)


def _make_missing(path: Path) -> None:
    try:
        there = path.exists()
    except OSError as err:
        raise StoreError(f"{path} can't be opened: {err.strerror}") from err
    if not there:
        create_file(path, migrations)


def _keep_throttle(
    connection: sqlite3.Connection, row_key: bytes, throttle: CardThrottle, touched_ms: int
) -> None:
    if throttle.failures == 0:
        _forget_throttle(connection, row_key)
        return
    connection.execute(
        _KEEP_THROTTLE,
        (row_key, throttle.failures, *_columns(throttle.at), touched_ms),
    )


def _forget_throttle(connection: sqlite3.Connection, row_key: bytes) -> None:
    connection.execute("DELETE FROM throttles WHERE row_key = ?", (row_key,))


def _in_ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def _columns(boot: BootTime | None) -> tuple[str | None, int | None]:
    return (None, None) if boot is None else (boot.boot_id, boot.ms)


class RetriedVisits(VisitStore):
    """A `VisitStore` each of whose calls first opens the file, or makes it, if it is not open.

    So the door need not wait for its log. A door that started without it, so that
    :meth:`last_attempt` failed, counts attempts from 1. What it records later is numbered on from
    the file's own last number, so an attempt has another number there than in its log line; none
    gets a number that was used before. A log that is taken away is begun anew: writing on into a
    file that is not found would lose every visit at the next start, unseen.

    Belongs to the thread that calls it first; each call raises what :class:`VisitStore` raises.

    Args:
        lost: called with the news, as text, when the file was taken away.
        replaced: called after it; sets aside a file in its place that is no door log.
    """

    def __init__(
        self,
        path: Path,
        lost: Callable[[str], None] = lambda _why: None,
        replaced: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self._lost = lost
        self._replaced = replaced
        self._shift: int | None = None

    @property
    def database(self) -> sqlite3.Connection:
        """The one writing connection, to the file that is there now."""
        self.open()
        return super().database

    def open(self) -> VisitStore:
        """Open the log unless it is open."""
        if self._writer is not None and not self.is_there():
            self._writer.close()
            self._writer = self._shift = None
            self._lost(
                f"{self.path.name} was taken away while the door runs, with all visits and wrong "
                "PINs in it, and another one is begun; ask who did it"
            )
            self._replaced()
        if self._writer is None:
            _make_missing(self.path)
            self._begin()
        return self

    def open_attempt(self, opened: Opened) -> None:
        """Record an attempt."""
        self.open()
        if self._shift is None:
            self._shift = super().last_attempt()
        super().open_attempt(replace(opened, attempt=opened.attempt + self._shift))

    def close_attempt(self, closed: Closed) -> None:
        """Record how an attempt ended."""
        super().close_attempt(replace(closed, attempt=closed.attempt + (self._shift or 0)))

    def last_attempt(self) -> int:
        """Return the highest attempt number ever on record."""
        last = super().last_attempt()
        # The caller counts on from it.
        self._shift = self._shift or 0
        return last
