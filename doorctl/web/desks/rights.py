"""What the pages of bans and passes ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from doorctl.access.ban_terms import BanState
from doorctl.access.rights import Ban, Pass
from doorctl.masked import Pin
from doorctl.ports import BanEntry, PassEntry
from doorctl.web.desks.people import TakenAs


@dataclass(frozen=True, slots=True)
class BanAsked:
    """A ban as staff ask for it.

    Args:
        reason: what happened; nobody's name or number.
        first: the first day, local; None for from now on.
        last: the last day, that day too; None for until further notice.
        everywhere: whether it is of every branch and not of this one alone.
        note: what the letter says besides; may be empty.
    """

    reason: str = field(repr=False)
    first: date | None
    last: date | None
    everywhere: bool = False
    note: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class BanMade:
    """A ban that was added.

    Args:
        whole_patron: whether it is of the patron with all cards.
        follows: whether it holds for a card that the patron gets later.
        known: whether the register has the patron who was named by number; else the ban waits.
    """

    ban: Ban
    whole_patron: bool
    follows: bool = True
    known: bool = True


@dataclass(frozen=True, slots=True)
class BanEnded:
    """A ban that was lifted, and the numbers of those of the same card or patron that hold."""

    ban: Ban
    others: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BanListed:
    """A ban in the list, and what it does at this branch now."""

    entry: BanEntry
    state: BanState


@dataclass(frozen=True, slots=True)
class BanLetter:
    """The letter about a ban, in both languages; paragraphs apart by an empty line."""

    danish: str = field(repr=False)
    english: str = field(repr=False)


class BansDesk(Protocol):
    """Who may not come in."""

    def every(self, by: str) -> tuple[BanListed, ...]:
        """Return every ban that is stored, newest first."""

    def ban_card(
        self, typed: str, taken_as: TakenAs | None, asked: BanAsked, by: str
    ) -> tuple[BanMade, ...]:
        """Ban a card, and its patron where the register knows it: one ban or two."""

    def ban_patron(self, patron_ref: str, asked: BanAsked, by: str) -> BanMade:
        """Ban a patron with all cards, by the library system's number."""

    def lift(self, number: int, by: str) -> BanEnded:
        """Lift a ban."""

    def letter(self, number: int, by: str) -> BanLetter:
        """Return the letter about a ban that was not lifted."""


class PassesDesk(Protocol):
    """Who may come in beside the register's rules."""

    def pin_length(self) -> int:
        """Return how many digits a PIN has at this branch's keypad."""

    def every(self, by: str) -> tuple[PassEntry, ...]:
        """Return every pass that is stored, newest first."""

    def issue_for_card(
        self, typed: str, taken_as: TakenAs | None, new: Pass, own_pin: Pin | None, by: str
    ) -> Pass:
        """Issue a pass for a card, with the register's PIN or one of its own."""

    def issue_for_code(self, new: Pass, by: str) -> tuple[Pass, str]:
        """Issue a pass for a new code of `new.code_digits`; the code is kept nowhere."""

    def revoke(self, number: int, by: str) -> Pass:
        """Take a pass back."""
