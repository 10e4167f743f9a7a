"""A push as it is signed, written and taken in, and the messages that are signed beside it."""

import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import PushError, PushInvalidError, PushUnsignedError
from doorctl.sync.document import (
    Manifest,
    read_manifest,
    sign,
    verify,
    written,
)
from doorctl.sync.exchange import FORMAT, MOST_BYTES, MOST_PATRONS, Exchange, read_exchange, signed
from doorctl.sync.signing import SigningKey, VerifyKey
from tests.sync.pushes import EMPTY_DIGEST, KEY, OTHER_KEY, SEAL

KEY_BYTES = 32

# RFC 8032, section 7.1, test 3.
SECRET = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
PUBLIC = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
MESSAGE = bytes.fromhex("af82")
SIGNATURE = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)
SIGNER = SigningKey(SECRET)


def test_the_standards_own_vector() -> None:
    """Key, message and signature are those of RFC 8032."""
    assert SIGNER.verify_key().content == PUBLIC
    assert SIGNER.sign(MESSAGE) == SIGNATURE
    assert SIGNER.content() == SECRET
    assert VerifyKey(PUBLIC).has_signed(SIGNATURE, MESSAGE)


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
    shown = f"{SIGNER} {SIGNER!r} {[SIGNER]}"

    assert SECRET.hex() not in shown
    assert repr(SECRET)[2:12] not in shown
    assert not hasattr(SIGNER, "__dict__")


def test_new_keys_differ() -> None:
    """Two made in a row are two."""
    assert SigningKey().content() != SigningKey().content()


# The first line.

UNSIGNED = Manifest(
    format="doorctl-patrons/1",
    branch="oest",
    kind="changes",
    epoch=42,
    previous_epoch=41,
    count=0,
    sha256=EMPTY_DIGEST,
    seal=SEAL,
    minimum_age=14,
)
SIGNED = sign(UNSIGNED, KEY)
WRITTEN: dict[str, Any] = json.loads(written(SIGNED))


def _verify(manifest: Manifest, *keys: SigningKey) -> None:
    verify(manifest, [key.verify_key() for key in keys])


def test_a_manifest_is_written_as_the_format_says() -> None:
    """Other programs sign too: the signed bytes are the line without its signature."""
    line = (
        '{"format":"doorctl-patrons/1","branch":"oest","kind":"changes","epoch":42,'
        f'"previous_epoch":41,"count":0,"sha256":"{EMPTY_DIGEST}",'
        '"seal":{"key_id":"0badcafe","memory_kib":64,"iterations":1},"minimum_age":14}'
    ).encode()

    assert written(UNSIGNED) == line + b"\n"
    assert written(SIGNED).startswith(line[:-1] + b',"signature":"')
    assert KEY.verify_key().has_signed(b64decode(SIGNED.signature), line)


@pytest.mark.parametrize("approved_by", [None, "M. Sørensen"])
def test_a_signed_manifest_comes_back_and_is_verified(approved_by: str | None) -> None:
    """What was signed and written is read and believed."""
    manifest = sign(msgspec.structs.replace(UNSIGNED, approved_by=approved_by), KEY)

    assert read_manifest(written(manifest)) == manifest
    assert read_manifest(written(manifest)[:-1]) == manifest
    _verify(manifest, KEY)


def test_either_of_two_keys_may_sign() -> None:
    """While one key replaces the other, both are believed."""
    _verify(SIGNED, OTHER_KEY, KEY)
    _verify(sign(UNSIGNED, OTHER_KEY), OTHER_KEY, KEY)


@pytest.mark.parametrize("keys", [(), (OTHER_KEY,)])
def test_no_other_key_is_believed(keys: tuple[SigningKey, ...]) -> None:
    """A branch without a key believes nobody."""
    with pytest.raises(PushUnsignedError, match="by no key of this branch"):
        _verify(SIGNED, *keys)


@pytest.mark.parametrize(
    "change",
    [
        {"branch": "syd"},
        {"kind": "snapshot"},
        {"epoch": 43},
        {"previous_epoch": 40},
        {"count": 1},
        {"sha256": "00" * 32},
        {"seal": msgspec.structs.replace(SEAL, iterations=2)},
        {"minimum_age": 0},
        {"approved_by": "somebody"},
    ],
)
def test_a_signature_covers_every_field(change: dict[str, Any]) -> None:
    """Nothing of a signed manifest can be changed."""
    with pytest.raises(PushUnsignedError):
        _verify(msgspec.structs.replace(SIGNED, **change), KEY)


def test_every_field_is_among_those_changed() -> None:
    """A field that is added has to be signed too."""
    assert set(WRITTEN) | {"approved_by"} == {
        field.name for field in msgspec.structs.fields(Manifest)
    }


@given(st.text(max_size=88) | st.binary(max_size=66).map(lambda data: data.hex()))
def test_no_text_is_a_signature(signature: str) -> None:
    """Whatever stands in its place is refused in one way."""
    with pytest.raises(PushUnsignedError):
        _verify(msgspec.structs.replace(SIGNED, signature=signature), KEY)


def test_the_spare_bits_of_a_signature_are_refused() -> None:
    """The last letter before the padding stands for two bits; 15 others decode to the same."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = letters.index(SIGNED.signature[85])
    other = SIGNED.signature[:85] + letters[last ^ 1] + "=="
    assert b64decode(other) == b64decode(SIGNED.signature)

    with pytest.raises(PushUnsignedError):
        _verify(msgspec.structs.replace(SIGNED, signature=other), KEY)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": "doorctl-patrons/2"}, 'format: found [a-z ]+; give "doorctl-patrons/1"'),
        ({"branch": "Øst"}, "branch: found [a-z ]+; give 1 to 32 of"),
        ({"kind": "both"}, 'kind: found [a-z ]+; give "snapshot" or "changes"'),
        ({"epoch": 0}, "epoch: found [a-z ]+; give a whole number from 1"),
        ({"epoch": 2**63}, "epoch: found [a-z ]+; give a whole number from 1"),
        ({"epoch": 42.5}, "epoch: found [a-z ]+; give a whole number"),
        ({"epoch": "42"}, "epoch: found [a-z ]+; give a whole number"),
        ({"epoch": True}, "epoch: found [a-z ]+; give a whole number"),
        ({"previous_epoch": -1}, "previous_epoch: found [a-z ]+; give a whole number"),
        ({"previous_epoch": 42}, "previous_epoch: not before epoch"),
        ({"count": None}, "count: found [a-z ]+; give a whole number"),
        ({"sha256": EMPTY_DIGEST.upper()}, "sha256: found [a-z ]+; give 64 hex digits"),
        ({"seal": {}}, "seal: found [a-z ]+; give an object with"),
        ({"seal": WRITTEN["seal"] | {"lanes": 1}}, "seal: found [a-z ]+; give an object with"),
        ({"minimum_age": 151}, "minimum_age: found [a-z ]+; give a whole number"),
        ({"approved_by": ""}, "approved_by: found [a-z ]+; give a name"),
        ({"approved_by": "a\nb"}, "approved_by: found [a-z ]+; give a name"),
        ({"signature": "x" * 89}, "signature: found [a-z ]+; give the base64"),
        ({"comment": "hello"}, "comment: unknown field"),
    ],
)
def test_a_field_that_is_wrong_is_named(change: dict[str, object], problem: str) -> None:
    """The text says which field of line 1 and what would be right, and quotes nothing."""
    with pytest.raises(PushInvalidError, match=f"push: line 1: {problem}"):
        read_manifest(json.dumps(WRITTEN | change, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "not JSON"),
        (b"[]", "give an object"),
        (b'{"epoch":NaN}', "not JSON"),
        (b'{"branch":"\xff"}', "not UTF-8"),
        (b'{"epoch":' + b"[" * 60_000, "not JSON"),
        (written(SIGNED).replace(b'"epoch":42', b'"epoch":42,"epoch":42'), "twice"),
        (written(SIGNED).replace(b"14,", b"14, "), "in the one way"),
        (written(SIGNED).replace(b'"oest"', b'"\\u006fest"'), "in the one way"),
        (written(SIGNED).replace(b'"oest"', b'"oest","approved_by":null'), "in the one way"),
        (json.dumps(dict(reversed(WRITTEN.items()))).encode(), "in the one way"),
        (b"\xef\xbb\xbf" + written(SIGNED), "not JSON"),
        (written(SIGNED) + b"\n", "in the one way"),
    ],
)
def test_a_manifest_has_one_form(line: bytes, problem: str) -> None:
    """Signed is what it says, so each manifest is believed in one row of bytes only."""
    with pytest.raises(PushInvalidError, match=problem):
        read_manifest(line)


@given(st.integers(0, len(written(SIGNED)) - 2), st.integers(1, 255))
def test_no_changed_byte_is_believed(place: int, change: int) -> None:
    """Any byte of the line that is changed is noticed."""
    line = bytearray(written(SIGNED))
    line[place] ^= change
    with pytest.raises((PushInvalidError, PushUnsignedError)):
        _verify(read_manifest(bytes(line)), KEY)


# Messages between sender and branch: signed, for one branch, said once, and never quoted.

NONCE = "n" * 32
HEADS = st.dictionaries(
    st.dates().map(str),
    st.builds(
        "{}:{}".format, st.integers(0, 10**17), st.binary(min_size=32, max_size=32).map(bytes.hex)
    ),
    max_size=9,
)


def heard(message: bytes, *keys: SigningKey) -> Exchange:
    """Read as the branch `oest` does, which has told one nonce."""
    public = [key.verify_key() for key in keys or (KEY,)]
    return read_exchange(message, "oest", NONCE, public)


def message_of(**fields: Any) -> bytes:
    """Return a message that is signed, whatever stands in it."""
    told = {"format": FORMAT, "branch": "oest", "nonce": NONCE, "heads": {}, **fields}
    text = json.dumps(told).encode()
    return b64encode(KEY.sign(text)) + b"\n" + text


@given(heads=HEADS)
def test_what_is_told_is_what_is_read(heads: dict[str, str]) -> None:
    """In its order, by either of two keys."""
    told = heard(signed("oest", NONCE, KEY, heads=heads), OTHER_KEY, KEY)

    assert list(told.heads.items()) == list(heads.items())


@given(data=st.data(), heads=HEADS)
def test_no_changed_byte_of_a_message_is_believed(
    data: st.DataObject, heads: dict[str, str]
) -> None:
    """Wherever it is; nothing but a `PushError` comes of it."""
    message = bytearray(signed("oest", NONCE, KEY, heads=heads))
    place = data.draw(st.integers(0, len(message) - 1))
    message[place] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(PushError):
        heard(bytes(message))


@given(message=st.binary(max_size=300))
def test_anything_else_is_refused_in_one_way(message: bytes) -> None:
    """A stranger's bytes end in no other error."""
    with pytest.raises(PushError, match="signed by no key"):
        heard(message)


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
        ({"at": "2026-03-02T18:00:00"}, "not as it should be"),
        ({"at": "soon"}, "not as it should be"),
        ({"boot": "b" * 65}, "not as it should be"),
    ],
)
def test_what_is_signed_and_wrong_is_refused(fields: dict[str, Any], why: str) -> None:
    """And nothing of it is quoted."""
    with pytest.raises(PushError, match=why) as refused:
        heard(message_of(**fields))

    assert "aaaa" not in str(refused.value)


@given(
    wrong=st.none()
    | st.dictionaries(st.text("!09az~", min_size=1, max_size=64), st.integers(1, 10**6), max_size=9)
)
def test_wrong_pins_are_told_by_number(wrong: dict[str, int] | None) -> None:
    """In their order; None is not the same as nobody."""
    told = heard(signed("oest", NONCE, KEY, heads={}, wrong_pins=wrong)).wrong_pins

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
            heard(message_of(wrong_pins=each))


@given(at=st.none() | st.datetimes(timezones=st.just(UTC)), boot=st.text("abc-", max_size=64))
def test_the_senders_time_is_what_is_read(at: datetime | None, boot: str) -> None:
    """To the microsecond; an older sender says none."""
    told = heard(signed("oest", NONCE, KEY, heads={}, at=at, boot=boot))

    assert (told.at, told.boot) == (at, boot)
    assert heard(message_of()).at is None


def test_a_younger_senders_fields_are_passed_over() -> None:
    """An older branch takes what it knows."""
    assert heard(message_of(younger=[1, 2])) == Exchange(FORMAT, "oest", NONCE, {})


def test_half_a_year_of_heads_has_room() -> None:
    """One a day, 200 at the most, beside as many patrons as are told of at a time."""
    heads = {f"{2000 + n}-01-01": f"{10**17 - n}:{'a' * 64}" for n in range(200)}

    wrong = {f"{number:064}": 10**6 for number in range(MOST_PATRONS)}

    assert len(signed("o" * 32, NONCE, KEY, heads=heads, wrong_pins=wrong)) < MOST_BYTES
