"""What the door knows of a patron: no name, address, CPR number, birthday or PIN."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import date

from doorctl.masked import Pin, StretchedKey

ROW_KEY_BYTES = 16
PIN_CHECK_BYTES = 32


@dataclass(frozen=True, slots=True)
class Patron:
    """One identifier's row of the cache, as sealed on the library's server.

    Args:
        patron_ref: the library system's opaque number, as text.
        pin_check: ``HMAC(K, "pin" + PIN)``, 32 bytes; None while no PIN is known.
        resident: lives in the library's municipality.
        active: the identifier itself is in force at the library system.
        blocks: the library system's block codes, all of them.
        restricted: the data may be kept but not used (GDPR article 18).
        enter_from: the day on which someone still too young becomes old enough.
        valid_until: the last day on which the identifier is valid.
        hold_from: first day of a period on hold.
        hold_until: last day of it; None for an open end. Only with `hold_from`.
        tags: rights that the library system carries.
        pin_until: the last day on which a check that was learnt from the library system counts;
            None for one that a push brought. Only with `pin_check`.
        pushed: whether a push brought the row; else the library system was asked about the card,
            and the row counts as long as its PIN check.
        weak_pin: whether the PIN is too easy to guess; only where whoever sealed the row has a
            policy that makes use of it, else False.
    """

    patron_ref: str
    pin_check: bytes | None = field(default=None, repr=False)
    resident: bool = False
    active: bool = True
    blocks: frozenset[str] = frozenset()
    restricted: bool = False
    enter_from: date | None = None
    valid_until: date | None = None
    hold_from: date | None = None
    hold_until: date | None = None
    tags: frozenset[str] = frozenset()
    pin_until: date | None = None
    pushed: bool = True
    weak_pin: bool = False


def row_key(stretched: StretchedKey) -> bytes:
    """Derive the 16 bytes under which an identifier's row is kept (design, section 4)."""
    return _hmac(stretched, b"row")[:ROW_KEY_BYTES]


def pin_check(stretched: StretchedKey, pin: Pin) -> bytes:
    """Derive the 32 bytes that prove a PIN (design, section 4)."""
    return _hmac(stretched, b"pin" + pin.reveal().encode())


def _hmac(stretched: StretchedKey, message: bytes) -> bytes:
    return hmac.digest(stretched.reveal(), message, "sha256")
