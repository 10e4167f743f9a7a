"""Turns a typed number into the key of a row: by the installation key, or by the door.

Only the door process has the key on a branch; root can read it too. The web process asks it and
gets row keys, but not the secrets behind them, so it can try no PINs. For a pass's own PIN it gets
a few checks an hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from doorctl.access.patron import levels, pin_check, row_key
from doorctl.cards.numbers import normalise
from doorctl.config import Config
from doorctl.core.errors import InputError, StoreError
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.rpc.control import Question, ask
from doorctl.services.lookup import Reading
from doorctl.services.sealing import own_sealer
from doorctl.store.branch import new_code
from doorctl.store.keys import ArgonSealer, Seal

TakenAs = Literal["card", "cpr"]

CODE_PREFIX = f"{IdentifierKind.CODE.value}:"

KEYS, PIN_CHECK, NEW_CODE = "keys", "pin_check", "new_code"
"""The questions to the door process."""

SEAL_LIMIT_S = 10.0
"""Longest wait for the door: several numbers, a third of a second each on the smallest Pi."""


@dataclass(frozen=True, slots=True)
class NewCode:
    """A code that nobody has yet; staff see its digits once, and `key` is its row's."""

    digits: str = field(repr=False)
    key: bytes = field(repr=False)


class Numbers(Protocol):
    """Makes keys of numbers. Thread-safe, slow.

    Raises:
        InputError: that is no number.
        DoorctlError: it can't be sealed: no key, or the door does not answer.
    """

    def seal(self) -> Seal:
        """Return what numbers are sealed with; a register sealed otherwise knows nobody."""

    def readings(self, typed: str, taken_as: TakenAs | None) -> tuple[Reading, ...]:
        """Return each reading of what was typed, best first; at least one."""

    def pin_check(self, typed: str, reading: Reading, pin: Pin) -> bytes:
        """Return the check of a PIN for one of the readings of what was typed."""

    def new_code(self, digits: int) -> NewCode:
        """Return a new code."""


class OwnNumbers:
    """Numbers sealed here, by the installation key."""

    def __init__(self, sealer: ArgonSealer) -> None:
        self._sealer = sealer

    def seal(self) -> Seal:
        """Return what numbers are sealed with."""
        return self._sealer.seal

    def readings(self, typed: str, taken_as: TakenAs | None) -> tuple[Reading, ...]:
        """Return each reading of what was typed, best first; at least one."""
        numbers = identified(typed, taken_as)
        keys = (
            (number.kind, map(row_key, levels(self._sealer.stretch(number)))) for number in numbers
        )
        return tuple(Reading(kind, next(newest), tuple(newest)) for kind, newest in keys)

    def pin_check(self, typed: str, reading: Reading, pin: Pin) -> bytes:
        """Return the check of a PIN for one of the readings of what was typed."""
        stretched = (self._sealer.stretch(number) for number in normalise(typed))
        key = next((key for key in stretched if row_key(key) == reading.key), None)
        if key is None:
            raise InputError("that reading is not of what was typed")
        return pin_check(key, pin)

    def new_code(self, digits: int) -> NewCode:
        """Return a new code."""
        code = new_code(digits)
        return NewCode(digits_of(code), row_key(self._sealer.stretch(code)))


class DoorsNumbers:
    """Numbers sealed by the door process."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def seal(self) -> Seal:
        """Return what numbers are sealed with."""
        answer = self._ask("seal", {})
        return Seal(str(answer["key_id"]), int(answer["memory_kib"]), int(answer["iterations"]))

    def readings(self, typed: str, taken_as: TakenAs | None) -> tuple[Reading, ...]:
        """Return each reading of what was typed, best first; at least one."""
        numbers = identified(typed, taken_as)
        answer = self._ask(KEYS, {"typed": typed, "as": taken_as})
        keys = [[bytes.fromhex(key) for key in str(line).split()] for line in answer["keys"]]
        if len(keys) != len(numbers):
            raise StoreError("the door process is of another version; restart it")
        return tuple(
            Reading(number.kind, key, tuple(earlier))
            for number, (key, *earlier) in zip(numbers, keys, strict=True)
        )

    def pin_check(self, typed: str, reading: Reading, pin: Pin) -> bytes:
        """Return the check of a PIN for one of the readings of what was typed."""
        about = {"typed": typed, "key": reading.key.hex(), "pin": pin.reveal()}
        return bytes.fromhex(str(self._ask(PIN_CHECK, about)["check"]))

    def new_code(self, digits: int) -> NewCode:
        """Return a new code."""
        answer = self._ask(NEW_CODE, {"digits": digits})
        return NewCode(str(answer["code"]), bytes.fromhex(str(answer["key"])))

    def _ask(self, what: str, about: dict[str, Any]) -> dict[str, Any]:
        return ask(self._socket, Question(what, about), timeout_s=SEAL_LIMIT_S)


def own_numbers(config: Config) -> OwnNumbers:
    """Return what seals by this machine's installation key.

    Raises:
        KeyFileError: it can't be read.
    """
    return OwnNumbers(own_sealer(config))


def identified(typed: str, taken_as: TakenAs | None) -> tuple[Identifier, ...]:
    """Return what was typed under each of its readings, best first.

    Raises:
        InputError: it is no number.
    """
    numbers = tuple(number for number in normalise(typed) if taken_as in (None, number.kind.value))
    if not numbers:
        what = {"card": "card number", "cpr": "CPR number"}.get(taken_as or "")
        raise InputError(f"that is no {what or 'card number and no CPR number'}")
    return numbers


def digits_of(code: Identifier) -> str:
    """Return a code's digits, to be shown once."""
    return code.reveal().removeprefix(CODE_PREFIX)


def keys_of(readings: Iterable[Reading]) -> tuple[bytes, ...]:
    """Return the keys alone."""
    return tuple(reading.key for reading in readings)
