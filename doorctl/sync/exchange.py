"""The short signed message that sender and branch exchange beside pushes, and its answer.

It is signed as it travels, so that fields which a younger sender adds hold up no older branch.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from doorctl.core.errors import (
    Problem,
    PushInvalidError,
    PushOutOfOrderError,
    PushUnsignedError,
)
from doorctl.sync.document import signature_of
from doorctl.sync.signing import SigningKey, VerifyKey
from doorctl.sync.wire import Ref

FORMAT: Literal["doorctl-exchange/1"] = "doorctl-exchange/1"

MOST_BYTES = 131_072
"""A message with half a year of heads has 20 KiB."""

MOST_PATRONS = 500
"""Patrons, those with most wrong PINs, in one message: a lying branch can bring in no more."""

WrongPins = Annotated[
    dict[Ref, Annotated[int, Meta(ge=1, le=10**6)]], Meta(max_length=MOST_PATRONS)
]

Day = Annotated[str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]

Short = Annotated[str, Meta(max_length=64)]

Head = Annotated[str, Meta(pattern=r"\A(0|[1-9][0-9]{0,17}):[0-9a-f]{64}\Z")]


def number_of(head: str) -> int:
    """Return the number of the entry that a head names."""
    return int(head.partition(":")[0])


class Exchange(Struct, frozen=True):
    """A sender's message to a branch; `nonce` is the one that the branch gave last.

    Args:
        heads: day -> where the branch's audit log ended then, as the sender kept it.
        wrong_pins: patron_ref -> wrong PINs at all other branches; None where there are none, and
            then the branch keeps its own to itself.
        at: the time by the sender's clock, aware; None where that is not sure itself. It was
            signed after the branch's boot, for the nonce is younger.
        boot: names the boot of the sender's machine: if it is the branch's, so is the clock.
    """

    format: Literal["doorctl-exchange/1"]
    branch: str
    nonce: str
    heads: Annotated[dict[Day, Head], Meta(max_length=256)] = {}
    wrong_pins: WrongPins | None = None
    at: Annotated[datetime, Meta(tz=True)] | None = None
    boot: Short = ""


class Exchanged(Struct, frozen=True):
    """The branch's answer: the highest number of those heads that is in its log, 0 for none.

    `wrong_pins` are patrons' who have many here; None where they can't be read or are not wanted.
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
    at: datetime | None = None,
    boot: str = "",
) -> bytes:
    """Return a message as it travels: it begins with the signature of the rest of its line."""
    told = Exchange(FORMAT, branch, nonce, dict(heads), wrong_pins, at, boot)
    text = msgspec.json.encode(told)
    return base64.b64encode(private_key.sign(text)) + b"\n" + text


QUESTION = "doorctl-question/1"

SCHEME = "Doorctl"
"""Of the header `Authorization`, by which a sender asks what a branch holds."""


def question_signed(branch: str, private_key: SigningKey) -> str:
    """Return the header by which a branch knows who asks what it holds; older ones ignore it.

    It never changes: a person who can read it on its way reads the answer as well.
    """
    signature = private_key.sign(_question(branch))
    return f"{SCHEME} {base64.b64encode(signature).decode()}"


def is_senders(header: str, branch: str, public_keys: Sequence[VerifyKey]) -> bool:
    """Tell whether a question's header is by one of a branch's senders; any text may be given."""
    scheme, _, written = header.partition(" ")
    signature = signature_of(written)
    signed_by_one = any(key.has_signed(signature, _question(branch)) for key in public_keys)
    return scheme == SCHEME and signed_by_one


def _question(branch: str) -> bytes:
    return f"{QUESTION}\n{branch}".encode()


def read_exchange(
    message: bytes, branch: str, nonce: str, public_keys: Sequence[VerifyKey]
) -> Exchange:
    """Read a message; raise PushUnsignedError, PushInvalidError, or for its nonce OutOfOrder."""
    signature, _, text = message.partition(b"\n")
    signed_by = signature_of(signature.decode("latin-1"))
    if not any(key.has_signed(signed_by, text) for key in public_keys):
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
