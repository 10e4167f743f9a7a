"""A person: how tables name one, what a branch holds of one, how that is read and erased."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from types import MappingProxyType
from typing import Any

from doorctl.access.patron import SealedRow
from doorctl.cards.identify import normalise
from doorctl.cards.numbers import is_cpr
from doorctl.core.errors import DoorctlError, InputError
from doorctl.core.masked import IdentifierKind
from doorctl.privacy.audit import Action, Entry

PATRONS, BRANCH, VISITS = "patrons.db", "branch.db", "visits.db"
"""The databases, by the names of their files."""

CARD, PATRON = "row_key", "patron_ref"
"""The columns that say whose a row is: the sealed card, and the library system's number."""


class Decision(Enum):
    """What came of a person's objection (article 21)."""

    PENDING = "pending"
    UPHELD = "upheld"
    REJECTED = "rejected"


class Shown(Enum):
    """How a value is read."""

    AS_IS = "as it is"
    FLAG = "yes or no"
    TIME = "milliseconds since 1970"
    WEEKDAYS = "a digit for each day, 0 is Monday"
    MINUTE = "minutes after midnight"
    SPANS = "spans of such minutes, apart by a blank"
    OF_STAFF = "names a member of staff: kept from the person, erased with the row"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its type and constraints, and its Danish and English name.

    These are empty in a table about nobody. The door decides by columns that are kept `twice`.
    `since` is the release of doorctl that brought it.
    """

    name: str
    sql: str
    danish: str = ""
    english: str = ""
    shown: Shown = Shown.AS_IS
    twice: bool = False
    since: tuple[int, int] = (0, 2)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a database.

    With a `danish` and an `english` name its rows are exported and erased; else `apart` says why
    not. `key` has the columns of a primary key of several, `rule` a constraint on several, `beside`
    the statements that make indexes and triggers, `later` those of a later release, beside its
    number. By `dated`, a column of milliseconds, rows grow older than the retention and are shown
    to nobody, unless a hold keeps them (`held`). The writer of many rows sets the column
    `given_with`, and the second copy itself: to read each row again takes a third more time.
    """

    database: str
    name: str
    columns: tuple[Column, ...]
    danish: str = ""
    english: str = ""
    apart: str = ""
    key: tuple[str, ...] = ()
    rule: str = ""
    beside: tuple[str, ...] = ()
    later: tuple[tuple[tuple[int, int], str], ...] = ()
    dated: str | None = None
    held: bool = False
    given_with: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return a column by its name; KeyError where there is none."""
        return {column.name: column for column in self.columns}[name]

    @property
    def twice(self) -> tuple[str, ...]:
        """The names of the columns that are kept twice."""
        return tuple(column.name for column in self.columns if column.twice)

    def but(self, *without: str) -> str:
        """Return the names of all columns but some and the second copy, as in a SELECT."""
        return ", ".join(name for name in self.names if name not in {*without, "twice"})


# The person behind a card, what a branch holds of that person, and how it is erased.


@dataclass(frozen=True, slots=True)
class Subject:
    """A person, as far as the branch can identify one.

    `patron_ref`, the library system's number, is None where the branch does not know it.
    """

    row_keys: frozenset[bytes] = field(repr=False)
    patron_ref: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One stored row of a person; `values` in the order of the table's columns."""

    table: Table
    values: tuple[Any, ...] = field(repr=False)

    @property
    def by_column(self) -> dict[str, Any]:
        """The values by the names of their columns."""
        return dict(zip(self.table.names, self.values, strict=True))


@dataclass(frozen=True, slots=True)
class Lookup:
    """A look at data of the person, or a change of them; it does not say by whom.

    `at` is UTC, `what` the audit log's name for it; `why` is empty where no reason was given.
    """

    at: datetime
    what: str
    why: str = ""


# Erasing a person: in each database by its owner, and so that it can be done again.

ALL_GONE = (0, 0, 0)
"""What ``wal_checkpoint(TRUNCATE)`` answers where no byte of what was deleted is left."""

TRACES = "a reader or the disk kept traces alive; erase again in a minute"


@dataclass(frozen=True, slots=True)
class HeldVisit:
    """A visit that a hold keeps; the purge deletes it when the hold has ended.

    `attempt` is its number in the door log; the hold with the number `case` ends at `until`, UTC.
    """

    attempt: int
    case: str
    until: datetime


@dataclass(frozen=True, slots=True)
class PartErased:
    """What was erased in one database.

    For `checkpoint` see :data:`ALL_GONE`; `epoch` is the push that the register held, and `held`
    are the visits that an incident hold covers.
    """

    rows: int
    checkpoint: tuple[int, int, int]
    epoch: int = 0
    held: tuple[HeldVisit, ...] = ()


Keeper = Callable[[Subject, int], PartErased]
"""Erases a person in one database, durably and without residue; doing it again changes nothing.

It is the one writer of a database or a client of it, and gets the push that the register holds, for
the tombstone. It raises a DoorctlError where the owner does not answer or can't do it.
"""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The result of an erasure, by database; a second one can erase what was left.

    `left` says why data may still be there.
    """

    done: Mapping[str, PartErased]
    left: Mapping[str, str]

    @property
    def rows(self) -> int:
        """How many rows were erased in all."""
        return sum(part.rows for part in self.done.values())

    @property
    def held(self) -> tuple[HeldVisit, ...]:
        """The visits that holds keep for now."""
        return tuple(visit for part in self.done.values() for visit in part.held)


def erase(subject: Subject, keepers: Mapping[str, Keeper], epoch: int) -> Erasure:
    """Erase a person everywhere, as far as each database's owner can be reached.

    ``branch.db`` comes first: its tombstone still knows the person's other cards when the
    register has forgotten them, so that the rest can be done later. Without it nothing is erased.

    `keepers` has all three databases; `epoch` is the push that the register holds.
    """
    done: dict[str, PartErased] = {}
    left: dict[str, str] = {}
    for database in (BRANCH, VISITS, PATRONS):
        try:
            if BRANCH in left:
                left[database] = f"not touched, for {BRANCH} comes first"
            else:
                done[database] = keepers[database](subject, epoch)
        except DoorctlError as err:
            left[database] = str(err)
    if PATRONS in done and done[PATRONS].epoch > epoch:
        # A push came meanwhile: it is older than the erasure too.
        try:
            again = keepers[BRANCH](subject, done[PATRONS].epoch)
            done[BRANCH] = replace(again, rows=done[BRANCH].rows + again.rows)
        except DoorctlError as err:
            left[BRANCH] = str(err)
    traces = {name: TRACES for name, part in done.items() if part.checkpoint != ALL_GONE}
    return Erasure(done, {**traces, **left})


# A tombstone says that a person was erased, without saying who: so that an older push can't bring
# the person back.
#
# It is a salted hash of a row key or a `patron_ref`. A person who has the card, or a row of a
# push, can tell that it is meant; from the tombstone alone a row key can't be found (it is 128
# bits that only the installation key makes), and of a `patron_ref` only that opaque number.

MARK_BYTES = 16

KEPT = timedelta(days=3 * 366)
"""How long a tombstone is kept: as long as the library keeps an inactive patron. An older push is
never loaded."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One mark of one erasure.

    All marks of one person have the same `erasure`. Pushes up to `epoch` can't bring the person
    back. The tombstone itself goes at `until`; times are UTC.
    """

    mark: bytes = field(repr=False)
    erasure: int
    epoch: int
    erased_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Tombstones:
    """All tombstones of a branch.

    The salt is the branch's own, so that its marks say nothing at another branch.
    """

    salt: bytes = field(default=b"", repr=False)
    by_mark: Mapping[bytes, Tombstone] = field(default_factory=dict, repr=False)

    def of_card(self, row_key: bytes) -> Tombstone | None:
        """Return the tombstone of a card."""
        return self.by_mark.get(self._card(row_key)) if self.by_mark else None

    def of_patron(self, patron_ref: str) -> Tombstone | None:
        """Return the tombstone of a patron."""
        return self.by_mark.get(self._patron(patron_ref)) if self.by_mark else None

    def of_row(self, row_key: bytes, patron_ref: str) -> Tombstone | None:
        """Return the tombstone of a row of the register, by its card or by its patron."""
        return self.of_card(row_key) or self.of_patron(patron_ref)

    def of(self, subject: Subject) -> tuple[Tombstone, ...]:
        """Return all tombstones of a person, those of other cards too, in order of their marks."""
        own = {self.by_mark[mark].erasure for mark in self.marks(subject) & self.by_mark.keys()}
        marked = sorted(self.by_mark.items())
        return tuple(stone for _, stone in marked if stone.erasure in own)

    def marks(self, subject: Subject) -> frozenset[bytes]:
        """Return the marks that a person's cards and number have here."""
        cards = frozenset(map(self._card, subject.row_keys))
        if subject.patron_ref is None:
            return cards
        return cards | {self._patron(subject.patron_ref)}

    def against(self, epoch: int) -> Tombstones:
        """Return the tombstones that a push of this number can't undo."""
        standing = {mark: stone for mark, stone in self.by_mark.items() if stone.epoch >= epoch}
        return Tombstones(self.salt, standing)

    def without_erased(self, rows: Iterable[SealedRow]) -> Iterable[SealedRow]:
        """Return the rows without those of erased people; the same object if nobody was erased."""
        if not self.by_mark:
            return rows
        return (row for row in rows if self.of_row(row.row_key, row.patron.patron_ref) is None)

    def _card(self, row_key: bytes) -> bytes:
        return self._mark(b"card", row_key)

    def _patron(self, patron_ref: str) -> bytes:
        return self._mark(b"patron", patron_ref.encode())

    def _mark(self, kind: bytes, value: bytes) -> bytes:
        hashed = hashlib.blake2b(value, digest_size=MARK_BYTES, salt=self.salt, person=kind)
        return hashed.digest()


LONGEST_REF = 64
"""In characters; a library system's own numbers have a dozen."""

_REF = re.compile(rf"[0-9A-Za-z][0-9A-Za-z._:-]{{0,{LONGEST_REF - 1}}}")


def may_be_cpr(typed: str) -> bool:
    """Tell whether a typed text is a CPR number, however it is spaced, or a health card's swipe.

    Ten digits that begin with a date are a CPR number, whatever stands between them.
    """
    digits = "".join(str(int(char)) for char in typed if char.isdecimal())
    return is_cpr(digits) or any(reading.kind is IdentifierKind.CPR for reading in normalise(typed))


def refuse_ref(typed: str) -> None:
    """Refuse a text that may not go on record as the number of an unknown patron.

    Call it only where nothing is held under it: a library system's number may look like anything.
    Raises InputError: it may be a CPR number, or is no number of a library system; it is not
    quoted.
    """
    if may_be_cpr(typed):
        raise InputError(
            "that may be a CPR number, which is never kept as it is; give it as the card and not "
            "as --patron-ref"
        )
    if typed and not _REF.fullmatch(typed):
        raise InputError(
            f"a number in the library system is at most {LONGEST_REF} letters, digits, dots, "
            "colons and hyphens"
        )


# All that is held of a person, as scripts read it.

FORMAT = "doorctl-subject/1"

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LISTED: Mapping[Action, tuple[str, Action | None]] = MappingProxyType(
    {
        Action.VISITS_LISTED: ("attempts", None),
        Action.BANS_LISTED: ("bans", Action.BAN_ADDED),
        Action.PASSES_LISTED: ("passes", Action.PASS_ISSUED),
    }
)
"""The table of each list that staff can look at, and the deed that adds to it."""

OF_LETTER = re.compile(r"letter about ban ([0-9]{1,18})")
"""The reason that stood on the audit log beside a ban's letter before 0.3 had a detail for it."""


@dataclass(frozen=True, slots=True)
class Export:
    """All that is held of a person.

    Rows are in the order of `doorctl.store.tables`, lookups of staff oldest first;
    tombstones are the marks of earlier erasures.
    """

    rows: tuple[HeldRow, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is held but the mark of an erasure."""
        return not self.rows and not self.lookups

    def as_dict(self, zone: tzinfo) -> dict[str, Any]:
        """Return the export for scripts: times in `zone`, bytes in hex, the databases' names."""
        held: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for row in self.rows:
            tables = held.setdefault(row.table.database, {})
            tables.setdefault(row.table.name, []).append(_row(row, zone))
        return {
            "format": FORMAT,
            "held": held,
            "lookups": [
                {"at": _time(lookup.at, zone), "what": lookup.what, "why": lookup.why}
                for lookup in self.lookups
            ],
            "erased": [
                {
                    "mark": stone.mark.hex(),
                    "epoch": stone.epoch,
                    "at": _time(stone.erased_at, zone),
                    "until": _time(stone.until, zone),
                }
                for stone in self.tombstones
            ],
        }


def lookups(
    rows: Collection[HeldRow], named: Collection[Entry], every: Callable[[], Iterable[Entry]]
) -> tuple[Lookup, ...]:
    """Return what staff looked at or changed of a person, oldest first; not who did.

    It is what is `named` on the audit log as about the person, and those lists among `every` entry
    in which one of the person's `rows` stood.
    """
    stand = {action: _standing(action, rows, named) for action in _LISTED}
    lists = every() if any(stand.values()) else ()
    found = {one.number: one for one in lists if _showed(one, stand.get(one.deed.action, ()))}
    found |= {entry.number: entry for entry in named}
    return tuple(
        Lookup(entry.at, entry.deed.action.value, entry.deed.why)
        for _, entry in sorted(found.items())
    )


_Stands = tuple[int, datetime]
"""The number of a row, and since when it stands in its list."""


def _standing(action: Action, rows: Collection[HeldRow], named: Iterable[Entry]) -> list[_Stands]:
    """Return the rows that a list shows; one whose addition no entry tells was there before all."""
    table, adds = _LISTED[action]
    added = {one.deed.details.get("number"): one.at for one in named if one.deed.action is adds}
    listed = [row.by_column for row in rows if row.table.name == table]
    if adds is None:
        return [
            (row["attempt"], UNIX_EPOCH + timedelta(milliseconds=row["at_ms"])) for row in listed
        ]
    return [(row["number"], added.get(row["number"], UNIX_EPOCH)) for row in listed]


def _showed(entry: Entry, standing: Iterable[_Stands]) -> bool:
    """Tell whether a look at a list showed one of the rows, by what the look was limited to."""
    deed = entry.deed
    letter = OF_LETTER.fullmatch(deed.why)
    one = int(letter[1]) if letter else deed.details.get("letter", deed.details.get("number"))
    limited = deed.action is Action.VISITS_LISTED and "since" in deed.details
    begins = datetime.fromisoformat(str(deed.details["since"])) if limited else UNIX_EPOCH
    return any(begins <= since <= entry.at and one in {None, number} for number, since in standing)


def value(column: Column, stored: Any, zone: tzinfo) -> str | int | None:
    """Return a stored value as scripts read it, without the names of staff."""
    if stored is None or column.shown is Shown.OF_STAFF:
        return None
    if column.shown is Shown.TIME:
        return _time(UNIX_EPOCH + timedelta(milliseconds=stored), zone)
    if isinstance(stored, bytes):
        return stored.hex()
    return stored if isinstance(stored, int) else str(stored)


def _row(row: HeldRow, zone: tzinfo) -> dict[str, str | int | None]:
    pairs = zip(row.table.columns, row.values, strict=True)
    return {column.name: value(column, stored, zone) for column, stored in pairs}


def _time(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).isoformat(timespec="milliseconds")
