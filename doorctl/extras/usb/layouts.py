"""Key maps: which character a key stands for, by linux/input-event-codes.h and xkb's dk and us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

CODES = (
    *(41, *range(2, 14)),
    *range(16, 28),
    *(*range(30, 41), 43),
    *(86, *range(44, 54)),
    57,
)
"""The keys that differ from layout to layout, row by row from the upper left, and the space bar;
43 is the one beside or above Enter, 86 the one beside the left Shift."""

DEAD = frozenset("\xb4`¨^~")
"""Danish keys that wait for a letter: scanners send Space behind them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Code of a key -> its character, without and with Shift and with AltGr; `dead` ones wait."""

    plain: Mapping[int, str]
    shift: Mapping[int, str]
    altgr: Mapping[int, str]
    dead: frozenset[str]


def _layout(plain: str, shift: str, altgr: Mapping[str, str], dead: frozenset[str]) -> Layout:
    """Return a layout, its rows in the order of :data:`CODES`; `altgr` is by plain character."""
    code_of = dict(zip(plain, CODES, strict=True))
    return Layout(
        dict(zip(CODES, plain, strict=True)),
        dict(zip(CODES, shift, strict=True)),
        {code_of[key]: meant for key, meant in altgr.items()},
        dead,
    )


DANISH = _layout(
    "½1234567890+\xb4" + "qwertyuiopå¨" + "asdfghjklæø'" + "<zxcvbnm,.- ",
    '§!"#¤%&/()=?`' + "QWERTYUIOPÅ^" + "ASDFGHJKLÆØ*" + ">ZXCVBNM;:_ ",
    dict(zip("2347890\xb4¨<m", "@£${[]}|~\\µ", strict=True)),
    DEAD,
)

US = _layout(
    "`1234567890-=" + "qwertyuiop[]" + "asdfghjkl;'\\" + "<zxcvbnm,./ ",
    "~!@#$%^&*()_+" + "QWERTYUIOP{}" + 'ASDFGHJKL:"|' + ">ZXCVBNM<>? ",
    {},
    frozenset(),
)

LAYOUTS = MappingProxyType({"danish": DANISH, "us": US})
"""The names that `layout` takes -> layout."""

_NUMBER_PAD_CODES = (82, 79, 80, 81, 75, 76, 77, 71, 72, 73, 55, 74, 78, 83, 98, 117, 121)

NUMBER_PAD = MappingProxyType(
    dict(zip(_NUMBER_PAD_CODES, "0123456789*-+./=,", strict=True))
    | dict(zip(range(0x200, 0x20C), "0123456789*#", strict=True))
)
"""The numeric keypad, whatever NumLock says, and a telephone's; the same in every layout."""

CONTROL = MappingProxyType({1: "\x1b", 14: "\b", 15: "\t", 28: "\r", 96: "\r", 111: "\x7f"})
"""Escape, BackSpace, Tab, both Enters and Delete."""

SHIFTS, CTRLS, ALT, ALTGR = frozenset((42, 54)), frozenset((29, 97)), 56, 100
METAS = frozenset((125, 126))
MODIFIERS = SHIFTS | CTRLS | METAS | {ALT, ALTGR}

CAPS_LOCK = 58
OTHER_LOCKS = frozenset((69, 70))
"""NumLock and ScrollLock: some devices press the first around each digit."""
