"""Passes in memory; the same contract as the real desk's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from doorctl.access.rights import Pass
from doorctl.cards.numbers import normalise
from doorctl.core.errors import InputError
from doorctl.core.masked import Pin
from doorctl.ports import PassEntry
from doorctl.web.desks import TakenAs

NOW = datetime(2026, 11, 25, 19, 30, tzinfo=ZoneInfo("Europe/Copenhagen"))
CODES = "2839174650"


@dataclass
class FakePassesDesk:
    """Keeps passes.

    Args:
        looks: who looked at the list.
        deeds: what else was done, with which pass and by whom.
        own_pins: PINs of their own, by the pass's number.
        asks_pin: whether the branch asks for PINs.
    """

    looks: list[str] = field(default_factory=list)
    deeds: list[tuple[str, int, str]] = field(default_factory=list)
    entries: list[PassEntry] = field(default_factory=list)
    own_pins: dict[int, Pin] = field(default_factory=dict)
    asks_pin: bool = True

    def pin_length(self) -> int:
        """Return four."""
        return 4

    def every(self, by: str) -> tuple[PassEntry, ...]:
        """Return them."""
        self.looks.append(by)
        return tuple(reversed(self.entries))

    def issue_for_card(
        self, typed: str, taken_as: TakenAs | None, new: Pass, own_pin: Pin | None, by: str
    ) -> Pass:
        """Issue one."""
        if not self.asks_pin and (new.needs_pin or own_pin is not None):
            raise InputError(
                "this branch asks for no PIN, so a pass that needs one would never open; issue it "
                "without one (--no-pin)"
            )
        if own_pin is not None and len(own_pin.reveal()) != self.pin_length():
            raise InputError(f"a PIN is {self.pin_length()} digits here; nothing was changed")
        readings = [one for one in normalise(typed) if taken_as in (None, one.kind.value)]
        if not readings:
            raise InputError("that is no card number and no CPR number")
        if len(readings) > 1:
            raise InputError(
                "that may be a card's number or a CPR number, and the register knows neither; "
                "say --as card or --as cpr"
            )
        if own_pin is not None:
            new = replace(new, needs_pin=True, pin_check=bytes(32))
        issued = self._issued(new, "3f1c9a04", by)
        if own_pin is not None:
            self.own_pins[issued.number] = own_pin
        return issued

    def issue_for_code(self, new: Pass, by: str) -> tuple[Pass, str]:
        """Issue one, always with the same digits."""
        return self._issued(new, "9b00d1e7", by), CODES[: new.code_digits]

    def revoke(self, number: int, by: str) -> Pass:
        """Revoke one."""
        for place, one in enumerate(self.entries):
            if one.held.number == number and one.revoked_at is None:
                self.entries[place] = replace(one, revoked_at=NOW)
                self.deeds.append(("revoke", number, by))
                return one.held
        raise InputError(f"there is no pass {number} in force")

    def _issued(self, new: Pass, card: str, by: str) -> Pass:
        if new.last_day < NOW.date():
            raise InputError(f"the pass would be over since {new.last_day}; give a later last day")
        issued = replace(new, number=len(self.entries) + 1)
        self.entries.append(PassEntry(issued, card))
        self.deeds.append(("issue", issued.number, by))
        return issued
