"""Holidays computed by a real process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date

import pytest

from doorctl.core.errors import NotAnsweringError
from doorctl.sources.hours import PROGRAM, HolidaysWanted, computed, computed_apart

WANTED = HolidaysWanted((2026, 2027), ("christmas_eve",))

RESIDENT = """
import json, re, sys
from doorctl.sources.hours import computed_apart
from doorctl.sources.hours import HolidaysWanted
found = computed_apart(HolidaysWanted((2026, 2027)))
print(json.dumps([len(found), "holidays" in sys.modules]))
"""


def test_they_are_the_same_as_computed_here() -> None:
    """Nothing is lost on the way: dates, causes and Danish names."""
    found = computed_apart(WANTED)

    assert found == computed(WANTED)
    assert found[date(2026, 12, 24)].note == "Juleaftensdag"
    assert found[date(2027, 1, 1)].note == "Nytårsdag"
    assert WANTED.known_until == date(2027, 12, 31)


def test_the_package_is_not_loaded_here() -> None:
    """The memory that it takes goes with the process that it was loaded in."""
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT], capture_output=True, check=True, timeout=120
    )

    assert json.loads(done.stdout) == [20, False]


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
        (("printf", '{"2026-01-01": {"spans": [{"mode": "closed"}]}}'), "what came is no list"),
        (("printf", r'"\377"'), "what came is no list"),
        (("sleep", "60"), "it took more than 0.2 s"),
    ],
    ids=str,
)
def test_a_process_that_fails_is_one_clear_error(program: tuple[str, ...], told: str) -> None:
    """It says why, on one line, and nothing is believed of what came."""
    limit_s = 0.2 if program[0] == "sleep" else 60.0
    with pytest.raises(NotAnsweringError) as caught:
        computed_apart(WANTED, program=program, limit_s=limit_s)

    assert str(caught.value).startswith(f"the public holidays were not computed: {told}")
    assert str(caught.value).isprintable()
