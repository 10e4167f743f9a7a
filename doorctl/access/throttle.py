"""How many PIN guesses a card and a reader get: pure tables over values that survive a restart.

A four-digit PIN falls to 10 000 guesses, so the count decides: three free failures, then a wait
that grows, and an end at ten until staff reset it: 10 of 10 000 in no less than 4.2 hours.
The count is a person's data too and is deleted with the visits, 30 days after its last failure.
A right PIN at the card ends it, so a second count exists that no right PIN ends: of its wrong PINs
in a month, or in a year while none was right, at most :data:`MOST_WRONG_PINS`.

A patron's cards, the health card and plastic ones, share the free failures: with three in all,
each card waits :data:`SHARED_WAIT_S` after another one's failure. The longer waits and the ends
are each card's own: a finder of a plastic card shuts its owner out for half a
minute, and not for a month. Both ends together allow, of 10 000 PINs:

==============================  =======================  =========
somebody has                    in the first 30 days     in a year
==============================  =======================  =========
one card that is used no more   10 (0.1 %), stopped      20 (0.2 %)
one that its owner uses daily   20 (0.2 %)               240 (2.4 %)
both, which are used no more    20 (0.2 %), stopped      30 (0.3 %)
both, which are used daily      30 (0.3 %)               360 (3.6 %)
==============================  =======================  =========

For with :data:`MOST_WRONG_PINS` on record at all cards, one of them has :data:`MOST_OF_ITS_OWN`.
The owner's part: one try in seven is a slip at worst, so four in a month of daily visits; ten of
their own, beside a stranger's at the other card, come in 1 month of 70. Before, twenty of a
stranger's at either card shut out both.
Elapsed time is CLOCK_BOOTTIME; a reboot starts a wait afresh, so pulling the plug gains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

from doorctl.core.moments import BootTime

STOP_AT_FAILURES = 10
"""After so many failures in a row a card waits for staff, or until the count is forgotten.

ISO 9564 practice; 0.10 % of PINs.
"""

WAIT_AFTER_S = MappingProxyType({3: 30, 4: 120, 5: 600, 6: 3600, 7: 3600, 8: 3600, 9: 3600})
"""Failures in a row -> seconds until the next try (NIST SP 800-63B: "30 seconds up to an hour")."""

FREE = min(WAIT_AFTER_S)
"""Failures in a row, at all of a patron's cards, before any of them has to wait."""

SHARED_WAIT_S = WAIT_AFTER_S[FREE]
"""How long a patron's cards wait for a failure at another one, once none is free."""

MOST_WRONG_PINS = 20
"""With so many wrong PINs on record a card waits for staff, or until one is deleted."""

MOST_OF_ITS_OWN = MOST_WRONG_PINS // 2
"""With so many it waits too, once the patron's cards have :data:`MOST_WRONG_PINS` together."""

MOST_ELSEWHERE = MOST_WRONG_PINS - FREE
"""So many of a patron's wrong PINs at other branches count here at most: not told at which card,
they stop none before three at this door, so no owner is turned away for two slips. A thief has
three at each branch for nothing anyway."""

TOLD_FROM = 4
"""From this many wrong PINs of a patron on, the other branches learn of them: more than anybody's
slips, so who mistyped where stays with that branch. A thief has three at each for nothing."""

GUESSED_AT = 10
"""A right PIN beside so many wrong ones is alarmed: there may be a copy of the card."""

WRONG_PIN_DAYS, UNANSWERED_DAYS = 30, 365
"""How long a patron's wrong PIN counts: from the day after it, and longer while no right one came.

By the month alone, a stolen card would get 20 guesses each month.
"""

READER_BURST = 10
"""Failures at one reader that cost no card a wait: an evening's honest slips."""

READER_REFILL_MS = 60_000
"""One failure is forgiven each minute, so a sweep over many cards stays slow for good."""

READER_DELAY_S = 5.0
"""What an exhausted reader adds to every answer, right or wrong: a wait, never a refusal."""


@dataclass(frozen=True, slots=True)
class CardThrottle:
    """Failures in a row of one card, and when the latest was; `at` is None for none."""

    failures: int = 0
    at: BootTime | None = None

    def charged(self, now: BootTime) -> CardThrottle:
        """Count a failure, before the result is known."""
        return CardThrottle(min(self.failures + 1, STOP_AT_FAILURES), now)

    def holds(self, now: BootTime) -> bool:
        """Tell whether the card has to wait; once stopped, for as long as the count is kept."""
        if self.failures >= STOP_AT_FAILURES:
            return True
        wait_s = WAIT_AFTER_S.get(self.failures, 0)
        return self.at is not None and now.ms_since(self.at) < wait_s * 1000


def waits(own: CardThrottle, others: Iterable[CardThrottle], now: BootTime) -> bool:
    """Tell whether a card has to wait for failures in a row, its own and its patron's `others`'."""
    if own.holds(now):
        return True
    every = [own, *others]
    lately = (
        each.at is not None and now.ms_since(each.at) < SHARED_WAIT_S * 1000 for each in every
    )
    return sum(each.failures for each in every) >= FREE and any(lately)


@dataclass(frozen=True, slots=True)
class WrongPins:
    """The wrong PINs on record of a card and of all its patron's cards; `elsewhere` at others.

    `own` is at most `here`, both of this branch; `elsewhere` is the other branches' count.
    """

    own: int = 0
    here: int = 0
    elsewhere: int = 0

    @property
    def all(self) -> int:
        """How many the patron has, as far as they count here."""
        return self.here + min(self.elsewhere, MOST_ELSEWHERE)

    @property
    def stop(self) -> bool:
        """Whether the card waits for staff, or until one of them is deleted."""
        its_own = self.own + min(self.elsewhere, MOST_ELSEWHERE)
        beside_others = self.own >= MOST_OF_ITS_OWN and self.all >= MOST_WRONG_PINS
        return its_own >= MOST_WRONG_PINS or beside_others


@dataclass(frozen=True, slots=True)
class ReaderThrottle:
    """A token bucket of failures at one reader; `spent_ms` is the debt left at `at`."""

    spent_ms: int = 0
    at: BootTime | None = None

    def left(self, now: BootTime) -> ReaderThrottle:
        """Return the debt as it stands now."""
        elapsed = 0 if self.at is None else now.ms_since(self.at)
        return ReaderThrottle(max(0, self.spent_ms - elapsed), now)

    def charged(self, now: BootTime) -> ReaderThrottle:
        """Count a failure at this reader, for any card."""
        spent = self.left(now).spent_ms + READER_REFILL_MS
        return ReaderThrottle(min(spent, READER_BURST * READER_REFILL_MS), now)

    def delay_s(self, now: BootTime) -> float:
        """Return how much later every answer at this reader comes: 0 or :data:`READER_DELAY_S`."""
        free_ms = READER_BURST * READER_REFILL_MS - self.left(now).spent_ms
        return READER_DELAY_S if free_ms < READER_REFILL_MS else 0.0
