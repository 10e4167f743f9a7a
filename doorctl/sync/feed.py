"""The library system's export, JSON lines or CSV, read whole before any of it is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import BinaryIO

from doorctl.errors import FeedError, Problem
from doorctl.identity import owner_of
from doorctl.masked import Identifier, IdentifierKind, Pin
from doorctl.sync.lines import NotJsonError, decoded, numbered
from doorctl.sync.rows import RowReader
from doorctl.sync.sheet import is_sheet, sheet_rows
from doorctl.sync.written import WrittenIdentifier, WrittenPatron

TOLD_PROBLEMS = 20
"""More helps nobody: an export that is wrong everywhere is wrong for one reason."""

KINDS = {"CARD": IdentifierKind.CARD, "CPR": IdentifierKind.CPR}


@dataclass(frozen=True, slots=True)
class FeedIdentifier:
    """A plastic card or a CPR number, and whether and until when (inclusive) it is in force."""

    identifier: Identifier
    active: bool
    valid_until: date | None


@dataclass(frozen=True, slots=True)
class FeedPatron:
    """A row of the feed, checked.

    Args:
        line: where it stands in the file, from 1.
        identifiers: those that a reader can read; may be empty.
        left_out: how many identifiers of other types the row has.
        hold_from: first day on hold, `date.min` for an open beginning; None if not on hold.
        hold_until: last day on hold, None for an open end.
        pin_changed: the day on which the PIN was last changed; None for not known.
    """

    line: int
    patron_ref: str
    identifiers: tuple[FeedIdentifier, ...]
    left_out: int
    pin: Pin | None
    resident: bool
    birthday: date | None = field(repr=False)
    blocks: frozenset[str]
    hold_from: date | None
    hold_until: date | None
    tags: frozenset[str]
    pin_changed: date | None = None


def read_feed(path: Path, *, pin_length: int) -> list[FeedPatron]:
    """Read and check every row; return them all or raise.

    Args:
        path: UTF-8, one JSON object a line, or with the suffix ``.csv`` as
            :mod:`doorctl.sync.sheet` says; blank lines are skipped.
        pin_length: the most digits that a PIN can have at this door.

    Raises:
        FeedError: the file can't be read or a row is wrong; tells the first 20 problems and how
            many more lines are wrong, and quotes nothing of a row but field names.
    """
    try:
        with owner_of(path.parent):
            feed = path.open("rb")
        with feed as file:
            rows = sheet_rows(file) if is_sheet(path) else _json_rows(file)
            return _Reading(RowReader(pin_length)).read(path.name, rows)
    except OSError as error:
        what = f"can't be read ({error.strerror}); check the path and its permissions"
        raise FeedError(path.name, [Problem("file", what)]) from error


class _Reading:
    """One pass over one file; remembers where each patron and identifier stood first."""

    def __init__(self, rows: RowReader) -> None:
        self._rows = rows
        self._patrons: list[FeedPatron] = []
        self._first_line: dict[str | Identifier, int] = {}
        self._problems: list[Problem] = []
        self._more_lines = 0

    def read(self, subject: str, rows: Iterable[tuple[int, object]]) -> list[FeedPatron]:
        for number, value in rows:
            if texts := list(self._take(number, value)):
                self._note(f"line {number}", texts)
        if self._problems:
            raise FeedError(subject, [*self._problems, *self._closing()])
        return self._patrons

    def _take(self, number: int, value: object) -> Iterator[str]:
        row = [str(value)] if isinstance(value, ValueError) else self._rows.read(value)
        if isinstance(row, WrittenPatron):
            patron = _patron(number, row)
            self._patrons.append(patron)
            yield from self._repeated(row, patron)
        else:
            yield from row

    def _repeated(self, row: WrittenPatron, patron: FeedPatron) -> Iterator[str]:
        first = self._first_line.setdefault(patron.patron_ref, patron.line)
        if first != patron.line:
            yield f"patronId: stands in line {first} too; give each patron one row"
        for place, written in enumerate(row.identifiers):
            if (identifier := _identifier(written)) is None:
                continue
            if identifier in self._first_line:
                first = self._first_line[identifier]
                yield f"identifiers[{place}]: stands in line {first} too; give it to one patron"
            self._first_line.setdefault(identifier, patron.line)

    def _note(self, where: str, texts: list[str]) -> None:
        room = TOLD_PROBLEMS - len(self._problems)
        self._problems.extend(Problem(where, text) for text in texts[:room])
        self._more_lines += room == 0

    def _closing(self) -> Iterator[Problem]:
        if self._more_lines == 1:
            yield Problem("further down", "and 1 more line is wrong")
        elif self._more_lines:
            yield Problem("further down", f"and {self._more_lines} more lines are wrong")


def _json_rows(file: BinaryIO) -> Iterator[tuple[int, object]]:
    for number, line in numbered(file):
        try:
            yield number, decoded(line)
        except NotJsonError as error:
            yield number, error


def _patron(line: int, row: WrittenPatron) -> FeedPatron:
    identifiers = tuple(
        FeedIdentifier(identifier, written.status == "ACTIVE", written.expiry_date)
        for written in row.identifiers
        if (identifier := _identifier(written)) is not None
    )
    hold = row.on_hold
    return FeedPatron(
        line=line,
        patron_ref=str(row.patron_id),
        identifiers=identifiers,
        left_out=len(row.identifiers) - len(identifiers),
        pin=row.pincode,
        resident=row.resident,
        birthday=row.birthday,
        blocks=frozenset(block.blocked_reason for block in row.block_status or ()),
        hold_from=None if hold is None else hold.starts or date.min,
        hold_until=None if hold is None else hold.ends,
        tags=frozenset(row.tags),
        pin_changed=row.pincode_changed,
    )


def _identifier(written: WrittenIdentifier) -> Identifier | None:
    kind = KINDS.get(written.identifier_type)
    return None if kind is None else Identifier(kind, written.number)
