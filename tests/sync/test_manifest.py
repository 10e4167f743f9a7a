import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import PushInvalidError, PushUnsignedError
from doorctl.sync.document import Manifest, SigningKey, read_manifest, sign, verify, written
from tests.sync.pushes import EMPTY_DIGEST, KEY, OTHER_KEY, SEAL

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
    assert KEY.verify_key().has_signed(_bytes_of(SIGNED.signature), line)


def _bytes_of(text: str) -> bytes:
    return msgspec.convert(text, bytes)


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
    assert _bytes_of(other) == _bytes_of(SIGNED.signature)

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
