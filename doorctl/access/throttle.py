"""How many PIN guesses a card and a reader get: pure tables over values that survive a restart.

A four-digit PIN falls to 10 000 guesses, so the count decides: three free failures, then a wait
that grows, and an end at ten until staff reset it: 10 of 10 000 in no less than 4.2 hours.
The count is a person's data too and is deleted with the visits, 30 days after its last failure.
A right PIN at the card ends it, so a second count exists that no right PIN ends: of its wrong PINs
in a month, or in a year while none was right, at most :data:`MOST_WRONG_PINS`.

A patron's cards, the health card and plastic ones, share the free failures: with three in all,
each card waits :data:`SHARED_WAIT_S` after another one's failure. The longer waits and the ends
are each card's own: whoever found a plastic card in the street shuts its owner out for half a
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

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from doorctl.access.patron import Reason
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
"""Failures at one reader that cost nobody a wait: an evening's honest slips."""

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


# How many guesses all codes together get: a person who guesses any of them is in.
#
# A wrong code belongs to no card, so one count serves all. It never stops codes for good, or
# anybody could stop them; but after six failures each further one costs an hour, and each hour
# forgives one: 6 tries in 12.5 minutes, then 24 a day. Of 1 000 000 codes of six digits, with 10
# in force, they hit one with a chance of 8.4 % in a year; with 1000, as many as EN 60839-11-1,
# table 4, allows, in six weeks on average. Issue few and long ones. A right code forgives nothing:
# else its holder could guess at the others between two entries.

CODES_KEY = b"any issued code."
"""The one key of all codes in the count and the door log: 16 bytes, nobody's row key."""

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


# Whether refusals for one reason are unusually many: the library hears of a fault before patrons.
# Reasons and times say nothing of who was refused.

LAST = 20
"""How many decisions are looked at: on an evening of 50 visits that is two hours, so that a fault
isn't hidden behind a good day."""

WINDOW_S = 24 * 3600.0
"""Older decisions don't count: a fault of the evening before yesterday is no news."""

AGAIN_S = 120.0
"""A refusal for the same reason within so long counts as the same patron trying again. Of ten wrong
PINs in a row, with the waits that they cost, 7 are left, spread over four hours."""

CALM_SHARE = 0.5
"""An alarm is over below this part of its own share: a share at the edge raises it only once."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What makes refusals for one reason unusual, and a sentence on what to do about it.

    Fewer than `at_least` of the last decisions are chance; `share` is the smallest unusual part.
    """

    at_least: int
    share: float
    act: str


_OURS = (2, 0.1)
"""No patron can cause these, so two patrons are enough."""

_RULE = (6, 0.5)
"""One in twenty meets each of these rules: half of all means that the feed or the rule is wrong."""

_SLIP = (8, 0.6)
"""One in seven slips, and one patron alone comes to 7 counted tries before staff are needed."""

WATCHED: Mapping[Reason, Watch] = MappingProxyType(
    {
        Reason.FAULT: Watch(*_OURS, "Read the journal: journalctl -u doorctl-door."),
        Reason.CACHE_TOO_OLD: Watch(
            *_OURS, "Push the patrons again: doorctl sync push --full on the library's server."
        ),
        Reason.CLOCK_UNTRUSTED: Watch(
            *_OURS, "Give the door its time server or a battery clock: timedatectl."
        ),
        Reason.NOT_RESIDENT: Watch(
            *_RULE, "Look whether the export still says who lives in the municipality."
        ),
        Reason.BLOCKED: Watch(
            *_RULE, "Look in the library system whether so many patrons were meant to be blocked."
        ),
        Reason.UNDER_AGE: Watch(
            *_RULE, "Look whether the export has birthdays, and at policy.minimum_age."
        ),
        Reason.NOT_INTRODUCED: Watch(
            *_RULE, "Look whether the export has the patrons' tags, and at policy.require_tags."
        ),
        Reason.EXPIRED: Watch(
            *_RULE, "Look whether the export still has the patrons' expiry dates right."
        ),
        Reason.WEAK_PIN: Watch(
            *_RULE, "So many PINs are not weak: look whether the export has the right birthdays."
        ),
        Reason.NOT_PERMITTED: Watch(*_RULE, "Look at the passes' dates and hours."),
        Reason.RESTRICTED: Watch(
            *_RULE, "Look whether so many patrons' data were meant to be restricted."
        ),
        Reason.CLOSED: Watch(
            *_RULE, "If the branch should be open, look at its hours and exceptions."
        ),
        Reason.UNKNOWN_CARD: Watch(
            *_SLIP, "Look whether the last push held everybody: doorctl status."
        ),
        Reason.WRONG_PIN: Watch(
            *_SLIP, "Try the keypad yourself; look whether the export still holds the PINs."
        ),
        Reason.PIN_UNKNOWN: Watch(
            *_SLIP, "Look whether the export holds PINs and the library system can be asked."
        ),
        Reason.PIN_TIMEOUT: Watch(*_SLIP, "Try the keypad: a key or its cable may be dead."),
        Reason.CARD_UNREADABLE: Watch(
            *_SLIP, "Clean the reader's slot with a cleaning card and try it yourself."
        ),
    }
)
"""Each reason that can point at a fault of the house. `THROTTLED` follows wrong PINs, and `BANNED`
is one person: staff decided both, so neither is a fault however often it comes."""


@dataclass(frozen=True, slots=True)
class Unusual:
    """Refusals for one reason are unusually many: `count` of the last `of` decisions."""

    reason: Reason
    count: int
    of: int

    @property
    def why(self) -> str:
        """One sentence for an alarm; it names nobody."""
        share = f"{self.count} of the last {self.of} decisions were {self.reason.value}"
        return f"{share}. {WATCHED[self.reason].act}"

    def reaches(self, part: float) -> bool:
        """Tell whether they are at least a part of the unusual share."""
        return self.count >= part * WATCHED[self.reason].share * self.of

    def begins(self) -> bool:
        """Tell whether they are enough to raise an alarm."""
        return self.count >= WATCHED[self.reason].at_least and self.reaches(1)


@dataclass(frozen=True, slots=True)
class Refusals:
    """The last decisions of one door: reasons and times, at most :data:`LAST`, oldest first.

    `alarmed` holds the reasons whose alarm stands.
    """

    decisions: tuple[tuple[Reason, float], ...] = ()
    alarmed: frozenset[Reason] = frozenset()

    def after(self, reason: Reason, now_s: float) -> tuple[Refusals, tuple[Unusual, ...]]:
        """Count a decision; return the new state, and each alarm that is to be raised.

        A reason is alarmed once, until its share has fallen well below its limit. Leave out
        attempts that another swipe superseded: a reader that reads a card twice would count as
        patrons who didn't type. `now_s` never falls.
        """
        kept = tuple((each, at_s) for each, at_s in self.decisions if now_s - at_s < WINDOW_S)
        again = any(each is reason and now_s - at_s < AGAIN_S for each, at_s in kept)
        if reason is Reason.OK or not again:
            kept = (*kept, (reason, now_s))[-LAST:]
        counts = Counter(each for each, _ in kept)
        found = [Unusual(watched, counts[watched], len(kept)) for watched in WATCHED]
        new = tuple(each for each in found if each.reason not in self.alarmed and each.begins())
        stand = self.alarmed & {each.reason for each in found if each.reaches(CALM_SHARE)}
        return Refusals(kept, stand | {each.reason for each in new}), new
