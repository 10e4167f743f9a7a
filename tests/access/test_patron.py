from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.patron import PIN_CHECK_BYTES, ROW_KEY_BYTES, pin_check, row_key
from doorctl.masked import Pin, StretchedKey
from tests.access.samples import PATRON

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


def test_repr_shows_no_pin_check() -> None:
    """A row in a traceback shows nothing that a PIN could be searched by."""
    assert PATRON.pin_check is not None
    assert repr(PATRON.pin_check) not in repr(PATRON)
    assert "pin_check" not in repr(PATRON)
