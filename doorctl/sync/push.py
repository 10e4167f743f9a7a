"""A run of the sender: those who have changed are sealed in parallel, and recorded as sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice

from doorctl.access.patron import SealedRow
from doorctl.core.errors import FeedError, Problem
from doorctl.core.masked import InstallationKey
from doorctl.sync.difference import Fingerprints, differ
from doorctl.sync.exports import Export
from doorctl.sync.feed import FeedPatron, WrongRow, refuse_nobody
from doorctl.sync.large import Again
from doorctl.sync.outbox import Outbox, Revision, Terms
from doorctl.sync.sealing import NEVER, Sealing, other_days, seal_rows
from doorctl.sync.wire import decode_row, encode

KEPT_DAYS = 7
"""How long a patron who was taken out is kept, sealed, for a branch that never says that it knows.

A halved export is mended within a week, which is also how far a branch's guard looks back. Later
the rows of somebody who has left are of no use; such a branch is sent everything when it is back.
"""

KEPT = "the branches keep this patron as before"
OUT = "this patron is taken out and not let in"
BROUGHT = "another row of this patron counts"
NEW = "this patron is not sent to the branches and not let in"
WHOSE = "nobody can tell whose row this is"
WAITING = "Until these lines are mended, no patron who is missing is taken out:"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a run found; `set_aside` has wrong rows, each with the name of its file.

    `changed` patrons were sealed; `returned` had been taken out and are as they were then, so that
    their rows still serve. `fates` tell of each patron of a wrong row what becomes of them at the
    branches. If `waits`, no patron who is missing from the export is taken out, for a row might be
    theirs. If not `is_read`, the export was without news since the last run.
    """

    epoch: int
    patrons: int
    changed: int
    removed: int
    left_out: int
    returned: int = 0
    set_aside: Sequence[tuple[str, WrongRow]] = ()
    fates: Mapping[str | None, str] = field(default_factory=dict)
    waits: bool = False
    is_read: bool = True


def refresh(
    export: Export,
    outbox: Outbox,
    sealing: Sealing,
    *,
    key: InstallationKey,
    terms: Terms,
) -> Refreshed:
    """Record what an export has changed, under a new epoch if anything; one transaction.

    After a switch of `flags_weak`, an export of the whole register brings it to everybody, one of
    changes only to the patrons in it.

    Raises FeedError: the export would do something else than it seems to. StoreError: the outbox
    failed; nothing was changed.
    """
    had = outbox.state().terms
    same_terms = terms.keep_rows(had)
    new_ages = set(terms.other_ages).difference(had.other_ages if had else ())
    _refuse_surprises(export, same_terms=same_terms and not new_ages)
    fingerprints = Fingerprints(key, terms, sealing.on, flags_weak=sealing.flags_weak)
    difference = differ(export, outbox.fingerprints(), fingerprints, same_terms=same_terms)
    revising = _Revising(outbox, terms, sealing)
    revisions: Iterable[Revision] = revising.revisions(difference.changed)
    removed = difference.removed
    if difference.kept:
        revisions = list(revisions)
        removed = [*removed, *_displaced(difference.kept, revisions, outbox)]
        if new_ages:
            revisions += _never_old_enough(difference.kept, outbox, terms, new_ages)
    after = outbox.record(revisions, removed, terms)
    outbox.forget_overdue(sealing.on, KEPT_DAYS)
    fates = _fates(export, difference.kept, removed)
    return Refreshed(
        after.epoch,
        after.patrons,
        changed=len(difference.changed) - revising.returned,
        removed=len(removed),
        left_out=difference.left_out,
        returned=revising.returned,
        set_aside=export.set_aside,
        fates=fates,
        waits=export.whole and same_terms and None in fates,
    )


def unchanged(outbox: Outbox) -> Refreshed:
    """Return what a run found whose export was without news: all is as it was."""
    state = outbox.state()
    return Refreshed(state.epoch, state.patrons, 0, 0, 0, is_read=False)


def _fates(
    export: Export, kept: Collection[str], removed: Collection[str]
) -> dict[str | None, str]:
    fates = dict.fromkeys((row.patron_ref for _, row in export.set_aside), NEW)
    brought = {
        patron.patron_ref
        for patron in (export.patrons if fates else ())
        if patron.identifiers and patron.patron_ref in fates
    }
    for refs, fate in ((kept, KEPT), (brought, BROUGHT), (removed, OUT), ([None], WHOSE)):
        fates |= dict.fromkeys(fates.keys() & set(refs), fate)
    return fates


@dataclass
class _Revising:
    """Makes the revisions of those who changed; `returned` counts whose rows are kept ones."""

    outbox: Outbox
    terms: Terms
    sealing: Sealing
    returned: int = 0

    def revisions(self, changed: Collection[tuple[FeedPatron, bytes]]) -> Iterator[Revision]:
        kept = self.outbox.taken_out()
        back = {
            each.patron_ref
            for each, mark in (changed if kept else ())
            if kept.get(each.patron_ref) == mark
        }
        self.returned = len(back)
        rows = seal_rows(
            Again(lambda: (each for each, _ in changed if each.patron_ref not in back)),
            self.sealing,
        )
        for patron, fingerprint in changed:
            ref = patron.patron_ref
            lines = self.outbox.lines_of(ref) if ref in back else _next_lines(patron, rows)
            days = other_days(patron, self.terms.other_ages, self.sealing.on)
            yield Revision(ref, fingerprint, lines, days)


def _next_lines(patron: FeedPatron, rows: Iterator[SealedRow]) -> tuple[bytes, ...]:
    return tuple(encode(row) for row in islice(rows, len(patron.identifiers)))


def _displaced(kept: Collection[str], revisions: Iterable[Revision], outbox: Outbox) -> list[str]:
    """Return the kept patrons whose number is another's now: no branch takes a number twice."""
    keys = {decode_row(line).row_key for revision in revisions for line in revision.lines}
    held = (decode_row(line) for line, _ in outbox.rows(0, 0))
    theirs = {row.patron.patron_ref for row in held if row.row_key in keys}
    return sorted(theirs.intersection(kept))


def _never_old_enough(
    kept: Collection[str], outbox: Outbox, terms: Terms, new_ages: Collection[int]
) -> Iterator[Revision]:
    """Yield the kept patrons as they are, but for new age limits: nobody knows their birthdays."""
    lines: dict[str, dict[bytes, None]] = {ref: {} for ref in kept}
    days: dict[str, dict[int, date]] = {ref: dict.fromkeys(new_ages, NEVER) for ref in kept}
    for age in terms.other_ages:
        for line, day in outbox.rows(0, age):
            ref = decode_row(line).patron.patron_ref
            if ref in kept:
                lines[ref][line] = None
                days[ref] |= {} if day is None else {age: day}
    # No row has this fingerprint: the next right one is sealed.
    return (Revision(ref, bytes(32), tuple(lines[ref]), days[ref]) for ref in kept)


def _refuse_surprises(export: Export, *, same_terms: bool) -> None:
    if export.whole:
        refuse_nobody(export.subject, export.patrons)
    if not export.whole and not same_terms:
        what = (
            "holds changes only, but the installation key, seal.* or a minimum_age is another one "
            "than in the last run, or there was none; give the whole register once"
        )
        raise FeedError(export.subject, [Problem("export", what)])
