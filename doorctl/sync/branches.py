"""What a branch can be asked, and what it can answer; how that travels does not matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from doorctl.sync.exchange import Exchanged


@dataclass(frozen=True, slots=True)
class Held:
    """What a branch holds.

    Args:
        epoch: the push; 0 for none.
        digest: SHA-256 of its rows in hex; None if the branch does not say.
        audit_head: where its audit log ended, to be kept off the branch; None if it does not say.
        nonce: what a message to it has to hold; None where it takes none.
        key_id: names the key that its door seals cards with; None if it does not say.
    """

    epoch: int
    digest: str | None = None
    audit_head: str | None = None
    nonce: str | None = None
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The push is applied and durable, now or by an earlier sending."""

    epoch: int


@dataclass(frozen=True, slots=True)
class OutOfOrder:
    """The branch holds something else than what the push follows on (409)."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The branch will not take it, however often it is sent."""

    why: str


@dataclass(frozen=True, slots=True)
class Away:
    """The branch can't be reached, or can't just now: trying again may help.

    Args:
        why: in words.
        retry_after_s: how long it asked to be left alone, in seconds.
    """

    why: str
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """A signed document, ready to go.

    Args:
        snapshot: whether it is the whole register, or changes.
        content: the document from its beginning to its end; may be read again.
        bytes_long: how long it is.
        rehearsed: whether the branch is only to say what would come of it.
    """

    snapshot: bool
    content: BinaryIO = field(repr=False)
    bytes_long: int
    rehearsed: bool = False


class Branch(Protocol):
    """One branch; asked from one thread at a time, never raises for what a branch can do."""

    @property
    def name(self) -> str:
        """The branch's id, as documents name it."""

    def held(self) -> Held | Refused | Away:
        """Ask what it holds."""

    def exchange(self, message: bytes) -> Exchanged | OutOfOrder | Refused | Away:
        """Tell it what `doorctl.sync.exchange` has made; a nonce serves once."""

    def send(self, parcel: Parcel) -> Taken | OutOfOrder | Refused | Away:
        """Send a document; the same one may be sent again."""
