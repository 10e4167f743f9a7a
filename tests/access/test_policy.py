from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import DAY_MINUTES, Mode
from doorctl.access.patron import Patron, Reason
from doorctl.access.policy import (
    CHECKS,
    CLOCK_SLACK,
    KNOWN_BLOCKS,
    PASS_CHECKS,
    Case,
    PinProof,
    Policy,
    WeakPin,
    closed,
    decide,
    findings,
    knows_pin,
)
from doorctl.access.rights import EVERY_DAY, OPEN_BY_ANY_CLOCK, Pass, PassKind
from doorctl.core.moments import ClockState, Moment
from tests.access.samples import COPENHAGEN, HIGH_WATER, NOW, PATRON, day, moment, reason_of

TRUSTED, UNTRUSTED = ClockState.TRUSTED, ClockState.UNTRUSTED
PROVED = PinProof.PROVED
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
UTC_NOW = NOW.astimezone(UTC)


ValueT = TypeVar("ValueT")
ValueT_co = TypeVar("ValueT_co", covariant=True)


@dataclass(frozen=True)
class Option(Generic[ValueT_co]):
    """One value of one thing that is asked, and what it has to be answered with.

    `refused_with`: the refusal under a clock that can be trusted, None for none; `unset_clock`: the
    refusal under one that can't be, 10 days after the high-water mark.
    """

    value: ValueT_co
    refused_with: Reason | None = None
    unset_clock: Reason | None = None

    @property
    def answers(self) -> tuple[Reason | None, Reason | None]:
        """Under a clock that can be trusted, and one that can't be."""
        return self.refused_with, self.unset_clock


def always(value: ValueT, reason: Reason | None = None) -> Option[ValueT]:
    """Return an option whose answer does not hang on the clock."""
    return Option(value, reason, reason)


DOUBT = Reason.CLOCK_UNTRUSTED

THROTTLED = (always(False), always(True, Reason.THROTTLED))
PINS = (
    always(PinProof.PROVED),
    always(PinProof.WRONG, Reason.WRONG_PIN),
    always(PinProof.NOT_GIVEN, Reason.WRONG_PIN),
    always(PinProof.UNKNOWN, Reason.PIN_UNKNOWN),
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
    Option(Patron("1001", valid_until=day(-10)), Reason.EXPIRED, DOUBT),
    always(Patron("1001", valid_until=day(-11)), Reason.EXPIRED),
    Option(Patron("1001", hold_from=day(1)), None, DOUBT),
    Option(Patron("1001", hold_from=day(-3), hold_until=day(-1)), None, DOUBT),
    Option(Patron("1001", hold_from=day(-3), hold_until=day(0)), Reason.EXPIRED, DOUBT),
    Option(Patron("1001", hold_from=day(0)), Reason.EXPIRED, DOUBT),
    always(Patron("1001", hold_from=day(-10)), Reason.EXPIRED),
)
REQUIRED = frozenset({"agreement", "introduced"})
TAGS = (
    always(REQUIRED | {"slow"}),
    always(frozenset({"introduced"}), Reason.NOT_INTRODUCED),
    always(frozenset[str](), Reason.NOT_INTRODUCED),
)
HOURS = (
    always((Mode.SELF_SERVICE, False)),
    always((Mode.STAFFED, False)),
    always((Mode.CLOSED, False), Reason.CLOSED),
    always((Mode.LOCKDOWN, False), Reason.CLOSED),
    Option((None, False), Reason.CLOSED, DOUBT),
    always((Mode.SELF_SERVICE, True), Reason.CLOSED),
    always((Mode.STAFFED, True), Reason.CLOSED),
    Option((None, True), Reason.CLOSED, DOUBT),
)
CACHE = (
    always((None, None)),
    always((48.0, UTC_NOW - 2 * DAY)),
    Option((48.0, UTC_NOW - 2 * DAY - MICROSECOND), Reason.CACHE_TOO_OLD, None),
    Option((48.0, HIGH_WATER - 2 * DAY), Reason.CACHE_TOO_OLD, None),
    always((48.0, HIGH_WATER - 2 * DAY - MICROSECOND), Reason.CACHE_TOO_OLD),
    always((48.0, None), Reason.CACHE_TOO_OLD),
    always((48.0, UTC_NOW + CLOCK_SLACK)),
    Option((48.0, UTC_NOW + CLOCK_SLACK + MICROSECOND), Reason.CACHE_TOO_OLD, None),
)

Options = tuple[Option[object], ...]


def patrons() -> Iterator[tuple[Patron, Options]]:
    """Yield every patron that the options can make."""
    for row in product(RESTRICTED, BLOCKS, RESIDENT, ENTER_FROM, VALIDITY, TAGS):
        restricted, blocks, resident, enter_from, validity, tags = row
        patron = replace(
            validity.value,
            restricted=restricted.value,
            blocks=blocks.value,
            resident=resident.value,
            enter_from=enter_from.value,
            tags=tags.value,
        )
        yield patron, row


def circumstances() -> Iterator[tuple[Policy, Case, Options]]:
    """Yield everything else that a decision looks at, under both kinds of clock."""
    for state in (TRUSTED, UNTRUSTED):
        now = moment(state)
        for row in product(THROTTLED, PINS, BANNED, HOURS, CACHE):
            throttled, pin, banned, hours, cache = row
            max_age_h, applied_at = cache.value
            mode, no_entry = hours.value
            case = Case(None, now, pin.value, throttled.value, banned.value, applied_at)
            policy = Policy(max_cache_age_h=max_age_h, require_tags=REQUIRED)
            yield policy, replace(case, mode=mode, no_entry=no_entry), row


def first_refusal(answers: Options, state: ClockState) -> Reason:
    """Return what the ordered list of the rules says."""
    for answer in answers:
        reason = answer.unset_clock if state is UNTRUSTED else answer.refused_with
        if reason is not None:
            return reason
    return Reason.OK


def further(row: Options, dimensions: tuple[Options, ...]) -> int:
    """Return how many of these options are answered as one that stands before them."""
    return sum(
        any(before.answers == option.answers for before in options[: options.index(option)])
        for option, options in zip(row, dimensions, strict=True)
    )


def test_first_refusal_of_the_ordered_list_wins() -> None:
    """Every combination of answers gives the first refusal in the order of the rules.

    So does each further value that is answered as another one, beside all combinations of these.
    """
    theirs = (RESTRICTED, BLOCKS, RESIDENT, ENTER_FROM, VALIDITY, TAGS)
    others = (THROTTLED, PINS, BANNED, HOURS, CACHE)
    everybody = [(patron, row, further(row, theirs)) for patron, row in patrons()]
    for policy, asked, row in circumstances():
        throttled, pin, banned, hours, cache = row
        most = 1 - further(row, others)
        for patron, (restricted, blocks, resident, age, validity, tags), beside in everybody:
            if beside > most:
                continue
            case = replace(asked, patron=patron)
            order = (throttled, pin, restricted, banned, blocks, resident, age, validity, tags)
            expected = first_refusal((*order, hours, cache), asked.moment.state)
            assert expected is reason_of(policy, case), (policy, case)


def test_an_unknown_card_is_told_nothing_else() -> None:
    """Whatever else is true, a card without a row is unknown, and no other check is asked."""
    for policy, case, _ in circumstances():
        assert reason_of(policy, case) is Reason.UNKNOWN_CARD
        assert [finding.check for finding in findings(policy, case)] == ["known"]


def test_the_table_is_in_the_documented_order() -> None:
    """The order of the checks is a promise to staff, who read the first refusal."""
    expected = [
        "throttle", "pin", "restricted", "banned", "blocked", "resident", "age", "expired",
        "tags", "hours", "first_card", "cache_age", "weak_pin",
    ]  # fmt: skip

    assert [check.name for check in CHECKS] == expected


LENIENT = Policy(deny_other_blocks=False)


@pytest.mark.parametrize(
    ("policy", "codes", "reason"),
    [
        *((Policy(), code, Reason.BLOCKED) for code in "ODSUF"),
        *((Policy(), code, Reason.OK) for code in "EW"),
        (LENIENT, "X", Reason.OK),
        (LENIENT, "XO", Reason.BLOCKED),
        (replace(LENIENT, deny_blocks=frozenset("X")), "X", Reason.BLOCKED),
    ],
)
def test_which_blocks_keep_out(policy: Policy, codes: str, reason: Reason) -> None:
    """By default all but debt and W; an unheard-of code may be let in, a listed one is denied."""
    assert reason_of(policy, Case(replace(PATRON, blocks=frozenset(codes)), moment(), PROVED)) is (
        reason
    )
    assert set("ODSUFEW") == KNOWN_BLOCKS


@given(st.frozensets(st.sampled_from([*KNOWN_BLOCKS, "X", "e", "", "OD"])))
def test_every_block_counts(codes: frozenset[str]) -> None:
    """One denied or unheard-of code among any number of others keeps somebody out."""
    case = Case(replace(PATRON, blocks=codes), moment(), PROVED)
    harmless = codes <= {"E", "W"}

    assert reason_of(Policy(), case) is (Reason.OK if harmless else Reason.BLOCKED)


STRANGER = {"resident": False}
PINLESS = Policy(require_pin=False)


@pytest.mark.parametrize(
    ("policy", "row", "pin", "reason"),
    [
        # The card is enough where no PIN is required, and every other rule still counts.
        *((PINLESS, {}, pin, Reason.OK) for pin in PinProof),
        *((PINLESS, STRANGER, pin, Reason.NOT_RESIDENT) for pin in PinProof),
        (Policy(require_resident=False), STRANGER, PROVED, Reason.OK),
        # An end without a beginning is no period on hold.
        (Policy(), {"hold_until": day(5)}, PROVED, Reason.OK),
        (Policy(), STRANGER, PROVED, Reason.NOT_RESIDENT),
    ],
)
def test_what_a_branch_asks_for(
    policy: Policy, row: dict[str, Any], pin: PinProof, reason: Reason
) -> None:
    """A PIN and a patron of the municipality, unless it says otherwise."""
    assert reason_of(policy, Case(replace(PATRON, **row), moment(), pin)) is reason


def test_a_case_refuses_by_default() -> None:
    """Nothing but a patron and a moment is not enough to come in."""
    assert reason_of(Policy(), Case(PATRON, moment())) is Reason.WRONG_PIN
    assert Patron("1001").resident is False


@pytest.mark.parametrize("state", ClockState)
def test_a_row_without_a_check_knows_no_pin(state: ClockState) -> None:
    """Where nothing is sealed there is nothing to prove, whatever else is in the row."""
    assert not knows_pin(None, moment(state))
    assert not knows_pin(replace(PATRON, pin_check=None), moment(state))
    assert knows_pin(PATRON, moment(state))


@pytest.mark.parametrize(
    ("until", "by_trusted", "by_unset"),
    [(0, True, True), (-1, False, True), (-10, False, True), (-11, False, False)],
)
def test_a_learnt_pin_counts_to_its_last_day(until: int, by_trusted: bool, by_unset: bool) -> None:
    """The last day counts whole; an unset clock goes by the high-water mark, never by its guess."""
    learnt = replace(PATRON, pin_until=day(until))

    assert knows_pin(learnt, moment(TRUSTED)) == by_trusted
    assert knows_pin(learnt, moment(ClockState.HOLDOVER)) == by_trusted
    assert knows_pin(learnt, moment(UNTRUSTED)) == by_unset


def test_closed_is_what_the_check_says() -> None:
    """Whether the branch is open can be asked without a patron, with the same answer."""
    for state, hours in product((TRUSTED, UNTRUSTED), HOURS):
        mode, no_entry = hours.value
        case = Case(None, moment(state), mode=mode, no_entry=no_entry)
        expected = hours.unset_clock if state is UNTRUSTED else hours.refused_with
        assert closed(case.mode_for_entry, case.moment) is expected


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

    assert reason_of(Policy(), case) is expected


def test_the_high_water_mark_is_read_in_local_time() -> None:
    """A mark stored in UTC late in the evening is already the next day at the branch."""
    mark = datetime(2026, 3, 11, 23, 30, tzinfo=UTC)
    unset = Moment(mark.astimezone(COPENHAGEN), mark, UNTRUSTED)
    case = Case(replace(PATRON, enter_from=date(2026, 3, 12)), unset, PROVED)

    assert reason_of(Policy(), case) is Reason.OK


# What no combination above holds: passes, age limits, rows that were asked for.


OK, TOO_OLD = Reason.OK, Reason.CACHE_TOO_OLD
PASS = Pass(1, PassKind.ASSOCIATION, day(-1), day(1), label="club", needs_pin=False)
WELCOME = Case(PATRON, moment(), PROVED)


def test_nothing_keeps_out_whom_nothing_is_held_against() -> None:
    """By right of the patron, of the pass, or of both."""
    by_pass = replace(WELCOME, patron=None, held=PASS)

    assert decide(Policy(), WELCOME).by_patron
    assert decide(Policy(), by_pass).by_pass
    assert reason_of(Policy(), by_pass) is reason_of(Policy(), WELCOME) is OK


@pytest.mark.parametrize("applied_at", [UTC_NOW, UTC_NOW - 3 * DAY, UTC_NOW + 3 * DAY, None])
def test_the_registers_age_counts_for_pushed_rows_where_a_limit_is_set(applied_at: Any) -> None:
    """What was asked for just now has none."""
    case = replace(WELCOME, cache_applied_at=applied_at)
    asked_for = replace(case, patron=replace(PATRON, pushed=False))

    assert reason_of(Policy(max_cache_age_h=48.0), asked_for) is OK
    assert reason_of(Policy(), case) is OK


@pytest.mark.parametrize(
    ("pushed", "applied_at", "reason"),
    [(True, None, TOO_OLD), (True, UTC_NOW, TOO_OLD), (False, UTC_NOW, TOO_OLD), (False, None, OK)],
)
def test_which_rows_an_age_limit_may_not_have_been_asked_for(
    pushed: bool, applied_at: Any, reason: Reason
) -> None:
    """All but those of a branch that only ever asks, where no push has set a limit."""
    case = replace(WELCOME, patron=replace(PATRON, pushed=pushed), cache_applied_at=applied_at)

    assert reason_of(Policy(minimum_age=14), case) is reason


@pytest.mark.parametrize(("sealed_for", "reason"), [(0, TOO_OLD), (14, OK), (18, OK)])
def test_rows_sealed_for_a_lower_age_limit_let_nobody_in(sealed_for: int, reason: Reason) -> None:
    """A row without a date was old enough for the limit of then; for a higher one it is doubt.

    Bug (stranger's review): after a higher age limit was set, children got in until the next full
    load.
    """
    case = replace(WELCOME, cache_minimum_age=sealed_for)

    assert reason_of(Policy(minimum_age=14), case) is reason


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        (PASS, OK),
        (replace(PASS, needs_pin=True), Reason.THROTTLED),
        (replace(PASS, code_digits=6), Reason.THROTTLED),
    ],
)
def test_only_what_can_be_guessed_at_has_to_wait(held: Pass, reason: Reason) -> None:
    """A PIN and a code can; a card by itself says all that it will ever say."""
    case = Case(None, moment(), throttled=True, held=held, pass_pin=PROVED)

    assert reason_of(Policy(), case) is reason


@pytest.mark.parametrize(
    ("proof", "reason"),
    [
        (PROVED, OK),
        (PinProof.UNKNOWN, Reason.PIN_UNKNOWN),
        (PinProof.WRONG, Reason.WRONG_PIN),
        (PinProof.NOT_GIVEN, Reason.WRONG_PIN),
    ],
)
def test_a_pass_that_asks_for_a_pin_waits_for_it(proof: PinProof, reason: Reason) -> None:
    """Whoever has no row is told what the pass says."""
    case = Case(None, moment(), held=replace(PASS, needs_pin=True), pass_pin=proof)

    assert reason_of(Policy(), case) is reason


def test_a_restricted_row_closes_its_pass_too() -> None:
    """The pass rests on the same person, and nothing of theirs is used."""
    restricted = replace(WELCOME, patron=replace(PATRON, restricted=True), held=PASS)

    assert reason_of(Policy(), restricted) is Reason.RESTRICTED


def test_before_a_proof_the_row_is_told_of_and_not_the_pass() -> None:
    """Else whoever holds a strange card could tell whether there is a pass for it."""
    held = replace(PASS, needs_pin=True)
    case = replace(WELCOME, pin=PinProof.UNKNOWN, held=held, pass_pin=PinProof.WRONG)

    assert reason_of(Policy(), case) is Reason.PIN_UNKNOWN


# Nothing bad ever helps, whatever the case and the policy.


codes = st.frozensets(st.sampled_from([*KNOWN_BLOCKS, "X", "Y"]), max_size=2)
dates = st.none() | st.integers(-15, 5).map(day)
applied = st.none() | st.integers(0, 400).map(lambda hours: NOW.astimezone(UTC) - hours * DAY / 24)
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
    weak_pin=st.booleans(),
    tags=st.sampled_from([frozenset(), frozenset({"caretaker"})]),
)
modes = st.sampled_from([Mode.SELF_SERVICE, *Mode, None])
pass_rows = st.builds(
    Pass,
    st.just(1),
    st.sampled_from([PassKind.CLEANER, PassKind.STAFF]),
    st.sampled_from([-20, 0, 1]).map(day),
    st.integers(1, 20).map(day),
    weekdays=st.sampled_from([EVERY_DAY, EVERY_DAY, frozenset({3}), frozenset({1})]),
    from_minute=st.sampled_from([0, 19 * 60]),
    to_minute=st.sampled_from([DAY_MINUTES, 19 * 60 + 1]),
    outside_hours=st.booleans(),
    label=st.just("club"),
    needs_pin=st.booleans(),
)
cases = st.builds(
    Case,
    patron_rows,
    st.sampled_from(ClockState).map(moment),
    st.sampled_from([PROVED, PROVED, PinProof.WRONG, PinProof.UNKNOWN]),
    st.sampled_from([False, False, True]),
    st.sampled_from([False, False, True]),
    applied,
    mode=modes,
    no_entry=st.sampled_from([False, False, True]),
    held=st.none() | pass_rows,
    pass_pin=st.sampled_from([PROVED, *PinProof]),
    opened_on=st.sampled_from([None, day(-1), day(0)]),
)
policies = st.builds(
    Policy,
    require_pin=st.booleans(),
    require_resident=st.booleans(),
    deny_blocks=codes,
    deny_other_blocks=st.booleans(),
    max_cache_age_h=st.none() | st.integers(1, 400),
    weak_pin=st.sampled_from(WeakPin),
    first_card=st.sampled_from([frozenset(), frozenset({"cleaner"}), frozenset({"caretaker"})]),
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


NARROWER: dict[Mode | None, list[Mode | None]] = {
    Mode.STAFFED: [*Mode, None],
    Mode.SELF_SERVICE: [*Mode, None],
    Mode.CLOSED: [Mode.CLOSED, Mode.LOCKDOWN],
    Mode.LOCKDOWN: [Mode.LOCKDOWN],
    None: [Mode.CLOSED, Mode.LOCKDOWN, None],
}
"""What the branch may be in place of a mode so that nobody gains a right."""


def narrow_hours(
    data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Open less, or forget what the hours are."""
    narrower = NARROWER[case.mode]
    if policy.first_card and case.mode is Mode.SELF_SERVICE:
        narrower = [one for one in narrower if one is not Mode.STAFFED]
    return policy, replace(case, mode=data.draw(st.sampled_from(narrower)))


def narrow_pass(
    data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Take something from a pass."""
    held = case.held
    if held is None:
        return policy, case
    narrower = [
        replace(held, outside_hours=False),
        replace(held, needs_pin=True),
        replace(held, weekdays=held.weekdays - {3} or frozenset({1})),
        replace(held, to_minute=19 * 60 + 1),
        replace(held, first_day=held.last_day),
        # No first day that is further back: by an unset clock one that lay ahead would have begun.
        replace(held, first_day=min(held.first_day, day(-1)), last_day=day(-1)),
    ]
    return policy, replace(case, held=data.draw(st.sampled_from(narrower)))


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
            deny_blocks={*policy.deny_blocks, *data.draw(codes)},
            max_cache_age_h=min(policy.max_cache_age_h or 9999, 24),
            weak_pin=WeakPin.REFUSE,
        ),
        case,
    )


def unset_clock(
    _data: st.DataObject, policy: Policy, case: Case, _patron: Patron
) -> tuple[Policy, Case]:
    """Lose the clock.

    A cache whose age can no longer be told is another matter, and who comes to set the clock too.
    """
    sets_the_clock = case.held is not None and case.held.kind in OPEN_BY_ANY_CLOCK
    held = None if sets_the_clock else case.held
    unset = replace(case, moment=moment(UNTRUSTED), held=held)
    return replace(policy, max_cache_age_h=None), unset


WORSENINGS: dict[str, Worsening] = {
    "a block more": add_block,
    "not resident": changed(resident=False),
    "restricted": changed(restricted=True),
    "inactive": changed(active=False),
    "too young": changed(enter_from=day(30)),
    "expired": changed(valid_until=day(-30)),
    "weak PIN": changed(weak_pin=True),
    "on hold": changed(hold_from=day(-30), hold_until=None),
    "hours": narrow_hours,
    "cache": age_cache,
    "rules": deny_more,
    "clock": unset_clock,
    "pass": narrow_pass,
    "no pass": lambda _data, policy, case, _patron: (policy, replace(case, held=None)),
    "pass PIN": lambda _data, policy, case, _patron: (
        policy,
        replace(case, pass_pin=PinProof.WRONG),
    ),
    "not opened": lambda _data, policy, case, _patron: (policy, replace(case, opened_on=None)),
    "first card": lambda _data, policy, case, _patron: (
        replace(policy, first_card=policy.first_card or frozenset({"caretaker"})),
        case,
    ),
    "no entry": lambda _data, policy, case, _patron: (policy, replace(case, no_entry=True)),
    "banned": lambda _data, policy, case, _patron: (policy, replace(case, banned=True)),
    "throttled": lambda _data, policy, case, _patron: (policy, replace(case, throttled=True)),
    "wrong PIN": lambda _data, policy, case, _patron: (policy, replace(case, pin=PinProof.WRONG)),
    "no PIN": lambda _data, policy, case, _patron: (policy, replace(case, pin=PinProof.UNKNOWN)),
}


@pytest.mark.parametrize("name", WORSENINGS)
@given(policies, cases, st.data())
def test_nothing_bad_ever_helps(name: str, policy: Policy, case: Case, data: st.DataObject) -> None:
    """Whoever comes in with something more against them would have come in without it."""
    assert case.patron is not None
    worse_policy, worse_case = WORSENINGS[name](data, policy, case, case.patron)

    if reason_of(worse_policy, worse_case) is Reason.OK:
        relaxed = replace(policy, max_cache_age_h=None) if name == "clock" else policy
        assert reason_of(relaxed, case) is Reason.OK


@given(policies, cases)
def test_explanation_and_decision_agree(policy: Policy, case: Case) -> None:
    """Staff are shown what the patron got: a first refusal of either table, or one without any."""
    told = findings(policy, case)
    shown = [finding.refused_with for finding in told]
    patrons, passes = shown[: 1 + len(CHECKS)], shown[1 + len(CHECKS) :]
    tables = [patrons] if case.held is None else [patrons, passes]
    answers = [next((it for it in table if it is not None), Reason.OK) for table in tables]

    assert (told[0].check, shown[0]) == ("known", None)
    assert len(passes) == (0 if case.held is None else len(PASS_CHECKS))
    assert reason_of(policy, case) in answers
    assert (reason_of(policy, case) is Reason.OK) == (Reason.OK in answers)


@given(policies, cases)
def test_holdover_is_as_good_as_trusted(policy: Policy, case: Case) -> None:
    """A clock that carries itself on within its limit decides like one that is set."""
    carried = replace(case, moment=moment(ClockState.HOLDOVER))
    set_right = replace(case, moment=moment(TRUSTED))

    assert reason_of(policy, carried) is reason_of(policy, set_right)


@given(policies, patron_rows, st.datetimes(datetime(2026, 3, 2), datetime(2040, 1, 1)))  # noqa: DTZ001 - given a zone below
def test_an_unset_clocks_guess_decides_nothing(
    policy: Policy, patron: Patron, guess: datetime
) -> None:
    """While the clock is unset only the high-water mark counts, whatever the clock shows."""
    guessed = Moment(guess.replace(tzinfo=COPENHAGEN), HIGH_WATER, UNTRUSTED)
    other = Case(patron, guessed, PROVED, cache_applied_at=HIGH_WATER)
    case = Case(patron, moment(UNTRUSTED), PROVED, cache_applied_at=HIGH_WATER)

    assert reason_of(policy, case) is reason_of(policy, other)


@given(patron_rows)
def test_an_unset_clock_refuses_nobody_without_dates(patron: Patron) -> None:
    """Without hours and dates the door works before the clock is set."""
    undated = replace(patron, enter_from=None, valid_until=None, hold_from=None)
    reasons = {
        reason_of(Policy(), Case(undated, moment(state), PROVED)) for state in (TRUSTED, UNTRUSTED)
    }

    assert len(reasons) == 1
    assert reasons != {Reason.CLOCK_UNTRUSTED}


CONSENT = frozenset({"parental_consent"})


@pytest.mark.parametrize(
    ("tags", "age", "reason"),
    [
        (frozenset[str](), {"enter_from": day(1)}, Reason.UNDER_AGE),
        (CONSENT, {"enter_from": day(1)}, Reason.OK),
        (CONSENT | {"slow"}, {"enter_from": day(900)}, Reason.OK),
        (frozenset({"slow"}), {"enter_from": day(1)}, Reason.UNDER_AGE),
        (CONSENT, {"enter_from": day(1), "resident": False}, Reason.NOT_RESIDENT),
        (frozenset[str](), {}, Reason.OK),
    ],
)
@pytest.mark.parametrize("sealed_for", [14, 0])
def test_a_parent_s_consent_is_an_exception_from_the_age_limit(
    tags: frozenset[str], age: dict[str, Any], reason: Reason, sealed_for: int
) -> None:
    """By any tag of `age_exception_tags`, whatever limit the rows were sealed for, by any clock."""
    policy = Policy(minimum_age=14, age_exception_tags=CONSENT | {"guardian"})
    for state in ClockState:
        case = Case(
            replace(PATRON, tags=tags, **age),
            moment(state),
            PROVED,
            cache_minimum_age=sealed_for,
            cache_applied_at=UTC_NOW,
        )
        excepted = bool(tags & CONSENT)
        if excepted or (state is not UNTRUSTED and sealed_for):
            assert reason_of(policy, case) is reason
        else:
            assert reason_of(policy, case) is not Reason.OK or reason is Reason.OK


def test_by_default_no_tag_is_required() -> None:
    """Who came in without one goes on doing so; no tag lifts the age limit."""
    for tags in (frozenset[str](), CONSENT):
        case = Case(replace(PATRON, tags=tags), moment(), PROVED)
        assert reason_of(Policy(), case) is Reason.OK
        young = replace(case, patron=replace(PATRON, tags=tags, enter_from=day(1)))
        assert reason_of(Policy(), young) is Reason.UNDER_AGE


def test_a_pass_needs_no_tag() -> None:
    """It adds rights and takes none."""
    policy = Policy(require_tags=REQUIRED)
    case = replace(WELCOME, patron=PATRON)

    assert reason_of(policy, case) is Reason.NOT_INTRODUCED
    assert reason_of(policy, replace(case, held=PASS)) is Reason.OK
