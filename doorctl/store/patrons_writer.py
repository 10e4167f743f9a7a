"""The patron cache's one writer: a push is applied as a whole or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from msgspec.structs import astuple

from doorctl.access.patron import Applied, SealedRow
from doorctl.access.policy import Policy
from doorctl.core.errors import (
    BranchStoreError,
    RowsClashError,
    StoreDamagedError,
    StoreError,
)
from doorctl.core.ports import Seal
from doorctl.privacy.tombstones import Tombstones
from doorctl.store import patrons_guard
from doorctl.store.connection import compact, create_file, empty_log, translated
from doorctl.store.damage.salvage import Salvage, salvaged
from doorctl.store.damage.set_aside import discard_set_aside, set_aside, set_aside_if_damaged
from doorctl.store.erasure import forget_restored
from doorctl.store.patrons import migrations, to_record
from doorctl.store.patrons_changes import PushedRows
from doorctl.store.patrons_guard import WeekOfPushes
from doorctl.store.tables import (
    ASKED,
    CACHE,
    LEARNT,
    REGISTER,
    key_sum,
    select,
    whole,
)
from doorctl.store.tombstones import StoredErasures
from doorctl.store.writer import Writer
from doorctl.sync.guard import Guard
from doorctl.sync.receive import Push

# Statements are made of constants alone; values are always bound.
_STAMP = """
    UPDATE cache SET epoch = ?, digest = ?, patrons = ?, applied_at = ?, minimum_age = ?,
    key_id = ?, memory_kib = ?, iterations = ?,
    incomplete = CASE WHEN ? THEN 0 ELSE incomplete END
"""
_STAMP_ROWS = "UPDATE cache SET epoch = ?, digest = ?, patrons = ?"
"""For a feed of some rows: it says nothing of the others, so the cache's age stays."""
_PUSHED = "SELECT pin_check FROM patrons WHERE row_key = ?"
_KEEP_ROW = f"""
    INSERT OR REPLACE INTO asked ({ASKED.but()}) VALUES ({", ".join("?" * len(ASKED.names[:-1]))})
"""  # noqa: S608 -- as said
_KEEP_CHECK = """
    INSERT OR REPLACE INTO learnt (row_key, pin_check, weak_pin, learnt_on, good_until, key_sum)
    VALUES (?, ?, ?, ?, ?, ?)
"""
# A branch that gets no pushes any more must forget its patrons.
_APPLIED_AT = "SELECT applied_at FROM cache"
_FORGET_ASKED = "DELETE FROM asked WHERE learnt_on < ?"
_FORGET_PUSHED = "DELETE FROM patrons"
_FORGET_ALL = (
    _FORGET_PUSHED,
    "DELETE FROM asked",
    "DELETE FROM learnt",
    "DELETE FROM shut_out",
    "UPDATE cache SET patrons = 0",
)
_STAMP_EXPIRED = (
    "UPDATE cache SET epoch = epoch + (epoch < 0x7FFFFFFFFFFFFFFF), digest = '', patrons = 0"
)
"""The number rises, so that no changes follow on the deleted push: they would leave the others
out."""
_WRONG_BITS = 2
"""Of `incomplete`: the file itself has them; 1 says that rows of the file before it are lost."""
_NOTE_WRONG_BITS = "UPDATE cache SET incomplete = ?"
_TAKEN_OVER = "UPDATE cache SET epoch = ?, applied_at = ?, minimum_age = ?, patrons = ?"
_IS_INCOMPLETE = select(f"incomplete OR NOT {whole(CACHE)}", "cache")
COMPACT_EVERY = timedelta(days=1)
"""How often the file is rewritten at the most because changes removed rows: that wears the card."""

HIGHEST = 2**63 - 1
"""The highest number that SQLite keeps."""


class PatronCacheWriter(Writer):
    """Fill ``patrons.db``. Belongs to the thread that makes it.

    The file must exist. Only a full push may bring another seal than the file's, because rows of
    the old seal could not be found any more. A new file in the place of one that is lost or was set
    aside is incomplete: until a full push, a card that it does not hold is a fault of doorctl.

    Args:
        erasures: persons whom no older push and no older copy of the file may bring back; None
            for none.
        policy: the branch's rules, by which the guard learns whom a push shuts out.

    Raises StoreBusyError: another process is the writer. StoreError: the file is missing or can't
    be used.
    """

    # Since this process began: all notes of shut out cards were judged by its rules; rows may have
    # left bytes, which is not known of those that went before; when that was last seen to.
    _judged = False
    _to_compact = True
    _compacted_at = datetime.min.replace(tzinfo=UTC)

    def __init__(
        self,
        path: Path,
        seal: Seal,
        erasures: StoredErasures | None = None,
        policy: Policy = Policy(),  # noqa: B008 - frozen
    ) -> None:
        self.seal, self.erasures, self.policy = seal, erasures, policy
        self._judged, self._to_compact = False, True
        before = path.with_name(f"{path.name}.lock").exists()
        super().__init__(path, migrations, checkpoints=True)
        try:
            self._start_empty(incomplete=before)
            self._forget_restored()
        except BaseException:
            self.close()
            raise

    def held(self) -> Push:
        """Return the push that the cache holds; epoch 0 for none."""
        with translated(self.path):
            record = self.database.execute("SELECT epoch, digest FROM cache").fetchone()
        return Push(*record)

    def is_incomplete(self) -> bool:
        """Tell whether rows were lost or damaged, and no whole register has come since."""
        with translated(self.path):
            return bool(self.database.execute(_IS_INCOMPLETE).fetchone()[0])

    def note_damage(self) -> bool:
        """Call for a whole register, durably; return whether none was called for before."""
        before = self.is_incomplete()
        with self.transaction() as connection:
            connection.execute(_NOTE_WRONG_BITS, (_WRONG_BITS,))
        return not before

    def has_wrong_bits(self) -> bool:
        """Tell whether damage was noted in this very file, and no whole register has come since."""
        with translated(self.path):
            (incomplete,) = self.database.execute("SELECT incomplete FROM cache").fetchone()
        return bool(incomplete == _WRONG_BITS)

    def renew(self, at: datetime) -> None:
        """Set the file aside, as of an aware time, and go on with what is whole of it.

        Raises StoreError: there is no file any more, or none that can be used.
        """
        self.close()
        aside = set_aside(self.path, at)
        create_file(self.path, migrations)
        PatronCacheWriter.__init__(self, self.path, self.seal, self.erasures, self.policy)
        # What can't be used is lost with the rest.
        with suppress(StoreError):
            self.take_over(salvaged(aside))

    def take_over(self, found: Salvage) -> int:
        """Put into an empty file what is whole of the one before; return how many cards.

        It stays incomplete. Nothing is put in where the cache's own row, or its seal, is not
        known.
        """
        for _, epoch, applied_at, minimum_age, _, *seal in found.of(CACHE).values():
            # A row of a push to come would be in the way of that push.
            at = REGISTER.names.index("epoch")
            held = {key: row for key, row in found.of(REGISTER).items() if row[at] <= epoch}
            if Seal(*seal[:3]) != self.seal or not held:
                continue
            with self.transaction() as connection:
                for table in (REGISTER, LEARNT, ASKED):
                    rows = held if table is REGISTER else found.of(table)
                    kept = [rows[key] for key in sorted(rows) if table is not LEARNT or key in held]
                    places = ", ".join("?" * len(table.names))
                    connection.executemany(f"INSERT INTO {table.name} VALUES ({places})", kept)  # noqa: S608 -- as said
                connection.execute(_TAKEN_OVER, (epoch, applied_at, minimum_age, len(held)))
            self._forget_restored()
            return len(held)
        return 0

    def apply(
        self,
        rows: Iterable[SealedRow],
        *,
        full: bool,
        applied_at: datetime,
        minimum_age: int,
        guard: Guard,
        removals: Iterable[str] = (),
        push: Push | None = None,
        approved: bool = False,
    ) -> Applied:
        """Apply rows in one durable transaction, or change nothing; memory stays flat.

        Each `patron_ref` among `rows` is replaced with all its identifiers; each in `removals`,
        read later, is removed with all of them; if `full`, everyone else too, from each file; rows
        of another seal count as none. Without a `push` it gets the next number and no digest; whom
        an `approved` one shuts out counts for no later one. What `rows` and `guard` raise passes.

        Raises RowsClashError: two rows are of one identifier, or one takes that of a patron who is
        neither among them nor removed; another seal or age limit. StoreError: the disk failed.
        """
        at, erased = applied_at.astimezone(UTC), self._erased()
        with self.transaction() as connection:
            epoch = self._epoch_before(connection, minimum_age, full=full)
            # A numbered push follows on what is held; a feed without a number proves nothing.
            is_whole = full or push is not None or epoch == 0
            push = push or Push(_following(epoch))
            gone = self._forget_other_seal(connection)
            week = WeekOfPushes(connection, self.policy, at, anew=full or not self._judged)
            pushed = PushedRows(connection, week, push.epoch, full=full)
            pushed.put(erased.against(push.epoch).without_erased(rows))
            pushed.finish(at)
            pushed.remove(removals)
            (before,) = connection.execute("SELECT patrons FROM cache").fetchone()
            held = before + pushed.added - pushed.removed
            guard(week.changes(held))
            if approved:
                patrons_guard.forget_all(connection)
            more = (at.isoformat(), minimum_age, *astuple(self.seal), full) if is_whole else ()
            stamp = _STAMP if is_whole else _STAMP_ROWS
            connection.execute(stamp, (push.epoch, push.digest, held, *more))
        self._judged = True
        self._compact_after(gone + pushed.removed, full=full)
        return Applied(push.epoch, held, gone + pushed.removed)

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date = date.min
    ) -> None:
        """Keep the library system's answer about one card, durably; the push held stays the same.

        Where a push has brought the card's row, only the PIN check is kept, until `pin_until`, and
        only if the push brought none. Else the whole row is kept until the next snapshot, or the
        next push that has it or its patron, at the longest until `row_until`; if that push brings
        the card without a PIN check, this one stays with it. The same again changes nothing.

        Args:
            row_until: None where a push had brought the row: if another has removed it meanwhile,
                nothing is kept.
            learnt_on: the day of the answer; `date.min` for not known: then every change of the
                PIN in a push counts as a later one.

        Raises RowsClashError: the cache has another seal, so no card would find the row.
        StoreError: the row has no PIN check, or the disk failed.
        """
        days = (learnt_on.isoformat(), pin_until.isoformat())
        with self.transaction() as connection:
            self._refuse_other_seal(connection)
            pushed = connection.execute(_PUSHED, (row.row_key,)).fetchone()
            if pushed is None and row_until is not None:
                connection.execute(_KEEP_ROW, to_record(row, *days, row_until.isoformat()))
            elif pushed is not None and pushed[0] is None:
                check, total = row.patron.pin_check, key_sum(row.row_key, row.patron.pin_check)
                kept = (row.row_key, check, row.patron.weak_pin, *days, total)
                connection.execute(_KEEP_CHECK, kept)

    def expire(self, confirmed_before: datetime) -> int:
        """Delete all rows if no push has come since a time, durably; return how many.

        Each numbered push speaks for the whole register, so all its rows go or none, and only a
        whole register can follow. Rows from the library system alone go by the day of its answer.
        `confirmed_before` is aware, and by a clock that can be trusted.
        """
        at = confirmed_before.astimezone(UTC)
        with self.transaction() as connection:
            gone = connection.execute(_FORGET_ASKED, (at.date().isoformat(),)).rowcount
            (applied_at,) = connection.execute(_APPLIED_AT).fetchone()
            if applied_at is not None and datetime.fromisoformat(applied_at) < at:
                pushed = connection.execute(_FORGET_PUSHED).rowcount
                if pushed:
                    self._judged = False
                    connection.execute(_STAMP_EXPIRED)
                gone += pushed
        if gone:
            self.compact()
        return gone

    def forget(self, now: datetime) -> int:
        """Forget whom pushes shut out more than a week ago, durably; return how many cards.

        Damaged copies in this directory that were set aside over a day ago are deleted too. Once a
        day the file is rewritten if rows or notes have gone, and after each start: free space of
        its pages may hold bytes of them. `now` is aware, and by a clock that can be trusted.
        """
        discard_set_aside(self.path.parent, now)
        with self.transaction() as connection:
            gone = patrons_guard.forget(connection, now.astimezone(UTC))
        self._to_compact = self._to_compact or gone > 0
        if self._to_compact and not timedelta() <= now - self._compacted_at < COMPACT_EVERY:
            self.compact()
            self._compacted_at = now
        return gone

    def renumber(self, epoch: int) -> None:
        """Lower the number of the push that is held to `epoch`, so that a snapshot can follow.

        Raises StoreError: the disk failed; nothing was changed.
        """
        with self.transaction() as connection:
            connection.execute("UPDATE patrons SET epoch = min(epoch, ?)", (epoch,))
            connection.execute("UPDATE cache SET epoch = min(epoch, ?), digest = ''", (epoch,))

    def compact(self) -> tuple[int, int, int]:
        """Rewrite the file without what was deleted; memory stays flat, however large it is."""
        with translated(self.path):
            found = compact(self.database, self.path.parent)
        # A busy reader leaves the old pages in the WAL.
        self._to_compact = found != (0, 0, 0)
        return found

    def _compact_after(self, removed: int, *, full: bool) -> None:
        """Rewrite the file after a snapshot; changes cost what they change, and empty the WAL.

        What an earlier process or an earlier change has left is not this push's: a look removes it.
        """
        if not removed:
            return
        self._to_compact = True
        # The push is durable; what a busy reader or a full disk leaves, a later look removes.
        with suppress(StoreError):
            if full:
                self.compact()
            else:
                with translated(self.path):
                    empty_log(self.database)

    def _start_empty(self, *, incomplete: bool) -> None:
        with self.transaction() as connection:
            connection.execute(
                """
                INSERT OR IGNORE INTO cache
                (only, epoch, applied_at, minimum_age, patrons, incomplete, key_id, memory_kib,
                iterations) VALUES (1, 0, NULL, 0, 0, ?, ?, ?, ?)
                """,
                (incomplete, *astuple(self.seal)),
            )

    def _erased(self) -> Tombstones:
        try:
            return Tombstones() if self.erasures is None else self.erasures.tombstones()
        except StoreDamagedError as err:
            # It is another file's damage, and none of the register's.
            raise BranchStoreError(str(err)) from err

    def _forget_restored(self) -> None:
        # While the erased persons can't be read, the door refuses everybody and every push.
        with suppress(StoreError):
            forget_restored(self, self._erased(), self.held().epoch)

    def _epoch_before(self, connection: sqlite3.Connection, minimum_age: int, *, full: bool) -> int:
        epoch: int
        epoch, age = connection.execute("SELECT epoch, minimum_age FROM cache").fetchone()
        if not full:
            self._refuse_other_seal(connection)
        if not full and epoch and age != minimum_age:
            raise RowsClashError(
                f"{self.path} was sealed for another minimum age; load the full feed again"
            )
        return epoch

    def _forget_other_seal(self, connection: sqlite3.Connection) -> int:
        """Delete all rows of another seal; return how many patrons a push had brought.

        No card finds them, so a push that replaces them shuts no patron out.
        """
        if self._has_seal(connection):
            return 0
        (gone,) = connection.execute("SELECT count(DISTINCT patron_ref) FROM patrons").fetchone()
        for statement in _FORGET_ALL:
            connection.execute(statement)
        return int(gone)

    def _has_seal(self, connection: sqlite3.Connection) -> bool:
        seal = connection.execute("SELECT key_id, memory_kib, iterations FROM cache").fetchone()
        return Seal(*seal) == self.seal

    def _refuse_other_seal(self, connection: sqlite3.Connection) -> None:
        if not self._has_seal(connection):
            raise RowsClashError(
                f"{self.path} was sealed with another installation key or other seal costs; "
                "load the full feed again"
            )


def create_patrons(path: Path, seal: Seal) -> None:
    """Create an empty cache, with epoch 0; raises as `create_file`."""
    create_file(path, migrations)
    PatronCacheWriter(path, seal).close()


def open_or_create_patrons(
    path: Path,
    seal: Seal,
    erasures: StoredErasures | None = None,
    policy: Policy = Policy(),  # noqa: B008 - frozen
) -> PatronCacheWriter:
    """Open the cache's writer, on an empty file if it is missing or was set aside."""
    if not path.exists():
        create_file(path, migrations)
    return PatronCacheWriter(path, seal, erasures, policy)


def open_or_renew_patrons(
    path: Path, at: datetime, seal: Seal, erasures: StoredErasures | None, policy: Policy
) -> tuple[PatronCacheWriter, str | None]:
    """Open the cache's writer; return what to say where the file was damaged, else None.

    It is set aside then, as of the aware time `at`, and what is whole of it is used on.
    """
    aside = set_aside_if_damaged(path, at, migrations)
    writer = open_or_create_patrons(path, seal, erasures, policy)
    if aside is None:
        return writer, None
    kept = 0
    # What can't be used either is lost with the rest.
    with suppress(StoreError):
        kept = writer.take_over(salvaged(aside))
    why = f"{path.name} is damaged and was set aside as {aside.name}"
    return writer, f"{why}; {kept} cards of it are whole and still used; push a snapshot"


def applied_anew(
    writer: PatronCacheWriter, apply: Callable[[], Applied], at: datetime, *, full: bool
) -> Applied:
    """Have a push applied as of an aware time; a file with wrong bits is begun anew first.

    What is whole of it goes on meanwhile. A push of some rows fails then, and all rows are called
    for. Raises what `apply` raises, which may be called twice.
    """
    if full and writer.has_wrong_bits():
        writer.renew(at)
    try:
        return apply()
    except StoreDamagedError:
        writer.renew(at)
        if not full:
            raise
        return apply()


def _following(epoch: int) -> int:
    if epoch >= HIGHEST:
        raise RowsClashError(
            f"push {epoch} is held, and no number follows on it; stop doorctl-web and give it that "
            "of the sender's last push: doorctl patrons renumber NUMBER"
        )
    return epoch + 1
