"""Rows of patrons and a branch's rules as Hypothesis draws them, around one day."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import strategies as st

from doorctl.access.patron import Patron
from doorctl.access.policy import Policy, WeakPin

TODAY = date(2026, 5, 4)
"""The day that `DAYS` lie around; `tests.store.samples.NOON` is on it."""

DAY = timedelta(days=1)
CODES = st.frozensets(st.sampled_from(["O", "U", "E", "W", "Q", "", "two words", 'quo"te']))
TAGS = st.frozensets(st.sampled_from(["x", "y"]))
DAYS = st.none() | st.sampled_from(
    [TODAY + n * DAY for n in (-2, -1, 0, 1, 4, 7, 8, 59, 60, 61)] + [date.min, date.max]
)
"""Dates of a row: at the edges of the guard's week and of its sixty days, and of the calendar."""

PATRONS = st.builds(
    Patron,
    st.just("a"),
    st.none() | st.sampled_from([bytes(32), bytes(range(32))]),
    resident=st.booleans(),
    active=st.booleans(),
    blocks=CODES,
    restricted=st.booleans(),
    enter_from=DAYS,
    valid_until=DAYS,
    hold_from=DAYS,
    hold_until=DAYS,
    weak_pin=st.booleans(),
    tags=TAGS,
)
POLICIES = st.builds(
    Policy,
    require_pin=st.booleans(),
    require_resident=st.booleans(),
    deny_blocks=CODES,
    deny_other_blocks=st.booleans(),
    weak_pin=st.sampled_from(WeakPin),
    require_tags=TAGS,
    age_exception_tags=TAGS,
)
