from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.hours import DAY_MINUTES
from doorctl.config import Span, Week, load
from doorctl.config.hours import DAYS, WEEK_MINUTES, overlaps, span, written
from doorctl.errors import ConfigError

RIGHT = """
[branch]
name = "Randers Bibliotek, Øst"
id = "oest"
[reader]
port = "/dev/ttyUSB0"
"""


def week(tmp_path: Path, hours: str) -> Week | None:
    """Load a configuration with these lines at its end and return its hours."""
    path = tmp_path / "doorctl.toml"
    path.write_text(f"{RIGHT}{hours}", encoding="utf-8")
    return load(path, environment={}).hours


def problems(tmp_path: Path, hours: str) -> list[str]:
    """Load a configuration with wrong hours and return the problems' lines."""
    with pytest.raises(ConfigError) as caught:
        week(tmp_path, f"[hours]\n{hours}")
    return [str(problem) for problem in caught.value.problems]


def test_no_table_is_always_open(tmp_path: Path) -> None:
    """Without the table the hours are None: always open."""
    assert week(tmp_path, "") is None


def test_an_empty_table_is_always_closed(tmp_path: Path) -> None:
    """A table without a day is seven closed days, not an open week."""
    assert week(tmp_path, "[hours]\n") == ((),) * 7


def test_days_are_monday_first_and_absent_ones_closed(tmp_path: Path) -> None:
    """Each day stands at its place of the week, its spans in order; the others are closed."""
    hours = 'sunday = ["10:00-12:00"]\nmonday = ["13:00-17:00", "08:00-12:00"]'

    assert week(tmp_path, f"[hours]\n{hours}") == (
        (Span(480, 720), Span(780, 1020)),
        *((),) * 5,
        (Span(600, 720),),
    )


@pytest.mark.parametrize(
    ("text", "opens", "closes"),
    [
        ("00:00-24:00", 0, 1440),
        ("08:00-22:00", 480, 1320),
        ("00:00-00:01", 0, 1),
        ("22:00-24:00", 1320, 1440),
        ("22:00-00:00", 1320, 1440),
        ("22:00-02:00", 1320, 1560),
        ("23:59-23:58", 1439, 2878),
    ],
)
def test_spans_are_minutes_after_midnight(text: str, opens: int, closes: int) -> None:
    """24:00 may end a span, and an end before the start is on the next day."""
    assert span(text) == Span(opens, closes)


@pytest.mark.parametrize(
    "text",
    [
        "24:00-01:00",
        "7:00-22:00",
        "07:00-7:30",
        "08:60-09:00",
        "08:00-24:01",
        "08:00-25:00",
        "08:00",
        "08.00-22.00",
        "08:00\N{EN DASH}22:00",
        "08:00-22:00 ",
        "0\N{ARABIC-INDIC DIGIT EIGHT}:00-22:00",
        "closed",
    ],
)
def test_other_ways_to_write_a_span_are_refused(tmp_path: Path, text: str) -> None:
    """A span is two digits, a colon, two digits, twice; anything else is told, never guessed."""
    assert problems(tmp_path, f'friday = ["08:00-09:00", "{text}"]') == [
        (
            f'hours.friday: found "{text}"; write each span as "HH:MM-HH:MM", 00:00 to 24:00, '
            'such as "08:00-22:00"'
        )
    ]


@pytest.mark.parametrize("text", ["08:00-08:00", "00:00-00:00"])
def test_equal_times_are_refused(tmp_path: Path, text: str) -> None:
    """Equal times could mean closed or the whole day; a door is not opened on a guess."""
    assert problems(tmp_path, f'friday = ["{text}"]') == [
        (f'hours.friday: found "{text}"; write "00:00-24:00" for the whole day, nothing for closed')
    ]


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        (
            'friday = ["08:00-12:00", "11:59-13:00"]',
            ['hours.friday: "11:59-13:00" overlaps "08:00-12:00" of hours.friday'],
        ),
        (
            'friday = ["08:00-12:00", "08:00-12:00"]',
            ['hours.friday: "08:00-12:00" overlaps "08:00-12:00" of hours.friday'],
        ),
        (
            'friday = ["22:00-02:00"]\nsaturday = ["01:00-05:00"]',
            ['hours.saturday: "01:00-05:00" overlaps "22:00-02:00" of hours.friday'],
        ),
        (
            'sunday = ["22:00-02:00"]\nmonday = ["01:00-05:00"]',
            ['hours.monday: "01:00-05:00" overlaps "22:00-02:00" of hours.sunday'],
        ),
        (
            'friday = ["08:00-20:00", "09:00-10:00", "12:00-13:00"]',
            [
                'hours.friday: "09:00-10:00" overlaps "08:00-20:00" of hours.friday',
                'hours.friday: "12:00-13:00" overlaps "08:00-20:00" of hours.friday',
            ],
        ),
    ],
)
def test_overlaps_are_told(tmp_path: Path, hours: str, told: list[str]) -> None:
    """Every span that begins inside another is told, also past midnight and round the week."""
    assert problems(tmp_path, hours) == [f"{line}; join them or move one" for line in told]


def test_spans_may_touch(tmp_path: Path) -> None:
    """A span that begins where another ends, also at midnight, overlaps nothing."""
    hours = 'friday = ["08:00-12:00", "12:00-24:00"]\nsaturday = ["00:00-02:00"]'

    assert week(tmp_path, f"[hours]\n{hours}") is not None


spans = st.builds(
    lambda opens, length: Span(opens, opens + length),
    st.integers(0, DAY_MINUTES - 1),
    st.integers(1, DAY_MINUTES - 1),
).filter(lambda one: one.closes < DAY_MINUTES or one.closes - DAY_MINUTES < one.opens)


@given(spans)
def test_a_span_reads_back_what_it_shows(one: Span) -> None:
    """The text that a message shows of a span is one that can be written."""
    assert span(written(one)) == one


@given(st.dictionaries(st.sampled_from(DAYS), st.lists(spans, max_size=2), max_size=4))
def test_overlaps_are_those_of_the_minutes(days: dict[str, list[Span]]) -> None:
    """Spans are told of exactly if some minute of the week is in two of them."""
    minutes = [
        (DAYS.index(day) * DAY_MINUTES + minute) % WEEK_MINUTES
        for day, listed in days.items()
        for one in listed
        for minute in range(one.opens, one.closes)
    ]

    assert bool(list(overlaps(days))) == (len(minutes) != len(set(minutes)))
