"""What the door knows of a patron: no name, address, CPR number, birthday or PIN."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum

from doorctl.core.masked import Pin, StretchedKey
from doorctl.core.moments import Moment

ROW_KEY_BYTES = 16
PIN_CHECK_BYTES = 32

KEY_BYTES = 32
"""Length of an installation key, and of Argon2id's result for an identifier."""


@dataclass(frozen=True, slots=True)
class Patron:
    """One identifier's row of the cache, as sealed on the library's server.

    Days are local; `valid_until`, `hold_until` and `pin_until` are last days, None for none.

    Args:
        patron_ref: the library system's opaque number, as text.
        pin_check: ``HMAC(K, "pin" + PIN)``, 32 bytes; None while no PIN is known.
        active: the identifier itself is in force at the library system.
        restricted: the data may be kept but not used (GDPR article 18).
        enter_from: the day on which a patron who is still too young becomes old enough.
        tags: rights that the library system carries.
        pin_until: for a check that was learnt from the library system; None for a push's.
        pushed: a push brought the row; else it counts as long as its PIN check.
        weak_pin: the PIN is too easy to guess; False where the policy makes no use of it.
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
    weak_pin: bool = False
    pin_until: date | None = None
    pushed: bool = True


DATED = ("enter_from", "valid_until", "hold_from", "hold_until")
"""The days of a row: on one of them, or the day after, what the row says can change."""


def may_be_one(patron: Patron | None, other: Patron | None) -> bool:
    """Tell whether two readings of a card may mean the same person; in doubt they do."""
    return other is None or patron is None or other.patron_ref == patron.patron_ref


def row_key(stretched: StretchedKey) -> bytes:
    """Derive the 16 bytes under which an identifier's row is kept (design, section 4)."""
    first, *links = key_parts(stretched.reveal())
    return overlaid(_hmac(first, b"row")[:ROW_KEY_BYTES], links)


def pin_check(stretched: StretchedKey, pin: Pin) -> bytes:
    """Derive the 32 bytes that prove a PIN (design, section 4)."""
    first, *links = key_parts(stretched.reveal())
    return overlaid(_hmac(first, b"pin" + pin.reveal().encode()), links)


def overlaid(value: bytes, links: Iterable[bytes]) -> bytes:
    """Return a row key or a PIN check under the keys that were laid over its own.

    So the owner of the new key rewrites what is stored, and needs no card number for it.
    """
    for link in links:
        value = _hmac(link, value)[: len(value)]
    return value


def levels(stretched: StretchedKey) -> tuple[StretchedKey, ...]:
    """Return an identifier's key under the newest key, then under each key before it."""
    parts = key_parts(stretched.reveal())
    return tuple(StretchedKey(b"".join(parts[:end])) for end in range(len(parts), 0, -1))


def key_parts(secret: bytes) -> list[bytes]:
    """Return the 32 bytes of each key in a file of one or more, oldest first."""
    return [secret[at : at + KEY_BYTES] for at in range(0, len(secret), KEY_BYTES)]


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


class Reason(Enum):
    """Why the door opened or did not; the values are fixed names in logs, pages and scripts."""

    OK = "ok"
    UNKNOWN_CARD = "unknown_card"
    WRONG_PIN = "wrong_pin"
    PIN_UNKNOWN = "pin_unknown"
    PIN_TIMEOUT = "pin_timeout"
    THROTTLED = "throttled"
    NOT_RESIDENT = "not_resident"
    BLOCKED = "blocked"
    UNDER_AGE = "under_age"
    NOT_INTRODUCED = "not_introduced"
    EXPIRED = "expired"
    BANNED = "banned"
    CLOSED = "closed"
    NOT_PERMITTED = "not_permitted"
    RESTRICTED = "restricted"
    CACHE_TOO_OLD = "cache_too_old"
    CLOCK_UNTRUSTED = "clock_untrusted"
    WEAK_PIN = "weak_pin"
    CARD_UNREADABLE = "card_unreadable"
    FAULT = "fault"

    @property
    def verdict(self) -> str:
        """The word ``granted`` or ``refused``."""
        return "granted" if self is Reason.OK else "refused"


BEFORE_PROOF = frozenset(
    {Reason.UNKNOWN_CARD, Reason.WRONG_PIN, Reason.PIN_UNKNOWN, Reason.THROTTLED}
)
"""Refusals before a PIN was proved: signals and timing must not tell them apart."""

UNPROVED = BEFORE_PROOF | {Reason.FAULT}
"""Those, and what stands in for them where the register is damaged: then nothing was compared, so
it counts against no patron."""

SENTENCES: dict[Reason, tuple[str, str]] = {
    Reason.OK: ("Døren åbnes.", "The door opens."),
    Reason.UNKNOWN_CARD: ("Kortet kendes ikke.", "The card is not known."),
    Reason.WRONG_PIN: ("Forkert pinkode.", "Wrong PIN."),
    Reason.PIN_UNKNOWN: ("Pinkoden kendes ikke endnu.", "The PIN is not known yet."),
    Reason.PIN_TIMEOUT: ("Der kom ingen pinkode i tide.", "No PIN came in time."),
    Reason.THROTTLED: (
        "For mange forkerte pinkoder; kortet er midlertidigt låst.",
        "Too many wrong PINs; the card has to wait.",
    ),
    Reason.NOT_RESIDENT: ("Bor ikke i kommunen.", "Does not live in the municipality."),
    Reason.BLOCKED: ("Spærret i bibliotekssystemet.", "Blocked in the library system."),
    Reason.UNDER_AGE: ("For ung til selvbetjening.", "Too young for self-service."),
    Reason.NOT_INTRODUCED: (
        "Mangler aftale eller introduktion til selvbetjening.",
        "Has no agreement or introduction for self-service yet.",
    ),
    Reason.EXPIRED: ("Kortet er udløbet eller sat i bero.", "The card has expired or is on hold."),
    Reason.BANNED: ("Har karantæne fra biblioteket.", "Banned by the library."),
    Reason.CLOSED: ("Biblioteket er lukket nu.", "The library is closed now."),
    Reason.NOT_PERMITTED: (
        "Kortet eller koden giver ikke adgang nu.",
        "The card or code gives no access now.",
    ),
    Reason.RESTRICTED: (
        "Oplysningerne er under begrænset behandling.",
        "The person's data are restricted.",
    ),
    Reason.CACHE_TOO_OLD: (
        "Lånerregistret er for gammelt.",
        "The copy of the patron register is too old.",
    ),
    Reason.CLOCK_UNTRUSTED: ("Uret er ikke stillet.", "The clock is not set."),
    Reason.WEAK_PIN: (
        "Pinkoden er for let at gætte; vælg en ny.",
        "The PIN is too easy to guess; choose a new one.",
    ),
    Reason.CARD_UNREADABLE: ("Kortet kunne ikke læses.", "The card could not be read."),
    Reason.FAULT: ("Fejl i anlægget.", "A fault in the system."),
}
"""One sentence for each reason, Danish first."""

MADE_UP_REF = "sip2-"
"""Begins the made-up number of a patron to whom the library system gave none: new each time."""


@dataclass(frozen=True, slots=True)
class SealedRow:
    """One identifier's row as it is stored.

    Args:
        row_key: 16 bytes, which name the identifier to those who have the installation key.
        pin_changed: the day on which the patron last changed the PIN, None for not known: a check
            that was learnt on that day or before counts no more.
    """

    row_key: bytes = field(repr=False)
    patron: Patron
    pin_changed: date | None = None


@dataclass(frozen=True, slots=True)
class CacheStamp:
    """The patron cache's own state, of which a sender can compare `patrons` with its export.

    Args:
        epoch: number of the last document applied; it only grows.
        applied_at: UTC, by whatever clock there was; None if there was none yet.
        minimum_age: the age that the rows' `enter_from` was computed for.
        patrons: how many identifiers it holds by a push.
        incomplete: rows were lost by damage, and no whole register has come since.
    """

    epoch: int
    applied_at: datetime | None
    minimum_age: int
    patrons: int
    incomplete: bool = False

    def age(self, now: Moment) -> timedelta | None:
        """Return how old the cache is; None where that is not known."""
        if self.applied_at is None or not now.dependable:
            return None
        return now.local - self.applied_at


@dataclass(frozen=True, slots=True)
class Applied:
    """What a push did: the new epoch and how many identifiers are now held."""

    epoch: int
    rows: int
    removed: int
