"""Seals numbers for the pages, slowly: so that a captured web process can't try them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from doorctl.access.codes import MAX_CODE_DIGITS, MIN_CODE_DIGITS
from doorctl.core.errors import InputError
from doorctl.core.masked import IdentifierKind
from doorctl.core.ports import EventLog
from doorctl.core.texts import refuse_text
from doorctl.lookup.cards import NumberKeys
from doorctl.lookup.numbers import Numbers
from doorctl.rpc import numbers as questions
from doorctl.rpc.messages import Line
from doorctl.rpc.question import Answers


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit on questions: `burst` at once, and then `per_second`; more get the `refusal`."""

    burst: int
    per_second: float
    refusal: str


_NUMBERS_REFUSED = "too many numbers were asked for at once; try again later"

NUMBERS = Rate(10, 3.0, _NUMBERS_REFUSED)
"""At this rate all CPR numbers of one birth date take an hour, and those of a century some 35 000:
more than staff ever need, and too few for a captured web process."""

OWN_PINS = Rate(5, 5 / 3600, _NUMBERS_REFUSED)
"""A pass with a PIN of its own is rare. A thief of the register could compare the answers with
it: all four-digit PINs of one known card take twelve weeks, and each answer is a trace."""

NEW_CODES = Rate(20, 20 / 3600, "the door made too many codes just now; wait a few minutes")
"""More than an event needs; each is a line in the journal."""


class Rations:
    """The door's limits for web, by rate and what it is about; thread-safe.

    They begin anew with the door process, which web's user can't restart. `left` has how many more
    questions there may be, and as of when; a limit that is full again takes no memory.
    """

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._guard = threading.Lock()
        self.left: dict[tuple[Rate, bytes], tuple[float, float]] = {}

    def take(self, rate: Rate, what: bytes = b"") -> None:
        """Count a question; raise InputError where it is above the limit."""
        now_s = self._monotonic_s()
        with self._guard:
            self.left = {
                about: (left, now_s)
                for about, (then, at_s) in self.left.items()
                if (left := then + (now_s - at_s) * about[0].per_second) < about[0].burst
            }
            left, _ = self.left.get((rate, what), (rate.burst, now_s))
            if left < 1:
                raise InputError(rate.refusal)
            self.left[rate, what] = left - 1, now_s


def sealing_answers(numbers: Numbers, rations: Rations, log: EventLog) -> Answers:
    """Return the answers to the questions of `DoorsNumbers`; on the socket's threads."""
    # One at a time: each takes 19 MiB for a moment, and a patron may be waiting for as much.
    alone = threading.Lock()

    def keys(number: questions.Typed) -> questions.ReadingKeys:
        rations.take(NUMBERS)
        with alone:
            readings = numbers.readings(number.typed, number.taken_as)
        return questions.ReadingKeys.of(reading.keys for reading in readings)

    def pin_check(own: questions.PinOf) -> questions.PinCheck:
        rations.take(OWN_PINS)
        digits = own.pin.reveal()
        if not (digits.isascii() and digits.isdigit()):
            raise InputError("a PIN has digits only")
        reading = NumberKeys(IdentifierKind.CARD, bytes.fromhex(own.key))
        with alone:
            check = numbers.pin_check(own.typed, reading, own.pin)
        return questions.PinCheck(check.hex())

    def new_code(wanted: questions.NewCode, line: Line) -> questions.MadeCode:
        by = signed_by(line, wanted.by)
        if not MIN_CODE_DIGITS <= wanted.digits <= MAX_CODE_DIGITS:
            raise InputError(f"a code has {MIN_CODE_DIGITS} to {MAX_CODE_DIGITS} digits")
        rations.take(NEW_CODES)
        log.emit("new_code", by=by)
        with alone:
            made = numbers.new_code(wanted.digits, by)
        return questions.MadeCode(made.digits, made.key.hex())

    return {
        **questions.SEAL.answered(lambda _nothing: numbers.seal()),
        **questions.KEYS.answered(keys),
        **questions.PIN_CHECK.answered(pin_check),
        **questions.NEW_CODE.answered_to(new_code),
    }


def signed_by(line: Line, by: str) -> str:
    """Return the asker for the append-only log: the account `by`, and the user of its process."""
    refuse_text("account", by)
    return line.signed(by)
