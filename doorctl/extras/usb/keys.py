"""Key events to the bytes that a serial scanner or keypad would have sent; no I/O, no clock."""

from __future__ import annotations

from doorctl.cards.framing import FRAME_IDLE_S, TERMINATORS
from doorctl.cards.identify import MAX_FRAME_BYTES
from doorctl.extras.usb.layouts import (
    ALT,
    ALTGR,
    CAPS_LOCK,
    CONTROL,
    CTRLS,
    METAS,
    MODIFIERS,
    NUMBER_PAD,
    OTHER_LOCKS,
    SHIFTS,
    Layout,
)
from doorctl.extras.usb.records import EV_KEY, EV_SYN, PRESSED, RELEASED, SYN_DROPPED, InputEvent

QUIET_S = 0.1
"""A scanner's text without an end is handed on after so long without a key."""

HOLE = 0x1A
"""SUB: stands for a key without a character between two others, so that a text with a hole is no
card's number."""

MOST_CODES = 256
"""Alt and a decimal number on the numeric keypad are one of so many characters."""


class KeyState:
    """Which modifiers are down, and what a key means by them.

    Caps Lock is off at first and turned by each press: a grabbed keyboard has no lamp for it. Alt
    with a number on the numeric keypad is the character of that number, as many scanners send what
    no layout has.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.forget()

    def forget(self) -> None:
        """Take all modifiers for released."""
        self._down: set[int] = set()
        self._capital = False
        self._number: int | None = None
        self._dead = False

    def take(self, event: InputEvent) -> str | None:
        """Return the character that a key makes; empty for none yet, None for a key without any."""
        code = event.code
        if code in MODIFIERS:
            return self._modify(code, is_down=event.value != RELEASED)
        if event.value != PRESSED or code in OTHER_LOCKS:
            return ""
        if code == CAPS_LOCK:
            self._capital = not self._capital
            return ""
        if ALT in self._down and not CTRLS & self._down:
            return self._count(NUMBER_PAD.get(code))
        was_dead, self._dead = self._dead, False
        typed = NUMBER_PAD.get(code) or CONTROL.get(code) or self._written(code)
        if typed == " " and was_dead:
            return ""
        self._dead = typed is not None and typed in self._layout.dead
        return None if METAS & self._down else typed

    @property
    def is_third_level(self) -> bool:
        """Whether AltGr is down, or Ctrl and Alt, which are the same."""
        return ALTGR in self._down or bool(CTRLS & self._down and ALT in self._down)

    def _modify(self, code: int, *, is_down: bool) -> str | None:
        if is_down:
            self._down.add(code)
            return ""
        self._down.discard(code)
        if code != ALT or self._number is None:
            return ""
        number, self._number = self._number, None
        return chr(number) if number < MOST_CODES else None

    def _count(self, digit: str | None) -> str | None:
        if digit is None or not digit.isdigit():
            return None
        self._number = min(10 * (self._number or 0) + int(digit), MOST_CODES)
        return ""

    def _written(self, code: int) -> str | None:
        if self.is_third_level:
            return None if SHIFTS & self._down else self._layout.altgr.get(code)
        levels = self._layout.shift if SHIFTS & self._down else self._layout.plain
        typed = levels.get(code)
        if typed is None:
            return None
        if CTRLS & self._down:
            return chr(ord(typed) & 0x1F) if "@" <= typed.upper() <= "_" else None
        return typed.swapcase() if self._capital and typed.isalpha() else typed


class KeyedText:
    """Collect the text of a scanner up to its end; a keypad's keys are handed on one by one.

    Enter is CR. Where the kernel has lost keys, all is dropped up to the next end, or until the
    device has been quiet for :data:`FRAME_IDLE_S`: half a card must not be read as one.
    """

    def __init__(self, layout: Layout, *, is_keypad: bool) -> None:
        self._state = KeyState(layout)
        self._is_keypad = is_keypad
        self._held = bytearray()
        self._hole = False
        self._dropping = False

    @property
    def quiet_s(self) -> float | None:
        """After how many seconds without a key :meth:`rest` is due; None while nothing waits."""
        if self._dropping:
            return FRAME_IDLE_S
        return QUIET_S if self._held else None

    def take(self, event: InputEvent) -> bytes:
        """Return what is to be handed on now; mostly nothing."""
        if event.kind == EV_SYN and event.code == SYN_DROPPED:
            self._state.forget()
            self.rest()
            self._dropping = True
        if event.kind != EV_KEY:
            return b""
        typed = self._state.take(event)
        if typed is None:
            # By AltGr a scanner that is set to another layout writes AIM's bracket, in front.
            is_bracket = self._state.is_third_level and not self._is_keypad
            self._hole = bool(self._held) or is_bracket
            return b""
        return self._add(typed.encode("latin-1"))

    def rest(self) -> bytes:
        """Return what is held: the device was quiet for :attr:`quiet_s`."""
        held = bytes(self._held)
        self._held.clear()
        self._hole = self._dropping = False
        return held

    def _add(self, typed: bytes) -> bytes:
        if not typed:
            return b""
        ends = typed[0] in TERMINATORS
        if self._dropping:
            self._dropping = not ends
            return b""
        if self._hole and not ends:
            self._held.append(HOLE)
        self._hole = False
        self._held += typed
        is_due = ends or self._is_keypad or len(self._held) >= MAX_FRAME_BYTES
        return self.rest() if is_due else b""
