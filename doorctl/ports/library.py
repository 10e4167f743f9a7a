"""Ports to the library system, which can be asked about an unknown card."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from doorctl.access.messages import LibraryAnswer
from doorctl.core.masked import Identifier, Pin
from doorctl.ports.patrons import SealedRow


@dataclass(frozen=True, slots=True)
class LibraryPatron:
    """What the library system knows of a patron, as far as the door may know it.

    `patron_ref` is its opaque number, as text; the same as in a feed where both have one. `active`
    says that the identifier in question is in force.
    """

    patron_ref: str
    resident: bool
    active: bool
    birthday: date | None = field(repr=False)
    blocks: frozenset[str]
    valid_until: date | None
    hold_from: date | None
    hold_until: date | None
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class LibraryReply:
    """The library system's answer; `patron` only where it is yes and the row was wanted."""

    answer: LibraryAnswer
    patron: LibraryPatron | None = None


class LibrarySystem(Protocol):
    """The library's own system, asked about one card and one PIN. Thread-safe.

    Raises:
        LibrarySystemError: it was not reached, or gave no answer that can be read in time;
            `spent` says whether it may have counted a wrong PIN.
    """

    def ask(self, identifier: Identifier, pin: Pin, *, row_wanted: bool) -> LibraryReply:
        """Ask whether the PIN is the card's, once, within the adapter's time limit.

        Never says yes to an empty PIN, to an answer that leaves anything open, or by default.
        The answer is ``YES``, ``NO`` or, where the library system has locked the patron out,
        ``WAITS``.
        """


class Library(Protocol):
    """The library system as the door sees it: another process asks it. One thread.

    It never raises, and nothing that fails behind it is the door's affair.
    """

    def ask(
        self, card: bytes, identifier: Identifier, pin: Pin, *, row_wanted: bool
    ) -> LibraryReply:
        """Ask about a card, by its row key and its number; waits a second or two at the most."""

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date
    ) -> None:
        """Have the patron cache's writer keep what was learnt; see `PatronWriter.keep`."""
