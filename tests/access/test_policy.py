from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.hours import Span, WeeklyHours
from doorctl.access.patron import Patron
from doorctl.access.policy import (
    CHECKS,
    CLOCK_SLACK,
    KNOWN_BLOCKS,
    Case,
    PinProof,
    Policy,
    decide,
    findings,
)
from doorctl.access.reasons import Reason
from doorctl.moments import ClockState, Moment
from tests.access.samples import COPENHAGEN, HIGH_WATER, NOW, PATRON, day, moment

TRUSTED, UNTRUSTED = ClockState.TRUSTED, ClockState.UNTRUSTED
PROVED = PinProof.PROVED
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


ValueT = TypeVar("ValueT")
ValueT_co = TypeVar("ValueT_co", covariant=True)


@dataclass(frozen=True)
class Option(Generic[ValueT_co]):
    """One value of one thing that is asked, and what it has to be answered with.

    Args:
        value: the value.
        refused_with: the refusal under a clock that can be trusted, None for none.
        unset_clock: the refusal under one that can't be, 10 days after the high-water mark.
    """

    value: ValueT_co
    refused_with: Reason | None = None
    unset_clock: Reason | None = None


def always(value: ValueT, reason: Reason | None = None) -> Option[ValueT]:
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
    always(frozenset[str]()),
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
    always(Patron("1001")),
    always(Patron("1001", active=False), Reason.EXPIRED),
    Option(Patron("1001", valid_until=day(0)), None, DOUBT),
    Option(Patron("1001", valid_until=day(-1)), Reason.EXPIRED, DOUBT),
    always(Patron("1001", valid_until=day(-11)), Reason.EXPIRED),
    Option(Patron("1001", hold_from=day(-3), hold_until=day(-1)), None, DOUBT),
    Option(Patron("1001", hold_from=day(-3), hold_until=day(0)), Reason.EXPIRED, DOUBT),
    Option(Patron("1001", hold_from=day(0)), Reason.EXPIRED, DOUBT),
    always(Patron("1001", hold_from=day(-10)), Reason.EXPIRED),
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
        (2 * DAY, HIGH_WATER - 2 * DAY - MICROSECOND),
        Reason.CACHE_TOO_OLD,
    ),
    always((2 * DAY, None), Reason.CACHE_TOO_OLD),
    always((2 * DAY, NOW.astimezone(UTC) + CLOCK_SLACK)),
    Option((2 * DAY, NOW.astimezone(UTC) + CLOCK_SLACK + MICROSECOND), Reason.CACHE_TOO_OLD, None),
)

Options = tuple[Option[object], ...]


def patrons() -> Iterator[tuple[Patron, Options]]:
    """Yield every patron that the options can make."""
    for row in product(RESTRICTED, BLOCKS, RESIDENT, ENTER_FROM, VALIDITY):
        restricted, blocks, resident, enter_from, validity = row
        patron = replace(
            validity.value,
            restricted=restricted.value,
            blocks=blocks.value,
            resident=resident.value,
            enter_from=enter_from.value,
        )
        yield patron, row


def circumstances() -> Iterator[tuple[Policy, Case, Options]]:
    """Yield everything else that a decision looks at, under both kinds of clock."""
    for state in (TRUSTED, UNTRUSTED):
        now = moment(state)
        for row in product(THROTTLED, PINS, BANNED, HOURS, CACHE):
            throttled, pin, banned, hours, cache = row
            max_age, applied_at = cache.value
            policy = Policy(max_cache_age=max_age, hours=hours.value)
            yield policy, Case(None, now, pin.value, throttled.value, banned.value, applied_at), row


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
                patron,
                asked.moment,
                asked.pin,
                asked.throttled,
                asked.banned,
                asked.cache_applied_at,
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
    expected = [
        "throttle", "pin", "restricted", "banned", "blocked", "resident", "age", "expired",
        "hours", "cache_age",
    ]  # fmt: skip

    assert [check.name for check in CHECKS] == expected


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
    case = Case(
        replace(PATRON, enter_from=date(2026, 3, 12)), Moment(local, local, TRUSTED), PROVED
    )

    assert decide(Policy(), case) is expected


def test_the_high_water_mark_is_read_in_local_time() -> None:
    """A mark stored in UTC late in the evening is already the next day at the branch."""
    mark = datetime(2026, 3, 11, 23, 30, tzinfo=UTC)
    unset = Moment(mark.astimezone(COPENHAGEN), mark, UNTRUSTED)
    case = Case(replace(PATRON, enter_from=date(2026, 3, 12)), unset, PROVED)

    assert decide(Policy(), case) is Reason.OK
