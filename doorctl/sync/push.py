"""Bring the outbox to what the library system says: read all, check all, seal what has changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from doorctl.errors import FeedError, Problem
from doorctl.masked import InstallationKey
from doorctl.ports import SealedRow, Sealer
from doorctl.sync.differ import Fingerprints, differ
from doorctl.sync.feed import WrongRow
from doorctl.sync.outbox import Outbox, Revision, Standing, Terms
from doorctl.sync.reseal import reseal
from doorctl.sync.source import Export, Source
from doorctl.sync.wire import decode


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a run found.

    Args:
        epoch: the outbox's number now.
        patrons: how many are in the register now.
        changed: patrons sealed again.
        removed: patrons taken out.
        left_out: identifiers of types that no reader reads.
        set_aside: rows that can't be, each with the name of its file.
    """

    epoch: int
    patrons: int
    changed: int
    removed: int
    left_out: int
    set_aside: Sequence[tuple[str, WrongRow]] = ()


def refresh(
    source: Source,
    outbox: Outbox,
    *,
    sealer: Sealer,
    key: InstallationKey,
    terms: Terms,
    on: date | None,
    workers: int,
    on_progress: Callable[[int, int], None],
    flags_weak: bool = False,
) -> Refreshed:
    """Record what has changed at the source, under a new epoch if anything has.

    Args:
        source: read whole before anything is sealed.
        outbox: changed in one transaction.
        sealer: called from `workers` threads at once.
        key: the branches' common installation key.
        terms: what rows are sealed for; `sealer`'s own.
        on: a day that has certainly come; see `seal_rows`.
        workers: threads that seal.
        on_progress: told how many identifiers have been sealed so far, and of how many.
        flags_weak: as for `seal_rows`. Once it is switched, an export of the whole register
            brings it to everybody; one of changes to those who are in it.

    Raises:
        FeedError: something in the source is wrong, or would do something else than it seems to.
        StoreError: the outbox failed; nothing was changed.
    """
    export = source.read()
    standing = outbox.standing()
    _refuse_surprises(export, standing, terms)
    fingerprints = Fingerprints(key, terms, on, flags_weak=flags_weak)
    difference = differ(
        export, outbox.fingerprints(), fingerprints, same_terms=terms == standing.terms
    )
    revisions: Iterable[Revision] = reseal(
        difference,
        sealer,
        terms=terms,
        on=on,
        workers=workers,
        on_progress=on_progress,
        flags_weak=flags_weak,
    )
    removed = difference.removed
    if difference.kept:
        revisions = list(revisions)
        removed = [*removed, *_displaced(difference.kept, revisions, outbox)]
    after = outbox.record(revisions, removed, terms)
    left_out = sum(patron.left_out for patron in export.patrons)
    changed, gone = len(difference.changed), len(removed)
    return Refreshed(after.epoch, after.patrons, changed, gone, left_out, export.set_aside)


def _displaced(kept: Collection[str], revisions: Iterable[Revision], outbox: Outbox) -> list[str]:
    """Return who of the kept holds what is another's now: no branch takes a number of two."""
    keys = {_sealed(line).row_key for revision in revisions for line in revision.lines}
    held = (_sealed(line) for line, _ in outbox.rows(0, 0))
    theirs = {row.patron.patron_ref for row in held if row.row_key in keys}
    return sorted(theirs.intersection(kept))


def _sealed(line: bytes) -> SealedRow:
    row = decode(line)
    assert isinstance(row, SealedRow)  # noqa: S101 - an outbox holds no other lines
    return row


def _refuse_surprises(export: Export, standing: Standing, terms: Terms) -> None:
    if export.whole and not any(patron.identifiers for patron in export.patrons):
        what = "holds no card and no CPR number, so it would lock everybody out; export it again"
        raise FeedError(export.subject, [Problem("export", what)])
    if not export.whole and terms != standing.terms:
        what = (
            "holds changes only, but the installation key, seal.* or a minimum_age is another one "
            "than in the last run, or there was none; give the whole register once"
        )
        raise FeedError(export.subject, [Problem("export", what)])
