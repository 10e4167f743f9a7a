"""Public holidays, computed here and by a real process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date

import pytest

from doorctl.access.calendar import StoredDay
from doorctl.config.hours import HalfHoliday
from doorctl.core.errors import NotAnsweringError
from doorctl.sources.hours import PROGRAM, HolidaysWanted, computed, computed_apart

OF_2026 = {
    date(2026, 1, 1): "Nytårsdag",
    date(2026, 4, 2): "Skærtorsdag",
    date(2026, 4, 3): "Langfredag",
    date(2026, 4, 5): "Påskedag",
    date(2026, 4, 6): "Anden påskedag",
    date(2026, 5, 14): "Kristi himmelfartsdag",
    date(2026, 5, 24): "Pinsedag",
    date(2026, 5, 25): "Anden pinsedag",
    date(2026, 12, 25): "Juledag",
    date(2026, 12, 26): "Anden juledag",
}


def named(*years: int, also: tuple[HalfHoliday, ...] = ()) -> dict[date, str]:
    """Return the holidays' names by date."""
    return {holiday.day: holiday.note for holiday in computed(HolidaysWanted(years, also))}


def test_holidays_are_named() -> None:
    """Each public holiday of the year says which one it is; its hours are the calendar's to say."""
    listed = tuple(StoredDay(day, (), name) for day, name in OF_2026.items())

    assert computed(HolidaysWanted((2026,))) == listed


def test_store_bededag_is_gone() -> None:
    """The fourth Friday after Easter was one until 2023 and is none since."""
    found = [year for year in (2023, 2024, 2026) if "Store bededag" in named(year).values()]

    assert found == [2023]


def test_other_days_count_where_they_are_named() -> None:
    """Christmas Eve and the like are none unless the branch says so, and only those it names."""
    more = named(2026, also=("christmas_eve", "constitution_day"))

    assert more.items() - OF_2026.items() == {
        (date(2026, 6, 5), "Grundlovsdag"),
        (date(2026, 12, 24), "Juleaftensdag"),
    }


def test_a_day_that_is_both_is_a_public_holiday() -> None:
    """5 June 2028 is Pentecost Monday; it is told by that name."""
    assert named(2028, also=("constitution_day",))[date(2028, 6, 5)] == "Anden pinsedag"


RESIDENT = """
import json, re, sys
from doorctl.sources.hours import computed_apart
from doorctl.sources.hours import HolidaysWanted
found = computed_apart(HolidaysWanted((2026, 2027), ("christmas_eve",)))
print(json.dumps([[holiday.note for holiday in found], "holidays" in sys.modules]))
"""


def test_computed_apart_they_are_the_same_and_the_package_is_not_loaded_here() -> None:
    """The memory that it takes goes with the process that it was loaded in; no name is lost."""
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT], capture_output=True, check=True, timeout=120
    )

    same = [*named(2026, 2027, also=("christmas_eve",)).values()]
    assert json.loads(done.stdout) == [same, False]


def test_where_code_comes_from_is_not_the_environments_to_say() -> None:
    """A module of that name in the working directory or on PYTHONPATH is not run."""
    assert PROGRAM[1] == "-I"


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (("false",), "it ended with 1"),
        (("sh", "-c", "echo one >&2; printf 'tw\\033o\\n' >&2; exit 3"), "it ended with 3: two"),
        (("sh", "-c", "kill -9 $$"), "it ended with -9"),
        (("/nonexistent/python",), "it can't be started: No such file or directory"),
        (("true",), "what came is no list of holidays"),
        (("echo", "[1, 2]"), "what came is no list of holidays"),
        (("printf", r'"\377"'), "what came is no list"),
        (("sleep", "60"), "it took more than 0.2 s"),
    ],
    ids=str,
)
def test_a_process_that_fails_is_one_clear_error(program: tuple[str, ...], told: str) -> None:
    """It says why, on one line, and nothing is believed of what came."""
    limit_s = 0.2 if program[0] == "sleep" else 60.0
    with pytest.raises(NotAnsweringError) as caught:
        computed_apart(HolidaysWanted((2026,)), program=program, limit_s=limit_s)

    assert str(caught.value).startswith(f"the public holidays were not computed: {told}")
    assert str(caught.value).isprintable()
