"""The source ``feed``: a file, or a directory into which the library system's exports fall."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from doorctl.errors import FeedError, Problem
from doorctl.masked import Identifier
from doorctl.sync.feed import TOLD_PROBLEMS, FeedPatron, read_feed
from doorctl.sync.source import Export

FULL, CHANGES = "full", "changes"
SUFFIXES = frozenset({".ndjson", ".jsonl", ".csv"})


class FeedExports:
    """Read an export; implements `Source`.

    A file is the whole register unless its name, without the suffix, ends in ``changes``. Of a
    directory the last name that ends in ``full`` counts and whatever ends in ``changes`` after
    it, so the names begin with a date: ``2026-11-25T0200-full.ndjson``. A changed row takes the
    place of the patron's earlier one. Names that begin with a dot or have another suffix than
    :data:`SUFFIXES` are not looked at: write an export under such a name, then rename it, so
    that a half-written one is never read.

    Args:
        path: the file or the directory.
        pin_length: the most digits that a PIN can have at the doors.
    """

    def __init__(self, path: Path, *, pin_length: int) -> None:
        self._path = path
        self._pin_length = pin_length

    def read(self) -> Export:
        """Return the rows that count, each checked by itself and against all others."""
        files = self._files()
        parts = [_Part(file.name, read_feed(file, pin_length=self._pin_length)) for file in files]
        return Export(self._path.name, _merged(self._path.name, parts), not _is_changes(files[0]))

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


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    patrons: Sequence[FeedPatron]


def _merged(subject: str, parts: Iterable[_Part]) -> list[FeedPatron]:
    placed = {patron.patron_ref: (part.name, patron) for part in parts for patron in part.patrons}
    owners: dict[Identifier, str] = {}
    problems: list[Problem] = []
    for name, patron in placed.values():
        here = f"{name} line {patron.line}"
        for each in patron.identifiers:
            first = owners.setdefault(each.identifier, here)
            if first != here:
                what = f"identifiers: one stands in {first} too; give it to one patron"
                problems.append(Problem(here, what))
    if problems:
        raise FeedError(subject, problems[:TOLD_PROBLEMS])
    return [patron for _, patron in placed.values()]


def _is_export(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _is_full(file: Path) -> bool:
    return file.stem.lower().endswith(FULL)


def _is_changes(file: Path) -> bool:
    return file.stem.lower().endswith(CHANGES)


def _unreadable(error: OSError) -> Problem:
    return Problem("directory", f"can't be read ({error.strerror}); check its permissions")
