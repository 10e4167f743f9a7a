from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.messages import Closed, Opened
from doorctl.access.patron import Patron, Reason, SealedRow
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.access.throttle import CardThrottle
from doorctl.core.errors import InputError
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.subject import (
    ALL_GONE,
    BRANCH,
    PATRONS,
    VISITS,
    Export,
    HeldRow,
    Subject,
    lookups,
)
from doorctl.store.branch_writer import BranchRecordsWriter, create_branch
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.store.records import AuditRecords, AuditTrail
from doorctl.store.subject import (
    StoredErasures,
    SubjectReader,
    erase_patron,
    erase_rights,
    erase_visits,
    find,
    restrict,
    with_cards,
    with_erased,
)
from doorctl.store.visits import VisitStore, create_visits
from tests.store.samples import DAY, NOON, SEAL, files_of, key_of, push, stamped

EVER = datetime(1970, 1, 1, tzinfo=UTC)
NOW = Moment(NOON, NOON, ClockState.TRUSTED)
BOOT = BootTime("boot-1", 60_000)
PERSON, OTHER = "the-person-1001", "somebody-else-1002"
CARDS = {PERSON: (1, 2, 3), OTHER: (4, 5)}
TODAY = NOON.date()
BAN = Ban(0, "noise", NOON - DAY, NOON + 30 * DAY, "staff-7", frozenset({"*"}))
PASS = Pass(0, PassKind.CLEANER, TODAY, TODAY + 9 * DAY, label="Cleaning", pin_check=bytes(32))
ABOUT_ALL = frozenset({"audit", "tombstones", "tombstone_salt", "sqlite_sequence", "cache"})
"""Tables that say what happened, whoever it was about."""


@dataclass
class House:
    """Three real databases, written as the daemons write them."""

    directory: Path
    stack: ExitStack
    attempts: int = 0

    def __post_init__(self) -> None:
        create_patrons(self.directory / PATRONS, SEAL)
        create_branch(self.directory / BRANCH)
        create_visits(self.directory / VISITS)
        self.erasures = self._close(StoredErasures(self.directory / BRANCH))
        self.patrons = self._close(PatronCacheWriter(self.directory / PATRONS, SEAL, self.erasures))
        self.branch = self._close(BranchRecordsWriter(self.directory / BRANCH))
        self.visits = self._close(VisitStore(self.directory / VISITS))
        self.audit = AuditTrail(self.branch)
        self.readers = {
            name: self._close(SubjectReader(self.directory / name))
            for name in (PATRONS, BRANCH, VISITS)
        }
        self.looks = self._close(AuditRecords(self.directory / BRANCH))

    def store(self, what: str, whose: str, number: int) -> None:
        """Store something of a person, as of one of their cards."""
        getattr(self, f"_{what}")(whose, key_of(number))

    def _push(self, whose: str, key: bytes) -> None:
        rows = [SealedRow(key_of(number), Patron(whose)) for number in CARDS[whose]]
        # Not every card: some are known by other things alone.
        push(self.patrons, *[row for row in rows if row.row_key <= key], full=False, minimum_age=0)

    def _learn(self, whose: str, key: bytes) -> None:
        row = SealedRow(key, Patron(whose, pin_check=bytes(range(32))))
        self.patrons.keep(row, row_until=TODAY, pin_until=TODAY, learnt_on=TODAY)

    def _ban_card(self, _whose: str, key: bytes) -> None:
        self.branch.ban(BAN, NOW, row_key=key, patron_ref=None)

    def _ban_patron(self, whose: str, _key: bytes) -> None:
        self.branch.ban(BAN, NOW, row_key=None, patron_ref=whose)

    def _ban_both(self, whose: str, key: bytes) -> None:
        self.branch.lift(self.branch.ban(BAN, NOW, row_key=key, patron_ref=whose).number, NOW)

    def _pass(self, _whose: str, key: bytes) -> None:
        try:
            self.branch.revoke(self.branch.issue(PASS, NOW, row_key=key).number, NOW)
            self.branch.issue(PASS, NOW, row_key=key)
        except InputError:
            pass  # The card has one.

    def _restrict(self, whose: str, key: bytes) -> None:
        with suppress(InputError):  # They may be already.
            restrict(self.branch, Subject(frozenset({key}), whose), "staff-7", NOW)

    def _visit(self, _whose: str, key: bytes) -> None:
        self.attempts += 1
        self.visits.open_attempt(Opened(self.attempts, stamped(), key, CardThrottle(1, BOOT)))
        self.visits.close_attempt(
            Closed(self.attempts, Reason.WRONG_PIN, key, CardThrottle(2, BOOT))
        )

    def _being_there(self, _whose: str, key: bytes) -> None:
        self.attempts += 1
        self.visits.open_attempt(Opened(self.attempts, stamped(), key, None))

    def _look(self, whose: str, key: bytes) -> None:
        self.audit.append(Deed(Action.PATRON_EXPLAINED, (key,), None, "asked"), "staff-7", NOW)
        self.audit.append(Deed(Action.BAN_ADDED, (), whose), "staff-7", NOW)

    def subject(self, number: int) -> Subject:
        """Return whose a card is."""
        register, branch, visits = (self.readers[name] for name in (PATRONS, BRANCH, VISITS))
        found = find([key_of(number)], register, branch)
        return with_erased(found, self.erasures.tombstones(), (branch, visits))

    def export(self, subject: Subject) -> Export:
        """Return all that is held of a person."""
        rows = tuple(row for one in self.readers.values() for row in one.rows(subject, EVER))
        named = self.looks.about(subject.row_keys, subject.patron_ref)
        looks = lookups(rows, named, self.looks.entries)
        return Export(rows, looks, self.erasures.tombstones().of(subject))

    def erase(self, subject: Subject) -> None:
        """Erase a person, as the owners do."""
        epoch = self.readers[PATRONS].epoch()
        done = (
            erase_rights(self.branch, subject, epoch, "staff-7", NOW),
            erase_visits(self.visits.path, self.visits.database, subject),
            erase_patron(self.patrons.path, self.patrons.database, subject),
        )
        assert [part.checkpoint for part in done] == [ALL_GONE] * 3

    def stored(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield every row of every table of every database, whatever tables there are."""
        for name in (PATRONS, BRANCH, VISITS):
            with closing(sqlite3.connect(self.directory / name)) as database:
                database.row_factory = sqlite3.Row
                tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                for (table,) in tables.fetchall():
                    for row in database.execute(f"SELECT * FROM {table}"):  # noqa: S608 -- ours
                        yield name, table, dict(row)

    def _close(self, closable: Any) -> Any:
        return self.stack.enter_context(closing(closable))


def traces(whose: str) -> tuple[bytes, ...]:
    """Return all by which a person could be found in bytes."""
    keys = [key_of(number) for number in CARDS[whose]]
    return (whose.encode(), *keys, *(key.hex().encode() for key in keys))


def is_of(row: dict[str, Any], whose: str) -> bool:
    """Tell whether any value of a row is of a person."""
    written = [value if isinstance(value, bytes) else str(value).encode() for value in row.values()]
    return any(trace in value for trace in traces(whose) for value in written)


def as_row(row: HeldRow) -> tuple[str, str, tuple[tuple[str, Any], ...]]:
    """Return a row so that it can be compared with what is stored."""
    values = zip(row.table.names, row.values, strict=True)
    return row.table.database, row.table.name, tuple(sorted(values))


THINGS = (
    *("push", "learn", "ban_card", "ban_patron", "ban_both", "pass"),
    *("restrict", "visit", "being_there", "look"),
)
STORED = st.lists(
    st.tuples(st.sampled_from(THINGS), st.sampled_from([PERSON, OTHER]), st.integers(0, 1)),
    max_size=14,
)


@given(stored=STORED)
def test_export_holds_all_and_erasure_leaves_nothing(stored: list[tuple[str, str, int]]) -> None:
    """Invariant 29, whatever was stored in whatever order, by raw rows and raw bytes.

    The person brings all cards. What is held of somebody else stays to the letter.
    """
    with TemporaryDirectory() as directory, ExitStack() as stack:
        house = House(Path(directory), stack)
        for what, whose, index in stored:
            house.store(what, whose, CARDS[whose][index])
        subjects = [house.subject(number) for number in CARDS[PERSON]]
        named = with_cards(
            Subject(frozenset(), PERSON), house.readers[PATRONS], house.readers[BRANCH]
        )
        exports = [house.export(subject) for subject in (*subjects, named)]
        shown = {as_row(row) for export in exports for row in export.rows}
        held = [
            (database, table, tuple(sorted(row.items())))
            for database, table, row in house.stored()
            if table not in ABOUT_ALL and is_of(row, PERSON)
        ]
        looks = [row for _, table, row in house.stored() if table == "audit" and is_of(row, PERSON)]
        others = _of_others(house)

        assert set(held) == shown
        assert (max(len(export.lookups) for export in exports) > 0) == bool(looks)

        house.erase(named)
        for number in CARDS[PERSON]:
            house.erase(house.subject(number))

        assert [house.export(house.subject(number)).empty for number in CARDS[PERSON]] == [True] * 3
        assert _of_others(house) == others
        for name, content in files_of(house.directory).items():
            assert [name for trace in traces(PERSON) if trace in content] == []
        assert house.erasures.tombstones().of_patron(PERSON) is not None


def _of_others(house: House) -> list[tuple[str, str, tuple[tuple[str, Any], ...]]]:
    return [
        (database, table, tuple(sorted(row.items(), key=lambda pair: pair[0])))
        for database, table, row in house.stored()
        if table not in ABOUT_ALL and is_of(row, OTHER)
    ]
