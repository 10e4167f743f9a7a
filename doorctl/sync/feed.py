"""The library system's export, JSON lines or CSV: read whole, checked, and sealed row by row."""

from __future__ import annotations

import csv
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import date
from functools import partial
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import msgspec

from doorctl.access.patron import Patron, SealedRow, pin_check, row_key
from doorctl.access.weak_pins import easy_to_guess
from doorctl.cards.numbers import birth_date
from doorctl.core.errors import FeedError, Problem
from doorctl.core.identity import owner_of
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.core.ports import Sealer
from doorctl.sync.rows import (
    LONGEST_LINE_BYTES,
    NotJsonError,
    RowReader,
    WrittenIdentifier,
    WrittenPatron,
    decoded,
    is_birthday,
    numbered,
    old_enough_from,
)

# An export as a CSV file has one identifier a row, and beside it what its patron is.
#
# The first line names the columns of :data:`COLUMNS`, in any order; those not in :data:`NEEDED`
# may be missing. They hold what the fields of the same name of a JSON row hold. Commas or
# semicolons separate the cells. A patron with two cards has two rows that differ only in
# :data:`IDENTIFIER_COLUMNS`; one without a card has a row in which these are empty. ``blocks`` and
# ``tags`` hold any number of codes, separated by ``|``; a hold has at least its ``onHoldFrom``.

SUFFIX = ".csv"
PLAIN_COLUMNS = ("patronId", "pincode", "pincodeChanged", "birthday")
"""Columns that hold a field of a JSON row as it is."""

IDENTIFIER_COLUMNS = ("identifier", "identifierType", "status", "expiryDate")
PATRON_COLUMNS = (
    "patronId", "pincode", "pincodeChanged", "resident", "birthday", "blocks", "onHoldFrom",
    "onHoldTo", "tags",
)  # fmt: skip
COLUMNS = frozenset(IDENTIFIER_COLUMNS + PATRON_COLUMNS)
NEEDED = frozenset({"patronId", "identifier", "identifierType", "status", "resident"})
BOOLEANS = {"true": True, "false": False}

Cells = dict[str, str]


class SheetError(ValueError):
    """A line is no row of a sheet; the text says what is wrong with it and quotes nothing."""


class SheetEndedError(SheetError):
    """A line after which nothing can be read reliably."""


def sheet_rows(file: BinaryIO) -> Iterator[tuple[int, object]]:
    """Yield each patron's first line with its row as JSON would hold it, or a `SheetError`."""
    patrons: dict[str, list[tuple[int, Cells]]] = {}
    for number, cells in _records(file):
        if isinstance(cells, SheetError):
            yield number, cells
        else:
            patrons.setdefault(cells.get("patronId", ""), []).append((number, cells))
    for rows in patrons.values():
        yield _patron_of_rows(rows)


def _records(file: BinaryIO) -> Iterator[tuple[int, Cells | SheetError]]:
    lines = _Lines(file)
    try:
        first = next(iter(lines), "")
        header = _header(first)
        for cells in csv.reader(lines, delimiter=_delimiter(first), strict=True):
            yield lines.number, _named(header, cells)
    except csv.Error:
        yield lines.number, SheetEndedError("row: not CSV; see its quotation marks")
    except SheetEndedError as problem:
        yield max(1, lines.number), problem


def _named(header: list[str], cells: list[str]) -> Cells | SheetError:
    if len(cells) != len(header):
        return SheetError(f"row: has {len(cells)} cells and the header {len(header)}")
    named = zip(header, map(str.strip, cells), strict=True)
    return {name: cell for name, cell in named if cell}


class _Lines:
    """The lines as text, up to an unreadable one, as nothing after it can be trusted."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = numbered(file)
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            self.number = number
            try:
                text = line.decode()
            except UnicodeDecodeError:
                raise SheetEndedError("row: not UTF-8; save the export as UTF-8") from None
            if len(line) > LONGEST_LINE_BYTES:
                raise SheetEndedError(f"row: longer than {LONGEST_LINE_BYTES} bytes")
            yield text


def _header(line: str) -> list[str]:
    with suppress(csv.Error):
        names = [name.strip() for name in next(csv.reader([line], delimiter=_delimiter(line)), ())]
        if len(set(names)) == len(names) and NEEDED <= set(names) <= COLUMNS:
            return names
    needed = ", ".join(sorted(NEEDED))
    raise SheetEndedError(f"header: give the names of the columns, at least {needed}")


def _delimiter(header: str) -> str:
    return ";" if ";" in header else ","


def _patron_of_rows(rows: Sequence[tuple[int, Cells]]) -> tuple[int, object]:
    (line, first), *others = rows
    for number, cells in others:
        for name in PATRON_COLUMNS:
            if cells.get(name) != first.get(name):
                return number, SheetError(f"{name}: is another one in line {line}, same patron")
    identifiers = [
        {name: cells[name] for name in IDENTIFIER_COLUMNS if name in cells} for _, cells in rows
    ]
    return line, {**_fields(first), "identifiers": list(filter(None, identifiers))}


def _fields(cells: Cells) -> dict[str, object]:
    fields: dict[str, object] = {name: cells[name] for name in PLAIN_COLUMNS if name in cells}
    if "resident" in cells:
        fields["resident"] = BOOLEANS.get(cells["resident"].lower(), cells["resident"])
    if "onHoldFrom" in cells or "onHoldTo" in cells:
        fields["onHold"] = {"from": cells.get("onHoldFrom"), "to": cells.get("onHoldTo")}
    fields["blockStatus"] = [{"blockedReason": code} for code in _codes(cells, "blocks")]
    fields["tags"] = _codes(cells, "tags")
    return fields


def _codes(cells: Cells, name: str) -> list[str]:
    return [code.strip() for code in cells[name].split("|")] if name in cells else []


MOST_PROBLEMS = 20
"""Most problems in an error: an export that is wrong everywhere is wrong for one reason."""

FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(WrittenPatron))

KINDS = {"CARD": IdentifierKind.CARD, "CPR": IdentifierKind.CPR}


@dataclass(frozen=True, slots=True)
class FeedIdentifier:
    """A plastic card or a CPR number, and whether and until when (inclusive) it is in force."""

    identifier: Identifier
    active: bool
    valid_until: date | None


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
    """The right and the wrong rows of a file; a patron can have both."""

    subject: str
    right: list[FeedPatron]
    wrong: list[WrongRow]


FIRST_LINES = 100
"""Of a feed that is only tried: enough to see what it is."""


def read_feed(path: Path, *, pin_length: int) -> list[FeedPatron]:
    """Read and check every row, as :func:`read_rows`; return them all or raise.

    Raises FeedError: the file can't be read or a row is wrong; names the first 20 problems and how
    many more lines are wrong, and quotes nothing of a row but field names.
    """
    rows = read_rows(path, pin_length=pin_length)
    if rows.wrong:
        raise refusal(path.name, (("", row) for row in rows.wrong))
    return rows.right


def try_feed(path: Path, *, pin_length: int) -> None:
    """Read the first `FIRST_LINES` alone; raises FeedError as :func:`read_feed` does."""
    rows = read_rows(path, pin_length=pin_length, lines=FIRST_LINES)
    # A sheet's last line of these may end within a cell.
    if wrong := [row for row in rows.wrong if row.line < FIRST_LINES]:
        raise refusal(path.name, (("", row) for row in wrong))


def read_rows(path: Path, *, pin_length: int, lines: int | None = None) -> Rows:
    """Read and check every row of a file of JSON lines, or of CSV if its suffix is ``.csv``.

    `lines` is how many are read at most. Raises FeedError: the file can't be read, or not to its
    end.
    """
    try:
        with owner_of(path.parent):
            feed = path.open("rb")
        with feed as whole:
            file = whole if lines is None else _head(whole, lines)
            rows = sheet_rows(file) if path.suffix.lower() == SUFFIX else _json_rows(file)
            return _Reading(path.name, RowReader(pin_length)).read(rows)
    except OSError as error:
        what = f"can't be read ({error.strerror}); check the path and its permissions"
        raise FeedError(path.name, [Problem("file", what)]) from error


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


class _Reading:
    """One pass over one file; remembers the first line of each reference and identifier."""

    def __init__(self, subject: str, rows: RowReader) -> None:
        self._subject = subject
        self._rows = rows
        self._right: dict[int, FeedPatron] = {}
        self._wrong: list[WrongRow] = []
        self._spoilt: dict[int, WrongRow] = {}
        self._first: dict[str | Identifier, FeedPatron] = {}

    def read(self, rows: Iterable[tuple[int, object]]) -> Rows:
        for number, value in rows:
            if isinstance(value, SheetEndedError):
                self._wrong.append(WrongRow(number, (str(value),)))
                raise refusal(self._subject, (("", row) for row in self._wrong))
            self._take(number, value)
        known = {row.line for row in self._wrong}
        wrong = [*self._wrong, *(row for line, row in self._spoilt.items() if line not in known)]
        lines = {row.line for row in wrong}
        right = [patron for line, patron in self._right.items() if line not in lines]
        return Rows(self._subject, right, wrong)

    def _take(self, number: int, value: object) -> None:
        if isinstance(value, ValueError):
            self._wrong.append(WrongRow(number, (str(value),)))
            return
        row = self._rows.read(value)
        if not isinstance(row, WrittenPatron):
            self._wrong.append(WrongRow(number, tuple(row), *_whose(value)))
            return
        patron = _patron(number, row)
        self._right[number] = patron
        if texts := tuple(self._repeated(row, patron)):
            self._wrong.append(wrong_row(patron, texts))

    def _repeated(self, row: WrittenPatron, patron: FeedPatron) -> Iterator[str]:
        first = self._first.setdefault(patron.patron_ref, patron)
        if first is not patron:
            yield f"patronId: stands in line {first.line} too; give each patron one row"
            self._spoilt[first.line] = wrong_row(first)
        for place, written in enumerate(row.identifiers):
            if (identifier := _identifier(written)) is None:
                continue
            if identifier in self._first:
                first = self._first[identifier]
                self._spoilt[first.line] = wrong_row(first)
                where = f"identifiers[{place}]"
                yield f"{where}: stands in line {first.line} too; give it to one patron"
            self._first.setdefault(identifier, patron)


def _json_rows(file: BinaryIO) -> Iterator[tuple[int, object]]:
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
    # As a right row spells it; a number that belongs to nobody there belongs to nobody here.
    patron_ref = str(ref) if isinstance(ref, str | int) and not isinstance(ref, bool) else None
    readable = value.keys() <= FIELDS
    nothing_against = readable and not value.get("blockStatus") and value.get("onHold") is None
    return patron_ref, value.get("resident") is True and nothing_against


def _patron(line: int, row: WrittenPatron) -> FeedPatron:
    identifiers = tuple(
        FeedIdentifier(identifier, written.status == "ACTIVE", written.expiry_date)
        for written in row.identifiers
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


# The source ``feed``: a file, or a directory into which the library system's exports fall.


@dataclass(frozen=True, slots=True)
class Export:
    """What was exported, every row checked; a patron without identifiers can't enter any more.

    If `whole`, all who are missing are removed. `set_aside` are wrong rows, each with the name of
    its file; their patrons are not among `patrons`.
    """

    subject: str
    patrons: Sequence[FeedPatron]
    whole: bool
    set_aside: Sequence[tuple[str, WrongRow]] = ()


FULL, CHANGES = "full", "changes"
SUFFIXES = frozenset({".ndjson", ".jsonl", ".csv"})

LEAST_SET_ASIDE = 20
"""At least so many wrong rows may be set aside, however small the register."""


@dataclass(eq=False)
class FeedExports:
    """An export of the library system, which falls into a directory. One thread.

    A file is the whole register unless its name, without the suffix, ends in ``changes``. In a
    directory the last name that ends in ``full`` counts, and all after it that end in
    ``changes``, so the names begin with a date: ``2026-11-25T0200-full.ndjson``. Names that begin
    with a dot or have another suffix than :data:`SUFFIXES` are ignored: write an export under such
    a name, then rename it. `wrong_share` of all rows, and 20 in any case, may be wrong.
    """

    path: Path
    _: KW_ONLY
    pin_length: int
    wrong_share: float = 0.0

    def read(self) -> Export:
        """Return the rows that count, each checked by itself and against all others.

        Raises FeedError: too many rows are wrong, or it can't be read: none of it can be used.
        """
        files = self._files()
        parts = [read_rows(file, pin_length=self.pin_length) for file in files]
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
            for file in self._files():
                with file.open("rb") as content:
                    newest = max(newest, os.fstat(content.fileno()).st_mtime)
                    digest.update(file_digest(content, "sha256").digest())
        except OSError:
            return None
        return newest, digest.hexdigest()

    def _refuse_many(self, subject: str, right: int, wrong: list[tuple[str, WrongRow]]) -> None:
        share = int(self.wrong_share * (right + len(wrong)))
        if len(wrong) > (max(LEAST_SET_ASIDE, share) if self.wrong_share else 0):
            raise refusal(subject, wrong)

    def _files(self) -> Sequence[Path]:
        if not self.path.is_dir():
            return [self.path]
        try:
            files = sorted(file for file in self.path.iterdir() if _is_export(file))
        except OSError as error:
            what = f"can't be read ({error.strerror}); check its permissions"
            raise FeedError(self.path.name, [Problem("directory", what)]) from error
        if odd := [file.name for file in files if not (_is_full(file) or _is_changes(file))]:
            what = f"neither ends in {FULL} nor in {CHANGES}; rename it, or give it a leading dot"
            raise FeedError(self.path.name, [Problem(name, what) for name in odd[:MOST_PROBLEMS]])
        if not files:
            what = f"holds no export; its name ends in {FULL}.ndjson or {FULL}.csv"
            raise FeedError(self.path.name, [Problem("directory", what)])
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
        wrong_rows = [(name, row) for name, row in rows if isinstance(row, WrongRow)]
        wrong += wrong_rows
        right += [row for _, row in rows if isinstance(row, FeedPatron) and not wrong_rows]
    return right, wrong


def _set_sharers_aside(placed: Placed) -> None:
    """Set rows aside that have another patron's number in another file.

    Within one file :func:`read_rows` finds them before.
    """
    owners: dict[Identifier, tuple[str, FeedPatron]] = {}
    rows = [entry for rows in placed.values() for entry in rows]
    patrons = [(name, row) for name, row in rows if isinstance(row, FeedPatron)]
    for name, patron in patrons:
        for identifier in patron.identifiers:
            there, other = owners.setdefault(identifier.identifier, (name, patron))
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


# From a feed's patrons to sealed rows.

NEVER = date.max
"""A patron of unknown age is never old enough: any doubt refuses."""

IN_FLIGHT_PER_WORKER = 4
"""Enough that no worker waits for the consumer, few enough that a million rows don't queue up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """How a feed is sealed.

    Args:
        sealer: called from `workers` threads at once; Argon2 runs outside Python's lock.
        minimum_age: in years; 0 where the door has no age limit.
        on: a day that has certainly come, so that no `enter_from` is kept for those already old
            enough.
        on_progress: called on the caller's thread with how many rows are sealed, and of how many.
        flags_weak: whether a row says that its PIN is too easy to guess. That helps a thief of
            the row, so it says so only where the policy makes use of it.
    """

    sealer: Sealer
    minimum_age: int
    on: date
    workers: int
    on_progress: Callable[[int, int], None]
    flags_weak: bool = False


def seal_rows(patrons: Sequence[FeedPatron], sealing: Sealing) -> Iterator[SealedRow]:
    """Seal each identifier, in the order of the feed."""
    total = sum(len(patron.identifiers) for patron in patrons)
    with ThreadPoolExecutor(sealing.workers, thread_name_prefix="seal") as pool:
        rows = _in_order(pool, _drafts(patrons, sealing), sealing.workers)
        for done, row in enumerate(rows, start=1):
            sealing.on_progress(done, total)
            yield row


def _sealed(
    sealer: Sealer, patron: FeedPatron, identifier: FeedIdentifier, row: Patron
) -> SealedRow:
    stretched = sealer.stretch(identifier.identifier)
    check = None if patron.pin is None else pin_check(stretched, patron.pin)
    row = replace(
        row, pin_check=check, active=identifier.active, valid_until=identifier.valid_until
    )
    return SealedRow(row_key(stretched), row, patron.pin_changed)


def _in_order(
    pool: ThreadPoolExecutor, drafts: Iterable[Callable[[], SealedRow]], workers: int
) -> Iterator[SealedRow]:
    pending: deque[Future[SealedRow]] = deque()
    for draft in drafts:
        pending.append(pool.submit(draft))
        if len(pending) >= workers * IN_FLIGHT_PER_WORKER:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _drafts(patrons: Iterable[FeedPatron], sealing: Sealing) -> Iterator[Callable[[], SealedRow]]:
    age, on = sealing.minimum_age, sealing.on
    for patron in patrons:
        row = replace(
            patron.row,
            enter_from=enter_from(patron.birthday, patron.numbers, age, on),
            weak_pin=sealing.flags_weak and has_weak_pin(patron),
        )
        for identifier in patron.identifiers:
            yield partial(_sealed, sealing.sealer, patron, identifier, row)


def has_weak_pin(patron: FeedPatron) -> bool:
    """Tell whether a patron's PIN is known and too easy to guess."""
    pin = patron.pin
    return pin is not None and easy_to_guess(pin, patron.numbers, patron.birthday)


def enter_from(
    birthday: date | None, numbers: Iterable[Identifier], minimum_age: int, on: date
) -> date | None:
    """Return the day on which a patron is old enough, None if it has certainly come.

    Without a birthday, the latest one in the patron's CPR numbers counts; institutions have none.
    """
    if minimum_age == 0:
        return None
    revealed = (number.reveal().partition(":") for number in numbers)
    born = (birth_date(text) for kind, _, text in revealed if kind == IdentifierKind.CPR.value)
    birthday = birthday or max((day for day in born if day is not None), default=None)
    if birthday is None:
        return NEVER
    day = old_enough_from(birthday, minimum_age)
    return None if day <= on else day


def other_days(patron: FeedPatron, ages: Iterable[int], on: date) -> dict[int, date]:
    """Return `enter_from` for each of several age limits that a patron is too young for."""
    days = {age: enter_from(patron.birthday, patron.numbers, age, on) for age in ages}
    return {age: day for age, day in days.items() if day is not None}


def lent_patron(
    patron: Patron,
    birthday: date | None,
    identifier: Identifier,
    stretched: StretchedKey,
    pin: Pin,
    *,
    minimum_age: int,
    on: date,
    flags_weak: bool = False,
) -> Patron:
    """Return the row of a `LibraryReply` that no push has brought yet, with the PIN it proved.

    `stretched` is made of `identifier`, which the reply is about; others are as in `Sealing`.
    """
    # A birthday that can't be counts as unknown; a feed's row is refused for it.
    birthday = birthday if birthday is not None and is_birthday(birthday) else None
    return replace(
        patron,
        pin_check=pin_check(stretched, pin),
        enter_from=enter_from(birthday, [identifier], minimum_age, on),
        hold_from=date.min if patron.hold_from is None and patron.hold_until else patron.hold_from,
        weak_pin=flags_weak and easy_to_guess(pin, [identifier], birthday),
        pushed=False,
    )
