"""Bugs that were found.

Bug (attack review): with such a pass, companions told whether a PIN that was typed early was right.

Bug (outside look): a second pass of a card was refused, and a pass had one time of day: a cleaner
who comes twice a day could not be expressed.

Bug (stranger's review): a ban that began by the high-water mark alone, or the very end of the
register's age, was not seen between two digits.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import Mode
from doorctl.access.judging import (
    NO_PIN,
    Proofs,
    compares_nothing,
    foreseen,
    judged,
    one_lower,
    opens_without_pin,
    proofs,
    worth_asking,
)
from doorctl.access.messages import Concluded, Now, PadRules, Prepared, Rules
from doorctl.access.patron import BEFORE_PROOF, Patron, Reason, pin_check
from doorctl.access.policy import CLOCK_SLACK, Case, PinProof, Policy, WeakPin
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.core.moments import ClockState, Moment
from tests.access.samples import NOW, PATRON, RIGHT_PIN, ROW_KEY, STRETCHED, WRONG_PIN, day, moment
from tests.access.test_policy import WORSENINGS, cases, policies

KNOWN = Prepared(1, STRETCHED, ROW_KEY, PATRON)
CODE = Identifier(IdentifierKind.CODE, "483920")
STAFF = Pass(1, PassKind.STAFF, day(-20), day(20), label="club", companions_max=3)
OWN_PIN = Pin("8802")
OWN = replace(STAFF, pin_check=pin_check(STRETCHED, OWN_PIN))
BAN = Ban(1, "shouting", NOW - timedelta(days=1), None, "staff-7", frozenset({"oest"}))


def rules_of(policy: Policy) -> Rules:
    """Return a branch with this policy."""
    return Rules(
        replace(policy, companions_max=2),
        PadRules(),
        long_release_tags=frozenset({"slow"}),
        branch="oest",
    )


def at(case: Case) -> Now:
    """Return the case's time and mode."""
    return Now(0.0, case.moment, 1, case.mode, case.no_entry)


def verdict(
    prepared: Prepared,
    pin: Pin | None = RIGHT_PIN,
    mode: Mode | None = Mode.SELF_SERVICE,
    policy: Policy | None = None,
) -> Concluded:
    """Judge at `NOW`."""
    now = Now(0.0, moment(), 1, mode)
    return judged(prepared, pin, now, rules_of(policy or Policy()))


def lent(policy: Policy, case: Case) -> Reason:
    """Judge a patron whose row is lent; the PIN was answered with yes, or with nothing."""
    assert case.patron is not None
    proved = case.pin is PinProof.PROVED
    prepared = Prepared(
        1, STRETCHED, ROW_KEY, None, case.throttled, lent=case.patron, proved=proved, held=case.held
    )
    return judged(prepared, WRONG_PIN, at(case), rules_of(policy)).reason


@pytest.mark.parametrize("name", WORSENINGS)
@given(policies, cases, st.data())
def test_nothing_bad_helps_a_lent_row(
    name: str, policy: Policy, case: Case, data: st.DataObject
) -> None:
    """Whoever comes in by a lent row with more against them would have come in without it."""
    assert case.patron is not None
    worse_policy, worse_case = WORSENINGS[name](data, policy, case, case.patron)

    if lent(worse_policy, worse_case) is Reason.OK:
        assert lent(policy, case) is Reason.OK


@given(policies, cases)
def test_a_lent_row_is_judged_like_one_that_was_just_pushed(policy: Policy, case: Case) -> None:
    """A lent row gets the answer of the cache's own, but that it is never too old."""
    assert case.patron is not None
    prepared = Prepared(
        1, STRETCHED, ROW_KEY, case.patron, case.throttled, proved=True, held=case.held
    )
    fresh = replace(prepared, cache_minimum_age=policy.minimum_age)
    undated = rules_of(replace(policy, max_cache_age_h=None))

    proved = replace(case, pin=PinProof.PROVED)
    assert lent(policy, proved) is judged(fresh, None, at(case), undated).reason


@given(policies, cases)
def test_a_card_that_waits_is_never_asked_about(policy: Policy, case: Case) -> None:
    """No guess reaches the library system that the door's own throttle holds back."""
    prepared = Prepared(1, STRETCHED, ROW_KEY, case.patron, throttled=True, held=case.held)

    assert not worth_asking(prepared, at(case), rules_of(policy))


@pytest.mark.parametrize(
    ("held", "mode", "expected"),
    [
        (None, Mode.SELF_SERVICE, True),
        (None, Mode.CLOSED, False),
        (STAFF, Mode.CLOSED, True),
        (STAFF, Mode.LOCKDOWN, False),
        (OWN, Mode.CLOSED, False),
        (OWN, Mode.SELF_SERVICE, True),
        (replace(STAFF, last_day=day(-1)), Mode.CLOSED, False),
        (None, None, False),
        (STAFF, None, True),
    ],
)
@pytest.mark.parametrize("row", [None, replace(PATRON, pin_check=None)])
def test_the_library_system_is_asked_where_its_yes_would_open(
    row: Patron | None, held: Pass | None, mode: Mode | None, *, expected: bool
) -> None:
    """At a closed door only for a pass that asks for the patron's PIN and opens now."""
    prepared = replace(KNOWN, patron=row, held=held)

    assert worth_asking(prepared, Now(0.0, moment(), 1, mode), rules_of(Policy())) is expected


OPEN, CLOSED, LOCKDOWN = Mode.SELF_SERVICE, Mode.CLOSED, Mode.LOCKDOWN
FREE = replace(STAFF, needs_pin=False)
ALONE, LATER = replace(STAFF, companions_max=0), replace(STAFF, first_day=day(2))
SLOW = replace(PATRON, tags=frozenset({"slow", "x"}))
BLOCKED = replace(PATRON, blocks=frozenset("O"))
BY_CODE = {"patron": None, "identifier": CODE}
ELSEWHERE = replace(BAN, branches=frozenset({"syd"}))
OVER = replace(BAN, until=NOW.astimezone(UTC))

VERDICTS: dict[str, tuple[dict[str, Any], Pin | None, Mode, dict[str, Any]]] = {
    "banned": ({"bans": (BAN,)}, RIGHT_PIN, OPEN, {"reason": Reason.BANNED}),
    "banned, which a wrong PIN does not tell": (
        {"bans": (BAN,)}, WRONG_PIN, OPEN, {"reason": Reason.WRONG_PIN}
    ),
    "banned elsewhere": ({"bans": (ELSEWHERE,)}, RIGHT_PIN, OPEN, {"reason": Reason.OK}),
    "banned long ago": ({"bans": (OVER,)}, RIGHT_PIN, OPEN, {"reason": Reason.OK}),
    "a pass asks for the patron's PIN": (
        {"held": STAFF}, RIGHT_PIN, CLOSED, {"reason": Reason.OK, "companions_max": 3}
    ),
    "not for another": ({"held": STAFF}, WRONG_PIN, CLOSED, {"reason": Reason.WRONG_PIN}),
    "and for one at all": ({"held": STAFF}, None, CLOSED, {"reason": Reason.WRONG_PIN}),
    "one with its own PIN for that": (
        {"held": OWN}, OWN_PIN, CLOSED, {"reason": Reason.OK, "proved": True}
    ),
    "which is not the patron's": ({"held": OWN}, RIGHT_PIN, CLOSED, {"reason": Reason.CLOSED}),
    "nor any": ({"held": OWN}, WRONG_PIN, CLOSED, {"reason": Reason.WRONG_PIN}),
    "some for none": ({"held": FREE}, None, CLOSED, {"reason": Reason.OK, "proved": False}),
    "a card without a row has no PIN": (
        {"patron": None, "held": STAFF}, RIGHT_PIN, OPEN, {"reason": Reason.PIN_UNKNOWN}
    ),
    "but its pass's own": ({"patron": None, "held": OWN}, OWN_PIN, OPEN, {"reason": Reason.OK}),
    "and no other": ({"patron": None, "held": OWN}, RIGHT_PIN, OPEN, {"reason": Reason.WRONG_PIN}),
    "a strange code": (BY_CODE, None, CLOSED, {"reason": Reason.UNKNOWN_CARD}),
    "a code is its own proof": (BY_CODE | {"held": FREE}, None, CLOSED, {"reason": Reason.OK}),
    "so its holder is told that it is no time for it": (
        BY_CODE | {"held": replace(LATER, needs_pin=False)},
        None,
        CLOSED,
        {"reason": Reason.NOT_PERMITTED},
    ),
    "a patron's companions": ({}, RIGHT_PIN, OPEN, {"companions_max": 2, "proved": True}),
    "none after a wrong PIN": ({}, WRONG_PIN, OPEN, {"companions_max": 0, "proved": False}),
    "the more of two ways in": ({"held": STAFF}, RIGHT_PIN, OPEN, {"companions_max": 3}),
    "a pass for one": ({"held": ALONE}, RIGHT_PIN, CLOSED, {"companions_max": 0}),
    "which takes none from its patron": ({"held": ALONE}, RIGHT_PIN, OPEN, {"companions_max": 2}),
    "and a pass ahead gives none": ({"held": LATER}, RIGHT_PIN, OPEN, {"companions_max": 2}),
    "who needs longer": ({"patron": SLOW}, RIGHT_PIN, OPEN, {"long_release": True}),
    "by a pass too": ({"patron": SLOW, "held": FREE}, None, OPEN, {"long_release": True}),
    "others do not": ({}, RIGHT_PIN, OPEN, {"long_release": False}),
    "nor does who is refused": ({"patron": SLOW}, WRONG_PIN, OPEN, {"long_release": False}),
    "nor whom nobody knows": (
        {"patron": None, "held": FREE}, RIGHT_PIN, OPEN, {"long_release": False}
    ),
    "a PIN is proved though something else refuses": (
        {"patron": BLOCKED}, RIGHT_PIN, OPEN, {"proved": True}
    ),
    "but not while the card waits": ({"throttled": True}, RIGHT_PIN, OPEN, {"proved": False}),
}  # fmt: skip
"""What is known beside `KNOWN`, the PIN, the mode, and what is said of it."""


@pytest.mark.parametrize("case", VERDICTS)
def test_how_an_attempt_is_judged(case: str) -> None:
    """By the moment and branch, by the PIN that each right asks for, and with what each gives."""
    changes, pin, mode, said = VERDICTS[case]
    end = verdict(replace(KNOWN, **changes), pin, mode)

    assert {name: getattr(end, name) for name in said} == said


@pytest.mark.parametrize(
    ("held", "mode", "opens"),
    [(None, OPEN, False), (STAFF, CLOSED, False), (FREE, CLOSED, True), (FREE, LOCKDOWN, False)],
)
def test_what_opens_without_a_pin(held: Pass | None, mode: Mode, *, opens: bool) -> None:
    """A pass that says so, while it opens; a patron's right never does."""
    now = Now(0.0, moment(), 1, mode)

    assert opens_without_pin(replace(KNOWN, held=held), now, rules_of(Policy())) is opens


def test_just_before_closing_nobody_new_comes_in() -> None:
    """By the right PIN, while the branch is still open; a staff pass is for these minutes too."""
    now = Now(0.0, moment(), 1, OPEN, no_entry=True)

    ends = [
        judged(replace(KNOWN, held=by), RIGHT_PIN, now, rules_of(Policy())) for by in (None, STAFF)
    ]
    assert [end.reason for end in ends] == [Reason.CLOSED, Reason.OK]


@pytest.mark.parametrize("held", [None, STAFF, OWN, FREE])
def test_restricted_data_open_nothing_whoever_restricted_them(held: Pass | None) -> None:
    """A card's pass rests on the same person, so it is not used either.

    Bug (attack review): a patron whose data a push restricted came in by a pass, one whom staff
    restricted did not.
    """
    restricted = replace(KNOWN, patron=replace(PATRON, restricted=True), held=held)

    assert verdict(restricted).reason is Reason.RESTRICTED
    assert verdict(restricted, WRONG_PIN).reason is Reason.WRONG_PIN
    assert verdict(restricted, None).reason is Reason.WRONG_PIN
    own = Reason.RESTRICTED if held is OWN else Reason.WRONG_PIN
    assert verdict(restricted, OWN_PIN).reason is own


@pytest.mark.parametrize("pin", [RIGHT_PIN, WRONG_PIN, None])
@pytest.mark.parametrize("companions_max", [0, 1])
def test_a_pass_that_opens_without_a_pin_tells_nothing_of_one(
    pin: Pin | None, companions_max: int
) -> None:
    """Attack: type PINs at a found card before its pass is looked up, and press a key after."""
    weak = replace(PATRON, weak_pin=True)
    held = replace(STAFF, needs_pin=False, companions_max=companions_max)
    policy = Policy(weak_pin=WeakPin.WARN)
    ended = verdict(replace(KNOWN, patron=weak, held=held), pin, policy=policy)

    shown = replace(ended, proved=False)
    assert shown == Concluded(1, Reason.OK, companions_max=companions_max)
    assert ended.proved == (pin is RIGHT_PIN)


@pytest.mark.parametrize("withheld", Reason)
@pytest.mark.parametrize("held", [None, STAFF, OWN])
def test_a_refused_pin_was_no_guess_only_if_nothing_was_compared(
    held: Pass | None, withheld: Reason
) -> None:
    """No row, or one without a PIN, and no pass with a PIN of its own: then nobody could tell."""
    nothing = withheld in {Reason.UNKNOWN_CARD, Reason.PIN_UNKNOWN}
    has_own_pin = held is not None and held.pin_check is not None

    found = compares_nothing(replace(KNOWN, held=held), withheld)

    assert found is (nothing and not has_own_pin)


OUT_OF_TIME = replace(STAFF, first_day=day(5))
UNASKED = replace(STAFF, needs_pin=False, companions_max=1)
EVERY_PASS = [STAFF, OWN, OUT_OF_TIME, UNASKED, replace(UNASKED, first_day=day(5)), ALONE]


@pytest.mark.parametrize("pin", [RIGHT_PIN, WRONG_PIN, OWN_PIN, None])
@pytest.mark.parametrize("mode", [Mode.CLOSED, Mode.SELF_SERVICE, Mode.LOCKDOWN])
@pytest.mark.parametrize("patron", [PATRON, None])
def test_of_several_passes_the_best_opens(
    pin: Pin | None, mode: Mode, patron: Patron | None
) -> None:
    """Whichever was issued first: it opens where one opens, with the most that one gives."""
    for held, older in product(EVERY_PASS, repeat=2):
        prepared = replace(KNOWN, patron=patron)
        each = [verdict(replace(prepared, held=one), pin, mode) for one in (held, older)]
        both = verdict(replace(prepared, held=held, older=(older,)), pin, mode)
        opening = [one for one in each if one.reason is Reason.OK]

        assert (both.reason is Reason.OK) == bool(opening)
        assert both in each
        if not any(not one.needs_pin for one in (held, older)):
            most = max((one.companions_max for one in opening), default=0)
            assert both.companions_max == most
        if not opening:
            told = [one.reason for one in each if one.reason not in BEFORE_PROOF]
            assert both.reason is (told or [each[0].reason])[0]


@pytest.mark.parametrize("passes", [(UNASKED, OWN), (OWN, UNASKED)])
def test_where_a_pass_opens_unasked_no_other_tells_whether_a_pin_was_right(
    passes: tuple[Pass, Pass],
) -> None:
    """Else who comes in anyway could guess at the other pass's PIN for nothing."""
    prepared = replace(KNOWN, patron=None, held=passes[0], older=passes[1:])

    assert verdict(prepared, OWN_PIN) == verdict(prepared, WRONG_PIN)
    assert verdict(prepared, OWN_PIN).companions_max == 1
    assert opens_without_pin(prepared, Now(0.0, moment(), 1, Mode.CLOSED), rules_of(Policy()))


@pytest.mark.parametrize(
    ("against", "pin", "reason", "duress"),
    [
        ({}, "4712", Reason.OK, True),
        ({}, "4711", Reason.OK, False),
        ({"patron": replace(PATRON, blocks=frozenset("O"))}, "4712", Reason.BLOCKED, True),
        ({"throttled": True}, "4712", Reason.THROTTLED, False),
    ],
)
def test_a_pin_under_duress_alarms_where_it_was_proved(
    against: dict[str, Any], pin: str, reason: Reason, *, duress: bool
) -> None:
    """Who is blocked may be in danger all the same; a card that waits proves nothing."""
    policy = Policy(duress=True)
    end = verdict(replace(KNOWN, **against), Pin(pin), policy=policy)

    assert (end.reason, end.duress) == (reason, duress)
    assert not verdict(replace(KNOWN, **against), Pin(pin)).duress


def test_a_pin_under_duress_is_none_where_it_is_another_pass_s_own() -> None:
    """A false alarm would come each time the holder uses that pass."""
    policy = Policy(duress=True)
    other = replace(STAFF, pin_check=pin_check(STRETCHED, Pin("8801")), companions_max=9)

    assert verdict(replace(KNOWN, held=other), OWN_PIN, policy=policy).duress
    for held, older in ((OWN, other), (other, OWN)):
        found = verdict(replace(KNOWN, held=held, older=(older,)), OWN_PIN, policy=policy)
        assert (found.reason, found.duress) == (Reason.OK, False)


def test_a_pass_that_opens_by_the_patron_s_pin_is_worth_asking_about() -> None:
    """Though a newer one of the card has a PIN of its own: the library system may prove it."""
    now = Now(0.0, moment(), 1, Mode.CLOSED)
    row = replace(PATRON, pin_check=None)
    both = replace(KNOWN, patron=row, held=OWN, older=(STAFF,))

    assert worth_asking(both, now, rules_of(Policy()))
    assert not worth_asking(replace(both, older=(OUT_OF_TIME,)), now, rules_of(Policy()))
    assert not compares_nothing(replace(both, held=STAFF, older=(OWN,)), Reason.PIN_UNKNOWN)


@given(policies, cases, st.sampled_from([RIGHT_PIN, WRONG_PIN]), st.integers(-2, 61), st.booleans())
def test_what_is_foreseen_is_what_the_right_pin_gets(
    policy: Policy, case: Case, pin: Pin, later_s: int, banned: bool
) -> None:
    """While the patron types, the verdict after the right PIN is found as it will be found then."""
    assert case.patron is not None
    row = replace(case.patron, pin_check=KNOWN.patron.pin_check if KNOWN.patron else None)
    prepared = replace(
        KNOWN,
        patron=row,
        throttled=case.throttled,
        cache_applied_at=case.cache_applied_at,
        cache_minimum_age=case.cache_minimum_age,
        bans=(BAN,) if banned else (),
        held=case.held,
    )
    rules, now = rules_of(policy), at(case)
    seen = foreseen(prepared, now, rules)
    local = now.moment.local + timedelta(seconds=later_s)
    then = replace(now, moment=replace(now.moment, local=local))
    if seen is not None and seen.holds(then, rules) and seen.proved_by(STRETCHED, pin):
        assert seen.end == judged(prepared, pin, then, rules)
        assert seen.end.reason not in BEFORE_PROOF


@pytest.mark.parametrize(
    ("changes", "ends_s"),
    [
        ({}, 60),
        ({"bans": (replace(BAN, since=NOW + timedelta(seconds=20)),)}, 20),
        ({"bans": (replace(BAN, until=NOW + timedelta(seconds=30)),)}, 30),
        ({"bans": (replace(BAN, until=NOW + timedelta(days=3)),)}, 60),
        ({"cache_applied_at": NOW - timedelta(hours=2, seconds=-10)}, 10),
        ({"cache_applied_at": NOW + CLOCK_SLACK + timedelta(seconds=5)}, 5),
        ({"cache_applied_at": NOW - timedelta(hours=3)}, 60),
    ],
)
def test_a_verdict_is_foreseen_until_it_may_change(changes: dict[str, Any], ends_s: int) -> None:
    """A minute, a ban or the register's age ends it, and a clock that was set back."""
    policy = Policy(max_cache_age_h=2.0)
    now, rules = Now(0.0, moment(), 1), rules_of(policy)
    seen = foreseen(replace(KNOWN, **changes), now, rules)
    assert seen is not None

    def holds(later_s: float) -> bool:
        local = NOW + timedelta(seconds=later_s)
        return seen.holds(replace(now, moment=replace(now.moment, local=local)), rules)

    assert holds(0)
    assert holds(ends_s - 0.001)
    assert not holds(ends_s)
    assert not holds(-0.001)


def test_a_verdict_is_foreseen_to_the_end_of_its_minute() -> None:
    """All days end with one, whatever second the key came in."""
    local = NOW + timedelta(seconds=20, milliseconds=300)
    now = Now(0.0, replace(moment(), local=local), 1)
    seen = foreseen(KNOWN, now, rules_of(Policy()))

    assert seen is not None
    assert seen.until == NOW + timedelta(minutes=1)


@pytest.mark.parametrize(
    "change",
    [
        {"cache_version": 2},
        {"mode": Mode.CLOSED},
        {"no_entry": True},
        {"opened_on": day(0)},
        {"moment": moment(ClockState.HOLDOVER)},
        {"moment": moment(ClockState.UNTRUSTED)},
    ],
)
def test_a_verdict_is_foreseen_for_the_facts_of_then(change: dict[str, Any]) -> None:
    """A push, other hours, an opening or a doubtful clock: the card is judged anew."""
    now, rules = Now(0.0, moment(), 1), rules_of(Policy())
    seen = foreseen(KNOWN, now, rules)
    assert seen is not None
    assert seen.holds(replace(now, s=9.0), rules)
    assert not seen.holds(replace(now, **change), rules)
    assert not seen.holds(now, rules_of(Policy()))


def test_nothing_is_foreseen_on_an_edge() -> None:
    """What ends the verdict at this very moment is not overlooked."""
    rules = rules_of(Policy(max_cache_age_h=2.0))
    now = Now(0.0, moment(), 1)
    seen = foreseen(replace(KNOWN, cache_applied_at=NOW - timedelta(hours=2)), now, rules)
    assert seen is not None
    assert not seen.holds(now, rules)


@pytest.mark.parametrize(("then_s", "now_s"), [(0, 11), (120, 6)])
def test_a_ban_may_begin_by_the_mark_alone(then_s: int, now_s: int) -> None:
    """A clock that is set back stays behind it; staff who confirm a clock can lower it."""
    rules = rules_of(Policy())
    ban = replace(BAN, since=NOW + timedelta(seconds=10))
    later = replace(moment(), local=NOW + timedelta(seconds=6))

    def marked(seconds: int) -> Moment:
        return replace(later, high_water=(NOW + timedelta(seconds=seconds)).astimezone(UTC))

    seen = foreseen(replace(KNOWN, bans=(ban,)), Now(0.0, marked(then_s), 1), rules)
    assert seen is not None
    assert not seen.holds(Now(1.0, marked(now_s), 1), rules)


def test_a_verdict_by_an_unset_clock_is_foreseen_while_its_mark_stands() -> None:
    """Only the high-water mark is certain then."""
    now, rules = Now(0.0, moment(ClockState.UNTRUSTED), 1), rules_of(Policy())
    seen = foreseen(KNOWN, now, rules)
    assert seen is not None
    years_later = replace(now.moment, local=NOW.replace(year=2035))
    assert seen.holds(replace(now, moment=years_later), rules)
    risen = replace(now.moment, high_water=now.moment.high_water + timedelta(seconds=1))
    assert not seen.holds(replace(now, moment=risen), rules)


@pytest.mark.parametrize(
    "prepared",
    [
        KNOWN,
        replace(KNOWN, patron=None),
        replace(KNOWN, patron=replace(PATRON, pin_check=None)),
        replace(KNOWN, patron=replace(PATRON, pin_until=day(-1))),
        replace(KNOWN, throttled=True),
    ],
)
def test_only_a_right_pin_that_may_be_compared_is_foreseen(prepared: Prepared) -> None:
    """The work is the same for all, and only the first one's right PIN proves anything."""
    seen = foreseen(prepared, Now(0.0, moment(), 1), rules_of(Policy()))
    assert seen is not None
    assert seen.proved_by(STRETCHED, RIGHT_PIN) is (prepared is KNOWN)
    assert not seen.proved_by(STRETCHED, WRONG_PIN)


@pytest.mark.parametrize(
    "more", [{"held": STAFF}, {"lent": PATRON}, {"proved": True}, {"delay_s": 1.0}]
)
def test_what_takes_more_than_a_pin_is_not_foreseen(more: dict[str, Any]) -> None:
    """Passes, the library system's word, a delay and duress need all of :func:`judged`."""
    now = Now(0.0, moment(), 1)
    assert foreseen(replace(KNOWN, **more), now, rules_of(Policy())) is None
    assert foreseen(KNOWN, now, rules_of(Policy(duress=True))) is None


NINES = Pass(
    1, PassKind.STAFF, day(-9), day(9), label="club", pin_check=pin_check(STRETCHED, Pin("8809"))
)
keys = st.binary(min_size=32, max_size=32).map(StretchedKey)
pins = st.text("0123456789", min_size=1, max_size=8).map(Pin)
PROVED, WRONG, UNKNOWN = PinProof.PROVED, PinProof.WRONG, PinProof.UNKNOWN


def proved_by(prepared: Prepared, pin: str, *, duress: bool = True) -> Proofs:
    """Return what a PIN proves now."""
    return proofs(prepared, Pin(pin), moment(), duress=duress)


@pytest.mark.parametrize(
    ("pin", "lower"), [("4712", "4711"), ("4710", "4719"), ("0000", "0009"), ("5", "4")]
)
def test_the_pin_under_duress_is_one_higher_in_its_last_digit(pin: str, lower: str) -> None:
    """9 goes on to 0, and no other digit changes."""
    assert one_lower(Pin(pin)) == Pin(lower)


NEIGHBOUR = replace(NINES, pin_check=pin_check(STRETCHED, Pin("4712")))
OUTDATED = replace(PATRON, pin_until=day(-1))
ZEROS = replace(PATRON, pin_check=NO_PIN)


@pytest.mark.parametrize(
    ("more", "pin", "proved"),
    [
        # A pass has its own PIN, and its own under duress: nine goes on to zero.
        ({"held": NINES}, "8809", Proofs(WRONG, PROVED)),
        ({"held": NINES}, "8800", Proofs(WRONG, PROVED, duress=True)),
        ({"held": NINES}, "4711", Proofs(PROVED, WRONG)),
        ({"held": NINES}, "4712", Proofs(PROVED, WRONG, duress=True)),
        # Whose PINs happen to be neighbours types one of them, and calls nobody.
        ({"held": NEIGHBOUR}, "4712", Proofs(PROVED, PROVED)),
        ({"held": NEIGHBOUR}, "4713", Proofs(WRONG, PROVED, duress=True)),
        # The library system was asked about the PIN as typed, so that is the patron's.
        ({"proved": True}, "4712", Proofs(PROVED, PROVED)),
        ({"proved": True}, None, Proofs(PROVED, PROVED)),
        ({"proved": True, "held": NINES}, "1111", Proofs(PROVED, WRONG)),
        # By a learnt PIN that counts no more nothing is proved, whatever the last digit.
        *(({"patron": OUTDATED}, pin, Proofs(UNKNOWN, UNKNOWN)) for pin in ("4711", "4712")),
        # Nor without a PIN, neither the patron's right nor the pass's.
        ({}, None, Proofs(PinProof.NOT_GIVEN, PinProof.NOT_GIVEN)),
        ({"held": NINES}, None, Proofs(PinProof.NOT_GIVEN, PinProof.NOT_GIVEN)),
        # The stand-in that is compared with for unknown cards is nobody's PIN.
        ({"patron": ZEROS}, "4711", Proofs(WRONG, WRONG)),
    ],
)
def test_what_a_pin_proves(more: dict[str, Any], pin: str | None, proved: Proofs) -> None:
    """Of the patron and of the pass, each by its own or by the one that both have."""
    typed = None if pin is None else Pin(pin)

    assert proofs(replace(KNOWN, **more), typed, moment(), duress=True) == proved


@given(keys, pins, pins)
def test_only_the_patrons_own_pin_proves(stretched: StretchedKey, own: Pin, typed: Pin) -> None:
    """It is exactly the one that was sealed, leading zeros and all, with the card's own key."""
    row = replace(PATRON, pin_check=pin_check(stretched, own))
    card = replace(KNOWN, stretched=stretched, patron=row)
    strange = replace(KNOWN, stretched=stretched)

    expected = PROVED if own == typed else WRONG
    assert proved_by(card, typed.reveal(), duress=False) == Proofs(expected, expected)
    assert proved_by(strange, "4711").patron is (PROVED if stretched == STRETCHED else WRONG)


@given(pins)
def test_nothing_proves_whose_pin_is_not_known(typed: Pin) -> None:
    """No PIN proves an unknown card, nor a patron whose PIN was not sealed."""
    for row in (None, replace(PATRON, pin_check=None)):
        card = replace(KNOWN, patron=row)
        assert proved_by(card, typed.reveal()) == Proofs(UNKNOWN, UNKNOWN)
