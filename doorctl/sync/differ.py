"""Who has changed since the last run: only they are sealed again."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import msgspec

from doorctl.masked import InstallationKey
from doorctl.sync.feed import FeedPatron
from doorctl.sync.outbox import Terms
from doorctl.sync.seal import enter_from, has_weak_pin, other_days
from doorctl.sync.source import Export

PURPOSE = b"outbox"
"""Sets the fingerprints' key apart from whatever else is derived from the installation key."""


class Fingerprints:
    """Name what a patron's sealed rows will be, without sealing.

    HMAC-SHA256 under the installation key over all that is sealed and its terms. A birthday
    counts only by the day it lets the patron in from: so a row changes on the day that somebody
    comes of age, and that day is forgotten. With the installation key a fingerprint can be
    guessed at fast: the outbox belongs on the machine that reads the export in the clear.

    Args:
        key: the branches' common installation key.
        terms: what the rows are sealed for.
        on: a day that has certainly come; None keeps everyone's `enter_from`.
        flags_weak: whether a row says that its PIN is too easy to guess; switched, it changes the
            rows of those who have such a PIN and of nobody else.
    """

    def __init__(
        self,
        key: InstallationKey,
        terms: Terms,
        on: date | None,
        *,
        flags_weak: bool = False,
    ) -> None:
        self._key = hmac.digest(key.reveal(), PURPOSE, "sha256")
        self._terms = terms
        self._on = on
        self._flags_weak = flags_weak

    def of(self, patron: FeedPatron) -> bytes:
        """Return 32 bytes; equal for rows that differ in order only."""
        # Other age limits count by their days alone: most people are old enough for all.
        terms = {"seal": self._terms.seal, "minimum_age": self._terms.minimum_age}
        canonical = [terms, patron.patron_ref, *self._values(patron)]
        return hmac.digest(self._key, msgspec.json.encode(canonical), "sha256")

    def _values(self, patron: FeedPatron) -> Iterator[object]:
        yield sorted(
            (each.identifier.reveal(), each.active, _day(each.valid_until))
            for each in patron.identifiers
        )
        yield None if patron.pin is None else patron.pin.reveal()
        yield patron.resident
        yield sorted(patron.blocks)
        yield _day(enter_from(patron, self._terms.minimum_age, self._on))
        yield _day(patron.hold_from)
        yield _day(patron.hold_until)
        yield sorted(patron.tags)
        if patron.pin_changed is not None:
            # Left out where it says nothing: rows sealed before it was known need no sealing anew.
            yield _day(patron.pin_changed)
        if days := other_days(patron, self._terms.other_ages, self._on):
            yield {str(age): _day(day) for age, day in days.items()}
        if self._flags_weak and has_weak_pin(patron):
            # No day is written so.
            yield "weak_pin"


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to be recorded.

    Args:
        changed: patrons to be sealed, in the export's order.
        fingerprints: theirs, in the same order.
        removed: who was in the register and can't enter any more.
        kept: whose row was set aside, and who stays in the register as they are.
    """

    changed: Sequence[FeedPatron]
    fingerprints: Sequence[bytes] = field(repr=False)
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

    Whose row was set aside stays as they are in the register, unless what can be read of one of
    their rows speaks against them, or rows are sealed for other terms now. While it can't be told
    whose a row is, nobody is taken out for missing.
    """
    changed: list[FeedPatron] = []
    theirs: list[bytes] = []
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
            changed.append(patron)
            theirs.append(fingerprint)
    return Difference(changed, theirs, sorted(gone), frozenset(kept))


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()
