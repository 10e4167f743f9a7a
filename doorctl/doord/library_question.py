"""The door asks the library system once about a card that its own register can't judge.

On a thread of its own: a library system that hangs holds up only a patron whom the register does
not know.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from datetime import date, timedelta

from doorctl.access.messages import (
    AskLibrary,
    LibraryAnswer,
    LibraryAnswered,
    Prepared,
)
from doorctl.access.patron import (
    Patron,
    SealedRow,
    pin_check,
)
from doorctl.access.weak_pins import easy_to_guess
from doorctl.core.masked import Pin
from doorctl.core.ports import Clock
from doorctl.doord.ledger import Worker
from doorctl.doord.loop_events import PostedEvent
from doorctl.rpc.library import LibraryOverSocket

ASKING_LIMIT = 2
"""Waiting questions to the library system beyond which no other is put, because it hangs."""


@dataclass(eq=False)
class Asking:
    """Ask about one attempt at a time, on the `asker`'s thread; keep the answers on the `keeper`'s.

    Keeping may take longer than the next patron waits.

    `lend` makes a row of an answer, as `doorctl.sync.sealing.lent_patron` by the branch's rules. A
    row that no push has brought yet is kept for `row_lasts`, the PIN check of one that a push
    brought without it for `pin_lasts`. With `flags_weak` a PIN that is too easy to guess is marked
    so, in the answer and in what is kept: only where the policy makes use of it.
    """

    library: LibraryOverSocket
    clock: Clock
    _: KW_ONLY
    asker: Worker
    keeper: Worker
    lend: Callable[..., Patron]
    row_lasts: timedelta
    pin_lasts: timedelta
    flags_weak: bool = False

    def __post_init__(self) -> None:
        self._learnt: deque[SealedRow] = deque()

    def put(self, question: AskLibrary) -> bool:
        """Have a question asked and its answer kept; tell whether it was put. From the loop."""
        if self.asker.backlog() >= ASKING_LIMIT:
            return False

        def answered() -> PostedEvent:
            answer = self.ask(question.prepared, question.pin)
            self.keeper.submit(self.keep)
            return answer

        self.asker.submit(answered)
        return True

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
        is_weak = self.flags_weak and easy_to_guess(pin, (prepared.identifier,))
        if row_wanted:
            if reply.patron is None:
                return silent
            card = (prepared.identifier, prepared.stretched)
            lent = self.lend(reply.patron, reply.birthday, *card, pin, on=self._today())
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
                row_until=None if row.patron.pushed else today + self.row_lasts,
                pin_until=today + self.pin_lasts,
                learnt_on=today,
            )

    def _today(self) -> date:
        return self.clock.moment().latest_known.date()
