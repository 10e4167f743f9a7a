"""A day as numbers for a picture."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Mode
from doorctl.services.visits import DayPicture, ModeBand, Slot
from doorctl.web.staff.log import ABOVE, BAND_Y, BASE, LEFT, TOP, WIDTH, timeline
from doorctl.web.words import Words
from tests.web.pages.staging import LANGUAGES, NOW, ZONE

WORDS = Words(LANGUAGES.chosen("da"), ZONE)
DAY = NOW.date()
MIDNIGHT = datetime(2026, 11, 25, tzinfo=ZONE)

QUARTERS = st.lists(
    st.tuples(st.integers(0, 95), st.integers(0, 10_000), st.integers(0, 10_000)),
    unique_by=lambda one: one[0],
)


def test_an_evening() -> None:
    """Let in stands above the line, refused below it; the hours say the same in numbers."""
    at = MIDNIGHT + timedelta(hours=18, minutes=15)
    bands = (ModeBand(MIDNIGHT, MIDNIGHT + timedelta(days=1), Mode.SELF_SERVICE),)
    inside = ((MIDNIGHT + timedelta(hours=18), 1), (MIDNIGHT + timedelta(hours=19), 4))

    drawn = timeline(WORDS, DayPicture(DAY, (Slot(at, 3, 1),), bands, inside), NOW)

    up, down = drawn["bars"]
    assert (up["granted"], down["granted"]) == (True, False)
    assert up["y"] + up["height"] == BASE == down["y"]
    assert up["height"] == 3 * down["height"]
    row = drawn["rows"][18]
    assert (row["name"], row["granted"], row["refused"], row["inside"]) == ("18-19", 3, 1, 4)
    assert row["modes"] == ["Self-service"]
    assert drawn["inside"] == f"692.0,{BASE - ABOVE / 4} 728.0,{TOP}.0"
    assert drawn["now"] == 746.0


def test_an_empty_day_that_is_not_today() -> None:
    """Nothing is drawn but the scale; no moment is now, and nobody is told to be inside."""
    drawn = timeline(WORDS, DayPicture(DAY - timedelta(days=1), (), ()), NOW)

    assert (drawn["bars"], drawn["inside"], drawn["now"], drawn["marks_inside"]) == (
        [],
        "",
        None,
        [],
    )
    assert len(drawn["rows"]) == 24


def test_the_hour_that_comes_twice_is_counted_whole() -> None:
    """On the last Sunday of October two hours are called 02; the day still ends at its edge."""
    day = date(2026, 10, 25)
    first = datetime(2026, 10, 25, 2, 15, tzinfo=ZONE)
    midnight = datetime(2026, 10, 25, tzinfo=ZONE)
    band = ModeBand(midnight, midnight + timedelta(days=1), Mode.CLOSED)
    slots = (Slot(first, 1, 0), Slot(first.replace(fold=1), 2, 0))

    drawn = timeline(WORDS, DayPicture(day, slots, (band,)), NOW)

    assert drawn["rows"][2]["granted"] == drawn["granted"] == 3
    assert (drawn["bands"][0]["x"], drawn["bands"][0]["width"]) == (LEFT, WIDTH)


@given(QUARTERS)
def test_nothing_leaves_the_picture(quarters: list[tuple[int, int, int]]) -> None:
    """Whatever happened, each bar is between the edges, and the table's sums are the day's."""
    slots = tuple(
        Slot(MIDNIGHT + timedelta(minutes=15 * at), granted, refused)
        for at, granted, refused in sorted(quarters)
    )

    drawn = timeline(WORDS, DayPicture(DAY, slots, ()), NOW)

    for bar in drawn["bars"]:
        assert LEFT <= bar["x"] <= bar["x"] + bar["width"] <= LEFT + WIDTH
        assert TOP <= bar["y"] <= bar["y"] + bar["height"] <= BAND_Y
    assert sum(row["granted"] for row in drawn["rows"]) == drawn["granted"]
    assert sum(row["refused"] for row in drawn["rows"]) == drawn["refused"]
