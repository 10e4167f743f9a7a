"""The table of alarms: bounded, forgotten in time, and readable before it was laid out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.core.alarms import AlarmChange, Source
from doorctl.core.errors import StoreDamagedError
from doorctl.core.moments import ClockState, Moment
from doorctl.store.branch_writer import KEPT_AFTER_END, BranchRecordsWriter
from doorctl.store.records import LEFT_ENDED, MOST_ENDED, AlarmRecords, StoredAlarms
from tests.store.samples import DAY, NOON, in_use_until

NOW = Moment(NOON, NOON, ClockState.TRUSTED)


@pytest.fixture
def records(path: Path) -> Iterator[AlarmRecords]:
    """A reader of its alarms."""
    with closing(AlarmRecords(path)) as records:
        yield records


def told(kind: str) -> AlarmChange:
    """Return an alarm of noon."""
    return AlarmChange(kind, Source.DOOR, "", NOON)


def test_a_leaf_that_flaps_fills_no_disk(
    writer: BranchRecordsWriter, records: AlarmRecords
) -> None:
    """The oldest ends are forgotten; what stands is not."""
    alarms = StoredAlarms(writer)
    alarms.hear(told("stalled"), NOW)
    with writer.together(NOW):
        for _ in range(MOST_ENDED + 1):
            alarms.hear(told("door_held"), NOW)
            alarms.hear(told("door_held_cleared"), NOW)

    assert len(records.ended(2 * MOST_ENDED)) == LEFT_ENDED
    assert [one.kind for one in records.standing()] == ["stalled"]


def test_what_is_over_is_kept_for_a_month(
    writer: BranchRecordsWriter, records: AlarmRecords
) -> None:
    """Counted from its end; what stands is kept for as long as it does."""
    alarms = StoredAlarms(writer)
    for kind in ("door_held", "inputs_failing", "door_held_cleared"):
        alarms.hear(told(kind), NOW)
    in_use_until(writer, Moment(NOON + KEPT_AFTER_END, NOON, ClockState.TRUSTED))
    for days, left in ((0, 1), (1, 0)):
        at = NOON + KEPT_AFTER_END + days * DAY
        alarms.end((), Moment(at, at, ClockState.TRUSTED))
        assert len(records.ended(9)) == left

    assert [one.kind for one in records.standing()] == ["inputs_failing"]


def test_an_end_of_nothing_leaves_no_row(
    writer: BranchRecordsWriter, records: AlarmRecords
) -> None:
    """Such as the one that a process tells that began anew."""
    StoredAlarms(writer).hear(told("door_held_cleared"), NOW)

    assert records.standing() == records.ended(9) == ()


def test_a_row_that_can_not_be_read_is_told_without_its_text(
    path: Path, records: AlarmRecords
) -> None:
    """Somebody wrote into the file by hand."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO alarms (kind, source, first_ms, last_ms, count, why) "
            "VALUES ('stalled', 'cellar', 0, 0, 1, '')"
        )

    with pytest.raises(StoreDamagedError, match="a row can't be read") as caught:
        records.standing()
    assert "cellar" not in str(caught.value)
