"""Take a push in, or load a feed: signed or local, past the guard, once, all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
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
from doorctl.sync.document import (
    SUBJECT,
    Kind,
    Manifest,
    Unpacking,
    UnpackingError,
    VerifyKey,
    read_manifest,
    verify,
)
from doorctl.sync.feed import MOST_PROBLEMS
from doorctl.sync.rows import LONGEST_LINE_BYTES, Line, Removal, parse, reread

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
    cache holds less it was lost, and nobody may bring back an old push that they kept.

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


# The guard of a push: an export that went wrong must not lock the town out.

FLOOR = 10
"""This many identifiers may always be shut out: in a small branch 5 % is one family. Never more
than half of the register, so that no push empties a branch of a few cards."""

SHARE_PERCENT = 5.0
"""A larger share of the register is shut out in a week only by mistake (design)."""

SOON = timedelta(days=60)
"""How far ahead staff hear of cards that newly end: time for the library to mend them."""

MOST_CARDS = 8
"""A person has a CPR number and some cards, old ones too; only an institution has more."""


def guard(max_percent: float = SHARE_PERCENT, floor: int = FLOOR) -> Guard:
    """Return a guard that refuses to shut out more than a share of the register and a floor.

    Each card shut out counts once, for whatever reason, together with those that the pushes of
    the last seven days have shut out. As many cards put under patrons of more than `MOST_CARDS`
    are refused too, and so is one such patron who grows beyond that: wrong PINs and bans count by
    patron, so 20 wrong PINs of strangers would shut all of these cards out.

    What shuts nobody out yet is applied with a warning: as many cards let in, newly ending within
    `SOON`, or under another patron, for whom wrong PINs count from zero; and any patron who newly
    has more than `MOST_CARDS`.
    """

    def judge_changes(changes: Changes) -> dict[str, str]:
        most = min(floor, changes.held // 2)

        def too_many(count: int) -> bool:
            return count > most and count * 100 > max_percent * changes.held

        limits = f"more than {max_percent:g} % and more than {most}"
        if too_many(changes.shut_out):
            raise PushGuardedError(
                f"with the pushes of seven days it would shut out {changes.shut_out} of "
                f"{changes.held} cards ({_reasons(changes)}), {limits}; {_APPROVE}"
            )
        if too_many(max(changes.crowded, changes.largest)):
            raise PushGuardedError(
                f"it would put {changes.crowded} cards more under patrons of more than "
                f"{MOST_CARDS} cards, {changes.largest} of {changes.held} under one, {limits}; one "
                f"patron's wrong PINs or ban would shut them all out; {_APPROVE}"
            )
        ends = changes.ending_now > 0 and too_many(changes.shut_out + changes.ending)
        unusual = _unusual(changes, ends=ends, moves=too_many(changes.moved))
        lets_in = f"it lets in {changes.let_in} of {changes.held} cards that were kept out"
        warnings = {
            "push_widened": lets_in if too_many(changes.let_in) else "",
            "push_unusual": "; ".join(unusual),
        }
        return {kind: why for kind, why in warnings.items() if why}

    return judge_changes


_APPROVE = (
    "nothing was changed; look at the export; if it is right, do it once more with --approved-by"
)


def _unusual(changes: Changes, *, ends: bool, moves: bool) -> Iterator[str]:
    if ends:
        yield (
            f"with the pushes of seven days {changes.ending} of {changes.held} cards newly end or "
            f"go on hold within {SOON.days} days, besides {changes.shut_out} that are shut out"
        )
    if moves:
        yield f"it puts {changes.moved} of {changes.held} cards under another patron"
    if changes.crowded:
        yield (
            f"it puts {changes.crowded} cards more under patrons of more than {MOST_CARDS} cards, "
            f"{changes.largest} under one"
        )


def _reasons(changes: Changes) -> str:
    reasons = (
        (changes.removed, "removed"),
        (changes.newly_blocked, "blocked"),
        (changes.newly_non_resident, "not resident"),
        (changes.newly_expired, "expired, inactive or on hold, now or within a week"),
        (changes.newly_under_age, "too young"),
        (changes.newly_untagged, "without a tag that is required"),
        (changes.newly_restricted, "restricted"),
        (changes.newly_weak, "with a weak PIN"),
        (changes.pins_lost, "without a PIN"),
        (changes.pins_changed, "with another PIN"),
    )
    return "; ".join(f"{count} {what}" for count, what in reasons if count)


def unguarded(_changes: Changes) -> None:
    """Let everything pass: a named person has approved it."""


# Pushes that the audit log must still record: from just before their commit until they are in it.


@dataclass(frozen=True, slots=True)
class Applying:
    """A push that is about to be committed, or was."""

    epoch: int
    digest: str
    kind: Kind
    lines: int
    approved_by: str | None

    @property
    def push(self) -> Push:
        """The push that the cache holds once this is committed."""
        return Push(self.epoch, self.digest)


@dataclass(frozen=True, slots=True)
class Push:
    """Which push the cache holds: its number and the SHA-256 of its rows in hex.

    The digest is empty for a feed that was loaded on this machine.
    """

    epoch: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """The identifiers that a push is about to shut out, together with the pushes of a week.

    A row *opens* on a day where nothing in the row itself refuses then, by the branch's rules. An
    identifier that opened, and by a push of the last seven days does not on the very day of this
    push or one of the seven days after it, counts once as `shut_out` and under each reason that it
    gives now; as long as nobody has approved of it and no push has put it right again.

    Args:
        held: how many were held, with those that were removed within the week; if none, how many
            it brings.
        shut_out: how many opened before and don't, are not held, or ask for another PIN; the
            others say how many of them for which reason.
        let_in: how many were held and did not open, and do so by this push alone.
        ending: how many are not shut out, and by the pushes of seven days end or are on hold on a
            day of the next 60 on which they opened; `ending_now` of them by this one first.
        moved: how many this push puts under another `patron_ref`.
        crowded: how many cards more the patrons of more than 8 cards have by this push.
        largest: the cards of the largest of the patrons for whom that is so; 0 for none.
    """

    held: int
    shut_out: int = 0
    let_in: int = 0
    removed: int = 0
    newly_blocked: int = 0
    newly_non_resident: int = 0
    newly_expired: int = 0
    newly_under_age: int = 0
    newly_untagged: int = 0
    newly_restricted: int = 0
    newly_weak: int = 0
    pins_lost: int = 0
    pins_changed: int = 0
    ending: int = 0
    ending_now: int = 0
    moved: int = 0
    crowded: int = 0
    largest: int = 0


Guard = Callable[[Changes], Mapping[str, str] | None]
"""Raises `PushGuardedError` where the changes are not credible. Returns the alarms about credible
ones that staff must read, kind -> why; None for none."""
