"""Who has changed since the last run: only they are sealed again."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date
from itertools import chain

import msgspec

from doorctl.core.masked import InstallationKey
from doorctl.sync.exports import Export
from doorctl.sync.feed import FeedPatron
from doorctl.sync.large import Again, Marks
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
    `left_out` counts identifiers that no reader can read.
    """

    changed: Collection[tuple[FeedPatron, bytes]]
    removed: Sequence[str]
    kept: frozenset[str] = frozenset()
    left_out: int = 0


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
    wrong = [row for _, row in export.set_aside]
    named = {
        row.patron_ref for row in wrong if row.patron_ref is not None and row.patron_ref in known
    }
    kept = named - {row.patron_ref for row in wrong if not (row.may_stay and same_terms)}
    there, brought, bare = Marks(), Marks(), set[str]()
    left_out = 0

    def first() -> Iterator[tuple[FeedPatron, bytes]]:
        nonlocal left_out
        for patron in export.patrons:
            left_out += patron.left_out
            there.add(patron.patron_ref)
            if patron.identifiers:
                brought.add(patron.patron_ref)
            elif patron.patron_ref in known:
                bare.add(patron.patron_ref)
            yield from compared(patron)

    def compared(patron: FeedPatron) -> Iterator[tuple[FeedPatron, bytes]]:
        fingerprint = fingerprints.of(patron) if patron.identifiers else b""
        if fingerprint and known.get(patron.patron_ref) != fingerprint:
            yield patron, fingerprint

    changed = Again(lambda: chain.from_iterable(map(compared, export.patrons)), first())
    gone = {ref for ref in named - kept if ref not in brought} | bare
    if export.whole and (all(row.patron_ref for row in wrong) or not same_terms):
        gone |= {ref for ref in known if ref not in brought and ref not in kept}
    if export.whole:
        kept = {ref for ref in known if ref not in there and ref not in gone}
    return Difference(changed, sorted(gone), frozenset(kept), left_out)


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()
