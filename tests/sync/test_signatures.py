from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from doorctl.sync.document import SIGNATURE_BYTES, SigningKey, VerifyKey

KEY_BYTES = 32

# RFC 8032, section 7.1, test 3.
SECRET = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
PUBLIC = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
MESSAGE = bytes.fromhex("af82")
SIGNATURE = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)
KEY = SigningKey(SECRET)


def test_the_standards_own_vector() -> None:
    """Key, message and signature are those of RFC 8032."""
    assert KEY.verify_key().content == PUBLIC
    assert KEY.sign(MESSAGE) == SIGNATURE
    assert KEY.content() == SECRET
    assert VerifyKey(PUBLIC).has_signed(SIGNATURE, MESSAGE)


@given(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), st.binary(max_size=300))
def test_another_implementation_signs_the_same(secret: bytes, message: bytes) -> None:
    """Byte for byte, so a branch may be older than its sender."""
    theirs = Ed25519PrivateKey.from_private_bytes(secret)

    assert SigningKey(secret).sign(message) == theirs.sign(message)
    assert SigningKey(secret).verify_key().content == theirs.public_key().public_bytes_raw()


@given(st.integers(0, SIGNATURE_BYTES * 8 - 1))
def test_a_changed_bit_is_no_signature(bit: int) -> None:
    """Wherever it is: there is one signature for a message, no second spelling."""
    changed = bytearray(SIGNATURE)
    changed[bit // 8] ^= 1 << bit % 8

    assert not VerifyKey(PUBLIC).has_signed(bytes(changed), MESSAGE)


@given(st.binary(max_size=200).filter(lambda signature: signature != SIGNATURE))
def test_bytes_of_any_length_are_no_signature(signature: bytes) -> None:
    """They are refused, never a fault: they come from the network."""
    assert not VerifyKey(PUBLIC).has_signed(signature, MESSAGE)


@pytest.mark.parametrize("around", [b"\x00", MESSAGE])
def test_a_signature_with_something_after_it_is_none(around: bytes) -> None:
    """What was signed and its signature are told apart by nobody but us."""
    assert not VerifyKey(PUBLIC).has_signed(SIGNATURE + around, MESSAGE)
    assert not VerifyKey(PUBLIC).has_signed(SIGNATURE, MESSAGE + around)


def test_a_key_of_small_order_vouches_for_nothing() -> None:
    """With the neutral element as key, one signature fits every message in a laxer reading."""
    neutral = b"\x01" + bytes(KEY_BYTES - 1)

    assert not VerifyKey(neutral).has_signed(neutral + bytes(32), MESSAGE)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_has_32_bytes(length: int) -> None:
    """Nothing is cut or filled up."""
    with pytest.raises(ValueError, match="32"):
        SigningKey(bytes(length))
    with pytest.raises(ValueError, match="32"):
        VerifyKey(bytes(length))


def test_a_signing_key_is_not_shown() -> None:
    """However it is printed or formatted: whoever has it can let anybody in."""
    shown = f"{KEY} {KEY!r} {[KEY]}"

    assert SECRET.hex() not in shown
    assert repr(SECRET)[2:12] not in shown
    assert not hasattr(KEY, "__dict__")


def test_new_keys_differ() -> None:
    """Two made in a row are two."""
    assert SigningKey().content() != SigningKey().content()
