"""The purge of the door log: it dates, deletes and rewrites rows so that nothing expired is left.

``secure_delete`` alone leaves ids in index pages (on 82 % of 365 simulated days); DELETE, VACUUM
and ``wal_checkpoint(TRUNCATE)`` together left none.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from doorctl.access.throttle import UNANSWERED_DAYS, WRONG_PIN_DAYS
from doorctl.core.errors import StoreError
from doorctl.core.moments import SLEWED, SMALL, BootTime, CarriedTime, ClockState, Moment
from doorctl.privacy.purge_proof import Canaries
from doorctl.privacy.retention import PurgeReport, visible_since
from doorctl.store.connection import compact, transaction, translated
from doorctl.store.damage.set_aside import discard_set_aside
from doorctl.store.door_log import CARRIED, HELD, to_carried
from doorctl.store.residue import KEY_BYTES, TIME_BYTES
from doorctl.store.tables import from_ms, select, to_ms

# CROSS JOIN has SQLite begin with the wrong PINs, which are fewer than the attempts.
_DATE_WRONG_PINS = """
    UPDATE wrong_pins SET day = dated.day FROM (
        SELECT charged.attempt, date(at_ms / 1000, 'unixepoch') AS day
        FROM wrong_pins AS charged CROSS JOIN attempts USING (attempt)
    ) AS dated WHERE dated.attempt = wrong_pins.attempt AND dated.day <> wrong_pins.day
"""

BATCH_ROWS = 500
"""Rows in one deleting transaction: a swipe waits 0.2 ms for it, not 230 ms (measured)."""

_DATED = ("attempts", "events")
"""The tables whose rows are dated by these four."""

# The state stands as it is in the index of undated rows, and + keeps off that of times: in 30 days
# of one boot all rows are later than its beginning.
_DATE_THIS_BOOT = """
    UPDATE {} SET at_ms = :now - max(0, :boot_ms - boot_ms), clock = :holdover
    WHERE boot_id = :boot_id AND clock = 'untrusted'
"""
_DATE_EARLIER_BOOTS = """
    UPDATE {} SET at_ms = :began
    WHERE boot_id <> :boot_id AND clock = 'untrusted' AND +at_ms > :began
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
_SETTLE_CARRIED = """
    UPDATE carried_time SET believed_ms = min(believed_ms, :now), carried_ms = :now
    WHERE carried_ms > :now
"""
_SETTLE_CANARIES = "UPDATE canaries SET at_ms = :now WHERE at_ms > :now"
_DATE_THROTTLES_OF_THIS_BOOT = """
    UPDATE throttles SET touched_ms = :now - max(0, :boot_ms - boot_ms) WHERE boot_id = :boot_id
"""
_DATE_EARLIER_THROTTLES = "UPDATE throttles SET touched_ms = :began WHERE touched_ms > :began"
_KEEP_CARRIED = """
    INSERT OR REPLACE INTO carried_time (only, believed_ms, carried_ms, boot_id, boot_ms)
    VALUES (1, ?, ?, ?, ?)
"""
_DATE_UNBELIEVED = """
    UPDATE {} SET at_ms = min(:began, at_ms + :gap)
    WHERE boot_id <> :boot_id AND clock = :untrusted AND at_ms >= :believed AND at_ms < :began
"""
_KEEP_TIME = """
    INSERT INTO clock (only, high_water_ms) VALUES (1, :high_water)
    ON CONFLICT DO UPDATE SET high_water_ms = max(high_water_ms, excluded.high_water_ms)
"""

# The condition of a hold is all that these are made of; values are always bound.
_DELETE_ATTEMPTS = f"""
    DELETE FROM attempts WHERE attempt IN
    (SELECT attempt FROM attempts WHERE at_ms < ? AND NOT {HELD} ORDER BY at_ms LIMIT ?)
"""  # noqa: S608 -- as said
# An age by CLOCK_BOOTTIME needs no date.
_AGE = """
    UPDATE {} SET at_ms = :aged
    WHERE boot_id = :boot_id AND boot_ms < :aged_boot_ms AND at_ms > :aged AND NOT {}
"""
_LEFT = select("count(*)", f"attempts WHERE at_ms < ? AND NOT {HELD}")
# The oldest row, or the first one behind a hold: no row under a hold is looked at.
_OLDEST_OF = {
    name: f"""
        SELECT min(at_ms) FROM (
            SELECT min(at_ms) AS at_ms FROM {name}
            UNION ALL SELECT (SELECT min(at_ms) FROM {name} WHERE at_ms >= to_ms) FROM holds
        ) WHERE NOT {HELD}
    """  # noqa: S608 -- as said
    for name in _DATED
}
_DELETE_CANARIES = f"DELETE FROM canaries WHERE at_ms < ? AND NOT {HELD}"  # noqa: S608 -- as said
_DELETE_EVENTS = f"DELETE FROM events WHERE at_ms < ? AND NOT {HELD}"  # noqa: S608 -- as said
_DELETE_THROTTLES = "DELETE FROM throttles WHERE touched_ms < ?"
_HELD_ATTEMPTS = f"SELECT count(*) FROM attempts WHERE {HELD}"  # noqa: S608 -- as said
_AHEAD = "SELECT count(*) FROM attempts WHERE at_ms > ?"
# A card without a patron is forgotten with its visits.
_PURGE_WRONG_PINS = """
    DELETE FROM wrong_pins
    WHERE patron_ref IS NULL AND attempt NOT IN (SELECT attempt FROM attempts)
    OR day < date(:now / 1000, 'unixepoch', CASE WHEN answered THEN :answered ELSE :longest END)
"""
_WRONG_PINS_AGES = {"answered": f"-{WRONG_PIN_DAYS} days", "longest": f"-{UNANSWERED_DAYS} days"}

# What a deleted visit could leave in a file: its row key and its time, as SQLite writes them.
#
# A time is six bytes, high byte first: SQLite writes every whole number from 2^31 to 2^47 so,
# which are the milliseconds of all days from 1970-01-26 to the year 6429. A time outside
# says nothing.
_TIMES = range(2**31, 2**47)

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
    UNION SELECT at_ms FROM events WHERE at_ms < :cutoff AND NOT {HELD}
    EXCEPT SELECT since_ms FROM holds
    EXCEPT SELECT to_ms FROM holds
    EXCEPT SELECT added_ms FROM holds
"""  # noqa: S608 -- as said
_KEPT_KEY = """
    SELECT EXISTS (SELECT 1 FROM throttles WHERE row_key = ?1)
    OR EXISTS (SELECT 1 FROM canaries WHERE row_key = ?1)
    OR EXISTS (SELECT 1 FROM attempts WHERE row_key = ?1)
"""
_KEPT_TIME = """
    SELECT EXISTS (SELECT 1 FROM attempts WHERE at_ms = ?1)
    OR EXISTS (SELECT 1 FROM canaries WHERE at_ms = ?1)
    OR EXISTS (SELECT 1 FROM throttles WHERE touched_ms = ?1)
    OR EXISTS (SELECT 1 FROM events WHERE at_ms = ?1)
    OR EXISTS (SELECT 1 FROM holds WHERE ?1 IN (since_ms, to_ms, until_ms, added_ms))
"""

STEP = timedelta(days=1)
"""How much of the log, from the oldest visit on, a purge deletes that no staff started.

An ordinary purge deletes 6 hours. More is due after a long outage, or by a wrong clock that was
believed, which must not empty the log before staff have seen the alarm.
"""


class PurgedVisits(ABC):
    """The purge's part of the door log's one writer; each call raises StoreError if it fails."""

    path: Path
    _file: tuple[int, int] | None = None
    _now_ms: int | None = None

    @property
    @abstractmethod
    def database(self) -> sqlite3.Connection:
        """The one writing connection."""

    def is_there(self) -> bool:
        """Tell whether the file is still at its path; SQLite writes into a deleted file too."""
        return identity(self.path) == self._file

    def keep_time(self, now: datetime, boot: BootTime, high_water: datetime | None = None) -> None:
        """Store the highest trusted time, and date rows that were written without one.

        `boot` is the boot clock at the trusted UTC time `now`: a row of this boot gets `now` less
        its age by that clock. A row of an earlier boot keeps its guess, unless that lies after this
        boot began: a clock that once jumped ahead would keep such a row for ever. `high_water` is
        the highest time that has stood for a while; None where `now` has.

        Raises StoreError: also if the file was removed or replaced: all that is written is lost.
        """
        with self.transaction() as connection:
            if not self.is_there():
                raise StoreError(f"{self.path} was removed or replaced meanwhile; restart the door")
            self._now_ms = to_ms(now)
            times = _times(self._now_ms, boot)
            connection.execute(_KEEP_TIME, {"high_water": to_ms(high_water or now)})
            _redate(connection, (_DATE_THIS_BOOT, _DATE_EARLIER_BOOTS), times)
            connection.execute(_DATE_EARLIER_THROTTLES, times)
            connection.execute(_DATE_THROTTLES_OF_THIS_BOOT, times)

    def keep_carried(self, carried: CarriedTime) -> None:
        """Store the carried time for the next process, and date rows that were written without it.

        Where a time is believed again, rows of this boot get their age; those of earlier boots,
        whose clocks were not believed, are later by at most the time without power that was unknown
        till now, and are dated so.
        """
        boot = carried.boot
        with self.transaction() as connection:
            stored = connection.execute(CARRIED).fetchone()
            before = carried if stored is None else to_carried(stored)
            gap = carried.now - before.on(boot).now
            if carried.believed > before.believed and gap >= SMALL:
                times = _times(to_ms(carried.now), boot)
                span = {"gap": to_ms(carried.now) - to_ms(carried.now - gap)}
                span["believed"] = to_ms(before.believed)
                _redate(connection, (_DATE_THIS_BOOT, _DATE_UNBELIEVED), times | span)
            times_ms = to_ms(carried.believed), to_ms(carried.now)
            connection.execute(_KEEP_CARRIED, (*times_ms, boot.boot_id, boot.ms))

    def age(self, cutoff: datetime, boot: BootTime, retention: timedelta) -> None:
        """Date what is older than the retention by this boot's clock just before the cutoff.

        Else what a wrong clock has dated ahead would stay until a clock is believed.
        """
        aged = {"aged": to_ms(cutoff) - 1, "boot_id": boot.boot_id}
        aged_boot_ms = boot.ms - retention // timedelta(milliseconds=1)
        with self.transaction() as connection:
            for table in _DATED:
                connection.execute(_AGE.format(table, HELD), aged | {"aged_boot_ms": aged_boot_ms})

    def date_ahead(self, now: datetime, boot: BootTime) -> None:
        """Date what lies after a carried UTC time, of earlier boots, when this boot began.

        For a clock that was not believed for as long as the retention: rows of that time have to
        age too.
        """
        times = _times(to_ms(now), boot)
        with self.transaction() as connection:
            for table in _DATED:
                connection.execute(_SETTLE_EARLIER_BOOTS.format(table), times)
            connection.execute(_SETTLE_CANARIES, times)
            connection.execute(_DATE_EARLIER_THROTTLES, times)
            connection.execute(_DATE_THROTTLES_OF_THIS_BOOT, times)
            connection.execute(_DATE_WRONG_PINS)

    def settle(self, now: datetime, boot: BootTime) -> None:
        """Date rows that lie after a right UTC time as :meth:`keep_time` does, even trusted ones.

        A row of an earlier boot counts as a guess from now on. A high-water mark after that time
        came from a wrong clock too, and is lowered.
        """
        times = _times(to_ms(now), boot)
        with self.transaction() as connection:
            for table in _DATED:
                connection.execute(_SETTLE_THIS_BOOT.format(table), times)
                connection.execute(_SETTLE_EARLIER_BOOTS.format(table), times)
            connection.execute(_SETTLE_CANARIES, times)
            connection.execute(_DATE_WRONG_PINS)
            connection.execute(_SETTLE_MARK, times)
            connection.execute(_SETTLE_CARRIED, times)

    def delete_before(
        self, cutoff: datetime, now: datetime | None = None, latest: datetime | None = None
    ) -> int:
        """Delete what is from before a UTC time; return the number of attempts.

        :data:`BATCH_ROWS` attempts go a transaction. What is under a hold stays, so first end the
        holds that are over. Canaries, the door's events and untouched throttles go with them. So do
        the damaged copies in this directory that were set aside more than a day ago, by `now`, else
        the time kept last or the highest trusted one; those after `latest` are from a wrong clock.
        """
        cutoff_ms, deleted, batch = to_ms(cutoff), 0, BATCH_ROWS
        while batch == BATCH_ROWS:
            with self.transaction() as connection:
                batch = connection.execute(_DELETE_ATTEMPTS, (cutoff_ms, BATCH_ROWS)).rowcount
            deleted += batch
        with self.transaction() as connection:
            # The mark rises only by a time that has stood for an hour.
            mark_ms = value(connection, "SELECT high_water_ms FROM clock")
            kept_ms = mark_ms if self._now_ms is None else self._now_ms
            now_ms = kept_ms if now is None else to_ms(now)
            for statement in (_DELETE_CANARIES, _DELETE_EVENTS, _DELETE_THROTTLES):
                connection.execute(statement, (cutoff_ms,))
            by_ms = cutoff_ms if now_ms is None else now_ms
            connection.execute(_PURGE_WRONG_PINS, {"now": by_ms, **_WRONG_PINS_AGES})
        by = cutoff if now_ms is None else from_ms(now_ms)
        discard_set_aside(self.path.parent, by, latest)
        return deleted

    def traces_before(self, cutoff: datetime) -> frozenset[bytes]:
        """Return the bytes that no file may hold after :meth:`delete_before`; never show them.

        They are the row keys and times of rows before a time that no row which stays holds.
        """
        by = {"cutoff": to_ms(cutoff)}
        with translated(self.path):
            keys = [key for (key,) in self.database.execute(_KEYS, by) if len(key) == KEY_BYTES]
            times = [ms for (ms,) in self.database.execute(_AT, by) if ms in _TIMES]
        return frozenset((*keys, *(ms.to_bytes(TIME_BYTES, "big") for ms in times)))

    def still_kept(self, traces: Iterable[bytes]) -> frozenset[bytes]:
        """Return the traces that a row holds now: the person came again meanwhile.

        Reads the whole log for each, so give it only a few.
        """
        with translated(self.path):
            return frozenset(trace for trace in traces if _is_kept(self.database, trace))

    def plant(self, canary: bytes, at: datetime) -> None:
        """Keep a canary of 16 bytes, purged like a visit of that UTC time; may be repeated."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO canaries (row_key, at_ms) VALUES (?, ?)", (canary, to_ms(at))
            )

    def canaries(self) -> frozenset[bytes]:
        """Return the canaries that are kept now."""
        with translated(self.path):
            return frozenset(
                key for (key,) in self.database.execute("SELECT row_key FROM canaries")
            )

    def end_holds(self, now: datetime) -> None:
        """Forget the holds whose end has come by a UTC time that is right."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM holds WHERE until_ms <= ?", (to_ms(now),))

    def oldest(self) -> datetime | None:
        """Return the UTC time of the oldest attempt that no hold spares; None for no attempt."""
        with translated(self.path):
            at_ms = value(self.database, _OLDEST_OF["attempts"])
        return None if at_ms is None else from_ms(at_ms)

    def oldest_row(self) -> datetime | None:
        """Return the UTC time of the oldest attempt or event that no hold spares; None for none."""
        with translated(self.path):
            found = [value(self.database, sql) for sql in _OLDEST_OF.values()]
        return min((from_ms(at_ms) for at_ms in found if at_ms is not None), default=None)

    def count_before(self, cutoff: datetime) -> int:
        """Return how many attempts are from before a UTC time, and under no hold."""
        with translated(self.path):
            return value(self.database, _LEFT, to_ms(cutoff)) or 0

    def held(self) -> int:
        """Return how many attempts a hold spares: those in its window, however old."""
        with translated(self.path):
            return value(self.database, _HELD_ATTEMPTS) or 0

    def ahead(self, now: datetime) -> int:
        """Return how many attempts are dated after a UTC time."""
        with translated(self.path):
            return value(self.database, _AHEAD, to_ms(now)) or 0

    def compact(self) -> tuple[int, int, int]:
        """Rewrite the file without what was deleted; ``(0, 0, 0)`` if no byte of it is left."""
        with translated(self.path):
            return compact(self.database)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one durable transaction; SQLite's errors become ours."""
        with translated(self.path), transaction(self.database) as connection:
            yield connection


def purge(
    visits: PurgedVisits,
    moment: Moment,
    boot: BootTime,
    retention: timedelta,
    *,
    believed: bool = False,
    whole: bool = True,
    canaries: Canaries | None = None,
    earlier: frozenset[bytes] = frozenset(),
    remember: Callable[[frozenset[bytes]], None] = lambda _traces: None,
) -> PurgeReport:
    """Delete what is older than the retention and under no hold; safe to repeat at any time.

    While the clock is in doubt or not set, that is what the earlier of both clocks calls old: so a
    doubt of any length deletes nothing too soon, and keeps nothing for ever. `left` of the report
    counts what the later one alone calls old: every list hides it.
    Later attempts are dated anew only where the clock is `believed`, having run evenly for long:
    one that is behind for an evening must not make every visit look old. `whole` takes all that is
    due, as staff ask for it, else a :data:`STEP`. `canaries` is None without the installation key.
    `earlier` are the traces of purges that were not complete; `remember` takes this one's before a
    row is deleted: if the disk is full then, a later proof looks for them all the same.

    Raises StoreError: the door log failed; purge again.
    """
    # Not by the high-water mark: one evening with a wrong clock would delete every visit for good.
    now = moment.earliest(retention)
    _date(visits, moment, boot, retention, believed=believed)
    due = visible_since(now, retention)
    visits.age(due, boot, retention)
    oldest = None if whole else visits.oldest()
    cutoff = due if oldest is None else min(due, oldest + STEP)
    if cutoff == due:
        visits.end_holds(now)
    if canaries is not None and moment.settled:
        visits.plant(canaries.of(now.date()), now)
    traces = earlier | visits.traces_before(cutoff)
    remember(traces)
    deleted, checkpoint = visits.delete_before(cutoff, now, moment.latest), visits.compact()
    limited, held = cutoff < due, visits.held()
    done = PurgeReport(deleted, cutoff, checkpoint, held, limited=limited, traces=traces)
    return _with_rest(done, visits, moment, retention)


def _with_rest(
    done: PurgeReport, visits: PurgedVisits, moment: Moment, retention: timedelta
) -> PurgeReport:
    if moment.settled:
        return replace(done, ahead=visits.ahead(moment.local + SLEWED))
    return replace(done, left=visits.count_before(moment.latest - retention), doubt=moment.doubt)


def _date(
    visits: PurgedVisits, moment: Moment, boot: BootTime, retention: timedelta, *, believed: bool
) -> None:
    carried = None if moment.bounds is None else moment.bounds.carried
    if carried is not None:
        visits.keep_carried(carried)
    if moment.settled:
        visits.keep_time(moment.local, boot, moment.high_water)
        if believed:
            visits.settle(moment.local.astimezone(UTC), boot)
    elif carried is not None and carried.now - carried.believed >= retention:
        visits.date_ahead(carried.now, boot)


def _redate(
    connection: sqlite3.Connection, statements: Iterable[str], times: Mapping[str, int | str]
) -> None:
    """Date rows of both tables, and the wrong PINs of attempts, which have the attempts' days."""
    dated = (statement.format(table) for table in _DATED for statement in statements)
    if sum(connection.execute(statement, times).rowcount for statement in dated):
        connection.execute(_DATE_WRONG_PINS)


def _times(now_ms: int, boot: BootTime) -> dict[str, int | str]:
    return {
        "now": now_ms,
        "began": now_ms - boot.ms,
        "boot_id": boot.boot_id,
        "boot_ms": boot.ms,
        "untrusted": ClockState.UNTRUSTED.value,
        "holdover": ClockState.HOLDOVER.value,
    }


def _is_kept(connection: sqlite3.Connection, trace: bytes) -> bool:
    if len(trace) == TIME_BYTES:
        return bool(value(connection, _KEPT_TIME, int.from_bytes(trace)))
    return bool(value(connection, _KEPT_KEY, trace))


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from any other, None for no file."""
    with suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


def value(connection: sqlite3.Connection, sql: str, *parameters: object) -> int | None:
    """Return the first value of a query; None where it has no record."""
    record: tuple[int | None] | None = connection.execute(sql, parameters).fetchone()
    return None if record is None else record[0]
