"""What the hourly counts hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from doorctl.access.messages import Closed, Opened
from doorctl.access.patron import Reason
from doorctl.core.errors import StoreError
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.statistics import ATTEMPT, LEAF, OPENED, HourCount
from doorctl.store.door_log import SLICE_ROWS, HourlyHistory
from doorctl.store.visits import VisitStore, create_visits
from tests.store.samples import DAY, NOON, key_of, stamped

HOUR = timedelta(hours=1)
ENTRY = HourCount(NOON, "staffed", LEAF, "passage", 3)


@dataclass
class Counts:
    """Counts as written and as read."""

    store: VisitStore
    history: HourlyHistory

    def visit(
        self,
        attempt: int,
        reason: Reason = Reason.OK,
        at: datetime = NOON,
        state: ClockState = ClockState.TRUSTED,
        mode: str | None = "self_service",
    ) -> None:
        """Open an attempt and close it."""
        self.store.open_attempt(Opened(attempt, stamped(at, state=state), key_of(attempt), None))
        self.store.close_attempt(Closed(attempt, reason, key_of(attempt), counted_as=mode))

    def read(self, since: datetime | None = None, until: datetime | None = None) -> list[HourCount]:
        """Return what a reader sees."""
        return list(self.history.hours(since, until))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty door log."""
    create_visits(tmp_path / "visits.db")
    return tmp_path / "visits.db"


@pytest.fixture
def counts(path: Path) -> Iterator[Counts]:
    """Counts of which there are none yet."""
    with closing(VisitStore(path)) as store, closing(HourlyHistory(path)) as history:
        yield Counts(store, history)


def attempts(reason: Reason, count: int, hour: datetime | None = NOON) -> HourCount:
    """So many attempts at a self-service branch."""
    return HourCount(hour, "self_service", ATTEMPT, reason.value, count)


def change(path: Path, sql: str, *values: int) -> None:
    """Change the file behind the store's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)


def test_attempts_are_counted_by_hour_mode_and_reason(counts: Counts) -> None:
    """In the hour in which the card was swiped, by the clock of then; not without a mode."""
    counts.visit(1)
    counts.visit(5, mode=None)
    counts.visit(2, at=NOON + HOUR - timedelta(milliseconds=1))
    counts.visit(3, Reason.WRONG_PIN)
    counts.visit(4, at=NOON + HOUR, mode="staffed")

    assert counts.read() == [
        attempts(Reason.OK, 2),
        attempts(Reason.WRONG_PIN, 1),
        HourCount(NOON + HOUR, "staffed", ATTEMPT, "ok", 1),
    ]


def test_an_unset_clock_names_no_hour(counts: Counts) -> None:
    """Such counts come first, and not where a beginning is asked for."""
    counts.visit(1)
    counts.visit(2, state=ClockState.UNTRUSTED)

    assert counts.read() == [attempts(Reason.OK, 1, None), attempts(Reason.OK, 1)]
    assert counts.read(since=NOON) == [attempts(Reason.OK, 1)]


def test_a_period_has_its_beginning_and_not_its_end(counts: Counts) -> None:
    """So that two periods one after the other count nothing twice."""
    for number, hour in enumerate((-1, 0, 1, 2), start=1):
        counts.visit(number, at=NOON + hour * HOUR)

    assert [one.hour for one in counts.read(NOON, NOON + 2 * HOUR)] == [NOON, NOON + HOUR]
    assert [one.hour for one in counts.read(until=NOON)] == [NOON - HOUR]


@pytest.mark.parametrize(
    ("ago_h", "day"), [(0, 0), (13, 0), (15, -1), (40, -2), (80, None), (-2, None)], ids=str
)
def test_when_the_day_was_opened_is_found_after_a_restart(
    path: Path, ago_h: int, day: int | None
) -> None:
    """By the branch's midnight; not what is days old, nor what a clock that was ahead has dated."""
    now = NOON.astimezone(ZoneInfo("Europe/Copenhagen"))
    hour = NOON.replace(minute=0) - timedelta(hours=ago_h)
    with closing(VisitStore(path)) as store, closing(HourlyHistory(path)) as history:
        store.add_counts([HourCount(hour, "staffed", LEAF, "entered", 3)])
        moment = Moment(now, NOON - timedelta(hours=1), ClockState.TRUSTED)
        assert history.opened_on(moment) is None
        store.add_counts([HourCount(hour, "self_service", OPENED, "first", 1)])
        store.add_counts([HourCount(None, "self_service", OPENED, "first", 1)])

        expected = None if day is None else now.date() + timedelta(days=day)
        assert history.opened_on(moment) == expected


def test_years_are_read_in_slices(counts: Counts) -> None:
    """However many hours there are, each comes once and in its order."""
    listed = [
        HourCount(NOON + hour * HOUR, mode, LEAF, "left", 1 + hour)
        for hour in range(SLICE_ROWS)
        for mode in ("closed", "staffed")
    ]
    counts.store.add_counts(listed)

    assert counts.read() == listed
    assert counts.read(since=NOON + HOUR) == listed[2:]


def test_whoever_reads_counts_keeps_no_purge_from_its_end(path: Path) -> None:
    """A page that adds up years of them holds nothing open meanwhile.

    Bug (stranger's review): a page of years of counts kept a purge from its end.
    """
    with closing(VisitStore(path)) as store, closing(HourlyHistory(path)) as history:
        store.add_counts([ENTRY])
        reading = history.hours(None, None)
        assert next(reading) == ENTRY

        assert store.compact() == (0, 0, 0)


def test_a_file_that_breaks_in_mid_read_is_told(path: Path) -> None:
    """As one that is broken from the start: by an error that says what to do."""
    with closing(VisitStore(path)) as store, closing(HourlyHistory(path)) as history:
        store.add_counts([ENTRY, *(ENTRY._replace(mode=f"{n:05}") for n in range(SLICE_ROWS))])
        reading = history.hours(None, None)
        next(reading)
        change(path, "ALTER TABLE hourly RENAME TO gone")

        with pytest.raises(StoreError):
            list(reading)


def test_no_purge_touches_the_counts(counts: Counts) -> None:
    """The visits are gone for good; that there were three stays, and what passed is added up."""
    for number in (1, 2, 3):
        counts.visit(number)
    counts.store.add_counts([ENTRY])
    counts.store.add_counts([ENTRY, HourCount(NOON, "closed", LEAF, "left", 1)])
    before = counts.read()
    assert before == [
        HourCount(NOON, "closed", LEAF, "left", 1),
        attempts(Reason.OK, 3),
        HourCount(NOON, "staffed", LEAF, "passage", 6),
    ]

    assert counts.store.delete_before(NOON + 1000 * DAY) == 3
    counts.store.compact()

    assert counts.read() == before


def test_both_are_one_transaction(path: Path) -> None:
    """Where it can't be counted, the attempt stays open; one that has ended counts once."""
    with closing(VisitStore(path)) as store:
        store.open_attempt(Opened(1, stamped(), None, None))
        change(path, "ALTER TABLE hourly RENAME TO gone")
        with pytest.raises(StoreError):
            store.close_attempt(Closed(1, Reason.OK, counted_as="self_service"))
        change(path, "ALTER TABLE gone RENAME TO hourly")
        store.close_attempt(Closed(1, Reason.OK, counted_as="self_service"))
        with pytest.raises(StoreError):
            store.close_attempt(Closed(1, Reason.OK, counted_as="self_service"))
        with closing(HourlyHistory(path)) as history:
            assert list(history.hours(None, None)) == [attempts(Reason.OK, 1)]


def test_the_table_has_no_place_for_a_person(path: Path) -> None:
    """Hour, mode, kind, outcome and a count: no attempt, no card, and no rowid to order them by."""
    with closing(sqlite3.connect(path)) as connection:
        columns = connection.execute("PRAGMA table_info(hourly)").fetchall()
        (schema,) = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE name = 'hourly'"
        ).fetchone()

    assert [name for _, name, *_ in columns] == ["hour", "mode", "kind", "outcome", "count"]
    assert "WITHOUT ROWID" in schema


@pytest.mark.parametrize("hour", [10**8, 2**62])
def test_an_hour_beyond_the_calendar_is_left_out(path: Path, hour: int) -> None:
    """A clock that was wrong by millennia, or a damaged row, breaks nothing."""
    change(path, "INSERT INTO hourly VALUES (?, '', '', '', 1)", hour)
    with closing(HourlyHistory(path)) as history:
        assert list(history.hours(None, None)) == []
        assert list(history.hours(NOON, datetime.max.replace(tzinfo=UTC))) == []
