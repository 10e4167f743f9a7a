"""Apply a staged push: in order, once, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from doorctl.errors import (
    Problem,
    PushConflictError,
    PushGuardedError,
    PushInvalidError,
    PushOutOfOrderError,
)
from doorctl.ports import Changes, Guard, PatronWriter, Push, SealedRow
from doorctl.sync.guard import unguarded
from doorctl.sync.manifest import SUBJECT, Manifest, SealedWith
from doorctl.sync.staging import Staged
from doorctl.sync.wire import Removal

LARGEST_STEP = 2**32
"""So far may a push's number be above ours: no mistake and no thief uses up those there are."""


class _RehearsedError(Exception):
    """All that a push would do has gone well; it undoes that."""


@dataclass(frozen=True, slots=True)
class Received:
    """The answer to a push; the same one again is answered the same.

    Args:
        epoch: the push that is held now.
        applied: rows and removals of the push.
        unchanged: it was held already, so nothing was done.
        warning: what somebody has to look at though it was applied; None for nothing.
    """

    epoch: int
    applied: int
    unchanged: bool
    warning: str | None = None


def receive(
    staged: Staged,
    *,
    writer: PatronWriter,
    seal: SealedWith,
    applied_at: datetime | None,
    guard: Guard,
    before_commit: Callable[[], None] = lambda: None,
    floor: int = 0,
    minimum_age: int = 0,
    rehearsed: bool = False,
) -> Received:
    """Apply a push in one durable transaction, or change nothing. On the writer's thread.

    Args:
        staged: checked by `Staging`.
        writer: what it returned from is on the disk.
        seal: see :func:`judge`.
        applied_at: UTC, by whatever clock there is; None for not known.
        guard: asked before the commit, unless the push itself names who approved of it.
        before_commit: called when nothing but the commit is left to do; what it raises passes
            through, and nothing is changed.
        floor: see :func:`judge`.
        minimum_age: see :func:`judge`.
        rehearsed: undo all of it before the commit; only the answer is wanted.

    Raises:
        PushError: as :func:`judge`.
        PushGuardedError: it would lock out too many.
        StoreError: two rows or two patrons claim one identifier, or the disk failed.
    """
    manifest = staged.manifest
    known = judge(manifest, writer.held(), seal=seal, floor=floor, minimum_age=minimum_age)
    if known is not None:
        return known
    approved = manifest.approved_by is not None
    told: list[str | None] = []

    def last(changes: Changes) -> None:
        told.append((unguarded if approved else guard)(changes))
        if rehearsed:
            raise _RehearsedError
        before_commit()

    try:
        applied = writer.apply(
            _rows(staged),
            full=manifest.kind == "snapshot",
            applied_at=applied_at,
            minimum_age=manifest.minimum_age,
            guard=last,
            removals=_removals(staged),
            push=Push(manifest.epoch, manifest.sha256),
            approved=approved,
        )
    except _RehearsedError:
        return Received(manifest.epoch, manifest.count, unchanged=False)
    return Received(applied.epoch, manifest.count, unchanged=False, warning=told[-1])


def judge(
    manifest: Manifest, held: Push, *, seal: SealedWith, floor: int = 0, minimum_age: int = 0
) -> Received | None:
    """Judge a push by its first line alone: return the answer if it is held already, else None.

    Args:
        manifest: signed, and for this branch.
        held: the push that the cache holds.
        seal: what this branch seals cards with.
        floor: the highest number that this branch has taken, by what is kept elsewhere: where the
            cache holds less it was lost, and who kept an old push must not bring that back.
        minimum_age: the branch's, in years; rows that were sealed for less let nobody in.

    Raises:
        PushConflictError: of the number of the one that is held, with other rows.
        PushOutOfOrderError: older than what is held, too far above it, or it follows on another.
        PushInvalidError: its rows were sealed otherwise, so no card would be found.
        PushGuardedError: its rows were sealed for a lower age, and nobody has approved of it.
    """
    # The digest is of the rows alone. A number stands for one register, though: changes with the
    # very rows of its snapshot bring everybody and remove nobody, so both leave the same behind.
    if held == Push(manifest.epoch, manifest.sha256):
        return Received(held.epoch, manifest.count, unchanged=True)
    _refuse_order(manifest, held, floor)
    _refuse_seal(manifest, seal)
    _refuse_age(manifest, minimum_age)
    return None


def _refuse_order(manifest: Manifest, held: Push, floor: int) -> None:
    above = max(held.epoch, floor)
    if manifest.epoch == held.epoch:
        raise PushConflictError(
            f"push {manifest.epoch} is held with other rows; "
            f"give the next one a number above {above}"
        )
    if held.epoch < floor and (manifest.epoch <= floor or manifest.kind == "changes"):
        raise PushOutOfOrderError(
            f"the register of push {floor} is lost; send a snapshot with a number above {floor}"
        )
    if manifest.epoch < held.epoch:
        raise PushOutOfOrderError(
            f"push {manifest.epoch} is older than push {held.epoch}, which is held; "
            f"give the next one a number above {held.epoch}"
        )
    if manifest.epoch > above + LARGEST_STEP:
        raise PushOutOfOrderError(
            f"push {manifest.epoch} is more than {LARGEST_STEP} above push {above}; "
            "check the sender's numbers"
        )
    if manifest.kind == "changes" and manifest.previous_epoch != held.epoch:
        raise PushOutOfOrderError(
            f"the changes follow on push {manifest.previous_epoch}, but push {held.epoch} is held; "
            "send the changes since then, or a snapshot"
        )


def _refuse_seal(manifest: Manifest, seal: SealedWith) -> None:
    if manifest.seal != seal:
        what = (
            "seal: another installation key or other costs than this branch's; "
            "seal the rows for this branch"
        )
        raise PushInvalidError(SUBJECT, [Problem("line 1", what)])


def _refuse_age(manifest: Manifest, minimum_age: int) -> None:
    if manifest.minimum_age < minimum_age and manifest.approved_by is None:
        raise PushGuardedError(
            f"its rows were sealed for a minimum age of {manifest.minimum_age}, so this branch, "
            f"which asks for {minimum_age}, would let nobody in; set its minimum_age where they "
            "are sealed"
        )


def _rows(staged: Staged) -> Iterator[SealedRow]:
    return (line for line in staged.lines() if isinstance(line, SealedRow))


def _removals(staged: Staged) -> Iterator[str]:
    """Read the spool once more, so that a million removals are never in memory."""
    if staged.removals:
        yield from (line.patron_ref for line in staged.lines() if isinstance(line, Removal))
