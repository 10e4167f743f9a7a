"""The door log as staff look at it: what is found, revealed and saved, and drawn of a day."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from doorctl.core.errors import StoreError
from doorctl.privacy.statistics import LEAF, HourCount
from doorctl.services.app import App
from doorctl.services.visits import DoorLog, Picture, head_counts
from doorctl.store.door_log import EVERY, Visit
from doorctl.store.visits import open_or_create_visits
from doorctl.web.staff.log import of_day
from tests.web.door_log import CARD, PSEUDONYM, WrittenLog, visit
from tests.web.pages.staging import NOW, ZONE


@pytest.fixture
def door(app: App) -> WrittenLog:
    """A door log without an attempt, and a register that knows whose the card is."""
    door = WrittenLog(app)
    door.know()
    return door


def wrote(door: WrittenLog, number: int, age_h: float, reason: str | None, *, known: bool) -> None:
    """Write an attempt of so many hours ago, of the card that is known or of another."""
    at = NOW - timedelta(hours=age_h)
    door.write(visit(number, reason, at=at, card=PSEUDONYM if known else "ffffffff"))


def numbers(visits: Iterable[Visit]) -> list[int]:
    """Return the numbers of some attempts."""
    return [one.attempt for one in visits]


def picture(door: WrittenLog, day: date) -> Picture:
    """Return what is drawn of a local day."""
    return door.log.view(of_day(day, ZONE), before=None, limit=1).picture


def test_a_look_opens_each_database_once(door: WrittenLog) -> None:
    """Rows, picture, head-count and hours of one page."""
    opened: Counter[str] = Counter()
    looking = True

    def count(event: str, details: tuple[object, ...]) -> None:
        if looking and event == "sqlite3.connect":
            opened[Path(str(details[0]).partition("?")[0]).name] += 1

    sys.addaudithook(count)
    picture(door, NOW.date())
    looking = False

    assert opened == {"visits.db": 1, "branch.db": 1}


def test_a_day(door: WrittenLog) -> None:
    """Attempts that are over, by the quarter of an hour; one under way is neither."""
    wrote(door, 1, 0, "ok", known=True)
    wrote(door, 2, 0, "closed", known=True)
    wrote(door, 3, 0, None, known=True)
    day = NOW.date()

    (slot,) = (one for one in picture(door, day).slots if one.granted or one.refused)

    assert (slot.granted, slot.refused) == (1, 1)
    assert picture(door, day - timedelta(days=1)).slots == ()


def test_what_is_too_old_is_not_shown(door: WrittenLog) -> None:
    """Though no purge has taken it yet."""
    wrote(door, 1, 31 * 24, "ok", known=True)
    wrote(door, 2, 1, "ok", known=True)

    assert numbers(door.log.page().visits) == [2]
    assert door.log.reveal(1, "a theft", "mette") is None


def test_the_head_count_by_the_hour(door: WrittenLog) -> None:
    """From midnight on, what came in less what went out, never below none, and not of tomorrow."""
    midnight = datetime(2026, 11, 25, tzinfo=ZONE)

    def count(hour: int, outcome: str, number: int) -> HourCount:
        at = (midnight + timedelta(hours=hour)).astimezone(UTC)
        return HourCount(at, "self_service", LEAF, outcome, number)

    with closing(open_or_create_visits(door.app.storage.visits_db)) as visits:
        visits.add_counts(
            (
                count(8, "entered", 5),
                count(9, "left", 2),
                count(10, "left", 9),
                count(12, "passage", 40),
                count(19, "entered", 1),
            )
        )

    inside = dict(picture(door, midnight.date()).inside)

    told = {f"{at.astimezone(ZONE):%H:%M}": number for at, number in inside.items()}
    assert (told["00:00"], told["09:00"], told["10:00"], told["11:00"]) == (0, 5, 3, 0)
    assert (told["19:00"], told["19:30"], max(told)) == (0, 1, "19:30")
    assert picture(door, midnight.date() - timedelta(days=1)).inside == ()


def test_a_house_that_counts_nobody_tells_of_no_head_count() -> None:
    """Openings of which nobody knows the direction are no count."""
    at = datetime(2026, 11, 25, 8, tzinfo=UTC)
    passage = HourCount(at, "staffed", LEAF, "passage", 9)

    assert head_counts([passage], at, at + timedelta(hours=5)) == ()


@pytest.mark.parametrize(
    "look",
    [
        lambda log: log.reveal(1, "a case of vandalism", "grethe"),
        lambda log: log.search(CARD, "grethe"),
        lambda log: log.export(EVERY, "a case of vandalism", "grethe"),
    ],
)
def test_nobody_is_shown_what_can_not_be_put_on_record(
    door: WrittenLog, look: Callable[[DoorLog], object]
) -> None:
    """Where the audit log can't be written, nothing is told of anybody."""
    wrote(door, 1, 1.0, "ok", known=True)
    assert door.log.reveal(1, "a case of vandalism", "grethe") == "1001"
    for left in door.app.storage.branch_db.parent.glob("branch.db*"):
        left.unlink()
    door.app.storage.branch_db.write_bytes(b"no database" * 1000)

    with pytest.raises(StoreError):
        look(door.log)
