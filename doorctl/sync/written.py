"""A row of the feed as it is written: FBS's own names, and beside each what may stand there."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from doorctl.cards.cpr import is_cpr
from doorctl.cards.numbers import is_card_number
from doorctl.masked import Pin

CPR_WRITTEN = re.compile(r"[0-9]{6}-?[0-9]{4}")


class Birthday(date):
    """A date on which somebody now alive can have been born."""


DateField = Annotated[date | None, Meta(description="give a date as YYYY-MM-DD, or null")]
Tag = Annotated[str, Meta(pattern=r"\A(?! )[^\x00-\x1f\x7f]{1,64}(?<! )\Z")]


class Written(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is common to all parts of a row: exact field names, and a `repr` that tells nothing."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


class WrittenIdentifier(Written, frozen=True):
    """A number that a patron can be known by; `description` is not used."""

    identifier: Annotated[str, Meta(description="give the number as text")]
    identifier_type: Annotated[str, Meta(description='give "CPR", "CARD" or another type')]
    status: Annotated[str, Meta(description='give "ACTIVE" or another status')]
    expiry_date: DateField = None
    description: Annotated[str | None, Meta(description="give a text or leave it out")] = None

    def __post_init__(self) -> None:
        if self.identifier_type == "CPR" and not self._is_cpr():
            raise ValueError("identifier: no CPR number; give ten digits that start with a date")
        if self.identifier_type == "CARD" and not is_card_number(self.identifier):
            raise ValueError("identifier: no card number; give 4 to 24 letters or digits")

    def _is_cpr(self) -> bool:
        return bool(CPR_WRITTEN.fullmatch(self.identifier)) and is_cpr(self.number)

    @property
    def number(self) -> str:
        """The number as the reader says it: a CPR number without its hyphen."""
        is_cpr_type = self.identifier_type == "CPR"
        return self.identifier.replace("-", "") if is_cpr_type else self.identifier


class WrittenBlock(Written, frozen=True):
    """A block; only the code is used. One with a stray blank would match no code that is denied."""

    blocked_reason: Annotated[
        str, Meta(pattern=r"\A[!-~]{1,32}\Z", description="give the code without blanks")
    ]
    blocked_since: str | None = None
    message: Annotated[str | None, Meta(description="give a text or leave it out")] = None


class WrittenHold(Written, frozen=True):
    """A period on hold; an end that is not given is open."""

    starts: DateField = msgspec.field(default=None, name="from")
    ends: DateField = msgspec.field(default=None, name="to")

    def __post_init__(self) -> None:
        if self.starts is not None and self.ends is not None and self.ends < self.starts:
            raise ValueError("to: lies before from; give it the later date")


class WrittenPatron(Written, frozen=True):
    """A row; `preferred_pickup_branch` is not used.

    Without a `pincode`, `pincode_changed` is the day from which on a PIN check that a door learnt
    before must be learnt again; absent or null says that nothing is known of it.
    """

    patron_id: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")],
        Meta(description="give the library system's number, or a text of 1 to 64 visible letters"),
    ]
    identifiers: Annotated[list[WrittenIdentifier], Meta(description="give a list, [] for none")]
    resident: Annotated[bool, Meta(description="give true or false")]
    pincode: Annotated[Pin | None, Meta(description="give {pin_digits} digits as text")] = None
    birthday: Annotated[
        Birthday | None, Meta(description="give a date from 1850 to 2199, or null if unknown")
    ] = None
    block_status: Annotated[
        list[WrittenBlock] | None, Meta(description="give a list of blocks, or null")
    ] = None
    on_hold: Annotated[
        WrittenHold | None, Meta(description='give an object with "from" and "to", or null')
    ] = None
    tags: Annotated[
        list[Tag], Meta(description="give a list of texts of 1 to 64 letters without outer blanks")
    ] = []
    pincode_changed: DateField = None
    preferred_pickup_branch: Annotated[
        str | None, Meta(description="give the branch's ISIL or leave it out")
    ] = None

    def __post_init__(self) -> None:
        ref = str(self.patron_id)
        numbers = {each.number for each in self.identifiers}
        # The reference is stored in the clear, and a number may have lost its leading zero.
        if ref in numbers or ref.zfill(10) in numbers:
            raise ValueError("patronId: is also an identifier; give a number that opens no door")
