"""The one writer of ``branch.db``: bans, passes and hours, and what ends there.

Each call is one transaction, durable or undone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

from doorctl.access.calendar import DaySource, StoredDay, StoredWeek
from doorctl.access.day import Override
from doorctl.access.rights import Ban, Pass
from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import Moment
from doorctl.store.branch import CURE, known, never_made, today
from doorctl.store.branch_limits import (
    _refuse_one_more,
    refuse_ban,
    refuse_days,
    refuse_override,
    refuse_pass,
)
from doorctl.store.branch_purge import delete_ended
from doorctl.store.branch_rows import (
    BANS,
    OVERRIDES,
    PASSES,
    from_ban,
    from_override,
    from_pass,
    from_spans,
    migrations,
    to_ban,
    to_override,
    to_pass,
)
from doorctl.store.connection import create_file, translated
from doorctl.store.tables import maybe, to_ms
from doorctl.store.writer import Writer

# The column lists are all that these are made of; values are always bound.
_ADD_BAN = f"""
    INSERT INTO bans (row_key, patron_ref, {BANS}) VALUES (?, ?, NULL, ?, ?, ?, ?, ?, ?)
    RETURNING {BANS}
"""  # noqa: S608 -- as said
_LIFT = f"UPDATE bans SET lifted_ms = ? WHERE number = ? AND lifted_ms IS NULL RETURNING {BANS}"  # noqa: S608 -- as said
_CHANGE_BAN = f"""
    UPDATE bans SET ({BANS.partition(", ")[2]}) = (?, ?, ?, ?, ?, ?)
    WHERE number = ? AND lifted_ms IS NULL RETURNING {BANS}
"""  # noqa: S608 -- as said
_CHANGE_PASS = f"""
    UPDATE passes SET ({PASSES.partition(", ")[2]}) = ({", ".join("?" * 13)})
    WHERE number = ? AND revoked_ms IS NULL RETURNING {PASSES}
"""  # noqa: S608 -- as said
_ADD_PASS = f"""
    INSERT INTO passes (row_key, {PASSES}) VALUES (?, NULL, {", ".join("?" * 13)})
    RETURNING {PASSES}
"""  # noqa: S608 -- as said
_REVOKE = f"""
    UPDATE passes SET revoked_ms = ? WHERE number = ? AND revoked_ms IS NULL RETURNING {PASSES}
"""  # noqa: S608 -- as said
_END_OVERRIDE = f"""
    UPDATE overrides SET ended_ms = :now, ended_by = :by
    WHERE number = (SELECT max(number) FROM overrides) AND ended_ms IS NULL
    AND (until_ms > :now OR mode = 'lockdown')
    RETURNING {OVERRIDES}
"""  # noqa: S608 -- as said
_SAID = "INSERT OR REPLACE INTO day_sources (source, known_until, fetched_ms) VALUES (?, ?, ?)"
_SET_WEEK = "INSERT OR REPLACE INTO week (only, spans) VALUES (1, ?)"
_ADD_OVERRIDE = f"INSERT INTO overrides ({OVERRIDES}, set_ms) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 -- as said


class BranchRecordsWriter(Writer):
    """Write ``branch.db``. Belongs to the thread that makes it.

    The file must exist. Each call also deletes what ended more than a month ago, and then rewrites
    the file without it. If a reader or the disk prevents that, the next call or start does it.
    Raises as `Writer`.
    """

    def __init__(self, path: Path) -> None:
        # A lock without a database would say that there was one.
        if not path.exists():
            raise StoreError(f"{path} is missing; {CURE}")
        super().__init__(path, migrations, checkpoints=True)
        self._stale = True
        self._compact_if_stale()

    def execute(
        self, sql: str, values: tuple[object, ...] | Mapping[str, object] = ()
    ) -> sqlite3.Cursor:
        """Run a statement on the file's other tables; raises StoreError."""
        with translated(self.path):
            return self.database.execute(sql, values)

    def ban(
        self, ban: Ban, moment: Moment, *, row_key: bytes | None, patron_ref: str | None
    ) -> Ban:
        """Ban a card, a patron with all cards, or both; return the ban with its number."""
        refuse_ban(ban, moment, row_key, patron_ref)
        with self.together(moment) as connection:
            values = (row_key, patron_ref, *from_ban(ban))
            return to_ban(connection.execute(_ADD_BAN, values).fetchone())

    def lift(self, number: int, moment: Moment) -> Ban:
        """Lift a ban before its end; return it. One that is lifted or unknown is refused."""
        absent = InputError("there is no ban {n} that could be lifted; list them", n=str(number))
        return to_ban(self._changed(_LIFT, (to_ms(known(moment)), number), moment, absent))

    def change_ban(self, ban: Ban, moment: Moment) -> Ban:
        """Store a ban as it is from now on; return it."""
        refuse_ban(ban, moment, None, "known")
        absent = InputError("there is no ban of that number; list them")
        values = (*from_ban(ban), ban.number)
        return to_ban(self._changed(_CHANGE_BAN, values, moment, absent))

    def change_pass(self, held: Pass, moment: Moment) -> Pass:
        """Store a pass as it is from now on; return it."""
        refuse_pass(held, moment)
        absent = InputError("there is no pass of that number")
        values = (*from_pass(held), held.number)
        return to_pass(self._changed(_CHANGE_PASS, values, moment, absent))

    def _changed(
        self, sql: str, values: tuple[object, ...], moment: Moment, absent: InputError
    ) -> tuple[object, ...]:
        with self.together(moment) as connection:
            record: tuple[object, ...] | None = connection.execute(sql, values).fetchone()
            if record is None:
                raise absent
        return record

    def issue(self, new: Pass, moment: Moment, *, row_key: bytes) -> Pass:
        """Issue a pass for a card or code; return it with its number.

        Refused where the code has one already or the card as many as it may, and where one of the
        codes could be guessed.
        """
        refuse_pass(new, moment)
        day = today(moment)
        with self.together(moment) as connection:
            _refuse_one_more(connection, new, row_key, day)
            values = (row_key, *from_pass(new))
            return to_pass(connection.execute(_ADD_PASS, values).fetchone())

    def revoke(self, number: int, moment: Moment) -> Pass:
        """Take a pass back; return it."""
        absent = InputError("there is no pass {n} that could be revoked; list them", n=str(number))
        return to_pass(self._changed(_REVOKE, (to_ms(known(moment)), number), moment, absent))

    def set_days(
        self,
        source: DaySource,
        days: Iterable[StoredDay],
        moment: Moment,
        *,
        known_until: date | None,
    ) -> None:
        """Replace a source's days from today on."""
        listed = tuple(sorted(days, key=lambda day: day.day))
        refuse_days(listed, moment)
        until = maybe(date.isoformat, known_until)
        with self.together(moment) as connection:
            ahead = (source.value, today(moment).isoformat())
            connection.execute("DELETE FROM days WHERE source = ? AND day >= ?", ahead)
            connection.executemany(
                "INSERT INTO days (source, day, spans, note) VALUES (?, ?, ?, ?)",
                (
                    (source.value, day.day.isoformat(), from_spans((day.spans,)), day.note)
                    for day in listed
                ),
            )
            connection.execute(_SAID, (source.value, until, to_ms(known(moment))))

    def set_week(self, week: StoredWeek, moment: Moment) -> None:
        """Replace the usual week."""
        with self.together(moment) as connection:
            connection.execute(_SET_WEEK, (from_spans(week.days),))

    def set_override(self, override: Override, moment: Moment) -> None:
        """Set a mode by hand in place of any other."""
        refuse_override(override, moment)
        now_ms = to_ms(known(moment))
        with self.together(moment) as connection:
            connection.execute(_END_OVERRIDE, {"now": now_ms, "by": None}).fetchall()
            connection.execute(_ADD_OVERRIDE, (*from_override(override), now_ms))

    def end_override(self, moment: Moment, by: str = "") -> Override:
        """End the mode set by hand, for the login or account `by`; return it."""
        with self.together(moment) as connection:
            end = {"now": to_ms(known(moment)), "by": by}
            records = connection.execute(_END_OVERRIDE, end).fetchall()
            if not records:
                raise InputError("no mode is set by hand, so there is none to end")
        return to_override(records[0])

    def keep_wrong_pins(self, elsewhere: Mapping[str, int], moment: Moment) -> None:
        """Replace patrons' counts of wrong PINs at other branches; equal counts are not written."""
        day = today(moment).isoformat()
        rows = {(ref, wrong, day) for ref, wrong in elsewhere.items()}
        with translated(self.path):
            held = set(self.database.execute("SELECT * FROM wrong_pins_elsewhere"))
        if rows == held:
            return
        with self.together(moment) as connection:
            connection.execute("DELETE FROM wrong_pins_elsewhere")
            connection.executemany(
                "INSERT INTO wrong_pins_elsewhere (patron_ref, wrong, day) VALUES (?, ?, ?)", rows
            )
            if {ref for ref, _, _ in held} - elsewhere.keys():
                self.rewrite_after()

    def rewrite_after(self) -> None:
        """Rewrite the file after the transaction under way, because rows were erased."""
        self._stale = True

    @contextmanager
    def together(self, moment: Moment) -> Iterator[sqlite3.Connection]:
        """Make a block one transaction that an exception undoes; the outermost commits."""
        if self.database.in_transaction:
            yield self.database
            return
        with self.transaction() as connection:
            yield connection
            deleted = delete_ended(connection, moment)
        self._stale = self._stale or deleted
        self._compact_if_stale()

    def _compact_if_stale(self) -> None:
        # The commit is durable by now: no failure here may say otherwise.
        if self._stale:
            with suppress(StoreError):
                self._stale = self.compact() != (0, 0, 0)


def create_branch(path: Path) -> None:
    """Create an empty file without bans, passes or hours; raises as `create_file`."""
    create_file(path, migrations)
    BranchRecordsWriter(path).close()


def open_or_create_branch(path: Path) -> BranchRecordsWriter:
    """Open the writer, on an empty file if the branch never had one; raises as the writer."""
    if never_made(path):
        create_file(path, migrations)
    return BranchRecordsWriter(path)
