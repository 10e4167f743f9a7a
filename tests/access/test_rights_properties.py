from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import DAY_MINUTES, Mode, Span
from doorctl.access.patron import Reason
from doorctl.access.rights import EVERY_DAY, Ban, Pass, PassKind, banned, guessable
from doorctl.core.moments import ClockState, Moment
from tests.access.samples import COPENHAGEN

FIRST, LAST = date(2026, 3, 20), date(2026, 11, 10)
"""Both clock changes of the year lie between."""

instants = st.integers(0, 240 * 24 * 60).map(
    lambda minute: datetime(2026, 3, 18, tzinfo=UTC) + timedelta(minutes=minute)
)
days = st.dates(FIRST, LAST)
weekdays = st.frozensets(st.integers(0, 6), min_size=1)
minutes = st.integers(0, DAY_MINUTES - 1)


@st.composite
def moments(draw: st.DrawFn) -> Moment:
    """A reading of a clock of any quality, with any high-water mark."""
    local = draw(instants).astimezone(COPENHAGEN)
    return Moment(local, draw(instants), draw(st.sampled_from(ClockState)))


@st.composite
def bans(draw: st.DrawFn) -> Ban:
    """Any ban of two branches."""
    since = draw(instants)
    lasts = draw(st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=90)))
    branches = draw(st.frozensets(st.sampled_from(["oest", "syd", "*"]), min_size=1))
    until = None if lasts is None else since + lasts
    return Ban(1, "reason", since, until, "staff-7", branches)


@st.composite
def passes(draw: st.DrawFn) -> Pass:
    """Any pass."""
    kind = draw(st.sampled_from(PassKind))
    first, last = sorted((draw(days), draw(days)))
    always = kind is PassKind.EMERGENCY
    begins = 0 if always else draw(minutes)
    lasts = DAY_MINUTES if always else draw(st.integers(1, DAY_MINUTES))
    spans = st.builds(lambda at, long: Span(at, at + long), minutes, st.integers(1, DAY_MINUTES))
    return Pass(
        number=1,
        kind=kind,
        first_day=first,
        last_day=last,
        weekdays=EVERY_DAY if always else draw(weekdays),
        from_minute=begins,
        to_minute=begins + lasts,
        outside_hours=draw(st.booleans()),
        label="label",
        more_times=() if always else tuple(draw(st.lists(spans, max_size=5))),
    )


@st.composite
def narrowed(draw: st.DrawFn, wide: Pass) -> Pass:
    """The same pass with less of everything that a pass can have less of."""
    first = draw(st.dates(wide.first_day, wide.last_day))
    last = draw(st.dates(first, wide.last_day))
    narrow = replace(
        wide,
        first_day=first,
        last_day=last,
        outside_hours=wide.outside_hours and draw(st.booleans()),
    )
    if wide.kind is PassKind.EMERGENCY:
        return narrow
    begins = draw(st.integers(wide.from_minute, min(wide.to_minute, DAY_MINUTES) - 1))
    return replace(
        narrow,
        weekdays=draw(st.frozensets(st.sampled_from(sorted(wide.weekdays)), min_size=1)),
        from_minute=begins,
        to_minute=draw(st.integers(begins + 1, wide.to_minute)),
        more_times=wide.more_times[1:],
    )


@given(data=st.data(), wide=passes(), moment=moments(), mode=st.none() | st.sampled_from(Mode))
def test_narrowing_a_pass_never_turns_a_refusal_into_a_grant(
    data: st.DataObject, wide: Pass, moment: Moment, mode: Mode | None
) -> None:
    """Fewer days, weekdays, minutes or modes only ever shut somebody out."""
    narrow = data.draw(narrowed(wide))

    if wide.admits(moment, mode) is not Reason.OK:
        assert narrow.admits(moment, mode) is not Reason.OK


@given(held=st.lists(bans(), max_size=4), more=bans(), moment=moments())
def test_adding_a_ban_never_turns_a_refusal_into_a_grant(
    held: list[Ban], more: Ban, moment: Moment
) -> None:
    """Nor does taking one away, its end put off, or one more branch."""
    later = None if more.until is None else more.until + timedelta(days=1)
    wider = replace(more, until=later, branches=more.branches | {"syd"})

    for branch in ("oest", "syd", "other"):
        assert banned([*held, more], moment, branch) >= banned(held, moment, branch)
        assert wider.holds(moment, branch) >= more.holds(moment, branch)


@given(ban=bans(), moment=moments())
def test_losing_the_time_ends_no_ban(ban: Ban, moment: Moment) -> None:
    """Where a clock that is right bans somebody, the same clock unset bans them too."""
    right = Moment(moment.local, moment.high_water, ClockState.TRUSTED)
    known = min(moment.high_water, moment.local.astimezone(UTC))
    unset = Moment(moment.local, known, ClockState.UNTRUSTED)

    assert ban.holds(unset, "oest") >= ban.holds(right, "oest")


@given(one=passes(), moment=moments(), mode=st.sampled_from(Mode))
def test_a_pass_agrees_with_whoever_reads_it_aloud(one: Pass, moment: Moment, mode: Mode) -> None:
    """Asked span by span: is one under way that began on a valid day, at a valid time."""
    if not moment.dependable or one.admits(moment, mode) is Reason.CLOSED:
        return
    wall = moment.local.replace(tzinfo=None)
    under_way = any(
        begins <= wall < begins + _minutes(span.closes - span.opens)
        for ordinal in range(one.first_day.toordinal(), one.last_day.toordinal() + 1)
        if (begun := date.fromordinal(ordinal)).weekday() in one.weekdays
        for span in one.times
        for begins in [datetime.combine(begun, datetime.min.time()) + _minutes(span.opens)]
    )

    assert (one.admits(moment, mode) is Reason.OK) == (
        under_way and one.admits(moment, mode) is not Reason.EXPIRED
    )
    if one.admits(moment, mode) is Reason.EXPIRED:
        assert not under_way


def _minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


@given(st.text("0123456789", min_size=6, max_size=9))
def test_a_code_read_backwards_is_as_easy_to_guess(code: str) -> None:
    """But for dates, what is easy one way is easy the other way."""
    turned = code[::-1]
    runs = {"0123456789" * 2, "9876543210" * 2}

    if any(code in run for run in runs):
        assert guessable(turned)
    if len(set(code)) == 1:
        assert guessable(code)
