"""Every way an attempt can end, and what staff are told about it."""

from __future__ import annotations

from enum import Enum


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
        """``granted`` or ``refused``."""
        return "granted" if self is Reason.OK else "refused"


BEFORE_PROOF = frozenset(
    {Reason.UNKNOWN_CARD, Reason.WRONG_PIN, Reason.PIN_UNKNOWN, Reason.THROTTLED}
)
"""Refusals of somebody who has not proved a PIN: signals and timing must not tell them apart."""

UNJUDGED = frozenset({Reason.PIN_TIMEOUT, Reason.FAULT, Reason.CARD_UNREADABLE})
"""Ends of an attempt whose PIN was never compared, so that no guess was spent."""

SENTENCES: dict[Reason, tuple[str, str]] = {
    Reason.OK: ("Døren åbnes.", "The door opens."),
    Reason.UNKNOWN_CARD: ("Kortet kendes ikke.", "The card is not known."),
    Reason.WRONG_PIN: ("Forkert pinkode.", "Wrong PIN."),
    Reason.PIN_UNKNOWN: ("Pinkoden kendes ikke endnu.", "The PIN is not known yet."),
    Reason.PIN_TIMEOUT: ("Der kom ingen pinkode i tide.", "No PIN came in time."),
    Reason.THROTTLED: (
        "For mange forkerte pinkoder; kortet holder pause.",
        "Too many wrong PINs; the card has to wait.",
    ),
    Reason.NOT_RESIDENT: ("Bor ikke i kommunen.", "Does not live in the municipality."),
    Reason.BLOCKED: (
        "Spærret i bibliotekssystemet.",
        "Blocked in the library system.",
    ),
    Reason.UNDER_AGE: ("For ung til selvbetjening.", "Too young for self-service."),
    Reason.EXPIRED: (
        "Kortet er udløbet eller sat i bero.",
        "The card has expired or is on hold.",
    ),
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
