from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.reader import KEYS, MOST_AT_ONCE, keys
from tests.cards.samples import pressed


def test_digits_enter_and_clear_are_keys() -> None:
    """All twelve keys come out, in their order."""
    assert list(keys(b"0123456789#*")) == pressed("0123456789#*")


def test_line_ends_and_noise_mean_nothing() -> None:
    """A keypad's CR and LF, and what a loose wire makes, are ignored."""
    assert list(keys(b"4\r7\n\x00;1\xff1\r\n")) == pressed("4711")


@given(st.binary())
def test_any_bytes_give_only_keys(data: bytes) -> None:
    """Nothing raises, nothing else comes out, and no key is shown."""
    found = keys(data)

    count = sum(byte in KEYS for byte in data)
    assert len(found) == (count if count <= MOST_AT_ONCE else 0)
    assert all(repr(key) == "KeyPressed()" for key in found)


def test_more_keys_at_once_than_anybody_presses_are_none() -> None:
    """A device that babbles presses nothing, and costs the loop nothing."""
    most = "7" * MOST_AT_ONCE

    assert list(keys(most.encode())) == pressed(most)
    assert keys(most.encode() + b"7") == ()
