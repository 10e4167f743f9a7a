"""The source ``feed``: a file, or a directory into which the library system's exports fall."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Protocol

from doorctl.core.errors import FeedError, Problem
from doorctl.core.masked import Identifier
from doorctl.sync.feed import (
    TOLD_PROBLEMS,
    FeedPatron,
    Rows,
    WrongRow,
    read_rows,
    refusal,
    wrong_row,
)


@dataclass(frozen=True, slots=True)
class Export:
    """What a source gave, every row of it checked.

    Args:
        patrons: one row each; one without identifiers can't enter any more.
        whole: whether they are the whole register, so that all who are missing are removed.
        set_aside: wrong rows, each with the name of its file; their patrons are not among
            `patrons`.
    """

    subject: str
    patrons: Sequence[FeedPatron]
    whole: bool
    set_aside: Sequence[tuple[str, WrongRow]] = ()


class Source(Protocol):
    """A library system, or an export of it. One thread."""

    def read(self) -> Export:
        """Return what there is now; a few wrong rows are set aside.

        Raises:
            FeedError: something in it is wrong, so none of it can be used.
        """


FULL, CHANGES = "full", "changes"
SUFFIXES = frozenset({".ndjson", ".jsonl", ".csv"})

LEAST_SET_ASIDE = 20
"""Where wrong rows are set aside at all, so many are, however small the register."""


class FeedExports:
    """Read an export; implements `Source`.

    A file is the whole register unless its name, without the suffix, ends in ``changes``. In a
    directory the last name that ends in ``full`` counts, and all after it that end in
    ``changes``, so the names begin with a date: ``2026-11-25T0200-full.ndjson``. A changed row
    replaces the patron's earlier one. Names that begin with a dot or have another suffix than
    :data:`SUFFIXES` are ignored: write an export under such a name, then rename it, so that a
    half-written one is never read.

    Args:
        wrong_share: this share of all rows may be wrong and is set aside, and 20 in any case.
    """

    def __init__(self, path: Path, *, pin_length: int, wrong_share: float = 0.0) -> None:
        self._path = path
        self._pin_length = pin_length
        self._wrong_share = wrong_share

    def read(self) -> Export:
        """Return the rows that count, each checked by itself and against all others."""
        files = self._files()
        parts = [read_rows(file, pin_length=self._pin_length) for file in files]
        for part in parts:
            self._refuse_many(part.subject, len(part.right), [("", row) for row in part.wrong])
        right, wrong = _merged(parts)
        self._refuse_many(self._path.name, len(right), [(f"{name} ", row) for name, row in wrong])
        return Export(self._path.name, right, not _is_changes(files[0]), wrong)

    def stamp(self) -> tuple[float, str] | None:
        """Return when the newest file that counts was written, and a digest of them all.

        None where a file can't be read; raises FeedError of the directory as `read` does. The time
        is the file's own, in seconds since 1970.
        """
        newest, digest = 0.0, sha256()
        try:
            for file in self._files():
                with file.open("rb") as content:
                    newest = max(newest, os.fstat(content.fileno()).st_mtime)
                    digest.update(file_digest(content, "sha256").digest())
        except OSError:
            return None
        return newest, digest.hexdigest()

    def _refuse_many(self, subject: str, right: int, wrong: list[tuple[str, WrongRow]]) -> None:
        share = int(self._wrong_share * (right + len(wrong)))
        if len(wrong) > (max(LEAST_SET_ASIDE, share) if self._wrong_share else 0):
            raise refusal(subject, wrong)

    def _files(self) -> Sequence[Path]:
        if not self._path.is_dir():
            return [self._path]
        try:
            files = sorted(file for file in self._path.iterdir() if _is_export(file))
        except OSError as error:
            raise FeedError(self._path.name, [_unreadable(error)]) from error
        if odd := [file.name for file in files if not (_is_full(file) or _is_changes(file))]:
            what = f"neither ends in {FULL} nor in {CHANGES}; rename it, or give it a leading dot"
            raise FeedError(self._path.name, [Problem(name, what) for name in odd[:TOLD_PROBLEMS]])
        if not files:
            what = f"holds no export; its name ends in {FULL}.ndjson or {FULL}.csv"
            raise FeedError(self._path.name, [Problem("directory", what)])
        newest = max((place for place, file in enumerate(files) if _is_full(file)), default=0)
        return files[newest:]


Placed = dict[str, list[tuple[str, FeedPatron | WrongRow]]]
"""patron_ref -> the rows of the last file that has any, each with its name; more than one only
where one is wrong."""


def _merged(parts: Iterable[Rows]) -> tuple[list[FeedPatron], list[tuple[str, WrongRow]]]:
    placed: Placed = {}
    nobodys: list[tuple[str, FeedPatron | WrongRow]] = []
    for part in parts:
        own: Placed = {}
        for patron in part.right:
            own.setdefault(patron.patron_ref, []).append((part.subject, patron))
        for row in part.wrong:
            whose = nobodys if row.patron_ref is None else own.setdefault(row.patron_ref, [])
            whose.append((part.subject, row))
        placed |= own
    _set_sharers_aside(placed)
    right: list[FeedPatron] = []
    wrong: list[tuple[str, WrongRow]] = []
    for rows in (nobodys, *placed.values()):
        told = [(name, row) for name, row in rows if isinstance(row, WrongRow)]
        wrong += told
        right += [row for _, row in rows if isinstance(row, FeedPatron) and not told]
    return right, wrong


def _set_sharers_aside(placed: Placed) -> None:
    """Set rows aside that have another patron's number in another file.

    Within one file :func:`read_rows` finds them before.
    """
    owners: dict[Identifier, tuple[str, FeedPatron]] = {}
    rows = [one for rows in placed.values() for one in rows]
    patrons = [(name, row) for name, row in rows if isinstance(row, FeedPatron)]
    for name, patron in patrons:
        for each in patron.identifiers:
            there, other = owners.setdefault(each.identifier, (name, patron))
            if other is patron:
                continue
            what = f"identifiers: one stands in {there} line {other.line} too"
            spoilt = wrong_row(patron, (f"{what}; give it to one patron",))
            placed[patron.patron_ref].append((name, spoilt))
            placed[other.patron_ref].append((there, wrong_row(other)))


def _is_export(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _is_full(file: Path) -> bool:
    return file.stem.lower().endswith(FULL)


def _is_changes(file: Path) -> bool:
    return file.stem.lower().endswith(CHANGES)


def _unreadable(error: OSError) -> Problem:
    return Problem("directory", f"can't be read ({error.strerror}); check its permissions")
