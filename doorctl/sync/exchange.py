"""What sender and branch tell each other beside pushes: a short signed message and its answer.

It is signed as it travels, so that fields which a younger sender adds hold up no older branch.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from doorctl.errors import Problem, PushInvalidError, PushOutOfOrderError, PushUnsignedError
from doorctl.sync.signatures import SigningKey, VerifyKey

FORMAT: Literal["doorctl-exchange/1"] = "doorctl-exchange/1"

MOST_BYTES = 131_072
"""A message with half a year of heads has 20 KiB."""

MOST_PATRONS = 500
"""Of whom wrong PINs are told at a time, those with most: a lying branch can bring in no more."""

Ref = Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")]
WrongPins = Annotated[
    dict[Ref, Annotated[int, Meta(ge=1, le=10**6)]], Meta(max_length=MOST_PATRONS)
]
Day = Annotated[str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]
Head = Annotated[str, Meta(pattern=r"\A(0|[1-9][0-9]{0,17}):[0-9a-f]{64}\Z")]


class Exchange(Struct, frozen=True):
    """What a sender tells a branch.

    Args:
        format: the format's name and version.
        branch: the branch's id that it is for.
        nonce: what the branch has just told whoever asks, so that nobody can say this again.
        heads: day -> where the branch's audit log ended then, as the sender kept it.
        wrong_pins: patron_ref -> wrong PINs at all other branches; None where there are none, and
            then the branch keeps its own to itself.
    """

    format: Literal["doorctl-exchange/1"]
    branch: str
    nonce: str
    heads: Annotated[dict[Day, Head], Meta(max_length=256)] = {}
    wrong_pins: WrongPins | None = None


class Exchanged(Struct, frozen=True):
    """What the branch answers.

    Args:
        agreed: the highest number of those heads that is in its log, 0 for none.
        wrong_pins: patron_ref -> wrong PINs here, of those who have many; None where they can't
            be read, or nobody asked.
    """

    agreed: Annotated[int, Meta(ge=0)]
    wrong_pins: WrongPins | None = None


def signed(
    branch: str,
    nonce: str,
    private_key: SigningKey,
    *,
    heads: Mapping[str, str],
    wrong_pins: dict[str, int] | None = None,
) -> bytes:
    """Return a message as it travels: the signature of all that follows on its line."""
    text = msgspec.json.encode(Exchange(FORMAT, branch, nonce, dict(heads), wrong_pins))
    return base64.b64encode(private_key.sign(text)) + b"\n" + text


def read_exchange(
    message: bytes, branch: str, nonce: str, public_keys: Sequence[VerifyKey]
) -> Exchange:
    """Read a message.

    Raises:
        PushUnsignedError: signed by none of the keys, or for another branch.
        PushOutOfOrderError: it answers another nonce than the one that was told last.
        PushInvalidError: signed, and not as it should be.
    """
    signature, _, text = message.partition(b"\n")
    if not any(key.has_signed(_bytes(signature), text) for key in public_keys):
        raise PushUnsignedError("the message is signed by no key of this branch")
    try:
        exchange = msgspec.json.decode(text, type=Exchange)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Theirs would quote it.
        raise PushInvalidError("message", [Problem("line 2", "not as it should be")]) from None
    if exchange.branch != branch:
        raise PushUnsignedError("the message is for another branch")
    if exchange.nonce != nonce:
        raise PushOutOfOrderError("the message answers another nonce; ask for the epoch again")
    return exchange


def _bytes(signature: bytes) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return b""
