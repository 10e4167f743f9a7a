"""A request to a branch and its reply as NATS messages: pieces, their headers, the signature.

A message holds 1 MiB at most, and a push is longer. So every request goes in numbered pieces under
one name, each of which says what the whole is: its length and SHA-256. The branch answers each with
the number of the piece that it wants next, and the last one with the reply.

Nothing here is believed because a server carried it. A request is believed by what is signed in it,
as over HTTP; a reply by the branch's own signature of it and of the request that it is for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from doorctl.sources.branches import Reply, Request

if TYPE_CHECKING:
    from doorctl.sync.branch import Content
    from doorctl.sync.signing import SigningKey, VerifyKey

StructT = TypeVar("StructT", bound=Struct)

PIECE_BYTES: Final = 131_072
"""Of a request's content in one message: a tenth of what a server carries, little in memory."""

MOST_MESSAGE_BYTES: Final = PIECE_BYTES + 16_384
"""A piece with its headers, and a reply of the longest kind."""

SIGNED: Final = "doorctl-nats-reply/1"

Count = Annotated[int, Meta(ge=0, le=2**40)]
Name = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Hex = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Text = Annotated[str, Meta(pattern=r"\A[!-~]([ -~]{0,510}[!-~])?\Z")]
Blank = Annotated[str, Meta(pattern=r"\A[ -~]{0,64}\Z")]

MACHINES, SHARED = "/v1/", "/v1/shared/"
"""What all addresses of senders begin with, and what they begin with where rows lie at the server.
A branch of 0.3 has none of these, and says so; it is sent the rows."""

PASSED_ON: Final = {"authorization": "Authorization", "content_encoding": "Content-Encoding"}
"""Headers of HTTP that a branch reads."""


def subject_of(branch: str) -> str:
    """Return where a branch listens; an id has no dot and no wildcard."""
    return f"doorctl.branch.{branch}"


PUSHES, BODIES = "DOORCTL_PUSH", "DOORCTL_BODIES"
"""The streams in which pushes lie for branches that are away."""


def pushes_of(branch: str) -> str:
    """Return the subject of what lies for a branch: the manifests of its pushes, in one message."""
    return f"doorctl.push.{branch}"


UP: Final = "DOORCTL_UP"
"""The stream of what branches say of themselves, of which each subject keeps the last."""


def up_of(branch: str, part: str) -> str:
    """Return the subject on which a branch says a part of how it is."""
    return f"doorctl.up.{branch}.{part}"


def body_of(sha256: str, number: int | str) -> str:
    """Return the subject of a piece of what a manifest names, which many branches share."""
    return f"doorctl.body.{sha256}.{number}"


def reading(stream: str, subject: str) -> str:
    """Return where the last message of a stream on a subject is asked for; its answer is that."""
    return f"$JS.API.DIRECT.GET.{stream}.{subject}"


def spared_of(branch: str) -> tuple[str, ...]:
    """Return beginnings of subjects that a server may refuse a branch: 0.3 did not need them."""
    return pushes_of(branch), inbox_of(branch), "$JS.API.DIRECT.GET.", up_of(branch, "")


def inbox_of(branch: str) -> str:
    """Return where the answers to a branch's own requests go, each on a subject below."""
    return f"doorctl.inbox.{branch}"


class Shared(Struct, frozen=True):
    """Packed rows that lie at the server and belong into a request's content, at `at` bytes."""

    sha256: Hex = msgspec.field(name="Doorctl-Body")
    size: Count = msgspec.field(name="Doorctl-Body-Size")
    at: Count = msgspec.field(name="Doorctl-Body-At")


class Question(Struct, frozen=True):
    """What a request is, as every piece of it says; `name` is the sender's own, of 128 bits."""

    name: Name = msgspec.field(name="Doorctl-Request")
    method: Text = msgspec.field(name="Doorctl-Method")
    path: Text = msgspec.field(name="Doorctl-Path")
    size: Count = msgspec.field(name="Doorctl-Size")
    sha256: Hex = msgspec.field(name="Doorctl-Sha256")
    authorization: Text | None = msgspec.field(name="Authorization", default=None)
    content_encoding: Text | None = msgspec.field(name="Content-Encoding", default=None)

    @property
    def headers(self) -> dict[str, str]:
        """HTTP's headers, of which the length is always this one."""
        there = {name: getattr(self, leaf) for leaf, name in PASSED_ON.items()}
        given = {name: value for name, value in there.items() if value is not None}
        return {**given, "Content-Length": str(self.size)}

    def reply_text(self, branch: str, reply: Reply) -> bytes:
        """Return what a branch signs: whose reply to what it is, and the reply."""
        asked = (self.name, self.method, self.path, self.sha256, self.authorization or "")
        head = (SIGNED, branch, *asked, str(reply.status), reply.retry_after)
        return "\n".join(head).encode() + b"\n" + reply.body


class _Number(Struct, frozen=True):
    number: Count = msgspec.field(name="Doorctl-Piece")


class _Next(Struct, frozen=True):
    number: Count = msgspec.field(name="Doorctl-Next")


class _Replied(Struct, frozen=True):
    status: Annotated[int, Meta(ge=100, le=599)] = msgspec.field(name="Doorctl-Status")
    signature: Text = msgspec.field(name="Doorctl-Signature")
    retry_after: Blank = msgspec.field(name="Retry-After", default="")


class Piece(Struct, frozen=True):
    """One piece of a request; the number after the last one asks for the reply."""

    question: Question
    number: int
    data: bytes
    shared: Shared | None = None


def question_of(name: str, request: Request) -> tuple[Question, int]:
    """Return what a request is and how many pieces it has, at least one."""
    content = request.content
    if isinstance(content, bytes):
        size, sha256 = len(content), hashlib.sha256(content).hexdigest()
    else:
        content.seek(0)
        digest = hashlib.sha256()
        for part in iter(partial(content.read, PIECE_BYTES), b""):
            digest.update(part)
        size, sha256 = content.tell(), digest.hexdigest()
    given = {leaf: request.headers.get(header) for leaf, header in PASSED_ON.items()}
    question = Question(name, request.method, request.path, size, sha256, **given)
    return question, max(1, -(-size // PIECE_BYTES))


def piece_of(content: bytes | Content, number: int) -> bytes:
    """Return a piece of a request's content; none beyond the last one."""
    at = number * PIECE_BYTES
    if isinstance(content, bytes):
        return content[at : at + PIECE_BYTES]
    content.seek(at)
    return content.read(PIECE_BYTES)


def headers_of_piece(
    question: Question, number: int, shared: Shared | None = None
) -> dict[str, str]:
    """Return a piece's headers."""
    given = msgspec.to_builtins(question) | {"Doorctl-Piece": number}
    given |= {} if shared is None else msgspec.to_builtins(shared)
    return {name: str(value) for name, value in given.items() if value is not None}


def read_piece(headers: Mapping[str, str] | None, data: bytes) -> Piece | None:
    """Return a piece that came; None for what is none."""
    question, number = _read(headers, Question), _read(headers, _Number)
    if question is None or number is None or len(data) > PIECE_BYTES:
        return None
    return Piece(question, number.number, data, _read(headers, Shared))


def headers_of_next(number: int) -> dict[str, str]:
    """Return the headers by which a branch says which piece it wants next."""
    return {"Doorctl-Next": str(number)}


def read_next(headers: Mapping[str, str] | None) -> int | None:
    """Return which piece a branch wants next; None where a message does not say."""
    found = _read(headers, _Next)
    return None if found is None else found.number


def headers_of_reply(
    question: Question, branch: str, reply: Reply, key: SigningKey
) -> dict[str, str]:
    """Return the headers of a branch's reply, which has the reply's body."""
    signature = base64.b64encode(key.sign(question.reply_text(branch, reply))).decode()
    later = {"Retry-After": reply.retry_after} if reply.retry_after else {}
    return {"Doorctl-Status": str(reply.status), "Doorctl-Signature": signature, **later}


def read_reply(
    question: Question,
    branch: str,
    headers: Mapping[str, str] | None,
    data: bytes,
    key: VerifyKey,
) -> Reply | None:
    """Return a branch's reply to this request; None where the branch has not signed it."""
    found = _read(headers, _Replied)
    if found is None:
        return None
    reply = Reply(found.status, found.retry_after, data)
    try:
        signature = base64.b64decode(found.signature, validate=True)
    except binascii.Error:
        return None
    return reply if key.has_signed(signature, question.reply_text(branch, reply)) else None


def _read(headers: Mapping[str, str] | None, kind: type[StructT]) -> StructT | None:
    try:
        return msgspec.convert(dict(headers or {}), kind, strict=False)
    except msgspec.ValidationError:
        return None
