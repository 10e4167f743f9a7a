from __future__ import annotations

import hmac
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.patron import NO_PIN, PIN_CHECK_BYTES, ROW_KEY_BYTES, pin_check, proves, row_key
from doorctl.masked import Pin, StretchedKey
from tests.access.samples import PATRON, RIGHT_PIN, STRETCHED

keys = st.binary(min_size=32, max_size=32).map(StretchedKey)
pins = st.text("0123456789", min_size=1, max_size=8).map(Pin)


@given(keys)
def test_row_key_is_the_designs(stretched: StretchedKey) -> None:
    """The row key is ``HMAC-SHA256(K, "row")[:16]``: the library's server computes the same."""
    expected = hmac.new(stretched.reveal(), b"row", "sha256").digest()[:16]

    assert expected == row_key(stretched)
    assert len(expected) == ROW_KEY_BYTES


@given(keys, pins)
def test_pin_check_is_the_designs(stretched: StretchedKey, pin: Pin) -> None:
    """The PIN check is ``HMAC-SHA256(K, "pin" + PIN)``: the library's server computes the same."""
    message = b"pin" + pin.reveal().encode()
    expected = hmac.new(stretched.reveal(), message, "sha256").digest()

    assert expected == pin_check(stretched, pin)
    assert len(expected) == PIN_CHECK_BYTES


@given(keys, pins, pins)
def test_only_the_patrons_own_pin_proves(stretched: StretchedKey, own: Pin, typed: Pin) -> None:
    """A PIN proves a patron if it is exactly the one that was sealed, leading zeros and all."""
    patron = replace(PATRON, pin_check=pin_check(stretched, own))

    assert proves(stretched, patron, typed) == (own.reveal() == typed.reveal())


@given(keys)
def test_another_cards_key_proves_nothing(stretched: StretchedKey) -> None:
    """The right PIN with another card's key is wrong."""
    assert proves(stretched, PATRON, RIGHT_PIN) == (stretched == STRETCHED)


@given(keys, pins)
def test_nothing_proves_who_is_unknown(stretched: StretchedKey, typed: Pin) -> None:
    """No PIN proves an unknown card, nor a patron whose PIN is not known."""
    assert not proves(stretched, None, typed)
    assert not proves(stretched, replace(PATRON, pin_check=None), typed)


def test_a_sealed_row_of_zeros_is_no_master_key() -> None:
    """The stand-in that is compared with for unknown cards is nobody's PIN."""
    assert not proves(STRETCHED, replace(PATRON, pin_check=NO_PIN), RIGHT_PIN)


def test_repr_shows_no_pin_check() -> None:
    """A row in a traceback shows nothing that a PIN could be searched by."""
    assert PATRON.pin_check is not None
    assert repr(PATRON.pin_check) not in repr(PATRON)
    assert "pin_check" not in repr(PATRON)
