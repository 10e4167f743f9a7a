"""What the door process answers on its socket."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import doorctl
from doorctl.access.staff_text import refuse_purpose, refuse_text
from doorctl.bootstrap.chores import Chores
from doorctl.bootstrap.door_numbers import Rate, Tokens
from doorctl.bootstrap.door_stores import DoorStores
from doorctl.bootstrap.opening import TRUST_CLOCK, believes
from doorctl.controller import KEYPAD, READER, Controller
from doorctl.doorway import Doorway
from doorctl.errors import InputError
from doorctl.ledger import Ledger
from doorctl.mailbox import Mailbox, StaffOpened
from doorctl.ops.clock import utc_now
from doorctl.self_test.findings import as_answer
from doorctl.transports.control import Answers, Question

OPENINGS = Rate(5, 5 / 60)
"""More than a desk needs where people stand in a row; a captured web process has no more."""

ROW_KEY = re.compile("[0-9a-f]{32}")


class DoorAnswers:
    """Answer those who look after the door; on the socket's threads.

    Args:
        stores: the door's.
        ledger: forgets a card's failures.
        chores: test the house.
        controller: knows which lines are connected.
        doorway: knows how the leaf stands.
        mailbox: lets somebody in once.
    """

    def __init__(
        self,
        stores: DoorStores,
        *,
        ledger: Ledger,
        chores: Chores,
        controller: Controller,
        doorway: Doorway,
        mailbox: Mailbox,
    ) -> None:
        self._stores = stores
        self._ledger = ledger
        self._chores = chores
        self._controller = controller
        self._doorway = doorway
        self._mailbox = mailbox
        self._openings = Tokens(OPENINGS, OPENINGS.burst, stores.clock.monotonic_s())
        self._opening = threading.Lock()

    def answers(self) -> Answers:
        """Return what can be asked."""
        return {
            "status": self._status,
            "unlock": self._unlock,
            "selftest": self._self_test,
            "open": self._open_once,
            "seal": self._seal,
            TRUST_CLOCK: self._trust_clock,
        }

    def lines(self) -> dict[str, bool]:
        """Return which lines are connected, of those that were tried by now."""
        return {name: up for name, up in self._controller.connected.items() if up is not None}

    def _status(self, _question: Question) -> Mapping[str, Any]:
        connected, moment = self._controller.connected, self._stores.clock.moment()
        count = self._doorway.head_count if self._doorway.watched else None
        return {
            "reader": _connected(connected.get(READER)),
            "keypad": _connected(connected.get(KEYPAD)),
            "released": self._doorway.released,
            "door": self._doorway.state,
            "inside": None if count is None else count.estimate,
            "inside_low": None if count is None else count.low,
            "inside_high": None if count is None else count.high,
            "clock": moment.state.value,
            "clock_in_doubt": utc_now().isoformat() if moment.in_doubt else None,
            "pid": os.getpid(),
            "version": doorctl.__version__,
        }

    def _unlock(self, question: Question) -> Mapping[str, Any]:
        key = _row_key(str(question.about.get("card", "")))
        self._stores.answer(lambda: self._ledger.unlock(key))
        return {}

    def _self_test(self, _question: Question) -> Mapping[str, Any]:
        lines = self.lines()
        return self._stores.answer(lambda: as_answer(self._chores.self_test(lines)))

    def _open_once(self, question: Question) -> Mapping[str, Any]:
        reason, by = (str(question.about.get(name, "")) for name in ("reason", "by"))
        # Both come to stand in the log, which nobody can take anything out of.
        refuse_purpose(reason, "reason")
        refuse_text("account", by)
        if question.asker is not None:
            self._ration()
        until_s = question.about.get("until_s")
        if not isinstance(until_s, float):
            raise InputError("that question does not say until when it counts")
        self._mailbox.put(StaffOpened(reason, question.signed(by), until_s))
        return {}

    def _ration(self) -> None:
        with self._opening:
            left = self._openings.taken(self._stores.clock.monotonic_s())
            if left is None:
                raise InputError("the door was opened too often just now; wait a minute")
            self._openings = left

    def _trust_clock(self, _question: Question) -> Mapping[str, Any]:
        stores = self._stores
        answer = believes(stores.clock)
        now, boot = stores.clock.moment().local, stores.clock.boot_time()
        stores.answer(lambda: stores.visits.settle(now.astimezone(UTC), boot))
        return answer

    def _seal(self, _question: Question) -> Mapping[str, Any]:
        seal = self._stores.sealer.seal
        return {
            "key_id": seal.key_id,
            "memory_kib": seal.memory_kib,
            "iterations": seal.iterations,
        }


def _row_key(card: str) -> bytes:
    if not ROW_KEY.fullmatch(card):
        raise InputError("that is no row key; give 32 hex digits")
    return bytes.fromhex(card)


def _connected(state: bool | None) -> str | None:
    return None if state is None else ("connected" if state else "lost")
