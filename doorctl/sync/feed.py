"""The library system's export, JSON lines or CSV: read whole, and each row checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

import msgspec

from doorctl.access.patron import Patron
from doorctl.core.errors import FeedError, Problem
from doorctl.core.identity import owner_of
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.sync.csv_export import SUFFIX, SheetEndedError, sheet_rows
from doorctl.sync.json_lines import LONGEST_LINE_BYTES, NotJsonError, decoded, numbered
from doorctl.sync.large import HELD, Again, Marks
from doorctl.sync.rows import (
    RowReader,
    WrittenIdentifier,
    WrittenPatron,
)

MOST_PROBLEMS = 20
"""Most problems in an error: an export that is wrong everywhere is wrong for one reason."""

FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(WrittenPatron))

KINDS = {"CARD": IdentifierKind.CARD, "CPR": IdentifierKind.CPR}


@dataclass(frozen=True, slots=True)
class FeedIdentifier:
    """A plastic card or a CPR number, and whether and until when (inclusive) it is in force.

    `place` is where it stands among the row's identifiers, from 0.
    """

    identifier: Identifier
    active: bool
    valid_until: date | None
    place: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class FeedPatron:
    """A row of the feed, checked; `left_out` counts identifiers that no reader can read.

    `row` is what the sealed rows of all its identifiers have in common.
    """

    line: int
    row: Patron
    identifiers: tuple[FeedIdentifier, ...]
    left_out: int
    pin: Pin | None
    birthday: date | None = field(repr=False)
    pin_changed: date | None = None

    @property
    def patron_ref(self) -> str:
        """The library system's number."""
        return self.row.patron_ref

    @property
    def numbers(self) -> tuple[Identifier, ...]:
        """The numbers of its cards and its CPR numbers."""
        return tuple(identifier.identifier for identifier in self.identifiers)


@dataclass(frozen=True, slots=True)
class WrongRow:
    """A row that is wrong; `why` is empty where another line says so, and quotes field names only.

    `may_stay` tells that what can be read says nothing against its patron: lives in the
    municipality, has no block and is not on hold.
    """

    line: int
    why: tuple[str, ...]
    patron_ref: str | None = None
    may_stay: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """The right and the wrong rows of a file; a patron can have both.

    If many are right, each pass over them reads the file again, and raises FeedError if it is
    another one by then.
    """

    subject: str
    right: Collection[FeedPatron]
    wrong: list[WrongRow]


RowsOf = Callable[[BinaryIO], Iterator[tuple[int, object]]]
"""From an open file to its rows as JSON would hold them, each with its line or place; in place of
one that is wrong stands a ValueError that says why, quoting nothing."""


class UnreadRowError(ValueError):
    """A row that is no row of the feed; whose it is, where at least that can be read."""

    def __init__(self, text: str, patron_ref: str | None = None) -> None:
        super().__init__(text)
        self.patron_ref = patron_ref


FIRST_LINES = 100
"""Of a feed that is only tried: enough to see what it is."""


def read_feed(
    path: Path, *, pin_length: int, rows_of: RowsOf | None = None
) -> Collection[FeedPatron]:
    """Read and check every row, as :func:`read_rows`; return them all or raise.

    Raises FeedError: the file can't be read or a row is wrong; names the first 20 problems and how
    many more lines are wrong, and quotes nothing of a row but field names.
    """
    rows = read_rows(path, pin_length=pin_length, rows_of=rows_of)
    if rows.wrong:
        raise refusal(path.name, (("", row) for row in rows.wrong))
    return rows.right


def try_feed(path: Path, *, pin_length: int, rows_of: RowsOf | None = None) -> None:
    """Read the first `FIRST_LINES` alone; raises FeedError as :func:`read_feed` does.

    All of a file that `rows_of` reads: JSON and XML have no lines that stand alone.
    """
    lines = None if rows_of else FIRST_LINES
    rows = read_rows(path, pin_length=pin_length, lines=lines, rows_of=rows_of)
    # A sheet's last line of these may end within a cell.
    if wrong := [row for row in rows.wrong if lines is None or row.line < lines]:
        raise refusal(path.name, (("", row) for row in wrong))


def read_rows(
    path: Path, *, pin_length: int, lines: int | None = None, rows_of: RowsOf | None = None
) -> Rows:
    """Read and check every row of a file of JSON lines, or of CSV if its suffix is ``.csv``.

    `lines` is how many are read at most; `rows_of` reads another kind of file. Raises FeedError:
    the file can't be read, or not to its end.
    """
    return _Feed(path, pin_length, lines, rows_of).read()


def _head(file: BinaryIO, lines: int) -> BinaryIO:
    length = (LONGEST_LINE_BYTES + 1,) * lines
    return BytesIO(b"".join(map(file.readline, length)))


def refuse_nobody(subject: str, patrons: Iterable[FeedPatron]) -> None:
    """Refuse a whole register in which nobody has a card or a CPR number, by FeedError."""
    if not any(patron.identifiers for patron in patrons):
        what = "holds no card and no CPR number, so it would lock everybody out; export it again"
        raise FeedError(subject, [Problem("export", what)])


def refuse_bare(subject: str, patrons: Iterable[FeedPatron]) -> None:
    """Refuse a load of changes in which a patron has no card any more: the old ones would stay."""
    what = "identifiers: no card and no CPR number; only a full feed can take a last card away"
    bare = [("", wrong_row(patron, (what,))) for patron in patrons if not patron.identifiers]
    if bare:
        raise refusal(subject, bare)


def refusal(subject: str, wrong: Iterable[tuple[str, WrongRow]]) -> FeedError:
    """Return the error that names wrong rows: the first 20 problems, and how many more lines.

    `subject` is the file or directory; each wrong row comes with what stands before "line 7".
    """
    problems: list[Problem] = []
    more = 0
    for file, row in wrong:
        room = MOST_PROBLEMS - len(problems)
        problems.extend(Problem(f"{file}line {row.line}", text) for text in row.why[:room])
        more += room == 0 and bool(row.why)
    if more:
        lines = "1 more line is" if more == 1 else f"{more} more lines are"
        problems.append(Problem("further down", f"and {lines} wrong"))
    return FeedError(subject, problems)


class _Feed:
    """A file of rows, which may be read several times; remembers no row but wrong ones.

    For that it has the marks of each reference and identifier; where one stands twice, the rows are
    gone through once more to say in which lines.
    """

    def __init__(
        self, path: Path, pin_length: int, lines: int | None, rows_of: RowsOf | None
    ) -> None:
        self._path, self._lines = path, lines
        self._rows_of = rows_of or (sheet_rows if path.suffix.lower() == SUFFIX else json_rows)
        self._reader = RowReader(pin_length)
        self._state: os.stat_result | None = None
        self._wrong: list[WrongRow] = []
        self._marks = Marks()

    def read(self) -> Rows:
        """Read it once, and what is right again if that is much."""
        with self._readable(), owner_of(self._path.parent):
            # What is no file, such as a pipe, can be read once.
            most = HELD if self._path.is_file() else None
        right = Again(self._right, self._first(), most)
        doubled, spoilt = _doubled(right, self._marks.twice())
        wrong = sorted([*self._wrong, *doubled], key=attrgetter("line"))
        known = {row.line for row in wrong}
        wrong += [row for line, row in spoilt.items() if line not in known]
        if not doubled:
            return Rows(self._path.name, right, wrong)
        aside = known | spoilt.keys()
        left = Again(lambda: (patron for patron in right if patron.line not in aside))
        return Rows(self._path.name, left, wrong)

    def _first(self) -> Iterator[FeedPatron]:
        for number, value in self._written():
            row = self._checked(number, value)
            if isinstance(row, WrongRow):
                self._wrong.append(row)
                if isinstance(value, SheetEndedError):
                    raise refusal(self._path.name, (("", row) for row in self._wrong))
                continue
            self._marks.add(row.patron_ref)
            for identifier in row.numbers:
                self._marks.add(identifier)
            yield row

    def _right(self) -> Iterator[FeedPatron]:
        for number, value in self._written():
            row = self._checked(number, value)
            if isinstance(row, FeedPatron):
                yield row

    def _written(self) -> Iterator[tuple[int, object]]:
        with self._readable():
            with owner_of(self._path.parent):
                feed = self._path.open("rb")
            with feed as whole:
                self._refuse_another(os.fstat(whole.fileno()))
                file = whole if self._lines is None else _head(whole, self._lines)
                yield from self._rows_of(file)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = f"can't be read ({error.strerror}); check the path and its permissions"
            raise FeedError(self._path.name, [Problem("file", what)]) from error

    def _refuse_another(self, state: os.stat_result) -> None:
        before, self._state = self._state or state, state
        if any(getattr(before, name) != getattr(state, name) for name in STATE):
            what = "was changed while it was read; write it under another name, then rename it"
            raise FeedError(self._path.name, [Problem("file", what)])

    def _checked(self, number: int, value: object) -> FeedPatron | WrongRow:
        if isinstance(value, ValueError):
            ref = value.patron_ref if isinstance(value, UnreadRowError) else None
            return WrongRow(number, (str(value),), ref)
        row = self._reader.read(value)
        if not isinstance(row, WrittenPatron):
            return WrongRow(number, tuple(row), *_whose(value))
        return _patron(number, row)


STATE = ("st_dev", "st_ino", "st_size", "st_mtime_ns")
"""What is another one of a file that was changed."""


def _doubled(
    patrons: Iterable[FeedPatron], twice: frozenset[int]
) -> tuple[list[WrongRow], dict[int, WrongRow]]:
    """Return the rows in which a number or reference stands that stood before, and those rows."""
    first: dict[str | Identifier, FeedPatron] = {}
    doubled: list[WrongRow] = []
    spoilt: dict[int, WrongRow] = {}
    for patron in patrons if twice else ():
        if not any(hash(mark) in twice for mark in (patron.patron_ref, *patron.numbers)):
            continue
        if why := tuple(_repeated(patron, first, spoilt)):
            doubled.append(wrong_row(patron, why))
    return doubled, spoilt


def _repeated(
    patron: FeedPatron, first: dict[str | Identifier, FeedPatron], spoilt: dict[int, WrongRow]
) -> Iterator[str]:
    before = first.setdefault(patron.patron_ref, patron)
    if before is not patron:
        yield f"patronId: stands in line {before.line} too; give each patron one row"
        spoilt[before.line] = wrong_row(before)
    for identifier in patron.identifiers:
        if identifier.identifier in first:
            before = first[identifier.identifier]
            spoilt[before.line] = wrong_row(before)
            where = f"identifiers[{identifier.place}]"
            yield f"{where}: stands in line {before.line} too; give it to one patron"
        first.setdefault(identifier.identifier, patron)


def json_rows(file: BinaryIO) -> Iterator[tuple[int, object]]:
    """Yield each line's number and what it holds, or a NotJsonError."""
    for number, line in numbered(file):
        try:
            yield number, decoded(line)
        except NotJsonError as error:
            yield number, error


def wrong_row(patron: FeedPatron, why: tuple[str, ...] = ()) -> WrongRow:
    """Return a row as wrong though it is right by itself."""
    row = patron.row
    may_stay = row.resident and not row.blocks and row.hold_from is None
    return WrongRow(patron.line, why, row.patron_ref, may_stay)


def _whose(value: object) -> tuple[str | None, bool]:
    if not isinstance(value, dict):
        return None, False
    ref = value.get("patronId")
    # As a right row spells it; a number without a patron there has none here.
    patron_ref = str(ref) if isinstance(ref, str | int) and not isinstance(ref, bool) else None
    readable = value.keys() <= FIELDS
    nothing_against = readable and not value.get("blockStatus") and value.get("onHold") is None
    return patron_ref, value.get("resident") is True and nothing_against


def _patron(line: int, row: WrittenPatron) -> FeedPatron:
    identifiers = tuple(
        FeedIdentifier(identifier, written.status == "ACTIVE", written.expiry_date, place)
        for place, written in enumerate(row.identifiers)
        if (identifier := _identifier(written)) is not None
    )
    hold = row.on_hold
    common = Patron(
        str(row.patron_id),
        resident=row.resident,
        blocks=frozenset(block.blocked_reason for block in row.block_status or ()),
        hold_from=None if hold is None else hold.starts or date.min,
        hold_until=None if hold is None else hold.ends,
        tags=frozenset(row.tags),
    )
    left_out = len(row.identifiers) - len(identifiers)
    more = (left_out, row.pincode, row.birthday, row.pincode_changed)
    return FeedPatron(line, common, identifiers, *more)


def _identifier(written: WrittenIdentifier) -> Identifier | None:
    kind = KINDS.get(written.identifier_type)
    return None if kind is None else Identifier(kind, written.number)
