"""A branch as the sender sees it: the questions to it and its answers, however they travel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from msgspec import Meta, Struct

from doorctl.sync.document import Kind
from doorctl.sync.exchange import Exchanged, Short
from doorctl.sync.packing import Document

Epoch = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Held(Struct, frozen=True):
    """What a branch holds; `epoch` is 0 for no push.

    `digest` is the SHA-256 of its rows in hex, `nonce` what a message to it must repeat, `key_id`
    of the key that its door seals cards with, and `minimum_age` its own age limit, in years.
    """

    epoch: Epoch
    digest: Short
    nonce: Short
    key_id: Short
    minimum_age: int
    audit_head: Any = None


class Taken(Struct, frozen=True):
    """The push is applied and durable, now or by an earlier sending."""

    epoch: Epoch


@dataclass(frozen=True, slots=True)
class OutOfOrder:
    """The branch does not hold what the push builds on (409)."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The branch rejects the push, and will however often it is sent."""

    why: str


@dataclass(frozen=True, slots=True)
class Away:
    """The branch can't be reached, or wants to be left alone so long; a later try may help."""

    why: str
    retry_after_s: float = 0.0


class Content(Protocol):
    """Bytes of a push that can be read more than once, as of a file."""

    def read(self, most: int = -1, /) -> bytes:
        """Return the next bytes, at most so many; all that are left without a number."""

    def seek(self, at: int, whence: int = 0, /) -> int:
        """Go to a place and return it, as a file does."""

    def tell(self) -> int:
        """Return the place."""


class Branch(Protocol):
    """One branch. One thread at a time; a branch's failure is an answer, never an exception."""

    @property
    def name(self) -> str:
        """The branch's id, as documents name it."""

    @property
    def keeps(self) -> bool:
        """Whether pushes can be left for it while it is away."""

    def held(self) -> Held | Refused | Away:
        """Ask the branch what it holds."""

    def exchange(self, message: bytes) -> Exchanged | OutOfOrder | Refused | Away:
        """Send a message made by :func:`signed`; a nonce serves once."""

    def send(self, content: Content, kind: Kind | None) -> Taken | OutOfOrder | Refused | Away:
        """Send a whole document as one of its kind; without a kind it is checked and not applied.

        The same one may be sent again.
        """

    def leave(self, documents: Sequence[Document]) -> bool:
        """Leave pushes where the branch finds them when it is back, in place of those before.

        False where they do not lie there.
        """


BranchAnswer = Held | Exchanged | Taken | OutOfOrder | Refused | Away | bool
