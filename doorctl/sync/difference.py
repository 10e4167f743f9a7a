"""Who has changed since the last run: only they are sealed again."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date

import msgspec

from doorctl.core.masked import InstallationKey
from doorctl.sync.exports import Export
from doorctl.sync.feed import FeedPatron
from doorctl.sync.outbox import Terms
from doorctl.sync.sealing import enter_from, has_weak_pin, other_days

PURPOSE = b"outbox"
"""Sets the fingerprints' key apart from other keys derived from the installation key."""


@dataclass(eq=False)
class Fingerprints:
    """Name what a patron's sealed rows will be, without sealing.

    HMAC-SHA256 under the installation key over all that is sealed and its terms. A birthday
    counts only by the day from which it lets the patron in: so a row changes on the day that the
    patron comes of age, and that day is forgotten. With the installation key, guesses at a
    fingerprint are fast: the outbox belongs on the machine that reads the export in the clear.

    `on` and `flags_weak` are as in `Sealing`.
    """

    key: InstallationKey
    terms: Terms
    on: date
    _: KW_ONLY
    flags_weak: bool = False

    def of(self, patron: FeedPatron) -> bytes:
        """Return 32 bytes; equal for rows that differ in order only."""
        # Other age limits count by their days alone: most people are old enough for all.
        terms = {"seal": self.terms.seal, "minimum_age": self.terms.minimum_age}
        canonical = [terms, patron.patron_ref, *self._values(patron)]
        key = hmac.digest(self.key.reveal(), PURPOSE, "sha256")
        return hmac.digest(key, msgspec.json.encode(canonical), "sha256")

    def _values(self, patron: FeedPatron) -> Iterator[object]:
        row = patron.row
        yield sorted(
            (identifier.identifier.reveal(), identifier.active, _day(identifier.valid_until))
            for identifier in patron.identifiers
        )
        yield None if patron.pin is None else patron.pin.reveal()
        yield row.resident
        yield sorted(row.blocks)
        age = self.terms.minimum_age
        yield _day(enter_from(patron.birthday, patron.numbers, age, self.on))
        yield _day(row.hold_from)
        yield _day(row.hold_until)
        yield sorted(row.tags)
        if patron.pin_changed is not None:
            # Left out where it is unknown, so that rows sealed before it existed stay as they are.
            yield _day(patron.pin_changed)
        if days := other_days(patron, self.terms.other_ages, self.on):
            yield {str(age): _day(day) for age, day in days.items()}
        if self.flags_weak and has_weak_pin(patron):
            # No day is written like this.
            yield "weak_pin"


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to be recorded; each who has changed comes with the new fingerprint.

    `kept` stay in the register as they are: a row was set aside that is or may be theirs.
    """

    changed: Sequence[tuple[FeedPatron, bytes]]
    removed: Sequence[str]
    kept: frozenset[str] = frozenset()


def differ(
    export: Export,
    known: Mapping[str, bytes],
    fingerprints: Fingerprints,
    *,
    same_terms: bool = True,
) -> Difference:
    """Compare an export with the fingerprints of everyone in the register.

    A patron whose row was set aside stays in the register as before, unless the readable part of
    one of the patron's rows speaks against it, or rows are sealed for other terms now; other
    branches' age limits don't count. While one wrong row can't be assigned to a patron, nobody is
    taken out for missing.
    """
    changed: list[tuple[FeedPatron, bytes]] = []
    wrong = [row for _, row in export.set_aside]
    named = {row.patron_ref for row in wrong if row.patron_ref is not None} & known.keys()
    kept = named - {row.patron_ref for row in wrong if not (row.may_stay and same_terms)}
    gone = named - kept
    if export.whole and (all(row.patron_ref for row in wrong) or not same_terms):
        gone |= known.keys() - kept
    for patron in export.patrons:
        if not patron.identifiers:
            gone |= {patron.patron_ref} & known.keys()
            continue
        gone.discard(patron.patron_ref)
        fingerprint = fingerprints.of(patron)
        if known.get(patron.patron_ref) != fingerprint:
            changed.append((patron, fingerprint))
    if export.whole:
        kept = known.keys() - gone - {patron.patron_ref for patron in export.patrons}
    return Difference(changed, sorted(gone), frozenset(kept))


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()
