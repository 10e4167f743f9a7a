"""Apply a staged push: in order, once, all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, NoReturn

from doorctl.core.errors import (
    Problem,
    PushConflictError,
    PushGuardedError,
    PushInvalidError,
    PushOutOfOrderError,
    PushTooLargeError,
    PushUnsignedError,
    StoreError,
)
from doorctl.ports import Changes, Guard, PatronWriter, Push, SealedRow
from doorctl.sync.document import (
    SUBJECT,
    Manifest,
    SealedWith,
    Unpacking,
    UnpackingError,
    VerifyKey,
    read_manifest,
    verify,
)
from doorctl.sync.guard import unguarded
from doorctl.sync.rows import LONGEST_LINE_BYTES
from doorctl.sync.wire import Line, Removal, WrittenRemoval, WrittenRow, parse, reread

# Taking a push in: the signature, the whole and each row are checked before any of it is applied.

TOLD_PROBLEMS = 20
"""More helps nobody: rows that are wrong everywhere are wrong for one reason."""

MOST_ROWS = 2_000_000
"""Twice the largest library system's register (design, section 8)."""

MOST_BYTES = 1024 * 1024 * 1024
"""Uncompressed: `MOST_ROWS` rows of 0.4 KiB, with room."""

_CHANGED = "the disk does not give back the push that was kept on it; send it again"


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a push may be.

    Args:
        max_bytes: as it travels, and uncompressed.
        max_line_bytes: without the line feed; no more than `LONGEST_LINE_BYTES`.
        max_rows: lines after the manifest.
    """

    max_bytes: int = MOST_BYTES
    max_line_bytes: int = LONGEST_LINE_BYTES
    max_rows: int = MOST_ROWS


@dataclass(frozen=True, slots=True)
class Staged:
    """A push that is signed, complete and right; its rows lie in the spool.

    The manifest is its first line, the spool holds the others, uncompressed, from its beginning.
    """

    manifest: Manifest
    spool: BinaryIO
    removals: int

    def lines(self) -> Iterator[Line]:
        """Read the spool again from its beginning; one reading at a time.

        Each line was checked when it was staged. Only after the last is it known that the disk gave
        back the same ones: keep nothing of a reading that did not come to its end.

        Raises:
            StoreError: it no longer holds what was staged; the disk failed.
        """
        digest = hashlib.sha256()
        try:
            self.spool.seek(0)
            for line in self.spool:
                digest.update(line)
                yield reread(line)
        except OSError as error:
            raise _spool_failed(error) from error
        except ValueError:
            raise StoreError(_CHANGED) from None
        if digest.hexdigest() != self.manifest.sha256:
            raise StoreError(_CHANGED)


class Staging:
    """Take a push in chunk by chunk; memory stays flat. One thread at a time.

    After any error of :meth:`feed` or :meth:`finish` the push is refused and nothing more can be
    fed. `manifest` is its first line, None until that has arrived and is right.

    `spool` is an empty file, readable and writable, that the caller closes. Two keys may sign while
    one replaces the other.
    """

    def __init__(
        self,
        spool: BinaryIO,
        *,
        branch: str,
        public_keys: Sequence[VerifyKey],
        limits: Limits,
    ) -> None:
        self._spool = spool
        self._branch = branch
        self._public_keys = tuple(public_keys)
        self._limits = limits
        self._unpacking = Unpacking()
        self.manifest: Manifest | None = None
        self._digest = hashlib.sha256()
        self._travelled_bytes = 0
        self._bytes = 0
        self._rows = 0
        self._removals = 0
        self._beginning = b""
        self._problems: list[Problem] = []
        self._refused = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, of any number, plain or gzip.

        Wrong rows are reported together, up to 20 of them; any other error at once.

        Raises:
            PushUnsignedError: signed by none of the keys, or for another branch.
            PushTooLargeError: more bytes or rows than the limits.
            PushInvalidError: lines are wrong; names them.
            StoreError: the spool can't be written.
        """
        self._begin()
        self._travelled_bytes += len(chunk)
        self._refuse_size(self._travelled_bytes)
        try:
            for piece in self._unpacking.pieces(chunk):
                self._take(piece)
        except UnpackingError as error:
            self._refuse(str(error))
        self._refused = False

    def finish(self) -> Staged:
        """Check what can only be checked at the end; return the push, ready to be applied.

        Raises:
            PushInvalidError: rows are wrong, it is cut off, or their number or digest is not the
                manifest's.
            StoreError: the spool can't be written.
        """
        self._begin()
        try:
            self._unpacking.finish()
        except UnpackingError as error:
            self._refuse(str(error))
        if self._beginning or self.manifest is None:
            self._refuse("cut off before its end; send it again")
        if self._problems:
            raise PushInvalidError(SUBJECT, self._problems)
        return self._whole(self.manifest)

    def _begin(self) -> None:
        """Count the push as refused until the call has come to its end."""
        if self._refused:
            raise RuntimeError("a push that was refused or finished can't be continued")
        self._refused = True

    def _whole(self, manifest: Manifest) -> Staged:
        if self._rows != manifest.count:
            self._refuse(f"missing; {manifest.count} rows were announced, {self._rows} came")
        if self._digest.hexdigest() != manifest.sha256:
            raise PushInvalidError(
                SUBJECT, [Problem("rows", "not those that were signed; send it again")]
            )
        with _spooling():
            self._spool.flush()
        return Staged(manifest, self._spool, self._removals)

    def _take(self, piece: bytes) -> None:
        self._bytes += len(piece)
        self._refuse_size(self._bytes)
        *whole, rest = piece.split(b"\n")
        if whole:
            whole[0] = self._beginning + whole[0]
            self._beginning = b""
        for line in whole:
            self._take_line(line)
        self._beginning += rest
        self._refuse_long(self._beginning)

    def _take_line(self, line: bytes) -> None:
        self._refuse_long(line)
        if self.manifest is None:
            self._open(line)
        elif self._rows == self.manifest.count:
            self._refuse(f"one row too many; {self._rows} were announced")
        else:
            self._take_row(line, self.manifest)

    def _open(self, line: bytes) -> None:
        """Read the first line; nothing of a push is kept before its sender and branch are known."""
        manifest = _vouched_for(line, self._branch, self._public_keys)
        if manifest.count > self._limits.max_rows:
            raise PushTooLargeError(
                f"the push has {manifest.count} rows, more than {self._limits.max_rows}"
            )
        self.manifest = manifest

    def _take_row(self, line: bytes, manifest: Manifest) -> None:
        self._rows += 1
        try:
            written = parse(line)
        except ValueError as error:
            self._note(str(error))
        else:
            self._count(written, manifest)
        self._digest.update(line)
        self._digest.update(b"\n")
        with _spooling():
            self._spool.write(line + b"\n")

    def _count(self, written: WrittenRow | WrittenRemoval, manifest: Manifest) -> None:
        if not isinstance(written, WrittenRemoval):
            return
        self._removals += 1
        if manifest.kind == "snapshot":
            self._note("remove: stands in a snapshot; leave the patron out instead")

    def _note(self, what: str) -> None:
        self._problems.append(Problem(f"line {self._rows + 1}", what))
        if len(self._problems) == TOLD_PROBLEMS:
            raise PushInvalidError(SUBJECT, self._problems)

    def _refuse_long(self, line: bytes) -> None:
        if len(line) > self._limits.max_line_bytes:
            self._refuse(f"longer than {self._limits.max_line_bytes} bytes; give one row a line")

    def _refuse_size(self, size: int) -> None:
        if size > self._limits.max_bytes:
            raise PushTooLargeError(f"the push has more than {self._limits.max_bytes} bytes")

    def _refuse(self, what: str) -> NoReturn:
        """Refuse the push because of the line that is being read."""
        number = 1 if self.manifest is None else self._rows + 2
        raise PushInvalidError(SUBJECT, [*self._problems, Problem(f"line {number}", what)])


class Opening:
    """The beginning of a push, up to its signed first line; needs no disk. One thread.

    Its errors are final. It reads no more than one line, so its cost is bounded.
    """

    def __init__(self, *, branch: str, public_keys: Sequence[VerifyKey]) -> None:
        self._branch = branch
        self._public_keys = tuple(public_keys)
        self._unpacking = Unpacking()
        self._line = b""

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes, plain or gzip; tell whether the first line is there and right.

        Raises:
            PushUnsignedError: signed by none of the keys, or for another branch.
            PushInvalidError: the line is wrong or too long.
        """
        try:
            for piece in self._unpacking.pieces(chunk):
                line, end, _ = piece.partition(b"\n")
                self._line += line
                if len(self._line) > LONGEST_LINE_BYTES:
                    what = f"longer than {LONGEST_LINE_BYTES} bytes; give one row a line"
                    raise PushInvalidError(SUBJECT, [Problem("line 1", what)])
                if end:
                    _vouched_for(self._line, self._branch, self._public_keys)
                    return True
        except UnpackingError as error:
            raise PushInvalidError(SUBJECT, [Problem("line 1", str(error))]) from None
        return False


def _vouched_for(line: bytes, branch: str, public_keys: Sequence[VerifyKey]) -> Manifest:
    manifest = read_manifest(line)
    verify(manifest, public_keys)
    if manifest.branch != branch:
        raise PushUnsignedError(
            f"the push is for another branch than {branch}; check the sender's targets"
        )
    return manifest


@contextmanager
def _spooling() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _spool_failed(error) from error


def _spool_failed(error: OSError) -> StoreError:
    return StoreError(f"the push can't be kept while it is checked: {error.strerror}; make room")


LARGEST_STEP = 2**32
"""A push's number may be so far above ours: no mistake and no thief uses up all numbers."""


class _RehearsedError(Exception):
    """All that a push would do has gone well; this error undoes it."""


@dataclass(frozen=True, slots=True)
class Received:
    """The answer to a push; the same push again gets the same answer.

    `unchanged` says that the push was held already; `warning` is what needs a look though the push
    was applied, None for nothing.
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

    `seal`, `floor` and `minimum_age` are as for :func:`judge`.

    Args:
        applied_at: UTC, by whatever clock there is; None for not known.
        guard: asked before the commit, unless the push itself names who approved of it.
        before_commit: called when only the commit is left to do; its errors pass through, and
            nothing is changed.
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
    """Judge a signed push by its first line: return the answer if it is held already, else None.

    Args:
        floor: the highest number that this branch has taken, as kept outside of the cache: if the
            cache holds less it was lost, and nobody may bring back an old push that they kept.
        minimum_age: the branch's, in years; rows that were sealed for less let nobody in.

    Raises:
        PushConflictError: it has the number of the push that is held, and other rows.
        PushOutOfOrderError: older than the push that is held, too far above it, or it follows on
            another.
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
