"""What staff have the running door do: open it once, unlock a card, take the clock as right."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from doorctl.core.ports import Unshown
from doorctl.rpc.numbers import RowKey
from doorctl.rpc.question import Askers, Empty, Nothing, Question

DEED_LIMIT_S = 5.0
"""Longest wait for the door to do what staff ask for; it takes milliseconds."""

WITNESS_LIMIT_S = 2.0
"""Longest wait for the door to compare a time; its sender waits as long for web's answer."""


class OpenOnce(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The door is to be released once.

    Attributes:
        reason: why, for the log.
        by: the account that asks, on the caller's own word.
        until_s: from when on it is too late; CLOCK_MONOTONIC, the same for all of the machine.
    """

    reason: str
    by: str
    until_s: float


class Unlock(Unshown, frozen=True):
    """The wrong PINs of a card are to be forgotten; `by` is as in `OpenOnce`."""

    card: RowKey
    by: str


class TrustClock(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The clock is right, or is to be compared with what time a sender's clock says just now."""

    said: Annotated[datetime, Meta(tz=True)] | None = None


class TrustedClock(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of it: the time that is taken as right, or whether both agree."""

    at: str = ""
    agrees: bool | None = None


OPEN = Question("open", OpenOnce, Empty, "door", DEED_LIMIT_S)
UNLOCK = Question("unlock", Unlock, Empty, "door", DEED_LIMIT_S)
TRUST_CLOCK = Question("trust_clock", TrustClock, TrustedClock, "door", DEED_LIMIT_S, whole=False)
TRUST_WEBS_CLOCK = Question(
    "trust_clock", Nothing, TrustedClock, "web", DEED_LIMIT_S, Askers.OWN, whole=False
)
"""Web's clock, which doubts as the door's does."""
