"""Take a push in, or load a feed: signed or local, past the guard, once, all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO, NoReturn

from doorctl.config.tables import Push as Limits
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
from doorctl.core.ports import Seal
from doorctl.sync.document import SUBJECT, Manifest, read_manifest, verify
from doorctl.sync.feed import MOST_PROBLEMS
from doorctl.sync.guard import Guard
from doorctl.sync.json_lines import LONGEST_LINE_BYTES
from doorctl.sync.signing import VerifyKey
from doorctl.sync.unpacking import Unpacking, UnpackingError
from doorctl.sync.wire import Line, Removal, parse, reread

_CHANGED = "the disk does not give back the push that was kept on it; send it again"


@dataclass(frozen=True, slots=True)
class Terms:
    """Which pushes a branch believes; `minimum_age` is its own, in years.

    Two may sign while one's key replaces the other's. `limits` count bytes as they travel and
    uncompressed. `guard` limits a push without an approver.
    """

    branch: str
    public_keys: Sequence[VerifyKey]
    limits: Limits
    seal: Seal
    guard: Guard
    minimum_age: int = 0


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
        back the same ones: keep nothing of a reading that did not come to its end. Raises
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

    def removed(self) -> Iterator[str]:
        """Read the spool once more, so that a million removals are never in memory."""
        if self.removals:
            yield from (line.patron_ref for line in self.lines() if isinstance(line, Removal))


class Staging:
    """Take a push in chunk by chunk; memory stays flat. One thread at a time.

    After any error the push is refused and nothing more can be fed. `manifest` is its first line,
    None until that has arrived and is right: signed, for this branch and not too long a push.

    `open_spool` is called once, by the first :meth:`feed`: it returns an empty file, readable and
    writable, or raises OSError.
    """

    def __init__(self, terms: Terms, open_spool: Callable[[], BinaryIO]) -> None:
        self._terms = terms
        self._limits = terms.limits
        self._open_spool = open_spool
        self._spool: BinaryIO | None = None
        self._unpacking = Unpacking()
        self._waiting: Iterator[bytes] = iter(())
        self.manifest: Manifest | None = None
        self._digest = hashlib.sha256()
        self._travelled_bytes = 0
        self._bytes = 0
        self._rows = 0
        self._removals = 0
        self._beginning = b""
        self._problems: list[Problem] = []
        self._refused = False

    def begin(self, chunk: bytes) -> bool:
        """Take the next bytes up to the end of the first line; tell whether it is there and right.

        It touches no disk, so its cost is bounded; what follows in the chunk waits for the next
        :meth:`feed` or :meth:`finish`. Raises as :meth:`feed`.
        """
        self._continue()
        self._waiting = self._lines(chunk)
        line = next(self._waiting, None)
        if line is not None:
            self._open(line)
        self._refused = False
        return line is not None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, of any number, plain or gzip.

        Wrong rows are reported together, up to 20 of them; any other error at once.

        Raises:
            PushUnsignedError: signed by none of the keys, or for another branch.
            PushTooLargeError: more bytes or rows than the limits.
            PushInvalidError: lines are wrong; names them.
            StoreError: the spool can't be written.
        """
        self._continue()
        try:
            if self._spool is None:
                self._spool = self._open_spool()
            for line in chain(self._waiting, self._lines(chunk)):
                if self.manifest is None:
                    self._open(line)
                elif self._rows == self.manifest.count:
                    self._refuse(f"one row too many; {self._rows} were announced")
                else:
                    self._take_row(line, self._spool)
        except OSError as error:
            raise _spool_failed(error) from error
        self._refused = False

    def finish(self) -> Staged:
        """Check what can only be checked at the end; return the push, ready to be applied.

        Raises PushInvalidError: rows are wrong, it is cut off, or their number or digest is not the
        manifest's. StoreError: the spool can't be written.
        """
        self.feed(b"")
        self._continue()
        try:
            self._unpacking.finish()
        except UnpackingError as error:
            self._refuse(str(error))
        if self._beginning or self.manifest is None or self._spool is None:
            self._refuse("cut off before its end; send it again")
        if self._problems:
            raise PushInvalidError(SUBJECT, self._problems)
        if self._rows != self.manifest.count:
            counts = f"rows announced: {self.manifest.count}, rows that came: {self._rows}"
            self._refuse(f"missing; {counts}")
        if self._digest.hexdigest() != self.manifest.sha256:
            problem = Problem("rows", "not those that were signed; send it again")
            raise PushInvalidError(SUBJECT, [problem])
        try:
            self._spool.flush()
        except OSError as error:
            raise _spool_failed(error) from error
        return Staged(self.manifest, self._spool, self._removals)

    def close(self) -> None:
        """Close the spool; idempotent."""
        if self._spool is not None:
            self._spool.close()

    def _continue(self) -> None:
        """Count the push as refused until the call has come to its end."""
        if self._refused:
            raise RuntimeError("a push that was refused or finished can't be continued")
        self._refused = True

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        """Yield each line that a chunk ends, of a length that is right."""
        self._travelled_bytes += len(chunk)
        self._refuse_size(self._travelled_bytes)
        try:
            for piece in self._unpacking.pieces(chunk):
                self._bytes += len(piece)
                self._refuse_size(self._bytes)
                *whole, rest = piece.split(b"\n")
                for end in whole:
                    line, self._beginning = self._beginning + end, b""
                    self._refuse_long(line)
                    yield line
                self._beginning += rest
                self._refuse_long(self._beginning)
        except UnpackingError as error:
            self._refuse(str(error))

    def _open(self, line: bytes) -> None:
        """Read the first line; nothing of a push is kept before its sender and branch are known."""
        manifest = read_manifest(line)
        verify(manifest, self._terms.public_keys)
        if manifest.branch != self._terms.branch:
            raise PushUnsignedError(
                f"the push is for another branch than {self._terms.branch}; "
                "check the sender's targets"
            )
        if manifest.count > self._limits.max_rows:
            raise PushTooLargeError(
                f"the push has {manifest.count} rows; the most are {self._limits.max_rows}"
            )
        self.manifest = manifest

    def _take_row(self, line: bytes, spool: BinaryIO) -> None:
        self._rows += 1
        try:
            if isinstance(parse(line), Removal):
                self._count_removal()
        except ValueError as error:
            self._note(str(error))
        line += b"\n"
        self._digest.update(line)
        spool.write(line)

    def _count_removal(self) -> None:
        self._removals += 1
        if self.manifest is not None and self.manifest.kind == "snapshot":
            raise ValueError("remove: stands in a snapshot; leave the patron out instead")

    def _note(self, what: str) -> None:
        self._problems.append(Problem(f"line {self._rows + 1}", what))
        if len(self._problems) == MOST_PROBLEMS:
            raise PushInvalidError(SUBJECT, self._problems)

    def _refuse_long(self, line: bytes) -> None:
        if len(line) > LONGEST_LINE_BYTES:
            self._refuse(f"longer than {LONGEST_LINE_BYTES} bytes; give one row a line")

    def _refuse_size(self, size: int) -> None:
        if size > self._limits.max_bytes:
            raise PushTooLargeError(f"the push has more than {self._limits.max_bytes} bytes")

    def _refuse(self, what: str) -> NoReturn:
        """Refuse the push because of the line that is being read."""
        number = 1 if self.manifest is None else self._rows + 2
        raise PushInvalidError(SUBJECT, [*self._problems, Problem(f"line {number}", what)])


def _spool_failed(error: OSError) -> StoreError:
    hint = f"; look at {error.filename}" if error.filename else "; make room"
    return StoreError(f"the push can't be kept while it is checked: {error.strerror}{hint}")


LARGEST_STEP = 2**32
"""How far a push's number may be above ours, so that no mistake or thief uses up all numbers."""


@dataclass(frozen=True, slots=True)
class Received:
    """The answer to a push; `unchanged`: it was held. `warnings`: alarms, kind -> why."""

    epoch: int
    applied: int
    unchanged: bool
    warnings: Mapping[str, str] = field(default_factory=dict)


def judge(manifest: Manifest, held: Push, terms: Terms, floor: int = 0) -> Received | None:
    """Judge a signed push by its first line: return the answer if it is held already, else None.

    `floor` is the highest number that this branch has taken, as kept outside of the cache: if the
    cache holds less it was lost, and an old push that was kept must not come back.

    Raises:
        PushConflictError: it has the number of the push that is held, and other rows.
        PushOutOfOrderError: older than the push that is held, too far above it, or it follows on
            another.
        PushInvalidError: its rows were sealed otherwise, so no card would be found.
        PushGuardedError: its rows were sealed for a lower age, and it has no approver.
    """
    # The digest is of the rows alone. A number stands for one register, though: changes with the
    # very rows of its snapshot bring all rows and remove none, so both leave the same behind.
    if held == Push(manifest.epoch, manifest.sha256):
        return Received(held.epoch, manifest.count, unchanged=True)
    _refuse_order(manifest, held, floor)
    if manifest.seal != terms.seal:
        what = (
            "seal: another installation key or other costs than this branch's; "
            "seal the rows for this branch"
        )
        raise PushInvalidError(SUBJECT, [Problem("line 1", what)])
    if manifest.minimum_age < terms.minimum_age and manifest.approved_by is None:
        raise PushGuardedError(
            f"its rows were sealed for a minimum age of {manifest.minimum_age}, so this branch, "
            f"which asks for {terms.minimum_age}, would let nobody in; set its minimum_age where "
            "they are sealed"
        )
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


@dataclass(frozen=True, slots=True)
class Push:
    """Which push the cache holds: its number and the SHA-256 of its rows in hex.

    The digest is empty for a feed that was loaded on this machine.
    """

    epoch: int
    digest: str = ""
