"""Turns a typed number into the key of a row: by the installation key, or by the door.

Only the door process has the key on a branch; root can read it too. The web process asks it and
gets row keys, but not the secrets behind them, so it can try no PINs. For a pass's own PIN it gets
a few checks an hour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from doorctl.access.patron import levels, pin_check, row_key
from doorctl.cards.identify import normalise
from doorctl.config import Config
from doorctl.core.errors import (
    InputError,
    StoreError,
)
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.core.ports import Seal
from doorctl.lookup.cards import NumberKeys
from doorctl.rpc import numbers as questions
from doorctl.rpc.question import Nothing
from doorctl.store.branch_rows import new_code
from doorctl.store.keys import read_key
from doorctl.store.sealer import ArgonSealer, sealer_of


def own_sealer(config: Config) -> ArgonSealer:
    """Return the sealer that rows of this installation are sealed with.

    Raises KeyFileError: the installation key can't be read.
    """
    return sealer_of(read_key(config.secrets.installation_key_file), config.seal)


TakenAs = Literal["card", "cpr"]

CODE_PREFIX = f"{IdentifierKind.CODE.value}:"


@dataclass(frozen=True, slots=True)
class SealedCode:
    """A code that nobody has yet; staff see its digits once, and `key` is its row's."""

    digits: str = field(repr=False)
    key: bytes = field(repr=False)


class OwnNumbers:
    """Makes keys of numbers by the installation key. Thread-safe, slow.

    Raises InputError: that is no number.
    """

    def __init__(self, sealer: ArgonSealer) -> None:
        self._sealer = sealer

    def seal(self) -> Seal:
        """Return what numbers are sealed with."""
        return self._sealer.seal

    def readings(self, typed: str, taken_as: TakenAs | None) -> tuple[NumberKeys, ...]:
        """Return each reading of what was typed, best first; at least one."""
        numbers = identified(typed, taken_as)
        keys = (
            (number.kind, map(row_key, levels(self._sealer.stretch(number)))) for number in numbers
        )
        return tuple(NumberKeys(kind, next(newest), tuple(newest)) for kind, newest in keys)

    def pin_check(self, typed: str, reading: NumberKeys, pin: Pin) -> bytes:
        """Return the check of a PIN for one of the readings of what was typed."""
        stretched = (self._sealer.stretch(number) for number in normalise(typed))
        key = next((key for key in stretched if row_key(key) == reading.key), None)
        if key is None:
            raise InputError("that reading is not of what was typed")
        return pin_check(key, pin)

    def new_code(self, digits: int, _by: str) -> SealedCode:
        """Return a new code."""
        code = new_code(digits)
        return SealedCode(
            code.reveal().removeprefix(CODE_PREFIX), row_key(self._sealer.stretch(code))
        )


class DoorsNumbers:
    """Makes keys of numbers as `OwnNumbers`, by the door process.

    Raises DoorctlError too: it does not answer.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def seal(self) -> Seal:
        """Return what numbers are sealed with."""
        return questions.SEAL.ask(self._socket, Nothing())

    def readings(self, typed: str, taken_as: TakenAs | None) -> tuple[NumberKeys, ...]:
        """Return each reading of what was typed, best first; at least one."""
        numbers = identified(typed, taken_as)
        keys = questions.KEYS.ask(self._socket, questions.Typed(typed, taken_as)).readings()
        if len(keys) != len(numbers):
            raise StoreError("the door process is of another version; restart it")
        return tuple(
            NumberKeys(number.kind, key, tuple(earlier))
            for number, (key, *earlier) in zip(numbers, keys, strict=True)
        )

    def pin_check(self, typed: str, reading: NumberKeys, pin: Pin) -> bytes:
        """Return the check of a PIN for one of the readings of what was typed."""
        own = questions.PinOf(typed, reading.key.hex(), pin)
        return bytes.fromhex(questions.PIN_CHECK.ask(self._socket, own).check)

    def new_code(self, digits: int, by: str) -> SealedCode:
        """Return a new code."""
        made = questions.NEW_CODE.ask(self._socket, questions.NewCode(digits, by))
        return SealedCode(made.code, bytes.fromhex(made.key))


Numbers = OwnNumbers | DoorsNumbers


def identified(typed: str, taken_as: TakenAs | None) -> tuple[Identifier, ...]:
    """Return what was typed under each of its readings, best first.

    Raises InputError: it is no number.
    """
    numbers = tuple(number for number in normalise(typed) if taken_as in (None, number.kind.value))
    if not numbers:
        what = {"card": "card number", "cpr": "CPR number"}.get(taken_as or "")
        raise InputError(f"that is no {what or 'card number and no CPR number'}")
    return numbers
