"""The sender's own database holds sealed rows and fingerprints; no number, name, birthday or PIN.

`doorctl.sync.outbox.Outbox` describes the methods.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from msgspec.structs import astuple

from doorctl.core.ports import Seal
from doorctl.store.connection import create_file, translated
from doorctl.store.layout import Layout
from doorctl.store.writer import Writer
from doorctl.sync.outbox import OutboxState, Revision, Terms, Volume

_PUT = """
    INSERT INTO patrons
    (patron_ref, fingerprint, lines, cards, first_epoch, changed_epoch, other_days)
    VALUES (:ref, :fingerprint, :lines, :cards, :epoch, :epoch, :other_days)
    ON CONFLICT (patron_ref) DO UPDATE SET fingerprint = excluded.fingerprint,
    lines = excluded.lines, cards = excluded.cards, changed_epoch = excluded.changed_epoch,
    other_days = excluded.other_days, taken_out = NULL, taken_out_on = NULL
"""
_TAKE_OUT = """
    UPDATE patrons SET taken_out = fingerprint, fingerprint = NULL, cards = 0, changed_epoch = ?,
    other_days = '{}'
    WHERE patron_ref = ? AND fingerprint IS NOT NULL
"""
_DROP_ROWS = "UPDATE patrons SET taken_out = NULL, lines = x'' WHERE fingerprint IS NULL"
_DATE_REMOVALS = """
    UPDATE patrons SET taken_out_on = :day
    WHERE fingerprint IS NULL AND coalesce(taken_out_on, :day) >= :day
"""
_VOLUME = """
    SELECT (SELECT coalesce(sum(cards), 0) FROM register WHERE changed_epoch > :after),
    (SELECT count(*) FROM taken_out WHERE changed_epoch > :after AND first_epoch <= :after)
"""
_STANDING = """
    SELECT epoch, floor_epoch, (SELECT count(*) FROM register),
    key_id, memory_kib, iterations, minimum_age, other_ages FROM outbox
"""
_STAND = """
    UPDATE outbox SET epoch = ?, floor_epoch = ?,
    key_id = ?, memory_kib = ?, iterations = ?, minimum_age = ?
"""
_RAISE_FLOOR = """
    UPDATE outbox SET floor_epoch = max(floor_epoch, (
        SELECT coalesce(max(changed_epoch), 0) FROM taken_out WHERE changed_epoch <= :through
    ))
"""
_LAST_OVERDUE = """
    SELECT coalesce(max(changed_epoch), 0) FROM taken_out
    WHERE taken_out_on <= date(:day, '-' || :term_days || ' days')
"""
_HEADS = """
    SELECT day, head FROM audit_heads WHERE branch = :branch
    ORDER BY number DESC, day DESC LIMIT 200
"""
_FORGET_HEADS = """
    DELETE FROM audit_heads
    WHERE branch = :branch AND (number > :agreed OR day < date(:day, '-185 days'))
"""
_KEEP_LOST = "INSERT OR IGNORE INTO audit_lost VALUES (:branch, :lost)"
_KEEP_HEAD = "REPLACE INTO audit_heads VALUES (:branch, :day, CAST(:head AS INTEGER), :head)"
_FORGET_WRONG_PINS = "DELETE FROM wrong_pins WHERE branch = ? OR day < date(?, '-30 days')"
_WRONG_ELSEWHERE = """
    SELECT patron_ref, sum(min(wrong, 100)) AS elsewhere
    FROM wrong_pins JOIN register USING (patron_ref) WHERE branch <> :branch
    GROUP BY patron_ref ORDER BY elsewhere DESC LIMIT :most
"""
_ROWS = "SELECT lines, json_extract(other_days, ?) FROM register WHERE changed_epoch > ?"
_FORGET = "DELETE FROM patrons WHERE fingerprint IS NULL AND changed_epoch <= :through"

_SCHEMA = (
    # A patron without a fingerprint was taken out.
    """
    CREATE TABLE patrons (
        patron_ref TEXT NOT NULL PRIMARY KEY,
        fingerprint BLOB CHECK (length(fingerprint) = 32),
        lines BLOB NOT NULL,
        cards INTEGER NOT NULL,
        first_epoch INTEGER NOT NULL,
        changed_epoch INTEGER NOT NULL,
        other_days TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX patrons_by_epoch ON patrons (changed_epoch)",
    "CREATE VIEW register AS SELECT * FROM patrons WHERE fingerprint IS NOT NULL",
    "CREATE VIEW taken_out AS SELECT * FROM patrons WHERE fingerprint IS NULL",
    """
    CREATE TABLE outbox (
        only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
        epoch INTEGER NOT NULL,
        floor_epoch INTEGER NOT NULL,
        key_id TEXT,
        memory_kib INTEGER,
        iterations INTEGER,
        minimum_age INTEGER,
        other_ages TEXT NOT NULL
    ) STRICT
    """,
    "INSERT INTO outbox VALUES (1, 0, 0, NULL, NULL, NULL, NULL, '[]')",
    """
    CREATE TABLE sent (
        branch TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        digest TEXT NOT NULL,
        minimum_age INTEGER,
        PRIMARY KEY (branch, epoch, digest)
    ) STRICT, WITHOUT ROWID
    """,
    # The end of each branch's audit log on each day, out of that branch's reach.
    """
    CREATE TABLE audit_heads (
        branch TEXT NOT NULL,
        day TEXT NOT NULL,
        number INTEGER NOT NULL,
        head TEXT NOT NULL,
        PRIMARY KEY (branch, day)
    ) STRICT, WITHOUT ROWID
    """,
    # The first head that a branch's log was found without, until somebody confirms it.
    """
    CREATE TABLE audit_lost (
        branch TEXT NOT NULL PRIMARY KEY,
        head TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE wrong_pins (
        branch TEXT NOT NULL,
        patron_ref TEXT NOT NULL,
        wrong INTEGER NOT NULL,
        day TEXT NOT NULL,
        PRIMARY KEY (branch, patron_ref)
    ) STRICT, WITHOUT ROWID
    """,
    # The standing alarms and who was told: a sender that has ended remembers nothing.
    """
    CREATE TABLE alarms (
        only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
        book BLOB NOT NULL
    ) STRICT
    """,
)


def _lay_out(database: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        database.execute(statement)


def _keep_rows(database: sqlite3.Connection) -> None:
    # Of a patron who was taken out: the fingerprint that the kept lines have, and since when.
    database.execute("ALTER TABLE patrons ADD COLUMN taken_out BLOB")
    database.execute("ALTER TABLE patrons ADD COLUMN taken_out_on TEXT")


migrations = Layout("outbox", {"release_0_2": _lay_out, "release_0_3": _keep_rows})


class OutboxStore(Writer):
    """Keep ``outbox.db``, which must exist; implements `Outbox`. One thread; raises as `Writer`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, migrations)

    def state(self) -> OutboxState:
        """Return the outbox's numbers."""
        ((epoch, floor_epoch, patrons, *seal, minimum_age, others),) = self._fetch(_STANDING)
        other_ages = tuple(json.loads(others))
        terms = None if seal[0] is None else Terms(Seal(*seal), minimum_age, other_ages)
        return OutboxState(epoch, floor_epoch, terms, patrons)

    def fingerprints(self) -> Mapping[str, bytes]:
        """Return patron_ref -> fingerprint of everyone in the register, looked up one by one."""
        return _Fingerprints(self._fetch, self._stream)

    def taken_out(self) -> dict[str, bytes]:
        """Return patron_ref -> fingerprint of those taken out whose lines are kept."""
        kept = "SELECT patron_ref, taken_out FROM taken_out WHERE taken_out IS NOT NULL"
        return dict(self._fetch(kept))

    def lines_of(self, ref: str) -> tuple[bytes, ...]:
        """Return the kept lines of a patron."""
        ((lines,),) = self._fetch("SELECT lines FROM patrons WHERE patron_ref = :ref", ref=ref)
        return tuple(lines.splitlines(keepends=True))

    def record(
        self, revisions: Iterable[Revision], removed: Iterable[str], terms: Terms
    ) -> OutboxState:
        """Put patrons and take others out, under the next epoch."""
        before = self.state()
        epoch = before.epoch + 1
        with self.transaction() as connection:
            puts = connection.executemany(
                _PUT, (_to_put(revision, epoch) for revision in revisions)
            )
            takings = connection.executemany(_TAKE_OUT, ((epoch, ref) for ref in removed))
            if max(0, puts.rowcount) + max(0, takings.rowcount) > 0:
                same = terms.keep_rows(before.terms)
                floor_epoch = before.floor_epoch if same else epoch
                if not same:
                    connection.execute(_DROP_ROWS)
                standing = (epoch, floor_epoch, *astuple(terms.seal), terms.minimum_age)
                connection.execute(_STAND, standing)
            connection.execute("UPDATE outbox SET other_ages = ?", (json.dumps(terms.other_ages),))
        return self.state()

    def outrank(self, epoch: int) -> int:
        """Make the epoch one more than `epoch` if it is not higher, and return it."""
        with self.transaction() as connection:
            connection.execute("UPDATE outbox SET epoch = max(epoch, ? + 1)", (epoch,))
        return self.state().epoch

    def volume(self, after: int) -> Volume:
        """Tell how much `rows` and `removals` yield."""
        (record,) = self._fetch(_VOLUME, after=after)
        return Volume(*record)

    def rows(self, after: int, minimum_age: int) -> Iterator[tuple[bytes, date | None]]:
        """Yield the wire lines of everyone who changed after an epoch."""
        for lines, day in self._stream(_ROWS, f'$."{minimum_age}"', after):
            for line in lines.splitlines(keepends=True):
                yield line, None if day is None else date.fromisoformat(day)

    def removals(self, after: int) -> Iterator[str]:
        """Yield the patrons who were there up to an epoch and were taken out after it."""
        since = "SELECT patron_ref FROM taken_out WHERE changed_epoch > ? AND first_epoch <= ?"
        yield from (ref for (ref,) in self._stream(since, after, after))

    def note_sent(self, branch: str, held: int, epoch: int, digest: str, minimum_age: int) -> None:
        """Remember a push before it is sent."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM sent WHERE branch = ? AND epoch < ?", (branch, held))
            connection.execute(
                "INSERT OR IGNORE INTO sent VALUES (?, ?, ?, ?)",
                (branch, epoch, digest, minimum_age),
            )

    def was_sent(self, branch: str, epoch: int, digest: str, minimum_age: int) -> bool:
        """Tell whether a branch can hold this push from us."""
        find = """
            SELECT 1 FROM sent WHERE branch = :branch AND epoch = :epoch
            AND digest = :digest AND minimum_age = :age
        """
        return bool(self._fetch(find, branch=branch, epoch=epoch, digest=digest, age=minimum_age))

    def sent_epochs(self, branch: str, minimum_age: int) -> tuple[int, ...]:
        """Return the pushes that a branch can hold from us, ascending."""
        find = """
            SELECT DISTINCT epoch FROM sent WHERE branch = :branch AND minimum_age = :age
            ORDER BY epoch
        """
        return tuple(epoch for (epoch,) in self._fetch(find, branch=branch, age=minimum_age))

    def audit_heads(self, branch: str) -> dict[str, str]:
        """Return day -> the end of a branch's audit log then; the last first."""
        return dict(self._fetch(_HEADS, branch=branch))

    def note_audit_head(
        self, branch: str, head: str, on: date, agreed: int, lost: str | None
    ) -> None:
        """Keep the end of a branch's audit log, and the one that it no longer holds."""
        values = {"branch": branch, "day": on.isoformat(), "head": head, "agreed": agreed}
        with self.transaction() as connection:
            if lost is not None:
                connection.execute(_KEEP_LOST, {"branch": branch, "lost": lost})
            connection.execute(_FORGET_HEADS, values)
            connection.execute(_KEEP_HEAD, values)

    def audit_lost(self) -> dict[str, str]:
        """Return branch -> the head that its audit log was found without."""
        return dict(self._fetch("SELECT branch, head FROM audit_lost"))

    def confirm_audit(self, branches: Iterable[str]) -> None:
        """Forget what the audit logs of some branches were found without: somebody has looked."""
        with self.transaction() as connection:
            forget = "DELETE FROM audit_lost WHERE branch = ?"
            connection.executemany(forget, ((branch,) for branch in branches))

    def note_wrong_pins(self, branch: str, here: Mapping[str, int], on: date) -> None:
        """Replace a branch's counts of patrons' wrong PINs."""
        day = on.isoformat()
        with self.transaction() as connection:
            connection.execute(_FORGET_WRONG_PINS, (branch, day))
            rows = [(branch, ref, wrong, day) for ref, wrong in here.items()]
            connection.executemany("INSERT INTO wrong_pins VALUES (?, ?, ?, ?)", rows)

    def wrong_pins_elsewhere(self, branch: str, most: int) -> dict[str, int]:
        """Return patron -> wrong PINs at all other branches, for the `most` who have most."""
        return dict(self._fetch(_WRONG_ELSEWHERE, branch=branch, most=most))

    def forget_removed(self, through: int) -> None:
        """Forget the patrons taken out up to an epoch that every branch holds; raise the floor."""
        with self.transaction() as connection:
            connection.execute(_RAISE_FLOOR, {"through": through})
            connection.execute(_FORGET, {"through": through})

    def forget_overdue(self, on: date, term_days: int) -> None:
        """Forget the patrons who were taken out so many days ago, known to the branches or not."""
        with self.transaction() as connection:
            connection.execute(_DATE_REMOVALS, {"day": on.isoformat()})
        ((through,),) = self._fetch(_LAST_OVERDUE, day=on.isoformat(), term_days=term_days)
        if through:
            self.forget_removed(through)

    def alarms(self) -> bytes | None:
        """Return what the last run kept of its alarms; None for nothing."""
        records = self._fetch("SELECT book FROM alarms")
        return records[0][0] if records else None

    def keep_alarms(self, book: bytes) -> None:
        """Keep the alarms for `alarms` to return."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO alarms VALUES (1, ?)", (book,))

    def _fetch(self, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
        with translated(self.path):
            return self.database.execute(sql, parameters).fetchall()

    def _stream(self, sql: str, *parameters: object) -> Iterator[tuple[Any, ...]]:
        with translated(self.path):
            yield from self.database.execute(sql, parameters)


class _Fingerprints(Mapping[str, bytes]):
    """Holds none: a town has millions."""

    def __init__(
        self,
        fetch: Callable[..., list[tuple[Any, ...]]],
        stream: Callable[[str], Iterator[tuple[Any, ...]]],
    ) -> None:
        self._fetch, self._stream = fetch, stream

    def __getitem__(self, ref: str) -> bytes:
        find = "SELECT fingerprint FROM register WHERE patron_ref = :ref"
        found: list[tuple[bytes]] = self._fetch(find, ref=ref)
        if not found:
            raise KeyError
        return found[0][0]

    def __iter__(self) -> Iterator[str]:
        return (ref for (ref,) in self._stream("SELECT patron_ref FROM register"))

    def __len__(self) -> int:
        ((count,),) = self._fetch("SELECT count(*) FROM register")
        return int(count)


def open_or_create_outbox(path: Path) -> OutboxStore:
    """Open the outbox, an empty one if it is missing: every patron is then sealed again."""
    if not path.exists():
        create_file(path, migrations)
    return OutboxStore(path)


def _to_put(revision: Revision, epoch: int) -> dict[str, object]:
    return {
        "ref": revision.patron_ref,
        "fingerprint": revision.fingerprint,
        "lines": b"".join(revision.lines),
        "cards": len(revision.lines),
        "epoch": epoch,
        "other_days": json.dumps({age: str(day) for age, day in revision.other_days.items()}),
    }
