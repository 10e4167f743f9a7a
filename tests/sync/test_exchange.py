"""Messages between sender and branch: signed, for one branch, said once, and never quoted."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import PushError
from doorctl.sync.delivery import FORMAT, MOST_BYTES, MOST_PATRONS, Exchange, read_exchange, signed
from doorctl.sync.document import SigningKey

KEY = SigningKey(bytes(32))
OTHER = SigningKey(bytes([1]) * 32)
NONCE = "n" * 32
HEADS = st.dictionaries(
    st.dates().map(str),
    st.builds(
        "{}:{}".format, st.integers(0, 10**17), st.binary(min_size=32, max_size=32).map(bytes.hex)
    ),
    max_size=9,
)


def read(message: bytes, *keys: SigningKey) -> Exchange:
    """Read as the branch `oest` does, which has told one nonce."""
    public = [key.verify_key() for key in keys or (KEY,)]
    return read_exchange(message, "oest", NONCE, public)


def written(**fields: Any) -> bytes:
    """Return a message that is signed, whatever stands in it."""
    told = {"format": FORMAT, "branch": "oest", "nonce": NONCE, "heads": {}, **fields}
    text = json.dumps(told).encode()
    return base64.b64encode(KEY.sign(text)) + b"\n" + text


@given(heads=HEADS)
def test_what_is_told_is_what_is_read(heads: dict[str, str]) -> None:
    """In its order, by either of two keys."""
    told = read(signed("oest", NONCE, KEY, heads=heads), OTHER, KEY)

    assert list(told.heads.items()) == list(heads.items())


@given(data=st.data(), heads=HEADS)
def test_no_changed_byte_is_believed(data: st.DataObject, heads: dict[str, str]) -> None:
    """Wherever it is; nothing but a `PushError` comes of it."""
    message = bytearray(signed("oest", NONCE, KEY, heads=heads))
    place = data.draw(st.integers(0, len(message) - 1))
    message[place] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(PushError):
        read(bytes(message))


@given(message=st.binary(max_size=300))
def test_anything_else_is_refused_in_one_way(message: bytes) -> None:
    """A stranger's bytes end in no other error."""
    with pytest.raises(PushError, match="signed by no key"):
        read(message)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"branch": "syd"}, "for another branch"),
        ({"nonce": "m" * 32}, "another nonce"),
        ({"format": "doorctl-patrons/1"}, "not as it should be"),
        ({"heads": {"today": f"1:{'a' * 64}"}}, "not as it should be"),
        ({"heads": {"2026-03-01": f"01:{'a' * 64}"}}, "not as it should be"),
        ({"heads": {"2026-03-01": f"1:{'a' * 63}"}}, "not as it should be"),
        ({"heads": {"2026-03-01": f"{10**18}:{'a' * 64}"}}, "not as it should be"),
        ({"heads": {str(n): f"1:{'a' * 64}" for n in range(300)}}, "not as it should be"),
        ({"heads": None}, "not as it should be"),
    ],
)
def test_what_is_signed_and_wrong_is_refused(fields: dict[str, Any], why: str) -> None:
    """And nothing of it is quoted."""
    with pytest.raises(PushError, match=why) as refused:
        read(written(**fields))

    assert "aaaa" not in str(refused.value)


@given(
    wrong=st.none()
    | st.dictionaries(st.text("!09az~", min_size=1, max_size=64), st.integers(1, 10**6), max_size=9)
)
def test_wrong_pins_are_told_by_number(wrong: dict[str, int] | None) -> None:
    """In their order; None is not the same as nobody."""
    told = read(signed("oest", NONCE, KEY, heads={}, wrong_pins=wrong)).wrong_pins

    assert told == wrong
    assert list(told or ()) == list(wrong or ())


@pytest.mark.parametrize(
    "wrong",
    [{"1": 0}, {"1": -1}, {"1": 10**6 + 1}, {"": 4}, {"a b": 4}, {"x" * 65: 4}, {"1": "4"}, []],
)
def test_wrong_pins_that_can_not_be_are_refused(wrong: object) -> None:
    """So are more patrons than fit."""
    for each in (wrong, {str(number): 4 for number in range(MOST_PATRONS + 1)}):
        with pytest.raises(PushError, match="not as it should be"):
            read(written(wrong_pins=each))


def test_a_younger_senders_fields_are_passed_over() -> None:
    """An older branch takes what it knows."""
    assert read(written(younger=[1, 2])) == Exchange(FORMAT, "oest", NONCE, {})


def test_half_a_year_of_heads_has_room() -> None:
    """One a day, 200 at the most, beside as many patrons as are told of at a time."""
    heads = {f"{2000 + n}-01-01": f"{10**17 - n}:{'a' * 64}" for n in range(200)}

    wrong = {f"{number:064}": 10**6 for number in range(MOST_PATRONS)}

    assert len(signed("o" * 32, NONCE, KEY, heads=heads, wrong_pins=wrong)) < MOST_BYTES
