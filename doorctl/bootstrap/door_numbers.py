"""What the door process seals for staff at the pages: slowly, so that nobody can try numbers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from doorctl.access.codes import MAX_CODE_DIGITS, MIN_CODE_DIGITS
from doorctl.bootstrap.numbers import KEYS, NEW_CODE, PIN_CHECK, Numbers, TakenAs
from doorctl.enquiry import Reading
from doorctl.errors import InputError, StoreError
from doorctl.masked import IdentifierKind, Pin
from doorctl.transports.control import Answers, Question


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may be asked: so many at once, and then so many a second."""

    burst: int
    per_second: float


NUMBERS = Rate(10, 3.0)
"""At this rate all CPR numbers of one birth date take an hour, and those of a century some 35 000:
more than staff ever need, and too few for a web process that somebody else has taken."""

OWN_PINS = Rate(5, 5 / 3600)
"""A pass with a PIN of its own is rare. Whoever has the register's copy could compare the answers
with it: all four-digit PINs of one known card take twelve weeks, and each answer is a trace."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """How many may be asked for just now.

    Args:
        rate: the limit.
        left: as of `at_s`; full at the rate's burst.
        at_s: monotonic seconds.
    """

    rate: Rate
    left: float
    at_s: float

    def taken(self, now_s: float) -> Tokens | None:
        """Return what is left after one more; None where there is none."""
        more = max(0.0, now_s - self.at_s) * self.rate.per_second
        left = min(float(self.rate.burst), self.left + more)
        return Tokens(self.rate, left - 1, now_s) if left >= 1 else None


class DoorsSealing:
    """Answer the questions of `DoorsNumbers`; on the socket's threads, one at a time.

    Args:
        numbers: seals with the installation key.
        monotonic_s: tells CLOCK_MONOTONIC.
    """

    def __init__(self, numbers: Numbers, monotonic_s: Callable[[], float]) -> None:
        self._numbers = numbers
        self._monotonic_s = monotonic_s
        now_s = monotonic_s()
        self._left = {rate: Tokens(rate, rate.burst, now_s) for rate in (NUMBERS, OWN_PINS)}
        # Each takes 19 MiB for a moment, and a patron may be waiting for as much.
        self._alone = threading.Lock()

    def answers(self) -> Answers:
        """Return what can be asked."""
        return {
            KEYS: self._one(self._keys, NUMBERS),
            PIN_CHECK: self._one(self._pin_check, OWN_PINS),
            NEW_CODE: self._one(self._new_code, NUMBERS),
        }

    def _one(
        self, work: Callable[[Mapping[str, Any]], Mapping[str, Any]], rate: Rate
    ) -> Callable[[Question], Mapping[str, Any]]:
        def answer(question: Question) -> Mapping[str, Any]:
            with self._alone:
                taken = self._left[rate].taken(self._monotonic_s())
                if taken is None:
                    raise StoreError("too many numbers were asked for at once; try again later")
                self._left[rate] = taken
                return work(question.about)

        return answer

    def _keys(self, about: Mapping[str, Any]) -> Mapping[str, Any]:
        readings = self._numbers.readings(str(about.get("typed", "")), _taken_as(about.get("as")))
        keys = ((one.key, *one.earlier) for one in readings)
        return {"keys": [" ".join(key.hex() for key in one) for one in keys]}

    def _pin_check(self, about: Mapping[str, Any]) -> Mapping[str, Any]:
        typed, pin = str(about.get("typed", "")), str(about.get("pin", ""))
        if not (pin.isascii() and pin.isdigit()):
            raise InputError("a PIN has digits only")
        try:
            key = bytes.fromhex(str(about.get("key", "")))
        except ValueError:
            raise InputError("that is no key") from None
        reading = Reading(IdentifierKind.CARD, key)
        return {"check": self._numbers.pin_check(typed, reading, Pin(pin)).hex()}

    def _new_code(self, about: Mapping[str, Any]) -> Mapping[str, Any]:
        digits = about.get("digits")
        if not isinstance(digits, int) or not MIN_CODE_DIGITS <= digits <= MAX_CODE_DIGITS:
            raise InputError(f"a code has {MIN_CODE_DIGITS} to {MAX_CODE_DIGITS} digits")
        made = self._numbers.new_code(digits)
        return {"code": made.digits, "key": made.key.hex()}


def _taken_as(told: object) -> TakenAs | None:
    if told == "card":
        return "card"
    return "cpr" if told == "cpr" else None
