"""Questions about card numbers to the door, which alone has the key that seals them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from doorctl.core.masked import Pin
from doorctl.core.ports import Seal, Unshown
from doorctl.rpc.question import Nothing, Question

RowKey = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
"""A row's key of 16 bytes, in hex."""

_Keys = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}( [0-9a-f]{32})*\Z")]

SEAL_LIMIT_S = 10.0
"""Longest wait for the door: several numbers, a third of a second each on the smallest Pi."""


class Typed(Unshown, frozen=True):
    """A number as it was typed, and the kind that it is said to be, if any."""

    typed: str
    taken_as: Literal["card", "cpr"] | None = msgspec.field(name="as", default=None)


class ReadingKeys(Unshown, frozen=True, forbid_unknown_fields=False):
    """The row keys of each reading of a number: the best first, and of each the newest first."""

    keys: tuple[_Keys, ...]

    @classmethod
    def of(cls, readings: Iterable[Iterable[bytes]]) -> ReadingKeys:
        """Return the answer of these."""
        return cls(tuple(" ".join(key.hex() for key in keys) for keys in readings))

    def readings(self) -> list[list[bytes]]:
        """Return the keys of each reading."""
        return [[bytes.fromhex(key) for key in keys.split()] for keys in self.keys]


class PinOf(Unshown, frozen=True):
    """A PIN of its own for the reading of a number that has this row key."""

    typed: str
    key: RowKey
    pin: Pin


class PinCheck(Unshown, frozen=True, forbid_unknown_fields=False):
    """The check of a PIN, 32 bytes in hex."""

    check: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class NewCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code of so many digits is wanted, by an account."""

    digits: int
    by: str


class MadeCode(Unshown, frozen=True, forbid_unknown_fields=False):
    """A new code, and its row's key."""

    code: str
    key: RowKey


SEAL = Question("seal", Nothing, Seal, "door", SEAL_LIMIT_S)
KEYS = Question("keys", Typed, ReadingKeys, "door", SEAL_LIMIT_S)
PIN_CHECK = Question("pin_check", PinOf, PinCheck, "door", SEAL_LIMIT_S)
NEW_CODE = Question("new_code", NewCode, MadeCode, "door", SEAL_LIMIT_S)
