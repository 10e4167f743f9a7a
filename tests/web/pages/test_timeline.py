"""A span of time as numbers for a picture."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Mode
from doorctl.services.visits import HOUR, ModeBand, Picture
from doorctl.store.door_log import Slot
from doorctl.web.staff.statistics import ABOVE, BAND_Y, BASE, LEFT, TOP, WIDTH, timeline
from doorctl.web.words import Words
from tests.web.pages.staging import LANGUAGES, NOW, ZONE

WORDS = Words(LANGUAGES.chosen("da"), ZONE)
MIDNIGHT = datetime(2026, 11, 25, tzinfo=ZONE).astimezone(UTC)

QUARTERS = st.lists(
    st.tuples(st.integers(0, 95), st.integers(0, 10_000), st.integers(0, 10_000)),
    unique_by=lambda one: one[0],
)


def of(since: datetime, days: int = 1, **more: Any) -> dict[str, Any]:
    """Return the picture of some whole days, as of :data:`NOW`."""
    last = since.astimezone(ZONE).date() + timedelta(days=days)
    until = datetime.combine(last, time(), ZONE).astimezone(UTC)
    return timeline(WORDS, Picture(since, until, **more), NOW)


def test_an_evening() -> None:
    """Let in stands above the line, refused below it; the hours say the same in numbers."""
    at = MIDNIGHT + timedelta(hours=18, minutes=15)
    bands = (ModeBand(MIDNIGHT, MIDNIGHT + timedelta(days=1), Mode.SELF_SERVICE),)
    inside = ((MIDNIGHT + timedelta(hours=18), 1), (MIDNIGHT + timedelta(hours=19), 4))

    drawn = of(MIDNIGHT, slots=(Slot(at, 3, 1),), bands=bands, inside=inside)

    up, down = drawn["bars"]
    assert (up["granted"], down["granted"]) == (True, False)
    assert up["y"] + up["height"] == BASE == down["y"]
    assert up["height"] == 3 * down["height"]
    row = drawn["rows"][18]
    assert (row["name"], row["granted"], row["refused"], row["inside"]) == ("18-19", 3, 1, 4)
    assert row["modes"] == ["Self-service"]
    assert drawn["inside"] == f"692.0,{BASE - ABOVE / 4} 728.0,{TOP}.0"
    assert drawn["now"] == 746.0
    assert [name for _, name in drawn["names"]][:3] == ["00", "02", "04"]


def test_an_empty_day_that_is_not_today() -> None:
    """Nothing is drawn but the scale; no moment is now, and nobody is told to be inside."""
    drawn = of(MIDNIGHT - timedelta(days=1))

    empty = (drawn["bars"], drawn["inside"], drawn["now"], drawn["marks_inside"])
    assert empty == ([], "", None, [])
    assert len(drawn["rows"]) == 24


def test_a_night_and_a_week() -> None:
    """A span goes on over midnight; a long one has a row and a name for each day."""
    night = of(MIDNIGHT - 2 * HOUR, days=2, slots=(Slot(MIDNIGHT, 1, 0),))
    week = of(MIDNIGHT - timedelta(days=6), days=7, step=HOUR, slots=(Slot(MIDNIGHT, 1, 0),))

    assert [row["name"] for row in night["rows"]][:3] == ["22-23", "23-24", "00-01"]
    assert night["rows"][2]["granted"] == 1
    assert [name for _, name in week["names"]][::6] == ["19.11", "25.11"]
    assert [row["granted"] for row in week["rows"]] == [0] * 6 + [1]


def test_the_hour_that_comes_twice_is_drawn_twice() -> None:
    """On the last Sunday of October two hours are called 02; the day still ends at its edge."""
    midnight = datetime(2026, 10, 24, 22, tzinfo=UTC)
    first = midnight + timedelta(hours=2, minutes=15)
    band = ModeBand(midnight, midnight + timedelta(hours=25), Mode.CLOSED)
    slots = (Slot(first, 1, 0), Slot(first + HOUR, 2, 0))

    drawn = of(midnight, slots=slots, bands=(band,))

    assert [(row["name"], row["granted"]) for row in drawn["rows"][2:4]] == [
        ("02-03", 1),
        ("02-03", 2),
    ]
    assert (len(drawn["rows"]), drawn["granted"]) == (25, 3)
    assert (drawn["bands"][0]["x"], drawn["bands"][0]["width"]) == (LEFT, WIDTH)


@given(QUARTERS)
def test_nothing_leaves_the_picture(quarters: list[tuple[int, int, int]]) -> None:
    """Whatever happened, each bar is between the edges, and the table's sums are the day's."""
    slots = tuple(
        Slot(MIDNIGHT + timedelta(minutes=15 * at), granted, refused)
        for at, granted, refused in sorted(quarters)
    )

    drawn = of(MIDNIGHT, slots=slots)

    for bar in drawn["bars"]:
        assert LEFT <= bar["x"] <= bar["x"] + bar["width"] <= LEFT + WIDTH
        assert TOP <= bar["y"] <= bar["y"] + bar["height"] <= BAND_Y
    assert sum(row["granted"] for row in drawn["rows"]) == drawn["granted"]
    assert sum(row["refused"] for row in drawn["rows"]) == drawn["refused"]
