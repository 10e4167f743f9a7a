"""What FBS answers, as its published schema has it, and what the door may know of it.

Field names, types and meanings: danskernesdigitalebibliotek/dpl-fbs-adapter-tool,
``external_agencyid_patrons.json`` and ``external_v1_agencyid_authentication.json``. Fields that are
not named here (names, addresses, telephone numbers) are skipped by the decoder and never built.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from doorctl.ports import LibraryPatron

PERSON = "PERSON"
NOT_TOLD = "NOT_TOLD"
"""The one type of patron of whom FBS knows a birthday and a residence."""

PatronId = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Answer(Struct, frozen=True, rename="camel"):
    """What is common to all parts: exact types, and a `repr` that tells nothing."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


class LoggedIn(Answer, frozen=True):
    """The answer to a login."""

    session_key: Annotated[str, Meta(pattern=r"\A[!-~]{1,1024}\Z")]


class Authenticated(Answer, frozen=True):
    """The answer about a card and a PIN; the two last are there where it is ``VALID``."""

    authenticate_status: Literal["VALID", "INVALID", "LOANER_LOCKED_OUT"]
    patron_id: PatronId | None = None
    patron_type: str | None = None

    def __post_init__(self) -> None:
        if self.authenticate_status == "VALID" and None in (self.patron_id, self.patron_type):
            raise ValueError("half an answer")


class Block(Answer, frozen=True):
    """A block; a code with a stray blank would match no code that is denied."""

    blocked_reason: Annotated[str, Meta(pattern=r"\A[!-~]{1,32}\Z")]


class Hold(Answer, frozen=True):
    """A period on hold; an end that is not given is open."""

    starts: date | None = msgspec.field(default=None, name="from")
    ends: date | None = msgspec.field(default=None, name="to")

    def __post_init__(self) -> None:
        if self.starts is not None and self.ends is not None and self.ends < self.starts:
            raise ValueError("ends before it starts")


class Person(Answer, frozen=True):
    """PersonPatronV4, as far as it is used; `block_status` and `tags` may be null."""

    patron_id: PatronId
    resident: bool
    birthday: date | None = None
    block_status: list[Block] | None = None
    on_hold: Hold | None = None
    tags: list[Annotated[str, Meta(max_length=64)]] | None = None

    def patron(self) -> LibraryPatron:
        """Return what the door may know; the card was authenticated, so it is in force."""
        hold = self.on_hold
        return LibraryPatron(
            patron_ref=str(self.patron_id),
            resident=self.resident,
            active=True,
            birthday=self.birthday,
            blocks=frozenset(block.blocked_reason for block in self.block_status or ()),
            valid_until=None,
            hold_from=None if hold is None else hold.starts or date.min,
            hold_until=None if hold is None else hold.ends,
            tags=frozenset(self.tags or ()),
        )


AnswerT = TypeVar("AnswerT", bound=Answer)


def read_answer(body: bytes, kind: type[AnswerT]) -> AnswerT | None:
    """Return the answer that a body holds, or None where it holds none in full."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def no_person(patron_id: int) -> LibraryPatron:
    """Return a company, a library or a group: nobody who lives anywhere or was ever born.

    Its blocks stand elsewhere and are not asked for, so it has one of which nobody knows more.
    """
    return LibraryPatron(
        patron_ref=str(patron_id),
        resident=False,
        active=True,
        birthday=None,
        blocks=frozenset({NOT_TOLD}),
        valid_until=None,
        hold_from=None,
        hold_until=None,
        tags=frozenset(),
    )
