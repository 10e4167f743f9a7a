from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.hours import Span, WeeklyHours
from doorctl.access.patron import Patron
from doorctl.access.policy import CHECKS, KNOWN_BLOCKS, Case, PinProof, Policy, decide, findings
from doorctl.access.reasons import Reason
from doorctl.moments import ClockState, Moment
from tests.access.samples import COPENHAGEN, HIGH_WATER, NOW, PATRON, day, moment

TRUSTED, UNTRUSTED = ClockState.TRUSTED, ClockState.UNTRUSTED
PROVED = PinProof.PROVED
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Option:
    """One value of one thing that is asked, and what it has to be answered with.

    Args:
        value: the value.
        refused_with: the refusal under a clock that can be trusted, None for none.
        unset_clock: the refusal under one that can't be, 10 days after the high-water mark.
    """

    value: object
    refused_with: Reason | None = None
    unset_clock: Reason | None = None


def always(value: object, reason: Reason | None = None) -> Option:
    """Return an option whose answer does not hang on the clock."""
    return Option(value, reason, reason)


DOUBT = Reason.CLOCK_UNTRUSTED

THROTTLED = (always(False), always(True, Reason.THROTTLED))
PINS = (
    always(PinProof.PROVED),
    always(PinProof.WRONG, Reason.WRONG_PIN),
    always(PinProof.NOT_GIVEN, Reason.WRONG_PIN),
)
RESTRICTED = (always(False), always(True, Reason.RESTRICTED))
BANNED = (always(False), always(True, Reason.BANNED))
BLOCKS = (
    always(frozenset()),
    always(frozenset("E")),
    always(frozenset("O"), Reason.BLOCKED),
    always(frozenset({"new code"}), Reason.BLOCKED),
    always(frozenset("EU"), Reason.BLOCKED),
)
RESIDENT = (always(True), always(False, Reason.NOT_RESIDENT))
ENTER_FROM = (
    always(None),
    always(day(-11)),
    Option(day(0), None, DOUBT),
    Option(day(1), Reason.UNDER_AGE, DOUBT),
)
VALIDITY = (
    always({}),
    always({"active": False}, Reason.EXPIRED),
    Option({"valid_until": day(0)}, None, DOUBT),
    Option({"valid_until": day(-1)}, Reason.EXPIRED, DOUBT),
    always({"valid_until": day(-11)}, Reason.EXPIRED),
    Option({"hold_from": day(-3), "hold_until": day(-1)}, None, DOUBT),
    Option({"hold_from": day(-3), "hold_until": day(0)}, Reason.EXPIRED, DOUBT),
    Option({"hold_from": day(0)}, Reason.EXPIRED, DOUBT),
    always({"hold_from": day(-10)}, Reason.EXPIRED),
)
HOURS = (
    always(None),
    Option(WeeklyHours(((Span(0, 1440),),) * 7), None, DOUBT),
    Option(WeeklyHours(((),) * 7), Reason.CLOSED, DOUBT),
)
CACHE = (
    always((None, None)),
    always((2 * DAY, NOW.astimezone(UTC) - 2 * DAY)),
    Option((2 * DAY, HIGH_WATER - 2 * DAY), Reason.CACHE_TOO_OLD, None),
    always(
        (2 * DAY, HIGH_WATER - 2 * DAY - timedelta(microseconds=1)),
        Reason.CACHE_TOO_OLD,
    ),
    Option((2 * DAY, None), Reason.CACHE_TOO_OLD, None),
)

Options = tuple[Option, ...]


def patrons() -> Iterator[tuple[Patron, Options]]:
    """Yield every patron that the options can make."""
    for row in product(RESTRICTED, BLOCKS, RESIDENT, ENTER_FROM, VALIDITY):
        restricted, blocks, resident, enter_from, validity = (option.value for option in row)
        assert isinstance(validity, dict)
        yield (
            Patron(
                "1001",
                restricted=bool(restricted),
                blocks=blocks,  # type: ignore[arg-type]
                resident=bool(resident),
                enter_from=enter_from,  # type: ignore[arg-type]
                **validity,
            ),
            row,
        )


def circumstances() -> Iterator[tuple[Policy, Case, Options]]:
    """Yield everything else that a decision looks at, under both kinds of clock."""
    for state in (TRUSTED, UNTRUSTED):
        now = moment(state)
        for row in product(THROTTLED, PINS, BANNED, HOURS, CACHE):
            throttled, pin, banned, hours, cache = (option.value for option in row)
            max_age, applied_at = cache  # type: ignore[misc]
            policy = Policy(max_cache_age=max_age, hours=hours)  # type: ignore[arg-type]
            case = Case(None, now, pin, bool(throttled), bool(banned), applied_at)  # type: ignore[arg-type]
            yield policy, case, row


def first_refusal(answers: Options, state: ClockState) -> Reason:
    """Return what the ordered list of the rules says."""
    for answer in answers:
        reason = answer.unset_clock if state is UNTRUSTED else answer.refused_with
        if reason is not None:
            return reason
    return Reason.OK


def test_first_refusal_of_the_ordered_list_wins() -> None:
    """Every combination of what is asked gives the first refusal in the order of the rules."""
    everybody = list(patrons())
    for policy, asked, (throttled, pin, banned, hours, cache) in circumstances():
        for patron, (restricted, blocks, resident, age, validity) in everybody:
            case = Case(
                patron, asked.moment, asked.pin, asked.throttled, asked.banned, asked.cache_applied_at
            )
            order = (throttled, pin, restricted, banned, blocks, resident)
            expected = first_refusal((*order, age, validity, hours, cache), asked.moment.state)
            assert expected is decide(policy, case), (policy, case)


def test_an_unknown_card_is_told_nothing_else() -> None:
    """Whatever else is true, a card without a row is unknown, and no other check is asked."""
    for policy, case, _ in circumstances():
        assert decide(policy, case) is Reason.UNKNOWN_CARD
        assert [finding.check for finding in findings(policy, case)] == ["known"]


def test_the_table_is_in_the_documented_order() -> None:
    """The order of the checks is a promise to staff, who read the first refusal."""
    expected = "throttle pin restricted banned blocked resident age expired hours cache_age".split()

    assert expected == [check.name for check in CHECKS]


@pytest.mark.parametrize("code", sorted(KNOWN_BLOCKS))
def test_default_deny_blocks(code: str) -> None:
    """By default stolen, deceased, self-service and both exclusions keep out; debt doesn't."""
    case = Case(replace(PATRON, blocks=frozenset(code)), moment(), PROVED)

    assert decide(Policy(), case) is (Reason.BLOCKED if code in "ODSUF" else Reason.OK)


@given(st.frozensets(st.sampled_from([*KNOWN_BLOCKS, "X", "e", "", "OD"])))
def test_every_block_counts(codes: frozenset[str]) -> None:
    """One denied or unheard-of code among any number of others keeps somebody out."""
    case = Case(replace(PATRON, blocks=codes), moment(), PROVED)
    harmless = codes <= {"E", "W"}

    assert decide(Policy(), case) is (Reason.OK if harmless else Reason.BLOCKED)


def test_other_blocks_can_be_let_in() -> None:
    """With `deny_other_blocks` off an unheard-of code is as good as none, a denied one is not."""
    policy = Policy(deny_other_blocks=False)
    unheard_of = replace(PATRON, blocks=frozenset({"X"}))
    both = replace(PATRON, blocks=frozenset({"X", "O"}))

    assert decide(policy, Case(unheard_of, moment(), PROVED)) is Reason.OK
    assert decide(policy, Case(both, moment(), PROVED)) is Reason.BLOCKED


def test_a_listed_code_is_denied_though_unheard_of() -> None:
    """A branch may deny a code that the library system introduced after this was written."""
    policy = Policy(deny_blocks=frozenset({"X"}), deny_other_blocks=False)
    case = Case(replace(PATRON, blocks=frozenset({"X"})), moment(), PROVED)

    assert decide(policy, case) is Reason.BLOCKED


@pytest.mark.parametrize("pin", PinProof)
def test_no_pin_is_needed_where_none_is_required(pin: PinProof) -> None:
    """Without `require_pin` the card is enough, and every other rule still counts."""
    policy = Policy(require_pin=False)

    assert decide(policy, Case(PATRON, moment(), pin)) is Reason.OK
    stranger = Case(replace(PATRON, resident=False), moment(), pin)
    assert decide(policy, stranger) is Reason.NOT_RESIDENT


def test_strangers_come_in_where_residents_are_not_asked_for() -> None:
    """Without `require_resident` living elsewhere is no refusal."""
    case = Case(replace(PATRON, resident=False), moment(), PROVED)

    assert decide(Policy(require_resident=False), case) is Reason.OK


def test_a_hold_without_a_beginning_is_none() -> None:
    """An end without a beginning is no period on hold: null dates keep nobody out."""
    case = Case(replace(PATRON, hold_until=day(5)), moment(), PROVED)

    assert decide(Policy(), case) is Reason.OK


def test_a_case_refuses_by_default() -> None:
    """Nothing but a patron and a moment is not enough to come in."""
    assert decide(Policy(), Case(PATRON, moment())) is Reason.WRONG_PIN
    assert decide(Policy(), Case(replace(PATRON, resident=False), moment(), PROVED)) is not (
        Reason.OK
    )
    assert Patron("1001").resident is False


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        (datetime(2026, 3, 11, 23, 59, 59, 999999, COPENHAGEN), Reason.UNDER_AGE),
        (datetime(2026, 3, 12, 0, 0, tzinfo=COPENHAGEN), Reason.OK),
    ],
)
def test_a_birthday_begins_at_local_midnight(local: datetime, expected: Reason) -> None:
    """Somebody is old enough from midnight on the branch's own clock, not UTC's."""
    case = Case(replace(PATRON, enter_from=date(2026, 3, 12)), Moment(local, local, TRUSTED), PROVED)

    assert decide(Policy(), case) is expected


def test_the_high_water_mark_is_read_in_local_time() -> None:
    """A mark stored in UTC late in the evening is already the next day at the branch."""
    mark = datetime(2026, 3, 11, 23, 30, tzinfo=UTC)
    unset = Moment(mark.astimezone(COPENHAGEN), mark, UNTRUSTED)
    case = Case(replace(PATRON, enter_from=date(2026, 3, 12)), unset, PROVED)

    assert decide(Policy(), case) is Reason.OK


codes = st.frozensets(st.sampled_from([*KNOWN_BLOCKS, "X", "Y"]), max_size=2)
dates = st.none() | st.integers(-15, 5).map(day)
applied = st.none() | st.integers(0, 400).map(lambda hours: NOW.astimezone(UTC) - hours * DAY / 24)
spans = st.builds(
    lambda opens, length: Span(opens, opens + length), st.integers(0, 1439), st.integers(1, 1500)
)
hours_tables = st.tuples(*[st.lists(spans, max_size=2).map(tuple)] * 7).map(WeeklyHours)
patron_rows = st.builds(
    Patron,
    st.just("1001"),
    resident=st.booleans(),
    active=st.sampled_from([True, True, False]),
    blocks=codes,
    restricted=st.sampled_from([False, False, True]),
    enter_from=dates,
    valid_until=dates,
    hold_from=dates,
    hold_until=dates,
)
cases = st.builds(
    Case,
    patron_rows,
    st.sampled_from(ClockState).map(moment),
    st.sampled_from([PROVED, PROVED, PinProof.WRONG]),
    st.sampled_from([False, False, True]),
    st.sampled_from([False, False, True]),
    applied,
)
policies = st.builds(
    Policy,
    require_pin=st.booleans(),
    require_resident=st.booleans(),
    deny_blocks=codes,
    deny_other_blocks=st.booleans(),
    max_cache_age=st.none() | st.integers(1, 400).map(lambda hours: hours * DAY / 24),
    hours=st.none() | hours_tables,
)

Worsening = Callable[[st.DataObject, Policy, Case, Patron], tuple[Policy, Case]]


def changed(**changes: object) -> Worsening:
    """Return a worsening that changes the patron's row."""
    return lambda _data, policy, case, patron: (
        policy,
        replace(case, patron=replace(patron, **changes)),  # type: ignore[arg-type]
    )


def add_block(
    data: st.DataObject, policy: Policy, case: Case, patron: Patron
) -> tuple[Policy, Case]:
    """Add blocks."""
    return policy, replace(case, patron=replace(patron, blocks=patron.blocks | data.draw(codes)))


def narrow_hours(
    data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Close on one day, or set hours where there were none."""
    if policy.hours is None:
        return replace(policy, hours=data.draw(hours_tables)), case
    closed = data.draw(st.integers(0, 6))
    days = tuple(() if at == closed else spans for at, spans in enumerate(policy.hours.days))
    return replace(policy, hours=WeeklyHours(days)), case


def age_cache(
    data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Let the push have come earlier."""
    if case.cache_applied_at is None:
        return policy, case
    older = case.cache_applied_at - data.draw(st.integers(1, 400)) * DAY / 24
    return policy, replace(case, cache_applied_at=older)


def deny_more(
    data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Tighten the branch's own rules."""
    return (
        replace(
            policy,
            require_pin=True,
            require_resident=True,
            deny_other_blocks=True,
            deny_blocks=policy.deny_blocks | data.draw(codes),
            max_cache_age=min(policy.max_cache_age or 9999 * DAY, DAY),
        ),
        case,
    )


def unset_clock(
    _data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Lose the clock; a cache whose age can no longer be told is another matter."""
    return replace(policy, max_cache_age=None), replace(case, moment=moment(UNTRUSTED))


WORSENINGS: dict[str, Worsening] = {
    "a block more": add_block,
    "not resident": changed(resident=False),
    "restricted": changed(restricted=True),
    "inactive": changed(active=False),
    "too young": changed(enter_from=day(30)),
    "expired": changed(valid_until=day(-30)),
    "on hold": changed(hold_from=day(-30), hold_until=None),
    "hours": narrow_hours,
    "cache": age_cache,
    "rules": deny_more,
    "clock": unset_clock,
    "banned": lambda _data, policy, case, _patron: (policy, replace(case, banned=True)),
    "throttled": lambda _data, policy, case, _patron: (policy, replace(case, throttled=True)),
    "wrong PIN": lambda _data, policy, case, _patron: (policy, replace(case, pin=PinProof.WRONG)),
}


@pytest.mark.parametrize("name", WORSENINGS)
@given(policies, cases, st.data())
def test_nothing_bad_ever_helps(name: str, policy: Policy, case: Case, data: st.DataObject) -> None:
    """Whoever comes in with something more against them would have come in without it."""
    assert case.patron is not None
    worse_policy, worse_case = WORSENINGS[name](data, policy, case, case.patron)

    if decide(worse_policy, worse_case) is Reason.OK:
        relaxed = replace(policy, max_cache_age=None) if name == "clock" else policy
        assert decide(relaxed, case) is Reason.OK


@given(policies, cases)
def test_explanation_and_decision_agree(policy: Policy, case: Case) -> None:
    """The first refusal that staff are shown is the one that the patron got."""
    shown = [finding.refused_with for finding in findings(policy, case)]
    refusals = [reason for reason in shown if reason is not None]

    assert decide(policy, case) is (refusals[0] if refusals else Reason.OK)
    assert len(shown) == 1 + len(CHECKS)


@given(policies, cases)
def test_holdover_is_as_good_as_trusted(policy: Policy, case: Case) -> None:
    """A clock that carries itself on within its limit decides like one that is set."""
    carried = replace(case, moment=moment(ClockState.HOLDOVER))
    set_right = replace(case, moment=moment(TRUSTED))

    assert decide(policy, carried) is decide(policy, set_right)


@given(policies, patron_rows, st.datetimes(datetime(2026, 3, 2), datetime(2040, 1, 1)))  # noqa: DTZ001 - given a zone below
def test_an_unset_clocks_guess_decides_nothing(
    policy: Policy, patron: Patron, guess: datetime
) -> None:
    """While the clock is unset only the high-water mark counts, whatever the clock shows."""
    guessed = Moment(guess.replace(tzinfo=COPENHAGEN), HIGH_WATER, UNTRUSTED)
    other = Case(patron, guessed, PROVED, cache_applied_at=HIGH_WATER)
    case = Case(patron, moment(UNTRUSTED), PROVED, cache_applied_at=HIGH_WATER)

    assert decide(policy, case) is decide(policy, other)


@given(patron_rows)
def test_an_unset_clock_refuses_nobody_without_dates(patron: Patron) -> None:
    """Without hours and dates the door works before the clock is set."""
    undated = replace(patron, enter_from=None, valid_until=None, hold_from=None)
    reasons = {
        decide(Policy(), Case(undated, moment(state), PROVED)) for state in (TRUSTED, UNTRUSTED)
    }

    assert len(reasons) == 1
    assert reasons != {Reason.CLOCK_UNTRUSTED}
