"""Outputs that follow the mode: their offsets, what staff set, and a lockdown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorctl.access.calendar import Calendar, Mode, ModeSpan
from doorctl.access.day import Override, planned
from doorctl.extras.outputs.following import Output, outputs_on
from tests.access.calendars import CLOSED, OPEN, STAFFED, at, calendars, every_day, times
from tests.access.test_modes import LIBRARY, NOON

outputs = st.builds(
    Output,
    st.just("x"),
    st.frozensets(st.sampled_from(Mode), min_size=1),
    st.integers(-90, 90),
    st.integers(-90, 90),
)

INSIDE = frozenset({STAFFED, OPEN})
LIGHT = Output("light", INSIDE, lead_min=10, lag_min=5)
ALARM = Output("alarm", frozenset({CLOSED}), lead_min=-5, lag_min=-10)
PLAIN = Output("plain", INSIDE)
EARLY = Output("early", INSIDE, lead_min=-30, lag_min=30)
ALL = (LIGHT, ALARM, PLAIN, EARLY)


@pytest.mark.parametrize(
    ("clock", "on"),
    [
        ("06:49:59.999999", {"alarm"}),
        ("06:50:00", {"light"}),
        ("07:00:00", {"light", "plain"}),
        ("07:30:00", {"light", "plain", "early"}),
        ("10:00:00", {"light", "plain", "early"}),
        ("21:59:59.999999", {"light", "plain", "early"}),
        ("22:00:00", {"light", "early"}),
        ("22:05:00", {"alarm", "early"}),
        ("22:30:00", {"alarm"}),
        ("23:59:59", {"alarm"}),
        ("00:00:00", {"alarm"}),
    ],
)
def test_offsets_move_both_ends(clock: str, on: set[str]) -> None:
    """Light comes on before opening and stays after; the alarm sleeps a while at both ends."""
    assert outputs_on(ALL, LIBRARY, None, at(f"2026-12-24T{clock}")) == on


@pytest.mark.parametrize("mode", Mode)
def test_what_staff_set_acts_at_once(mode: Mode) -> None:
    """Their mode alone counts while it holds, without offsets, and at its end the calendar."""
    siren = Output("siren", frozenset({Mode.LOCKDOWN}), lead_min=30, lag_min=30)
    override = Override(mode, at("2026-12-24T22:03"))
    before, after = at("2026-12-24T22:02:59"), at("2026-12-24T22:03")

    held = outputs_on((*ALL, siren), LIBRARY, override, before)

    assert held == {one.name for one in (*ALL, siren) if mode in one.modes}
    assert outputs_on((*ALL, siren), LIBRARY, override, after) == {"light", "early"}


@given(calendars, times(), outputs)
@example(LIBRARY, NOON, Output("alarm", frozenset({CLOSED})))
def test_outputs_follow_a_lockdown_that_nobody_has_lifted(
    calendar: Calendar, local: datetime, output: Output
) -> None:
    """In staffed hours the house is closed then, for the alarm and the light as for the door.

    Bug (code review): after a lockdown the alarm was off and the light on in a closed house.
    """
    plain = replace(output, lead_min=0, lag_min=0)
    lapsed = Override(Mode.LOCKDOWN, local)

    on = bool(outputs_on([plain], calendar, lapsed, local))

    assert on is (planned(calendar, lapsed, local) in plain.modes)


def test_without_a_calendar_it_is_closed() -> None:
    """What is on while closed stays on, whatever its offsets."""
    assert outputs_on(ALL, None, None, at("2026-12-24T12:00")) == {"alarm"}


def test_a_short_break_is_bridged() -> None:
    """Light that stays on as long as the break lasts does not go off in between."""
    lunch = every_day(ModeSpan(OPEN, 480, 720), ModeSpan(OPEN, 735, 1320))
    light = Output("light", INSIDE, lead_min=10, lag_min=5)

    assert all(
        outputs_on([light], lunch, None, at(f"2026-12-24T12:{minute:02}")) for minute in range(20)
    )


@given(calendars, times(), outputs)
def test_offsets_look_at_the_minutes_around(
    calendar: Calendar, local: datetime, output: Output
) -> None:
    """Told minute by minute: an end is moved out by what is near, in by what is missing near."""
    now = local.astimezone(UTC)

    def in_modes(minutes: int, before: bool = False) -> bool:
        instant = now + timedelta(minutes=minutes) - timedelta(microseconds=before)
        return planned(calendar, None, instant.astimezone(local.tzinfo)) in output.modes

    if output.lead_min >= 0 and output.lag_min >= 0:
        around = range(-output.lag_min, output.lead_min + 1)
        expected = any(in_modes(one) for one in around) or any(
            in_modes(one, before=True) for one in around if one > -output.lag_min
        )
    elif output.lead_min <= 0 and output.lag_min <= 0:
        around = range(output.lead_min, -output.lag_min + 1)
        expected = all(in_modes(one) for one in around) and all(
            in_modes(one, before=True) for one in around if one > output.lead_min
        )
    else:
        return
    assert bool(outputs_on([output], calendar, None, local)) is expected
