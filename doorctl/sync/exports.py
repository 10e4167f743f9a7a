"""The source `feed`: a file, or a directory into which the library system's exports fall."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from hashlib import file_digest, sha256
from pathlib import Path

from doorctl.core.errors import FeedError, Problem
from doorctl.core.masked import Identifier
from doorctl.sync.feed import (
    MOST_PROBLEMS,
    FeedPatron,
    Rows,
    RowsOf,
    WrongRow,
    read_rows,
    refusal,
    wrong_row,
)
from doorctl.sync.large import Again, Marks


@dataclass(frozen=True, slots=True)
class Export:
    """What was exported, every row checked; a patron without identifiers can't enter any more.

    If `whole`, all who are missing are removed. `set_aside` are wrong rows, each with the name of
    its file; their patrons are not among `patrons`.
    """

    subject: str
    patrons: Collection[FeedPatron]
    whole: bool
    set_aside: Sequence[tuple[str, WrongRow]] = ()


@dataclass(frozen=True, slots=True)
class Fetched:
    """An export that was fetched: a file that is there for a while.

    `etag` is by what the next question asks for news alone; empty for none. If `live`, the library
    system has made it for this question, and no nightly job has made it.
    """

    path: Path
    etag: str = ""
    live: bool = False


SUFFIXES = frozenset({".ndjson", ".jsonl", ".csv"})

OTHER_SUFFIXES = SUFFIXES | {".json", ".xml", ".txt", ".tsv"}
"""Of exports that are read by a map."""

LEAST_SET_ASIDE = 20
"""At least so many wrong rows may be set aside, however small the register."""


@dataclass(eq=False)
class FeedExports:
    """An export of the library system, which falls into a directory. One thread.

    A file is the whole register unless its name, without the suffix, ends in ``changes``. In a
    directory the last name that ends in ``full`` counts, and all after it that end in
    ``changes``, so the names begin with a date: ``2026-11-25T0200-full.ndjson``. Names that begin
    with a dot or have another suffix than :data:`SUFFIXES` are ignored: write an export under such
    a name, then rename it. `wrong_share` of all rows, and 20 in any case, may be wrong. `rows_of`
    reads files of another kind, with one of :data:`OTHER_SUFFIXES`.
    """

    path: Path
    _: KW_ONLY
    pin_length: int
    wrong_share: float = 0.0
    rows_of: RowsOf | None = None

    def read(self) -> Export:
        """Return the rows that count, each checked by itself and against all others.

        Raises FeedError: too many rows are wrong, or it can't be read: none of it can be used.
        """
        files = self.files()
        parts = [
            read_rows(file, pin_length=self.pin_length, rows_of=self.rows_of) for file in files
        ]
        for part in parts:
            self._refuse_many(part.subject, len(part.right), [("", row) for row in part.wrong])
        right, wrong = _merged(parts)
        self._refuse_many(self.path.name, len(right), [(f"{name} ", row) for name, row in wrong])
        return Export(self.path.name, right, not _is_changes(files[0]), wrong)

    def stamp(self) -> tuple[float, str] | None:
        """Return when the newest file that counts was written (s since 1970), and a digest of all.

        None where a file can't be read; raises FeedError of the directory as `read` does.
        """
        newest, digest = 0.0, sha256()
        try:
            for file in self.files():
                with file.open("rb") as content:
                    newest = max(newest, os.fstat(content.fileno()).st_mtime)
                    digest.update(file_digest(content, "sha256").digest())
                    digest.update(b"changes" * _is_changes(file))
        except OSError:
            return None
        return newest, digest.hexdigest()

    def _refuse_many(self, subject: str, right: int, wrong: list[tuple[str, WrongRow]]) -> None:
        share = int(self.wrong_share * (right + len(wrong)))
        if len(wrong) > (max(LEAST_SET_ASIDE, share) if self.wrong_share else 0):
            raise refusal(subject, wrong)

    def _is_export(self, file: Path) -> bool:
        suffixes = OTHER_SUFFIXES if self.rows_of else SUFFIXES
        is_named = file.suffix.lower() in suffixes and not file.name.startswith(".")
        return is_named and file.is_file()

    def files(self) -> Sequence[Path]:
        """Return the files that count, the whole register first. Raises FeedError as `read`."""
        if not self.path.is_dir():
            return [self.path]
        try:
            files = sorted(file for file in self.path.iterdir() if self._is_export(file))
        except OSError as error:
            what = f"can't be read ({error.strerror}); check its permissions"
            raise FeedError(self.path.name, [Problem("directory", what)]) from error
        if odd := [file.name for file in files if not (_is_full(file) or _is_changes(file))]:
            what = f"neither ends in {FULL} nor in {CHANGES}; rename it, or give it a leading dot"
            raise FeedError(self.path.name, [Problem(name, what) for name in odd[:MOST_PROBLEMS]])
        if not files:
            some = f"{FULL}.xml or {FULL}.json" if self.rows_of else f"{FULL}.ndjson"
            what = f"holds no export; its name ends in {some} or {FULL}.csv"
            raise FeedError(self.path.name, [Problem("directory", what)])
        newest = max((place for place, file in enumerate(files) if _is_full(file)), default=0)
        return files[newest:]


def _merged(parts: Sequence[Rows]) -> tuple[Collection[FeedPatron], list[tuple[str, WrongRow]]]:
    """Return the right and the wrong rows of some files, of each patron those of the last file.

    A patron of whom a row is wrong there has no right one.
    """
    later = [_refs(parts[place:]) for place in range(1, len(parts) + 1)]
    counts = list(zip(parts, later, strict=True))
    wrong = [
        (part.subject, row)
        for part, replaced in counts
        for row in part.wrong
        if row.patron_ref is None or row.patron_ref not in replaced
    ]
    spoilt = {row.patron_ref for _, row in wrong}

    def placed() -> Iterator[tuple[str, FeedPatron]]:
        for part, replaced in counts:
            without = replaced | spoilt
            for patron in part.right:
                if patron.patron_ref not in without:
                    yield part.subject, patron

    sharers = _sharers(placed) if len(parts) > 1 else []
    spoilt |= {row.patron_ref for _, row in sharers}
    wrong = sorted([*wrong, *sharers], key=lambda named: named[1].patron_ref is not None)
    if len(parts) == 1 and not spoilt:
        return parts[0].right, wrong
    return Again(lambda: (patron for _, patron in placed())), wrong


def _refs(parts: Iterable[Rows]) -> frozenset[str]:
    right = (patron.patron_ref for part in parts for patron in part.right)
    wrong = (row.patron_ref for part in parts for row in part.wrong if row.patron_ref is not None)
    return frozenset(right) | frozenset(wrong)


def _sharers(placed: Callable[[], Iterator[tuple[str, FeedPatron]]]) -> list[tuple[str, WrongRow]]:
    """Return rows that have another patron's number in another file.

    Within one file :func:`read_rows` finds them before.
    """
    marks = Marks()
    for _, patron in placed():
        for number in patron.numbers:
            marks.add(number)
    twice = marks.twice()
    owners: dict[Identifier, tuple[str, FeedPatron]] = {}
    spoilt: list[tuple[str, WrongRow]] = []
    for name, patron in placed() if twice else ():
        for number in patron.numbers:
            if hash(number) not in twice:
                continue
            there, other = owners.setdefault(number, (name, patron))
            if other is not patron:
                what = f"identifiers: one stands in {there} line {other.line} too"
                spoilt.append((name, wrong_row(patron, (f"{what}; give it to one patron",))))
                spoilt.append((there, wrong_row(other)))
    return spoilt


def _is_full(file: Path) -> bool:
    return file.stem.lower().endswith(FULL)


def _is_changes(file: Path) -> bool:
    return file.stem.lower().endswith(CHANGES)


FULL, CHANGES = "full", "changes"
