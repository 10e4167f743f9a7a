from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Cause, DatedDay, Mode, ModeSpan
from doorctl.core.errors import WebsiteHoursError
from doorctl.sources.hours import HoursRequest, Published, read_opening_hours

MONDAY = date(2026, 3, 9)
ASKED = HoursRequest("12", MONDAY, MONDAY + timedelta(days=13), "DK-773000")


def item(
    day: date, starts: str, ends: str, title: str = "Selvbetjening", **other: object
) -> object:
    """Return an item as the website writes it."""
    return {
        "id": 7,
        "category": {"title": title, "color": "#ffffff"},
        "date": day.isoformat(),
        "start_time": starts,
        "end_time": ends,
        "branch_id": 12,
        "branch_isil_id": "DK-773000",
        "repetition": {"id": 3, "type": "weekly"},
        **other,
    }


GOOD = [
    item(MONDAY, "07:00", "22:00"),
    item(MONDAY, "10:00", "18:00", "Med betjening"),
    item(MONDAY, "10:00", "12:00", "Telefontid"),
    item(MONDAY + timedelta(days=2), "10:00", "14:00", "Borgerservice"),
    item(MONDAY + timedelta(days=3), "08:00", "23:59", "Åbent"),
]


def refusals(answer: object, asked: HoursRequest = ASKED) -> list[str]:
    """Return what is wrong with an answer."""
    with pytest.raises(WebsiteHoursError) as caught:
        read_opening_hours(answer, asked)
    return [str(problem) for problem in caught.value.problems]


def test_an_answer_is_dated_days() -> None:
    """Staffed and self-service open, other categories don't; a date between has none: closed."""
    found = read_opening_hours(json.loads(json.dumps(GOOD)), ASKED)

    assert {day: dated.spans for day, dated in found.days.items()} == {
        MONDAY: (ModeSpan(Mode.SELF_SERVICE, 420, 1320), ModeSpan(Mode.STAFFED, 600, 1080)),
        MONDAY + timedelta(days=1): (),
        MONDAY + timedelta(days=2): (),
        MONDAY + timedelta(days=3): (ModeSpan(Mode.SELF_SERVICE, 480, 1440),),
    }
    assert found.days[MONDAY].cause is Cause.SCHEDULE
    assert found.unknown == frozenset()


def test_after_the_last_item_nobody_knows() -> None:
    """Dates that the website does not speak of yet are no closed days, though they were asked."""
    found = read_opening_hours(GOOD, ASKED)

    assert found.known_until == MONDAY + timedelta(days=3)
    assert found.calendar.day(MONDAY + timedelta(days=4)) is None
    assert found.calendar.day(MONDAY + timedelta(days=1)) == ()
    assert found.calendar.day(MONDAY - timedelta(days=1)) == ()


@pytest.mark.parametrize(
    ("means", "spans"),
    [
        (Mode.STAFFED, (ModeSpan(Mode.STAFFED, 480, 1440),)),
        (Mode.SELF_SERVICE, (ModeSpan(Mode.SELF_SERVICE, 480, 1440),)),
        (None, ()),
    ],
)
def test_what_open_means_is_the_branchs_to_say(
    means: Mode | None, spans: tuple[ModeSpan, ...]
) -> None:
    """The category "Åbent" is staffed, self-service or nothing."""
    found = read_opening_hours(GOOD, replace(ASKED, open_means=means))

    assert found.days[MONDAY + timedelta(days=3)].spans == spans


def test_an_unheard_of_category_opens_nothing_and_is_told() -> None:
    """Who adds a category for homework help does not shut the door, and does not open it."""
    found = read_opening_hours([*GOOD, item(MONDAY, "02:00", "06:00", "Lektiecafé")], ASKED)

    assert found.days[MONDAY].spans[0].starts == 420
    assert found.unknown == {"Lektiecafé"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            item(MONDAY, "07:00", "22:00", branch_id=13),
            'item 5: branch_id: found 13; asked for "12"',
        ),
        (
            item(MONDAY, "07:00", "22:00", branch_isil_id="DK-773001"),
            'item 5: branch_isil_id: found "DK-773001"; branch.isil is DK-773000',
        ),
        (
            item(MONDAY + timedelta(days=14), "07:00", "22:00"),
            "item 5: date: found 2026-03-23; asked for 2026-03-09 to 2026-03-22",
        ),
        (
            item(MONDAY - timedelta(days=1), "07:00", "22:00"),
            "item 5: date: found 2026-03-08; asked for 2026-03-09 to 2026-03-22",
        ),
        (
            item(MONDAY, "22:00", "07:00"),
            'item 5: end_time: found "07:00", which is not after 22:00',
        ),
        (
            item(MONDAY, "07:00", "07:00"),
            'item 5: end_time: found "07:00", which is not after 07:00',
        ),
        (
            item(MONDAY, "7:00", "22:00"),
            'item 5: start_time: found "7:00"; wanted is "HH:MM"',
        ),
        (
            item(MONDAY, "07:00", "24:00"),
            'item 5: end_time: found "24:00"; wanted is "HH:MM"',
        ),
        (
            item(MONDAY, "07:00", "22:00", title=" "),
            "item 5: category: has no title",
        ),
        (
            item(MONDAY, "07:00", "22:00", category=None),
            "item 5: is none: Expected `object`, got `null` - at `$.category`",
        ),
        (
            item(MONDAY, "07:00", "22:00", date="2026-02-30"),
            "item 5: is none: Invalid RFC3339 encoded date - at `$.date`",
        ),
        (
            {"category": {"title": "Åbent"}},
            "item 5: is none: Object missing required field `date`",
        ),
        ("07:00-22:00", "item 5: is none: Expected `object`, got `str`"),
    ],
)
def test_one_wrong_item_refuses_all(wrong: object, told: str) -> None:
    """A date, time, branch or category in doubt is told, and nothing of the answer is used."""
    assert refusals([*GOOD, wrong]) == [told]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"message": "x"}, "the answer: is no list; see whether hours.website_url is right"),
        (None, "the answer: is no list; see whether hours.website_url is right"),
        (
            [item(MONDAY, "07:00", "22:00", "Selvbetjent")],
            'the answer: has no category that opens, only others such as "Selvbetjent"',
        ),
        ([{}] * 5001, "the answer: has 5001 items; at most 5000 are read"),
    ],
)
def test_an_answer_that_opens_no_date_is_refused(answer: object, told: str) -> None:
    """A wrong address or a renamed category is told, not taken for a fortnight closed."""
    assert refusals(answer) == [told]


@pytest.mark.parametrize("answer", [[], [item(MONDAY, "10:00", "12:00", "Telefontid")]])
def test_hours_that_were_emptied_are_every_day_closed(answer: object) -> None:
    """It says so of itself: the round reads it a second time before it follows."""
    found = read_opening_hours(answer, ASKED)

    assert not found.opens
    assert read_opening_hours(GOOD, ASKED).opens
    assert (found.known_until, len(found.days)) == (ASKED.last, 14)
    assert {day.spans for day in found.days.values()} == {()}


def test_the_first_problems_are_told() -> None:
    """An answer that is wrong everywhere is wrong for one reason."""
    assert len(refusals([{}] * 100)) == 20


def test_a_missing_isil_is_no_doubt() -> None:
    """Older sites name none, and a branch may have none."""
    other = item(MONDAY, "07:00", "22:00", branch_isil_id=None)

    assert read_opening_hours([other], ASKED).days
    assert read_opening_hours(GOOD, replace(ASKED, isil="")).days


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
fields = ("category", "date", "start_time", "end_time", "branch_id", "branch_isil_id")
odd_items = st.builds(
    lambda leaf, value: item(MONDAY, "07:00", "22:00", **{leaf: value}),
    st.sampled_from(fields),
    json_values,
)


@given(json_values | st.lists(odd_items | json_values, max_size=3))
def test_whatever_comes_is_days_or_refused(answer: object) -> None:
    """No answer raises anything else, opens a date nobody asked for, or breaks a log line."""
    found = outcome_of(answer)

    if isinstance(found, WebsiteHoursError):
        assert all(str(problem).isprintable() for problem in found.problems)
        return
    assert all(ASKED.first <= day <= found.known_until <= ASKED.last for day in found.days)
    assert all(isinstance(one, DatedDay) for one in found.days.values())


def outcome_of(answer: object) -> Published | WebsiteHoursError:
    """Return what an answer says, or the one error that may be raised instead."""
    try:
        return read_opening_hours(answer, ASKED)
    except WebsiteHoursError as error:
        return error
