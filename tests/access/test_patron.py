from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.patron import (
    BEFORE_PROOF,
    KEY_BYTES,
    PIN_CHECK_BYTES,
    ROW_KEY_BYTES,
    SENTENCES,
    UNJUDGED,
    Reason,
    key_parts,
    levels,
    overlaid,
    pin_check,
    row_key,
)
from doorctl.core.masked import Pin, StretchedKey
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


PIN = Pin("4711")
FIRST, SECOND, THIRD = (bytes([number]) * KEY_BYTES for number in (1, 2, 3))


def test_a_later_key_is_laid_over_the_one_before() -> None:
    """What is stored is rewritten with the later key alone: no card number is needed for it."""
    old, new = StretchedKey(FIRST), StretchedKey(FIRST + SECOND + THIRD)
    once = hmac.digest(SECOND, row_key(old), "sha256")[:ROW_KEY_BYTES]

    assert row_key(new) == hmac.digest(THIRD, once, "sha256")[:ROW_KEY_BYTES]
    assert row_key(new) == overlaid(row_key(old), (SECOND, THIRD))
    assert pin_check(new, PIN) == overlaid(pin_check(old, PIN), (SECOND, THIRD))
    assert len(pin_check(new, PIN)) == PIN_CHECK_BYTES
    assert overlaid(row_key(old), ()) == row_key(old)


def test_an_identifier_is_known_under_every_key_that_there_was() -> None:
    """The newest first; one that never had another key has that one alone."""
    whole = StretchedKey(FIRST + SECOND + THIRD)

    assert levels(whole) == (whole, StretchedKey(FIRST + SECOND), StretchedKey(FIRST))
    assert levels(StretchedKey(FIRST)) == (StretchedKey(FIRST),)
    assert key_parts(whole.reveal()) == [FIRST, SECOND, THIRD]


FIXED_NAMES = [
    "ok", "unknown_card", "wrong_pin", "pin_unknown", "pin_timeout", "throttled", "not_resident",
    "blocked", "under_age", "expired", "banned", "closed", "not_permitted", "restricted",
    "cache_too_old", "clock_untrusted", "weak_pin", "card_unreadable", "fault",
]  # fmt: skip


def test_names_are_the_fixed_ones() -> None:
    """Scripts and staff notes rely on the names: none is renamed, dropped or added unnoticed."""
    assert [reason.value for reason in Reason] == FIXED_NAMES


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence_in_two_languages(reason: Reason) -> None:
    """Each reason can be told in Danish and in English, as a whole sentence."""
    danish, english = SENTENCES[reason]

    assert danish != english
    assert all(sentence[0].isupper() and sentence[-1] == "." for sentence in (danish, english))


def test_no_two_reasons_share_a_sentence() -> None:
    """Staff can tell every reason from every other by its sentence."""
    for language in (0, 1):
        assert len({sentences[language] for sentences in SENTENCES.values()}) == len(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_only_ok_is_granted(reason: Reason) -> None:
    """Whatever is not ``ok`` is a refusal."""
    assert reason.verdict == ("granted" if reason.value == "ok" else "refused")


def test_groups_do_not_overlap() -> None:
    """A guess was either spent or not, and `ok` is neither a refusal nor unjudged."""
    assert not BEFORE_PROOF & UNJUDGED
    assert Reason.OK not in BEFORE_PROOF | UNJUDGED


def test_what_is_told_after_the_proof_is_in_no_group() -> None:
    """All that speaks of a person's rights presupposes the PIN, so it is in neither group."""
    after_proof = {
        *("ok", "not_resident", "blocked", "under_age", "expired", "banned", "closed"),
        *("not_permitted", "restricted", "cache_too_old", "clock_untrusted", "weak_pin"),
    }

    assert set(map(Reason, after_proof)) == set(Reason) - BEFORE_PROOF - UNJUDGED
