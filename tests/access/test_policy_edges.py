"""One thing at a time, at its edge: what every combination says too, in a fraction of the time.

Bug (stranger's review): after a higher age limit was set, children got in until the next full load.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest

from doorctl.access.patron import Reason
from doorctl.access.policy import (
    CHECKS,
    CLOCK_SLACK,
    PASS_CHECKS,
    Case,
    PinProof,
    Policy,
    decide,
    findings,
)
from doorctl.access.rights import Pass, PassKind
from doorctl.core.moments import ClockState
from tests.access.deciding import reason_of
from tests.access.samples import HIGH_WATER, NOW, PATRON, day, moment

TRUSTED, UNTRUSTED = ClockState.TRUSTED, ClockState.UNTRUSTED
DOUBT, EXPIRED, OK = Reason.CLOCK_UNTRUSTED, Reason.EXPIRED, Reason.OK
TOO_OLD = Reason.CACHE_TOO_OLD
PROVED = PinProof.PROVED
MICROSECOND = timedelta(microseconds=1)
TWO_DAYS = timedelta(days=2)
PASS = Pass(1, PassKind.ASSOCIATION, day(-1), day(1), label="club", needs_pin=False)
WELCOME = Case(PATRON, moment(), PROVED)
UTC_NOW = NOW.astimezone(UTC)


def test_nothing_keeps_out_whom_nothing_is_held_against() -> None:
    """By right of the patron, of the pass, or of both."""
    by_pass = replace(WELCOME, patron=None, held=PASS)

    assert decide(Policy(), WELCOME).by_patron
    assert decide(Policy(), by_pass).by_pass
    assert reason_of(Policy(), by_pass) is reason_of(Policy(), WELCOME) is OK


@pytest.mark.parametrize(
    ("against", "reason"),
    [
        ({"pin": PinProof.UNKNOWN}, Reason.PIN_UNKNOWN),
        ({"pin": PinProof.WRONG}, Reason.WRONG_PIN),
        ({"throttled": True}, Reason.THROTTLED),
        ({"patron": replace(PATRON, restricted=True)}, Reason.RESTRICTED),
    ],
)
def test_one_thing_against_a_patron(against: dict[str, Any], reason: Reason) -> None:
    """Each is enough, and is told as what it is."""
    assert reason_of(Policy(), replace(WELCOME, **against)) is reason


@pytest.mark.parametrize(
    ("dates", "known", "unset_clock"),
    [
        ({"valid_until": day(0)}, OK, DOUBT),
        ({"valid_until": day(-1)}, EXPIRED, DOUBT),
        ({"valid_until": day(-10)}, EXPIRED, DOUBT),
        ({"valid_until": day(-11)}, EXPIRED, EXPIRED),
        ({"hold_from": day(1)}, OK, DOUBT),
        ({"hold_from": day(0)}, EXPIRED, DOUBT),
        ({"hold_from": day(-10)}, EXPIRED, EXPIRED),
        ({"hold_from": day(-3), "hold_until": day(0)}, EXPIRED, DOUBT),
        ({"hold_from": day(-3), "hold_until": day(-1)}, OK, DOUBT),
        ({"enter_from": day(0)}, OK, DOUBT),
        ({"enter_from": day(1)}, Reason.UNDER_AGE, DOUBT),
    ],
)
def test_days_count_whole(dates: dict[str, Any], known: Reason, unset_clock: Reason) -> None:
    """First and last day included; an unset clock is only certain of ten days ago."""
    case = replace(WELCOME, patron=replace(PATRON, **dates))

    assert reason_of(Policy(), case) is known
    assert reason_of(Policy(), replace(case, moment=moment(UNTRUSTED))) is unset_clock


@pytest.mark.parametrize(
    ("applied_at", "reason"),
    [
        (UTC_NOW, OK),
        (UTC_NOW - TWO_DAYS, OK),
        (UTC_NOW - TWO_DAYS - MICROSECOND, TOO_OLD),
        (UTC_NOW + CLOCK_SLACK, OK),
        (UTC_NOW + CLOCK_SLACK + MICROSECOND, TOO_OLD),
        (None, TOO_OLD),
    ],
)
def test_the_registers_age_counts_to_the_microsecond(applied_at: Any, reason: Reason) -> None:
    """Where a limit is set, and for rows that were pushed; a clock may step back a little."""
    case = replace(WELCOME, cache_applied_at=applied_at)
    asked_for = replace(case, patron=replace(PATRON, pushed=False))

    assert reason_of(Policy(max_cache_age=TWO_DAYS), case) is reason
    assert reason_of(Policy(max_cache_age=TWO_DAYS), asked_for) is OK
    assert reason_of(Policy(), case) is OK


def test_a_push_after_the_high_water_mark_is_no_doubt_for_an_unset_clock() -> None:
    """Such a clock knows nothing of the time since; what it is sure of is not too long ago."""
    case = replace(
        WELCOME, moment=moment(UNTRUSTED), cache_applied_at=HIGH_WATER + timedelta(days=1)
    )

    assert reason_of(Policy(max_cache_age=TWO_DAYS), case) is OK


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
    """A row without a date was old enough for the limit of then; for a higher one it is doubt."""
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


def test_findings_name_every_check_in_order() -> None:
    """Those of the row, then those of the pass, and none refuses whom nothing is held against."""
    found = findings(Policy(), replace(WELCOME, held=PASS))
    names = ["known", *(check.name for check in CHECKS), *(check.name for check in PASS_CHECKS)]

    assert [finding.check for finding in found] == names
    assert {finding.refused_with for finding in found} == {None}
