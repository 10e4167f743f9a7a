"""The door log of a small branch, written as a test wants it; read by tests of pages."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from doorctl.access.code_throttle import A_CODE, CODES_KEY
from doorctl.access.patron import Patron, SealedRow
from doorctl.core.moments import ClockState
from doorctl.lookup.app import App
from doorctl.lookup.cards import NumberKeys
from doorctl.lookup.numbers import OwnNumbers, TakenAs, own_sealer
from doorctl.store.door_log import Visit
from doorctl.store.patrons_writer import open_or_create_patrons
from tests.fakes.cards import replace_rows
from tests.web.pages.staging import NOW, recorded

CARD = "3000001234"
KEY = bytes(range(16))
"""The row key of that card, under which the register knows patron 1001."""

PSEUDONYM = KEY[:4].hex()


def visit(
    number: int,
    reason: str | None = "ok",
    *,
    at: datetime | None = None,
    card: str | None = PSEUDONYM,
) -> Visit:
    """Return an attempt, this evening where no time is given; None for one under way."""
    verdict = None if reason is None else "granted" if reason == "ok" else "refused"
    moment = at or NOW - timedelta(hours=1) + timedelta(minutes=number)
    return Visit(number, moment.astimezone(UTC), ClockState.TRUSTED, verdict, reason, card)


class KnownNumbers(OwnNumbers):
    """Numbers whose first reading is sealed as :data:`KEY`, so that pseudonyms are known."""

    def readings(self, typed: str, taken_as: TakenAs | None) -> tuple[NumberKeys, ...]:
        """Return one reading."""
        return (NumberKeys(super().readings(typed, taken_as)[0].kind, KEY),)


@dataclass
class WrittenLog:
    """A door log on disk, and the branch that pages read it by."""

    app: App

    def __post_init__(self) -> None:
        self.numbers = KnownNumbers(own_sealer(self.app.config))
        self.app = replace(self.app, numbers=self.numbers)

    def write(self, *visits: Visit) -> None:
        """Commit attempts, new ones or as they have ended."""
        with closing(sqlite3.connect(self.app.storage.visits_db)) as file, file:
            file.executemany(
                "INSERT OR REPLACE INTO attempts"
                " (attempt, at_ms, clock, boot_id, boot_ms, row_key, verdict, reason)"
                " VALUES (?, ?, ?, 'boot-1', 1000, ?, ?, ?)",
                map(_columns, visits),
            )

    def happen(self, *events: tuple[datetime, str, str, str]) -> None:
        """Commit what the door did: when, kind, why and by whom."""
        with closing(sqlite3.connect(self.app.storage.visits_db)) as file, file:
            file.executemany(
                "INSERT INTO events (at_ms, clock, boot_id, boot_ms, kind, why, by)"
                " VALUES (?, 'trusted', 'boot-1', 1000, ?, ?, ?)",
                [(round(at.timestamp() * 1000), *texts) for at, *texts in events],
            )

    def alarm(self, kind: str, at: datetime = NOW) -> None:
        """Commit an alarm that the web process raised and nobody has ended."""
        with closing(sqlite3.connect(self.app.storage.branch_db)) as file, file:
            file.execute(
                "INSERT INTO alarms (kind, source, first_ms, last_ms, count, why)"
                " VALUES (?1, 'web', ?2, ?2, 1, '')",
                (kind, round(at.timestamp() * 1000)),
            )

    def know(self) -> None:
        """Have the register know whose the card is."""
        with closing(
            open_or_create_patrons(self.app.storage.patrons_db, self.numbers.seal())
        ) as writer:
            rows = [SealedRow(KEY, Patron("1001"))]
            replace_rows(writer, rows, NOW)

    def break_it(self) -> None:
        """Make the file one that can't be read, until :meth:`mend_it`."""
        self._move("", "-away")
        self.app.storage.visits_db.write_bytes(b"no database" * 1000)

    def mend_it(self) -> None:
        """Put the file back."""
        self._move("-away", "")

    @property
    def done(self) -> list[tuple[str, str, str]]:
        """What the audit log says was done: action, reason and account."""
        return [(action.value, why, by) for action, why, by in recorded(self.app)]

    def _move(self, source: str, target: str) -> None:
        path = self.app.storage.visits_db
        path.with_name(f"{path.name}{source}").replace(path.with_name(f"{path.name}{target}"))


def _columns(one: Visit) -> tuple[object, ...]:
    at_ms = round(one.at.timestamp() * 1000)
    return one.attempt, at_ms, one.clock.value, _key(one.card), one.verdict, one.reason


def _key(card: str | None) -> bytes | None:
    if card is None:
        return None
    known = {A_CODE: CODES_KEY, PSEUDONYM: KEY}
    return known.get(card) or bytes.fromhex(card).ljust(16, b"\0")
