"""How many guesses all codes together get: a person who guesses any of them is in.

A wrong code belongs to no card, so one count serves all. It never stops codes for good, or
anybody could stop them; but after six failures each further one costs an hour, and each hour
forgives one: 6 tries in 12.5 minutes, then 24 a day. Of 1 000 000 codes of six digits, with 10
in force, they hit one with a chance of 8.4 % in a year; with 1000, as many as EN 60839-11-1,
table 4, allows, in six weeks on average. Issue few and long ones. A right code forgives nothing:
else its holder could guess at the others between two entries.
"""

from __future__ import annotations

from doorctl.access.throttle import WAIT_AFTER_S, CardThrottle
from doorctl.core.moments import BootTime

CODES_KEY = b"any issued code."
"""The one key of all codes in the count and the door log: 16 bytes, and no card's row key."""

A_CODE = "code"
"""One name in lists for all codes: one pseudonym would make them, wrong ones too, one person's."""

MOST_FAILURES = 6
"""No more failures are counted; this many have the longest wait."""

FORGIVEN_MS = 3_600_000
"""One failure is forgiven for each hour without another, so honest slips don't add up."""


def codes_left(throttle: CardThrottle, now: BootTime) -> int:
    """Return how many failures still count."""
    if throttle.at is None:
        return 0
    return max(0, throttle.failures - now.ms_since(throttle.at) // FORGIVEN_MS)


def codes_charged(throttle: CardThrottle, now: BootTime) -> CardThrottle:
    """Count a failure, before the result is known."""
    return CardThrottle(min(codes_left(throttle, now) + 1, MOST_FAILURES), now)


def codes_hold(throttle: CardThrottle, now: BootTime) -> bool:
    """Tell whether codes have to wait."""
    wait_s = WAIT_AFTER_S.get(codes_left(throttle, now), 0)
    return throttle.at is not None and now.ms_since(throttle.at) < wait_s * 1000
