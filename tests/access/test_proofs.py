from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.judging import NO_PIN, Proofs, one_lower, proofs
from doorctl.access.messages import Prepared
from doorctl.access.patron import pin_check
from doorctl.access.policy import PinProof
from doorctl.access.rights import Pass, PassKind
from doorctl.core.masked import Pin, StretchedKey
from tests.access.samples import PATRON, ROW_KEY, STRETCHED, day, moment

KNOWN = Prepared(1, STRETCHED, ROW_KEY, PATRON)
OWN = Pass(
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


def test_a_pass_has_its_own_pin_and_its_own_under_duress() -> None:
    """Nine goes on to zero; the patron's PIN proves nothing of a pass with one of its own."""
    held = replace(KNOWN, held=OWN)

    assert proved_by(held, "8809") == Proofs(WRONG, PROVED)
    assert proved_by(held, "8800") == Proofs(WRONG, PROVED, duress=True)
    assert proved_by(held, "4711") == Proofs(PROVED, WRONG)
    assert proved_by(held, "4712") == Proofs(PROVED, WRONG, duress=True)


def test_what_is_right_for_one_is_no_duress_for_the_other() -> None:
    """Whose PINs happen to be neighbours types one of them, and calls nobody."""
    check = pin_check(STRETCHED, Pin("4712"))
    neighbours = replace(KNOWN, held=replace(OWN, pin_check=check))

    assert proved_by(neighbours, "4712") == Proofs(PROVED, PROVED)
    assert proved_by(neighbours, "4713") == Proofs(WRONG, PROVED, duress=True)


def test_the_library_systems_word_is_never_duress() -> None:
    """It was asked about the PIN as typed, so that is the patron's."""
    changed = replace(KNOWN, proved=True)

    assert proved_by(changed, "4712") == Proofs(PROVED, PROVED)
    assert proofs(changed, None, moment(), duress=True) == Proofs(PROVED, PROVED)
    assert proved_by(replace(changed, held=OWN), "1111") == Proofs(PROVED, WRONG)


def test_a_learnt_pin_that_counts_no_more_is_none_under_duress_either() -> None:
    """There is nothing to prove by it, whatever the last digit."""
    outdated = replace(KNOWN, patron=replace(PATRON, pin_until=day(-1)))

    assert proved_by(outdated, "4712") == proved_by(outdated, "4711") == Proofs(UNKNOWN, UNKNOWN)


def test_without_a_pin_nothing_is_proved() -> None:
    """Neither the patron's nor the pass's."""
    nothing = Proofs(PinProof.NOT_GIVEN, PinProof.NOT_GIVEN)

    assert proofs(KNOWN, None, moment(), duress=True) == nothing
    assert proofs(replace(KNOWN, held=OWN), None, moment(), duress=True) == nothing


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


def test_a_sealed_row_of_zeros_is_no_master_key() -> None:
    """The stand-in that is compared with for unknown cards is nobody's PIN."""
    zeros = replace(KNOWN, patron=replace(PATRON, pin_check=NO_PIN))

    assert proved_by(zeros, "4711") == Proofs(WRONG, WRONG)


def test_of_all_pins_two_open_where_duress_is_on_and_one_where_it_is_off() -> None:
    """The right one and the one above it, which says so: that is the whole price."""
    every = [f"{number:04}" for number in range(10_000)]
    on = {pin: found for pin in every if (found := proved_by(KNOWN, pin)).patron is PROVED}

    assert on == {"4711": Proofs(PROVED, PROVED), "4712": Proofs(PROVED, PROVED, duress=True)}
    assert proved_by(KNOWN, "4710") == Proofs(WRONG, WRONG)
    assert [pin for pin in every if proved_by(KNOWN, pin, duress=False).held is PROVED] == ["4711"]
