"""The door asks once when its own copy of the register can't judge a card, and keeps the answer.

Runs on a thread of its own: a library system that hangs holds up only a patron whom the copy does
not know. Speaks to ports only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import KW_ONLY, dataclass, replace
from datetime import date, timedelta
from typing import Protocol

from doorctl.access.messages import (
    LibraryAnswer,
    LibraryAnswered,
    LibraryPatron,
    LibraryReply,
    Prepared,
)
from doorctl.access.patron import Patron, SealedRow, easy_to_guess, pin_check
from doorctl.core.masked import Identifier, Pin
from doorctl.core.ports import Clock
from doorctl.sync.feed import lent_patron


class Library(Protocol):
    """The library system as the door sees it: another process asks it. One thread.

    It never raises: a failure behind it does not concern the door.
    """

    def ask(
        self, card: bytes, identifier: Identifier, pin: Pin, *, row_wanted: bool
    ) -> LibraryReply:
        """Ask about a card, by its row key and its number; waits a second or two at the most."""

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date
    ) -> None:
        """Have the patron cache's writer keep what was learnt; see `PatronWriter.keep`."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long an answer counts.

    `row` is for a card that no push has brought yet, `pin` for the PIN check of a card that a push
    brought without one.
    """

    row: timedelta
    pin: timedelta


@dataclass(eq=False)
class Asking:
    """Ask about one attempt at a time, on one thread; keep the answers, on another.

    A new row is sealed for `minimum_age`, the branch's age limit in years. With `flags_weak` a PIN
    that is too easy to guess is marked so, in the answer and in what is kept: only where the policy
    makes use of it.
    """

    library: Library
    clock: Clock
    _: KW_ONLY
    minimum_age: int
    keeping: Keeping
    flags_weak: bool = False

    def __post_init__(self) -> None:
        self._learnt: deque[SealedRow] = deque()

    def ask(self, prepared: Prepared, pin: Pin) -> LibraryAnswered:
        """Ask about the card and the PIN of an attempt."""
        try:
            return self._outcome(prepared, pin)
        except ValueError:
            # Web's answer describes no possible patron; no answer of web may end the door process.
            return LibraryAnswered(prepared.attempt, LibraryAnswer.SILENT)

    def _outcome(self, prepared: Prepared, pin: Pin) -> LibraryAnswered:
        silent = LibraryAnswered(prepared.attempt, LibraryAnswer.SILENT)
        if prepared.identifier is None:
            return silent
        # A row from an earlier answer is requested anew: its rights may have changed.
        row_wanted = prepared.patron is None or not prepared.patron.pushed
        reply = self.library.ask(prepared.row_key, prepared.identifier, pin, row_wanted=row_wanted)
        if reply.answer is not LibraryAnswer.YES:
            return LibraryAnswered(prepared.attempt, reply.answer)
        lent = None
        if row_wanted:
            if reply.patron is None:
                return silent
            lent = self._lent(prepared, reply.patron, pin)
        if lent is None:
            is_weak = self.flags_weak and easy_to_guess(pin, (prepared.identifier,))
        else:
            is_weak = lent.weak_pin
        known = lent or prepared.patron
        if known is not None:
            check = pin_check(prepared.stretched, pin)
            learnt = replace(known, pin_check=check, weak_pin=is_weak)
            self._learnt.append(SealedRow(prepared.row_key, learnt))
        return LibraryAnswered(prepared.attempt, reply.answer, lent, is_weak)

    def keep(self) -> None:
        """Store the answers, if there are any; called after the door has its answer."""
        while self._learnt:
            row, today = self._learnt.popleft(), self._today()
            self.library.keep(
                row,
                row_until=None if row.patron.pushed else today + self.keeping.row,
                pin_until=today + self.keeping.pin,
                learnt_on=today,
            )

    def _lent(self, prepared: Prepared, answer: LibraryPatron, pin: Pin) -> Patron:
        assert prepared.identifier is not None  # noqa: S101 - asked about it
        return lent_patron(
            answer,
            prepared.identifier,
            prepared.stretched,
            pin,
            minimum_age=self.minimum_age,
            on=self._today(),
            flags_weak=self.flags_weak,
        )

    def _today(self) -> date:
        return self.clock.moment().latest_known.date()
