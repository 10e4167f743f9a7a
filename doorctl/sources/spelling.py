"""Which cards and PINs can be sent at all: nothing in them may be read as something else."""

from __future__ import annotations

import re

from doorctl.masked import Identifier, Pin

_SENDABLE = re.compile(r"[!-{}~]+")


def is_sendable(value: str) -> bool:
    """Tell whether a value is visible ASCII, at least one, without SIP2's ``|``."""
    return _SENDABLE.fullmatch(value) is not None


def spelt(identifier: Identifier, pin: Pin) -> tuple[str, str] | None:
    """Return a card's number and its PIN in the clear, None for what no card and keypad can say.

    An empty PIN is none either: some SIP2 servers call it right for every card.
    """
    _, _, number = identifier.reveal().partition(":")
    digits = pin.reveal()
    return (number, digits) if is_sendable(number) and is_sendable(digits) else None
