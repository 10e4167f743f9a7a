"""PINs that are easy to guess: the usual ones, and those that the card itself gives away.

A health card shows its number, and with it the birthday (Bonneau and others, 2012). All weak PINs
are in :data:`COMMON_PINS` and :data:`PERSONAL_PINS`, as lists of guesses: 224 of 10 000 for one
CPR number and one card, 2.2 %. A thief who reads the bit looks for the PIN among them: with the
installation key all are tried in a moment anyway, without it one in 22 hits in ten tries at the
door, not one in 1 000. So the bit is kept only where the policy makes use of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from itertools import permutations, product

from doorctl.core.masked import Identifier, IdentifierKind, Pin

DIGITS = "0123456789"

CENTURIES = ("19", "20")
"""Centuries in which a living person was born; the card does not show which."""

_REPLACEMENT_DAY = 60
"""Added to the day of an erstatningspersonnummer (cpr.dk); its holder has a birthday as well."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a finder of the patron's cards can read or work out; digits only.

    A birthday is day, month and year, two digits each.
    """

    cpr: tuple[str, ...] = field(repr=False)
    cards: tuple[str, ...] = field(repr=False)
    birthdays: frozenset[tuple[str, str, str]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class WeakRule:
    """One row of a table; its guesses may come twice.

    `of_10_000` is how many PINs of four digits it calls weak, for one CPR number and one card.
    """

    name: str
    of_10_000: int
    guesses: Callable[[Known, int], Iterable[str]]


def _runs(_known: Known, length: int) -> Iterator[str]:
    wheel = DIGITS * length
    for start in range(len(DIGITS)):
        run = wheel[start : start + length]
        yield from (run, run[::-1])


def _repeats(_known: Known, length: int) -> Iterator[str]:
    for pair in product(DIGITS, repeat=2):
        yield ("".join(pair) * length)[:length]


def _halves(_known: Known, length: int) -> Iterator[str]:
    for first, second in product(DIGITS, repeat=2):
        yield first * (length // 2) + second * (length - length // 2)


def _dates(known: Known, length: int) -> Iterator[str]:
    for day, month, year in known.birthdays:
        for written_year in (year, *(century + year for century in CENTURIES)):
            for many in (1, 2, 3):
                joined = map("".join, permutations((day, month, written_year), many))
                yield from (guess for guess in joined if len(guess) == length)


def _parts_of_cpr(known: Known, length: int) -> Iterator[str]:
    for number in known.cpr:
        yield from (number[at : at + length] for at in range(len(number) - length + 1))


def _ends_of_cards(known: Known, length: int) -> Iterator[str]:
    return (number[-length:] for number in known.cards)


COMMON_PINS: tuple[WeakRule, ...] = (
    WeakRule("a run up or down, 1234 or 2109", 20, _runs),
    WeakRule("one or two digits again and again, 0000 or 1212", 100, _repeats),
    WeakRule("two digits in two halves, 1122", 100, _halves),
)
"""Weak for everybody; ten PINs stand in two rows."""

PERSONAL_PINS: tuple[WeakRule, ...] = (
    WeakRule("a birthday, in any order and either century", 8, _dates),
    WeakRule("digits that stand together in the CPR number", 7, _parts_of_cpr),
    WeakRule("the last digits of the card's number", 1, _ends_of_cards),
)
"""Weak for this patron; two PINs stand in two rows, DDMM and MMYY."""


def easy_to_guess(
    pin: Pin, identifiers: Iterable[Identifier], birthday: date | None = None
) -> bool:
    """Tell whether a finder of all the patron's cards guesses a PIN of 4 to 12 digits too easily.

    The birthday is the library system's, or None; the one in a CPR number counts as well.
    """
    digits = pin.reveal()
    if digits in _common(len(digits)):
        return True
    known = _known(identifiers, birthday)
    return any(digits in rule.guesses(known, len(digits)) for rule in PERSONAL_PINS)


@cache
def _common(length: int) -> frozenset[str]:
    nothing = Known((), (), frozenset())
    return frozenset(guess for rule in COMMON_PINS for guess in rule.guesses(nothing, length))


def _known(identifiers: Iterable[Identifier], birthday: date | None) -> Known:
    numbers: dict[IdentifierKind, list[str]] = {kind: [] for kind in IdentifierKind}
    for each in identifiers:
        number = each.reveal().partition(":")[2]
        numbers[each.kind].append("".join(digit for digit in number if digit in DIGITS))
    cpr = tuple(numbers[IdentifierKind.CPR])
    birthdays = {_born(number) for number in cpr}
    if birthday is not None:
        birthdays.add((f"{birthday:%d}", f"{birthday:%m}", f"{birthday:%y}"))
    return Known(cpr, tuple(numbers[IdentifierKind.CARD]), frozenset(birthdays))


def _born(cpr: str) -> tuple[str, str, str]:
    day = int(cpr[:2])
    plain = day - _REPLACEMENT_DAY if day > _REPLACEMENT_DAY else day
    return f"{plain:02}", cpr[2:4], cpr[4:6]
