from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import DAY_MINUTES, DatedDay, Mode, ModeSpan, Span
from doorctl.config import load
from doorctl.config.hours import (
    WEEK_MINUTES,
    Opening,
    Week,
    clashes_of_week,
    past_exceptions,
    span,
    written,
)
from doorctl.core.errors import ConfigError
from tests.config.conftest import RIGHT


def opening(tmp_path: Path, hours: str) -> Opening:
    """Load a configuration with these hours and return all it says of them."""
    path = tmp_path / "doorctl.toml"
    path.write_text(f"{RIGHT}[hours]\n{hours}", encoding="utf-8")
    return load(path, environment={}).opening


def problems(tmp_path: Path, hours: str) -> list[str]:
    """Load a configuration with wrong hours and return the problems' lines."""
    with pytest.raises(ConfigError) as caught:
        opening(tmp_path, hours)
    return [str(problem) for problem in caught.value.problems]


def test_days_are_monday_first_and_absent_ones_closed(tmp_path: Path) -> None:
    """Each day stands at its place of the week, its spans in order; the others are closed."""
    hours = 'sunday = ["10:00-12:00"]\nmonday = ["13:00-17:00", "08:00-12:00"]'

    assert opening(tmp_path, "").week == ((),) * 7
    assert opening(tmp_path, hours).week == (
        (ModeSpan(Mode.SELF_SERVICE, 480, 720), ModeSpan(Mode.SELF_SERVICE, 780, 1020)),
        *((),) * 5,
        (ModeSpan(Mode.SELF_SERVICE, 600, 720),),
    )


def test_staffed_hours_stand_beside_the_week(tmp_path: Path) -> None:
    """Staffed hours of a day may lie within self-service, whose end they share, or apart."""
    hours = """monday = ["08:00-20:00"]
[hours.staffed]
monday = ["10:00-20:00"]
tuesday = ["10:00-18:00"]
"""
    calendar = opening(tmp_path, hours).calendar

    assert calendar.day(date(2026, 3, 9)) == (
        ModeSpan(Mode.SELF_SERVICE, 480, 600),
        ModeSpan(Mode.STAFFED, 600, 1200),
    )
    assert calendar.day(date(2026, 3, 10)) == (ModeSpan(Mode.STAFFED, 600, 1080),)
    assert calendar.day(date(2026, 3, 11)) == ()


def test_without_a_table_the_calendar_is_always_open(tmp_path: Path) -> None:
    """No hours are self-service at all hours, and what else there is has its default."""
    path = tmp_path / "doorctl.toml"
    path.write_text(RIGHT, encoding="utf-8")
    config = load(path, environment={})

    assert config.opening.week is None
    assert config.opening.calendar.always_open
    assert (config.opening.source, config.opening.website_days) == ("config", 14)
    assert (config.closing.warn_min, config.closing.no_entry_min) == ((15, 10, 5), 0)
    assert config.outputs == ()


@pytest.mark.parametrize("written_date", ["2026-12-24", '"2026-12-24"'])
def test_exceptions_are_dated_days(tmp_path: Path, written_date: str) -> None:
    """A date, with or without quotes, has its own hours and note; empty ones are closed."""
    hours = f"""thursday = ["08:00-22:00"]
[[hours.exceptions]]
date = {written_date}
self_service = ["10:00-14:00"]
staffed = ["10:00-12:00"]
note = "Juleaften"
[[hours.exceptions]]
date = 2026-12-31
"""
    calendar = opening(tmp_path, hours).calendar

    assert calendar.days[date(2026, 12, 24)] == DatedDay(
        (ModeSpan(Mode.SELF_SERVICE, 600, 840), ModeSpan(Mode.STAFFED, 600, 720)),
        note="Juleaften",
    )
    assert calendar.day(date(2026, 12, 31)) == ()
    assert calendar.day(date(2026, 12, 17)) == (ModeSpan(Mode.SELF_SERVICE, 480, 1320),)


def test_exceptions_that_are_past(tmp_path: Path) -> None:
    """The file loads all the same; who asks with today's date is told of those before it."""
    dates = (f"[[hours.exceptions]]\ndate = 2026-12-{day}\n" for day in (24, 31))
    found = opening(tmp_path, "".join(dates))

    assert list(past_exceptions(found, date(2026, 12, 24))) == []
    assert [str(problem) for problem in past_exceptions(found, date(2026, 12, 25))] == [
        (
            "hours.exceptions[0].date: found 2026-12-24, which is past; "
            "take the exception out or correct the year"
        )
    ]


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


EXCEPTION = "[[hours.exceptions]]\ndate = 2026-12-24\n"
FIRST = "hours.exceptions[0]"


def overlap(key: str, one: str, other: str, place: str) -> str:
    """Return how an overlap is told."""
    return f'{key}: "{one}" overlaps "{other}" of {place}; join them or move one'


def gap(key: str, one: str, other: str, place: str, minutes: int = 1) -> str:
    """Return how a short gap is told."""
    begins = f'{key}: "{one}" begins {minutes} min after "{other}" of {place} ends; '
    return f"{begins}join them or leave at least 15 min between"


def partly(key: str, one: str, other: str, place: str) -> str:
    """Return how staffed hours half outside are told."""
    within = f'{key}: "{one}" lies only partly within "{other}" of {place}; '
    return f"{within}let it lie within or apart"


MON, FRI, SUN = "hours.monday", "hours.friday", "hours.sunday"
DESK = "hours.staffed.friday"


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        (
            'friday = ["08:00-12:00", "11:59-13:00"]',
            [overlap(FRI, "11:59-13:00", "08:00-12:00", FRI)],
        ),
        (
            'friday = ["08:00-12:00", "08:00-12:00"]',
            [overlap(FRI, "08:00-12:00", "08:00-12:00", FRI)],
        ),
        (
            'sunday = ["22:00-02:00"]\nmonday = ["01:00-05:00"]',
            [overlap(MON, "01:00-05:00", "22:00-02:00", SUN)],
        ),
        (
            'friday = ["08:00-20:00", "09:00-10:00", "12:00-13:00"]',
            [overlap(FRI, one, "08:00-20:00", FRI) for one in ("09:00-10:00", "12:00-13:00")],
        ),
        (
            '[hours.staffed]\nfriday = ["11:00-13:00", "12:00-14:00"]',
            [overlap(DESK, "12:00-14:00", "11:00-13:00", DESK)],
        ),
        (
            f'friday = ["01:00-22:00"]\n{EXCEPTION}self_service = ["20:00-02:00"]',
            [overlap(FRI, "01:00-22:00", "20:00-02:00", f"{FIRST}.self_service")],
        ),
        (
            'friday = ["08:00-09:59", "10:00-22:00"]',
            [gap(FRI, "10:00-22:00", "08:00-09:59", FRI)],
        ),
        (
            'sunday = ["20:00-23:59"]\nmonday = ["00:00-02:00"]',
            [gap(MON, "00:00-02:00", "20:00-23:59", SUN)],
        ),
        (
            'friday = ["08:00-09:50"]\n[hours.staffed]\nfriday = ["10:00-14:00"]',
            [gap(DESK, "10:00-14:00", "08:00-09:50", FRI, minutes=10)],
        ),
        (
            'friday = ["08:00-12:00"]\n[hours.staffed]\nfriday = ["11:00-13:00"]',
            [partly(DESK, "11:00-13:00", "08:00-12:00", FRI)],
        ),
        (
            'sunday = ["20:00-02:00"]\n[hours.staffed]\nmonday = ["00:30-03:00"]',
            [partly("hours.staffed.monday", "00:30-03:00", "20:00-02:00", SUN)],
        ),
        (
            f'{EXCEPTION}self_service = ["10:00-12:00"]\nstaffed = ["11:00-13:00"]',
            [partly(f"{FIRST}.staffed", "11:00-13:00", "10:00-12:00", f"{FIRST}.self_service")],
        ),
        (
            f"{EXCEPTION}{EXCEPTION}",
            [
                (
                    f"hours.exceptions[1].date: found 2026-12-24, which is {FIRST}'s too; "
                    "say all of a date at one place"
                )
            ],
        ),
        (
            f'{EXCEPTION}staffed = ["8-10"]',
            [
                (
                    f'{FIRST}.staffed: found "8-10"; write each span as "HH:MM-HH:MM", 00:00 to '
                    '24:00, such as "08:00-22:00"'
                )
            ],
        ),
        (
            "[[hours.exceptions]]\ndate = 9999-12-31",
            [f"{FIRST}.date: found 9999-12-31; give a date from 2000-01-01 to 2199-12-31"],
        ),
        (
            '[[hours.exceptions]]\ndate = "2026-02-30"',
            [f'{FIRST}.date: found "2026-02-30"; give a date, "YYYY-MM-DD", such as "2030-12-24"'],
        ),
        (
            f"{EXCEPTION}open = []",
            [f"{FIRST}.open: unknown key; there are date, self_service, staffed, note"],
        ),
        (
            "[hours.exceptions]\ndate = 2026-12-24",
            ["hours.exceptions: found a table; give each a table: [[hours.exceptions]]"],
        ),
        (EXCEPTION * 1001, ["hours.exceptions: found 1001 tables; give at most 1000"]),
        (
            'website_url = "http://bibliotek.example"',
            [
                (
                    'hours.website_url: found "http://bibliotek.example"; give an address that '
                    'begins with https://, or "", such as "https://bibliotek.example"'
                )
            ],
        ),
        (
            'source = "website"',
            [
                f'hours.{leaf}: missing beside hours.source = "website"; give it'
                for leaf in ("website_url", "website_branch")
            ],
        ),
    ],
)
def test_what_hours_may_not_say(tmp_path: Path, hours: str, told: list[str]) -> None:
    """Each slip is told by its key, with what is written and what would be right."""
    assert problems(tmp_path, hours) == told


@pytest.mark.parametrize("address", ["https://bibliotek.example", "http://localhost:8080"])
def test_a_websites_address(tmp_path: Path, address: str) -> None:
    """It is encrypted, or on this machine."""
    hours = f'source = "website"\nwebsite_url = "{address}"\nwebsite_branch = "12"\n'

    found = opening(tmp_path, hours)

    assert (found.website_url, found.website_branch) == (address, "12")


def test_an_override_reaches_no_listed_table(tmp_path: Path) -> None:
    """Nobody could say which of several tables is meant, so it is told and not passed over."""
    path = tmp_path / "doorctl.toml"
    path.write_text(RIGHT, encoding="utf-8")

    for name in ("hours.exceptions.note=x", "outputs.name=x"):
        with pytest.raises(ConfigError, match=r"is not table\.key=value"):
            load(path, [name], environment={})


@pytest.mark.parametrize(
    "hours",
    [
        'friday = ["08:00-12:00", "12:15-22:00"]',
        'sunday = ["20:00-02:00"]\n[hours.staffed]\nmonday = ["00:30-02:00"]',
        'monday = ["08:00-12:00"]\n[hours.staffed]\nmonday = ["12:00-18:00"]',
        'friday = ["08:00-12:00", "12:00-24:00"]\nsaturday = ["00:00-02:00"]',
        f"""friday = ["01:00-22:00"]\n{EXCEPTION}self_service = ["20:00-02:00"]
        [[hours.exceptions]]\ndate = 2026-12-25""",
    ],
)
def test_what_hours_may_say(tmp_path: Path, hours: str) -> None:
    """A break of a quarter of an hour, staff in the tail round the week, staff afterwards.

    Spans that touch, also at midnight; a dated night whose tail the next dated day cuts off.
    """
    assert opening(tmp_path, hours).week is not None


spans = st.builds(
    lambda mode, starts, length: ModeSpan(mode, starts, starts + length),
    st.sampled_from((Mode.SELF_SERVICE, Mode.STAFFED)),
    st.integers(0, DAY_MINUTES - 1),
    st.integers(1, DAY_MINUTES - 1),
).filter(lambda one: one.ends < DAY_MINUTES or one.ends - DAY_MINUTES < one.starts)


@given(spans)
def test_a_span_reads_back_what_it_shows(one: ModeSpan) -> None:
    """The text that a message shows of a span is one that can be written."""
    assert span(written(one)) == Span(one.starts, one.ends)


@given(st.dictionaries(st.integers(0, 6), st.lists(spans, max_size=4), max_size=4))
def test_what_is_told_is_told_by_the_minutes(days: dict[int, list[ModeSpan]]) -> None:
    """Minute by minute round the week: twice open, twice staffed, half outside, a short gap."""
    week, staffed = (as_week(days, mode) for mode in (Mode.SELF_SERVICE, Mode.STAFFED))
    both = tuple((*own, *desk) for own, desk in zip(week, staffed, strict=True))
    told = [str(clash.problem) for clash in clashes_of_week(both)]
    own, at_desk = minutes_of(week), minutes_of(staffed)

    double = len(own) != len(set(own)) or len(at_desk) != len(set(at_desk))
    assert any("overlaps" in line for line in told) == double
    if not double:
        assert any("partly" in line for line in told) == any(
            0 < len({*minutes} & {*own}) < len(minutes)
            for place, day in enumerate(staffed)
            for one in day
            for minutes in [minutes_of(as_week({place: [one]}, one.mode))]
        )
        assert any(" begins " in line for line in told) == (
            has_short_gap({*own, *at_desk}) or has_short_gap({*at_desk})
        )


def as_week(days: dict[int, list[ModeSpan]], mode: Mode) -> Week:
    """Return a mode's spans of the days, Monday is 0, as a week in order."""
    listed = ([one for one in days.get(place, ()) if one.mode is mode] for place in range(7))
    return tuple(tuple(sorted(day, key=lambda one: (one.starts, one.ends))) for day in listed)


def minutes_of(week: Week) -> list[int]:
    """Return each minute of each span, round the week, those of two spans twice."""
    return [
        (place * DAY_MINUTES + minute) % WEEK_MINUTES
        for place, day in enumerate(week)
        for one in day
        for minute in range(one.starts, one.ends)
    ]


def has_short_gap(minutes: set[int]) -> bool:
    """Tell whether fewer than 15 minutes lie between two of them, round the week."""
    ordered = sorted(minutes)
    following = [*ordered[1:], *(one + WEEK_MINUTES for one in ordered[:1])]
    return any(0 < later - one - 1 < 15 for one, later in zip(ordered, following, strict=True))
