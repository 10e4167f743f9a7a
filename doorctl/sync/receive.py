"""Apply a staged push: in order, once, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from doorctl.errors import Problem, PushConflictError, PushInvalidError, PushOutOfOrderError
from doorctl.ports import Changes, Guard, PatronWriter, Push, SealedRow
from doorctl.sync.guard import unguarded
from doorctl.sync.manifest import SUBJECT, Manifest, SealedWith
from doorctl.sync.staging import Staged
from doorctl.sync.wire import Removal


@dataclass(frozen=True, slots=True)
class Received:
    """The answer to a push; the same one again is answered the same.

    Args:
        epoch: the push that is held now.
        applied: rows and removals of the push.
        unchanged: it was held already, so nothing was done.
    """

    epoch: int
    applied: int
    unchanged: bool


def receive(
    staged: Staged,
    *,
    writer: PatronWriter,
    seal: SealedWith,
    applied_at: datetime | None,
    guard: Guard,
    before_commit: Callable[[], None] = lambda: None,
    floor: int = 0,
) -> Received:
    """Apply a push in one durable transaction, or change nothing. On the writer's thread.

    Args:
        staged: checked by `Staging`.
        writer: what it returned from is on the disk.
        seal: what this branch seals cards with.
        applied_at: UTC, by whatever clock there is; None for not known.
        guard: asked before the commit, unless the push itself names who approved of it.
        before_commit: called when nothing but the commit is left to do; what it raises passes
            through, and nothing is changed.
        floor: the highest number that this branch has taken, by what is kept elsewhere: where the
            cache holds less it was lost, and who kept an old push must not bring that back.

    Raises:
        PushConflictError: of the number of the one that is held, with other rows.
        PushOutOfOrderError: older than what is held, or it follows on another push.
        PushInvalidError: its rows were sealed otherwise, so no card would be found.
        PushGuardedError: it would lock out too many.
        StoreError: two rows or two patrons claim one identifier, or the disk failed.
    """
    manifest = staged.manifest
    held = writer.held()
    # The digest is of the rows alone. A number stands for one register, though: changes with the
    # very rows of its snapshot bring everybody and remove nobody, so both leave the same behind.
    if held == Push(manifest.epoch, manifest.sha256):
        return Received(held.epoch, manifest.count, unchanged=True)
    _refuse_below(floor, manifest, held)
    _refuse_order(manifest, held)
    _refuse_seal(manifest, seal)
    asked = guard if manifest.approved_by is None else unguarded

    def last(changes: Changes) -> None:
        asked(changes)
        before_commit()

    applied = writer.apply(
        _rows(staged),
        full=manifest.kind == "snapshot",
        applied_at=applied_at,
        minimum_age=manifest.minimum_age,
        guard=last,
        removals=_removals(staged),
        push=Push(manifest.epoch, manifest.sha256),
    )
    return Received(applied.epoch, manifest.count, unchanged=False)


def _refuse_below(floor: int, manifest: Manifest, held: Push) -> None:
    if held.epoch < floor and (manifest.epoch <= floor or manifest.kind == "changes"):
        raise PushOutOfOrderError(
            f"the register of push {floor} is lost; send a snapshot with a number above {floor}"
        )


def _refuse_order(manifest: Manifest, held: Push) -> None:
    if manifest.epoch == held.epoch:
        raise PushConflictError(
            f"push {manifest.epoch} is held with other rows; "
            f"give the next one a number above {held.epoch}"
        )
    if manifest.epoch < held.epoch:
        raise PushOutOfOrderError(
            f"push {manifest.epoch} is older than push {held.epoch}, which is held; "
            f"give the next one a number above {held.epoch}"
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


def _rows(staged: Staged) -> Iterator[SealedRow]:
    return (line for line in staged.lines() if isinstance(line, SealedRow))


def _removals(staged: Staged) -> Iterator[str]:
    """Read the spool once more, so that a million removals are never in memory."""
    if staged.removals:
        yield from (line.patron_ref for line in staged.lines() if isinstance(line, Removal))
