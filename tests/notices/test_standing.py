"""What stands: a process's own account of it, and how it is compared with what is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.alarms import (
    ENDS,
    KINDS,
    LONGEST_WHY,
    ON_THE_WAY,
    AlarmChange,
    AlarmRecord,
    Raised,
    RaisedAlarm,
    Source,
    differences,
    own_words,
    to_be_kept,
)
from doorctl.core.moments import ClockState, Moment
from tests.notices.samples import AT, MOMENT

SECOND = timedelta(seconds=1)
LONG_AGO = AT - ON_THE_WAY - SECOND
HELD = AlarmRecord("door_held", Source.DOOR, LONG_AGO, LONG_AGO, 1, "")
SEEN = replace(HELD, acknowledged_by="grethe", acknowledged_at=LONG_AGO)


def told(kind: str = "door_held", at_age: timedelta = 2 * ON_THE_WAY) -> AlarmChange:
    """Return what a process says."""
    return AlarmChange(kind, Source.DOOR, "", AT - at_age)


@given(st.lists(st.sampled_from([*KINDS, "not_on_the_list"])))
def test_what_a_process_has_raised_is_what_it_has_not_ended(kinds: list[str]) -> None:
    """Whatever comes in which order: the last word of each kind counts, since it was first said."""
    raised = Raised()
    expected: dict[str, float] = {}
    for at_s, kind in enumerate(kinds):
        raised.hear(RaisedAlarm(kind, "", float(at_s)))
        if kind in ENDS:
            expected.setdefault(kind, float(at_s))
        elif kind in KINDS:
            expected.pop(str(KINDS[kind].clears), None)

    assert {one.kind: one.at_s for one in raised.standing()} == expected


def test_what_was_missed_is_kept_late() -> None:
    """Not what may just be on its way, for it would count twice."""
    assert differences((), (told(),), AT)[0] == [told()]
    assert differences((), (told(at_age=SECOND),), AT)[0] == []
    assert differences((HELD,), (told(),), AT)[0] == []


@pytest.mark.parametrize(
    ("kept", "raised", "over"),
    [
        (HELD, (), set()),
        (SEEN, (), {"door_held"}),
        (SEEN, (told(),), set()),
        (replace(SEEN, last=AT), (), set()),
        (replace(SEEN, kind="stalled"), (), set()),
        (replace(HELD, kind="door_silent"), (), {"door_silent"}),
    ],
    ids=["unseen", "seen", "still said", "just raised", "without an end", "the door answers"],
)
def test_what_nobody_says_any_more(
    kept: AlarmRecord, raised: tuple[AlarmChange, ...], over: set[str]
) -> None:
    """It is over once staff have seen it, so that the next one is told again."""
    assert differences((kept,), raised, AT)[1] == over


def test_an_alarm_is_kept_by_a_time_that_has_come() -> None:
    """Counted back from now; by a clock that nobody vouches for, from the latest time known."""
    heard = RaisedAlarm("door_held", "a wire", 40.0, Source.DOOR)
    lost = Moment(AT.replace(year=1970), AT, ClockState.UNTRUSTED)

    kept = to_be_kept(heard, MOMENT, 70.0)
    assert kept == AlarmChange("door_held", Source.DOOR, "a wire", AT - 30 * SECOND)
    assert to_be_kept(heard, lost, 70.0) == kept
    assert to_be_kept(heard, MOMENT, 10.0).at == AT


@given(kind=st.sampled_from(list(KINDS)), why=st.text(max_size=2 * LONGEST_WHY))
def test_an_alarms_own_words_are_one_short_line(kind: str, why: str) -> None:
    """Whatever stands in them; a call for help has none."""
    words = own_words(RaisedAlarm(kind, f"card 3000001234\n{why}", 0.0))

    assert "3000001234" not in words
    assert len(words) <= LONGEST_WHY
    assert words.isprintable()
    assert bool(words) is not KINDS[kind].wordless
