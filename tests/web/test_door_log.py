"""The door log as staff look at it: what is found, revealed and saved, and drawn of a day."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from doorctl.core.errors import InputError, StoreError
from doorctl.privacy.audit import Action
from doorctl.privacy.statistics import LEAF, HourCount
from doorctl.services.app import App
from doorctl.services.visits import REVEALS_AN_HOUR, DoorLog, Picture, head_counts
from doorctl.store.door_log import EVERY, LogFilter, Visit
from doorctl.store.visits import open_or_create_visits
from doorctl.web.staff.log import of_day
from tests.web.desk_records import recorded
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


def test_attempts_by_the_page(door: WrittenLog) -> None:
    """Newest first, as many as are wanted; what comes is noticed."""
    empty = door.log.version()
    for number, reason in enumerate(("ok", "closed", "wrong_pin", None), 1):
        wrote(door, number, 1, reason, known=True)

    first = door.log.page(limit=3)
    second = door.log.page(before=2, limit=3)

    assert (numbers(first.visits), first.more) == ([4, 3, 2], True)
    assert (numbers(second.visits), second.more) == ([1], False)
    assert door.log.version() != empty


def test_filters(door: WrittenLog) -> None:
    """Outcome, reasons, time and card; all of it has to fit."""
    wrote(door, 1, 3, "ok", known=True)
    wrote(door, 2, 2, "closed", known=False)
    wrote(door, 3, 1, None, known=True)
    keys = door.log.search(CARD, "mette")

    def found(**chosen: object) -> list[int]:
        return numbers(door.log.page(replace(EVERY, **chosen)).visits)  # type: ignore[arg-type]

    assert found(verdict="granted") == [1]
    assert found(verdict="open") == [3]
    assert found(reasons=frozenset({"closed", "banned"})) == [2]
    assert found(since=NOW - timedelta(hours=2.5)) == [3, 2]
    assert found(until=NOW - timedelta(hours=1.5)) == [2, 1]
    assert found(cards=keys) == [3, 1]
    assert found(cards=keys, verdict="refused") == []


@pytest.mark.parametrize("typed", ["x", ""])
def test_a_search_for_what_is_no_number(door: WrittenLog, typed: str) -> None:
    """Is refused."""
    with pytest.raises(InputError):
        door.log.search(typed, "mette")


def test_a_reveal(door: WrittenLog) -> None:
    """Tells the library system's number, for a purpose that names nobody, so often and no more."""
    wrote(door, 1, 1, "ok", known=True)
    wrote(door, 2, 1, "unknown_card", known=False)

    assert door.log.reveal(1, "broken glass", "mette") == "1001"
    assert door.log.reveal(2, "broken glass", "mette") is None
    for purpose in ("", "x", "xxxxx", "CPR 0101701234"):
        with pytest.raises(InputError):
            door.log.reveal(1, purpose, "mette")
    for _ in range(REVEALS_AN_HOUR - 2):
        door.log.reveal(1, "again", "mette")
    with pytest.raises(InputError, match="an account may look up"):
        door.log.reveal(1, "again", "mette")


def test_an_export(door: WrittenLog) -> None:
    """Oldest first, what fits, for a purpose."""
    wrote(door, 1, 1, "ok", known=True)
    wrote(door, 2, 1, "closed", known=True)

    assert numbers(door.log.export(EVERY, "a case", "mette")) == [1, 2]
    assert numbers(door.log.export(LogFilter(verdict="refused"), "a case", "mette")) == [2]
    with pytest.raises(InputError):
        door.log.export(EVERY, " ", "mette")


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


def test_every_look_at_somebody_is_on_record(door: WrittenLog) -> None:
    """With its purpose and by whom; a search tells no number, and one refused tells nothing."""
    wrote(door, 1, 1, "ok", known=True)

    door.log.search(CARD, "anne")
    door.log.reveal(1, "glass", "mette")
    door.log.export(EVERY, "a case", "mette")
    with pytest.raises(InputError):
        door.log.reveal(1, "", "mette")

    assert recorded(door.app.config) == [
        (Action.CARD_SEARCHED, "", "anne"),
        (Action.VISIT_REVEALED, "glass", "mette"),
        (Action.VISITS_EXPORTED, "a case", "mette"),
    ]


def test_an_export_that_is_too_large_is_none(door: WrittenLog) -> None:
    """Part of the attempts is never taken for all of them."""
    door.export_at_most(1)
    wrote(door, 1, 1, "ok", known=True)
    assert numbers(door.log.export(EVERY, "a case", "mette")) == [1]
    wrote(door, 2, 1, "ok", known=True)

    with pytest.raises(InputError, match="more than 1 attempts"):
        door.log.export(EVERY, "a case", "mette")


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

    with closing(open_or_create_visits(door.app.visits_db)) as visits:
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

    told = {f"{at:%H:%M}": number for at, number in inside.items()}
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
    for left in door.app.branch_db.parent.glob("branch.db*"):
        left.unlink()
    door.app.branch_db.write_bytes(b"no database" * 1000)

    with pytest.raises(StoreError):
        look(door.log)
