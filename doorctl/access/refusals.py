"""Whether refusals for one reason are unusually many: a fault is heard of before patrons tell.

Reasons and times say nothing of who was refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from doorctl.access.patron import Reason

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
        """One sentence for an alarm; it holds no name."""
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
