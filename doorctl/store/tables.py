"""Every table and column of the three databases: what is stored, and about whom.

They define the tables, the lists of columns in statements, what is kept twice, and a person's
export. The README beside this file says why each is stored, and for how long.

Rows that decide keep their values a second time, so that a wrong bit inside a value is found.
SQLite has no checksums of its own (its checksum VFS is not in Python), and a flipped bit in a flag
or a date gives another valid value. So each such row holds its deciding values once more, as text
that SQL's own functions make: a program needs no code of doorctl to write or to check it. A PIN
check is twice as long as all the rest, so of key and check the register keeps a checksum: 4 bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from zlib import crc32

from doorctl.core.errors import StoreDamagedError
from doorctl.privacy.tables import BRANCH, CARD, PATRON, PATRONS, VISITS, Column, Shown, Table

TWICE, KEY_SUM = "twice", "key_sum"
QUOTED = ("row_key", "pin_check", "patron_ref", "applied_at")
"""Columns of bytes, and columns of text that a wrong bit could turn into the same bytes."""

_INT, _TEXT = "INTEGER NOT NULL", "TEXT NOT NULL"
_NUMBERED = "INTEGER PRIMARY KEY AUTOINCREMENT"
_IS_CARD, _IS_CHECK = "CHECK (length(row_key) = 16)", "CHECK (length(pin_check) = 32)"


def _apart(
    database: str,
    name: str,
    why: str,
    columns: str,
    *,
    later: Iterable[Column] = (),
    twice: Collection[str] = (),
    since: tuple[int, int] = (0, 2),
    **more: Any,
) -> Table:
    """Return a table about no person, with its columns as SQL and the names of those kept twice.

    `later` are columns that came with a later release.
    """
    split = (column.split(" ", 1) for column in columns.split(", "))
    plain = [Column(called, sql, twice=called in twice, since=since) for called, sql in split]
    second = [Column(TWICE, "TEXT", since=since)] if twice else []
    return Table(database, name, (*plain, *second, *later), apart=why, **more)


_CARD_WORDS = ("Kortets nummer, forseglet", "The card's number, sealed")
_PIN_WORDS = ("Kontrol af pinkoden, forseglet", "The check of the PIN, sealed")
_PATRON_WORDS = ("Nummer i bibliotekssystemet", "Number in the library system")
_kept = partial(Column, twice=True)
_KEY = Column(CARD, f"BLOB NOT NULL PRIMARY KEY {_IS_CARD}", *_CARD_WORDS)
_CARD = Column(CARD, "BLOB", *_CARD_WORDS)
_PIN = Column("pin_check", f"BLOB {_IS_CHECK}", *_PIN_WORDS)
_SURE_PIN = Column("pin_check", f"BLOB NOT NULL {_IS_CHECK}", *_PIN_WORDS)
_NUMBER = Column("number", _NUMBERED, "Sagens nummer", "The number of the case")
_BY = Column("by", _TEXT, "Hvem der skrev det ind", "Who wrote it down", Shown.OF_STAFF)
_TWICE = Column(
    TWICE, "TEXT", "Det samme en gang til, mod fejl", "The same once more, against faults"
)
_SUM = Column(
    KEY_SUM, "INTEGER", "Kontrolsum, mod fejl", "A checksum, against faults", since=(0, 3)
)
_ONLY = "only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1)"
_LEARNT = (
    Column("learnt_on", _TEXT, "Den dag bibliotekssystemet blev spurgt", "The day of the question"),
    _kept("good_until", _TEXT, "Pinkoden gælder til og med", "The PIN counts until"),
)
_WEAK = _kept("weak_pin", _INT, "Pinkoden er let at gætte", "The PIN is easy to guess", Shown.FLAG)
_RESTRICTED_WORDS = (
    "Under begrænset behandling ifølge bibliotekssystemet",
    "Restricted by the library system",
)
_OF_A_PATRON = (
    _kept(PATRON, _TEXT, *_PATRON_WORDS),
    _kept("resident", _INT, "Bor i kommunen", "Lives in the municipality", Shown.FLAG),
    _kept("active", _INT, "Kortet er i kraft", "The card is in force", Shown.FLAG),
    _kept("blocks", _TEXT, "Spærringer, med deres koder", "Blocks, by their codes"),
    _kept("restricted", _INT, *_RESTRICTED_WORDS, Shown.FLAG),
    _kept("enter_from", "TEXT", "For ung indtil denne dag", "Too young until this day"),
    _kept("valid_until", "TEXT", "Kortet gælder til og med", "The card is valid until"),
    _kept("hold_from", "TEXT", "Sat i bero fra", "On hold from"),
    _kept("hold_until", "TEXT", "Sat i bero til og med", "On hold until"),
    _kept("tags", _TEXT, "Særlige rettigheder", "Special rights"),
    _WEAK,
)

REGISTER = Table(
    PATRONS,
    "patrons",
    (
        _KEY,
        _PIN,
        *_OF_A_PATRON,
        Column("epoch", _INT, "Opdateringen, der bragte det", "The push that brought it"),
        _TWICE,
        _SUM,
    ),
    "Lånerregistret: det, døren afgør adgang efter",
    "The patron register: what the door decides by",
    beside=("CREATE INDEX patrons_by_ref ON patrons (patron_ref)",),
    given_with="epoch",
)
LEARNT = Table(
    PATRONS,
    "learnt",
    (
        Column(
            CARD, "BLOB NOT NULL PRIMARY KEY REFERENCES patrons ON DELETE CASCADE", *_CARD_WORDS
        ),
        _SURE_PIN,
        _WEAK,
        *_LEARNT,
        _TWICE,
        _SUM,
    ),
    "Pinkoder, som bibliotekssystemet har bekræftet ved døren",
    "PINs that the library system confirmed at the door",
    beside=(
        "CREATE INDEX learnt_by_end ON learnt (good_until)",
        # A check also goes when a push brings its row with a check, or for another patron.
        """
        CREATE TRIGGER learnt_no_more AFTER UPDATE OF pin_check, patron_ref ON patrons
        WHEN old.pin_check IS NULL AND new.pin_check IS NOT NULL
        OR old.patron_ref <> new.patron_ref
        BEGIN DELETE FROM learnt WHERE row_key = new.row_key; END
        """,
    ),
)
# Rows that no push brought stand in a table of their own: no push and no guard counts them.
ASKED = Table(
    PATRONS,
    "asked",
    (
        _KEY,
        _SURE_PIN,
        *_OF_A_PATRON,
        *_LEARNT,
        _kept("asked_until", _TEXT, "Oplysningerne gælder til og med", "It counts until"),
        _TWICE,
        _SUM,
    ),
    "Oplysninger, som bibliotekssystemet gav, da kortet blev brugt ved døren",
    "What the library system said when the card was used at the door",
    beside=("CREATE INDEX asked_by_ref ON asked (patron_ref)",),
    later=(((0, 3), "CREATE INDEX asked_by_end ON asked (asked_until)"),),
)
_ONE_MORE = """
    INSERT INTO shut_out_counts VALUES (coalesce(new.reasons, ''), 1)
    ON CONFLICT (reasons) DO UPDATE SET count = count + 1
"""
_ONE_LESS = """
    UPDATE shut_out_counts SET count = count - 1 WHERE reasons = coalesce(old.reasons, '');
    DELETE FROM shut_out_counts WHERE reasons = coalesce(old.reasons, '') AND count = 0
"""
# Rows as they were before a push of the last week shut them out: see `patrons_guard`. Bit n of
# `days` says that the row opened n days after `at`.
SHUT_OUT = Table(
    PATRONS,
    "shut_out",
    (
        _KEY,
        Column("at", _TEXT, "Hvornår", "When"),
        Column("days", _INT, "De dage, kortet ville have virket", "The days it would work on"),
        _PIN,
        Column("reasons", "TEXT", "Hvad der lukker det ude", "What shuts it out", since=(0, 3)),
        Column("until", "TEXT", "Til og med", "Until", since=(0, 3)),
    ),
    "Kort, som en opdatering inden for de sidste syv dage lukker ude nu eller inden for 60 dage",
    "Cards that an update within the last seven days shuts out now or within 60 days",
    later=(
        ((0, 3), "CREATE INDEX shut_out_by_time ON shut_out (at, reasons)"),
        ((0, 3), "CREATE INDEX shut_out_by_end ON shut_out (until)"),
        ((0, 3), f"CREATE TRIGGER shut_out_noted AFTER INSERT ON shut_out BEGIN {_ONE_MORE}; END"),
        (
            (0, 3),
            f"CREATE TRIGGER shut_out_forgotten AFTER DELETE ON shut_out BEGIN {_ONE_LESS}; END",
        ),
        (
            (0, 3),
            f"""
            CREATE TRIGGER shut_out_judged AFTER UPDATE OF reasons ON shut_out
            WHEN new.reasons IS NOT old.reasons BEGIN {_ONE_LESS}; {_ONE_MORE}; END
            """,
        ),
    ),
)
# How many of those cards there are for each set of reasons, so that no push counts them.
SHUT_OUT_COUNTS = _apart(
    PATRONS,
    "shut_out_counts",
    "counts",
    f"reasons TEXT NOT NULL PRIMARY KEY, count {_INT}",
    since=(0, 3),
)
# `digest` is of the push that is held: the same one is answered and not applied again. Rows that
# were lost by damage make it `incomplete`, until a whole register comes.
CACHE = _apart(
    PATRONS,
    "cache",
    "one row, of the push that is held",
    f"{_ONLY}, epoch INTEGER NOT NULL, applied_at TEXT, minimum_age INTEGER NOT NULL, "
    "patrons INTEGER NOT NULL, key_id TEXT NOT NULL, memory_kib INTEGER NOT NULL, "
    "iterations INTEGER NOT NULL, digest TEXT NOT NULL DEFAULT ''",
    twice=("epoch", "applied_at", "minimum_age"),
    later=(Column("incomplete", "INTEGER NOT NULL DEFAULT 0", since=(0, 3)),),
)

_WHOSE = (
    _kept(CARD, f"BLOB {_IS_CARD}", *_CARD_WORDS),
    _kept(PATRON, "TEXT CHECK (patron_ref <> '')", *_PATRON_WORDS),
)
_NAMES_A_PERSON = "CHECK (row_key IS NOT NULL OR patron_ref IS NOT NULL)"
# AUTOINCREMENT, so that a number in a letter is never reused.
BANS = Table(
    BRANCH,
    "bans",
    (
        _NUMBER,
        *_WHOSE,
        Column("reason", _TEXT, "Begrundelse", "Reason"),
        _kept("since_ms", _INT, "Fra", "From", Shown.TIME),
        _kept("until_ms", "INTEGER", "Indtil", "Until", Shown.TIME),
        _BY,
        _kept("branches", _TEXT, "Biblioteker", "Libraries"),
        Column("note", _TEXT, "Bemærkning i brevet", "Note in the letter"),
        _kept("lifted_ms", "INTEGER", "Ophævet", "Lifted", Shown.TIME),
        _TWICE,
    ),
    "Karantæner",
    "Bans",
    rule=_NAMES_A_PERSON,
    beside=(
        "CREATE INDEX bans_by_card ON bans (row_key)",
        "CREATE INDEX bans_by_patron ON bans (patron_ref)",
    ),
)
_ALSO = ("Også i lukketiden", "Outside hours too")
_COMPANIONS = ("Højst så mange ledsagere", "At most so many companions")
PASSES = Table(
    BRANCH,
    "passes",
    (
        _NUMBER,
        _kept(CARD, f"BLOB NOT NULL {_IS_CARD}", *_CARD_WORDS),
        _kept("kind", _TEXT, "Slags", "Kind"),
        _kept("first_day", _TEXT, "Første dag", "First day"),
        _kept("last_day", _TEXT, "Sidste dag", "Last day"),
        _kept("weekdays", _TEXT, "Ugedage", "Weekdays", Shown.WEEKDAYS),
        _kept("from_minute", _INT, "Fra klokken", "From", Shown.MINUTE),
        _kept("to_minute", _INT, "Til klokken", "To", Shown.MINUTE),
        _kept("more_times", _TEXT, "Også disse tider", "At these times too", Shown.SPANS),
        _kept("outside_hours", _INT, *_ALSO, Shown.FLAG),
        _kept("needs_pin", _INT, "Kræver pinkode", "Asks for a PIN", Shown.FLAG),
        _kept("pin_check", f"BLOB {_IS_CHECK}", *_PIN_WORDS),
        _kept("code_digits", "INTEGER", "Kodens antal cifre", "Digits of the code"),
        _kept("companions_max", _INT, *_COMPANIONS),
        Column("label", _TEXT, "Betegnelse", "Label"),
        _kept("revoked_ms", "INTEGER", "Taget tilbage", "Revoked", Shown.TIME),
        _TWICE,
    ),
    "Særlig adgang",
    "Passes",
    beside=("CREATE INDEX passes_by_card ON passes (row_key)",),
)
RESTRICTIONS = Table(
    BRANCH,
    "restrictions",
    (
        _NUMBER,
        *_WHOSE,
        Column("since_ms", _INT, "Siden", "Since", Shown.TIME),
        _BY,
        _TWICE,
    ),
    "Begrænset behandling, efter anmodning",
    "Restrictions, as asked for",
    rule=_NAMES_A_PERSON,
    beside=(
        "CREATE INDEX restrictions_by_card ON restrictions (row_key)",
        "CREATE INDEX restrictions_by_patron ON restrictions (patron_ref)",
    ),
)
OBJECTIONS = Table(
    BRANCH,
    "objections",
    tuple(
        replace(column, twice=False, since=(0, 3))
        for column in (
            _NUMBER,
            *_WHOSE,
            _BY,
            Column("made_ms", _INT, "Skrevet ind", "Recorded", Shown.TIME),
            Column("reference", _TEXT, "Sagens nummer hos kommunen", "Reference"),
            Column("decision", _TEXT, "Afgørelse", "Decision"),
            Column("reason", _TEXT, "Begrundelse", "Reason"),
            Column("decided_ms", "INTEGER", "Afgjort", "Decided", Shown.TIME),
            Column("restricts", _INT, "Begrænset for dens skyld", "Restricted for it", Shown.FLAG),
        )
    ),
    "Indsigelser",
    "Objections",
    rule=_NAMES_A_PERSON,
)
WRONG_PINS_ELSEWHERE = Table(
    BRANCH,
    "wrong_pins_elsewhere",
    (
        Column(PATRON, f"{_TEXT} PRIMARY KEY", *_PATRON_WORDS),
        Column("wrong", _INT, "Hvor mange", "How many"),
        Column("day", _TEXT, "Hvornår det sidst blev meddelt", "When it was told last"),
    ),
    "Forkerte pinkoder ved kommunens andre døre",
    "Wrong PINs at other doors of the municipality",
)
OVERRIDES = _apart(
    BRANCH,
    "overrides",
    "of the house; `by` is a member of staff, at work",
    f"number {_NUMBERED}, mode TEXT NOT NULL, until_ms INTEGER NOT NULL, cause TEXT NOT NULL, "
    "by TEXT NOT NULL, set_ms INTEGER NOT NULL, ended_ms INTEGER",
    twice=("mode", "until_ms", "ended_ms"),
    later=(Column("ended_by", "TEXT", since=(0, 3)),),
)
_HOURS = "the hours of the house"
DAYS = _apart(
    BRANCH,
    "days",
    _HOURS,
    "source TEXT NOT NULL, day TEXT NOT NULL, spans TEXT NOT NULL, note TEXT NOT NULL",
    twice=("source", "day", "spans"),
    key=("source", "day"),
)
DAY_SOURCES = _apart(
    BRANCH,
    "day_sources",
    _HOURS,
    "source TEXT NOT NULL PRIMARY KEY, known_until TEXT, fetched_ms INTEGER NOT NULL",
    twice=("source", "known_until"),
)
WEEK = _apart(
    BRANCH, "week", _HOURS, f"{_ONLY}, spans TEXT NOT NULL", twice=("spans",), since=(0, 3)
)
ACCOUNTS = _apart(
    BRANCH,
    "accounts",
    "staff, at work",
    "login TEXT NOT NULL PRIMARY KEY, shown TEXT NOT NULL, role TEXT NOT NULL, "
    "disabled_ms INTEGER, must_change INTEGER NOT NULL, origin TEXT NOT NULL, "
    "subject TEXT UNIQUE, password TEXT, used_ms INTEGER NOT NULL",
)
_ACCOUNT = "REFERENCES accounts (login) ON DELETE CASCADE"
SESSIONS = _apart(
    BRANCH,
    "sessions",
    "staff, at work",
    "digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32), "
    f"account TEXT NOT NULL {_ACCOUNT}, boot_id TEXT NOT NULL, "
    "began_boot_ms INTEGER NOT NULL, seen_boot_ms INTEGER NOT NULL",
    beside=("CREATE INDEX sessions_by_account ON sessions (account)",),
)
ALARMS = _apart(
    BRANCH,
    "alarms",
    "of the house; `acknowledged_by` is a member of staff, at work",
    f"number {_NUMBERED}, kind TEXT NOT NULL, source TEXT NOT NULL, first_ms INTEGER NOT NULL, "
    "last_ms INTEGER NOT NULL, count INTEGER NOT NULL, why TEXT NOT NULL, cleared_ms INTEGER, "
    "acknowledged_by TEXT, acknowledged_ms INTEGER",
    rule="CHECK ((acknowledged_by IS NULL) = (acknowledged_ms IS NULL))",
    # One of each kind stands at the most, so what stands is no longer than the list of kinds.
    beside=("CREATE UNIQUE INDEX alarms_standing ON alarms (kind) WHERE cleared_ms IS NULL",),
)
# Rows can be added and their records erased; no more. A person who can write the file can drop the
# triggers too: they are against our own slips; against tampering there is the chain, see
# `doorctl.privacy.audit_chain`.
AUDIT = _apart(
    BRANCH,
    "audit",
    "exported as looks at a person, and erased record by record",
    f"number {_NUMBERED}, record TEXT, salt BLOB CHECK (length(salt) = 32), "
    "commitment BLOB NOT NULL CHECK (length(commitment) = 32), "
    "hash BLOB NOT NULL CHECK (length(hash) = 32)",
    rule="CHECK ((record IS NULL) = (salt IS NULL))",
    beside=(
        """
        CREATE INDEX audit_by_time ON audit (json_extract(record, '$.at_ms'))
        WHERE record IS NOT NULL
        """,
        # REPLACE deletes without asking the next trigger, so an old number is refused here.
        """
        CREATE TRIGGER audit_grows BEFORE INSERT ON audit
        WHEN NEW.record IS NULL
            OR NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM audit)
        BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END
        """,
        """
        CREATE TRIGGER audit_stays BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log loses no entry'); END
        """,
        """
        CREATE TRIGGER audit_erases BEFORE UPDATE ON audit
        WHEN NEW.record IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.number IS NOT OLD.number
            OR NEW.commitment IS NOT OLD.commitment OR NEW.hash IS NOT OLD.hash
        BEGIN SELECT RAISE(ABORT, 'a record of the audit log can only be erased'); END
        """,
    ),
)
_OF_BRANCH = (
    _apart(
        BRANCH,
        "settings",
        "what a process left for itself",
        "key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL",
    ),
    _apart(
        BRANCH,
        "tombstones",
        "the mark of an erased person names nobody: the person's card finds it, it is exported in "
        "a way of its own, and left on purpose until its end",
        "mark BLOB NOT NULL PRIMARY KEY CHECK (length(mark) = 16), erasure INTEGER NOT NULL, "
        "epoch INTEGER NOT NULL, erased_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL",
    ),
    _apart(
        BRANCH,
        "tombstone_salt",
        "drawn by chance",
        f"{_ONLY}, salt BLOB NOT NULL CHECK (length(salt) = 16)",
    ),
    _apart(
        BRANCH,
        "second_factors",
        "staff, at work",
        f"account TEXT NOT NULL PRIMARY KEY {_ACCOUNT}, secret BLOB NOT NULL, "
        "step INTEGER NOT NULL, recovery BLOB NOT NULL CHECK (length(recovery) % 32 = 0)",
    ),
    _apart(
        BRANCH,
        "sign_in_failures",
        "failed sign-ins as staff, under a mark that names nobody",
        "mark BLOB NOT NULL PRIMARY KEY CHECK (length(mark) = 8), count INTEGER NOT NULL, "
        "boot_id TEXT NOT NULL, boot_ms INTEGER NOT NULL",
    ),
    _apart(
        BRANCH,
        "sign_in_salt",
        "drawn by chance",
        f"{_ONLY}, salt BLOB NOT NULL CHECK (length(salt) = 32)",
    ),
)

_BOOT_WORDS = ("Mellem hvilke genstarter af anlægget", "Between which restarts")
_BOOT_MS_WORDS = ("Millisekunder siden anlæggets start", "Milliseconds since the restart")
# So that the rows to be dated, which are few, are found without a look at all.
_UNDATED = "CREATE INDEX {0}_undated ON {0} (boot_id) WHERE clock = 'untrusted'"
# AUTOINCREMENT keeps the highest number past every purge.
ATTEMPTS = Table(
    VISITS,
    "attempts",
    (
        Column("attempt", _NUMBERED, "Løbenummer", "Number"),
        Column("at_ms", _INT, "Hvornår", "When", Shown.TIME),
        Column("clock", _TEXT, "Hvor sikkert uret var", "How certain the clock was"),
        Column("boot_id", _TEXT, *_BOOT_WORDS),
        Column("boot_ms", _INT, *_BOOT_MS_WORDS),
        _CARD,
        Column("verdict", "TEXT", "Svar", "Answer"),
        Column("reason", "TEXT", "Grund", "Reason"),
    ),
    "Dørens log: hver gang kortet blev brugt",
    "The door log: each use of the card",
    beside=("CREATE INDEX attempts_by_time ON attempts (at_ms)",),
    later=(((0, 3), _UNDATED.format("attempts")),),
    dated="at_ms",
    held=True,
)
THROTTLES = Table(
    VISITS,
    "throttles",
    (
        Column(CARD, "BLOB NOT NULL PRIMARY KEY", *_CARD_WORDS),
        Column("failures", _INT, "Hvor mange", "How many"),
        Column("boot_id", "TEXT", *_BOOT_WORDS),
        Column("boot_ms", "INTEGER", *_BOOT_MS_WORDS),
        Column("touched_ms", _INT, "Senest", "Last", Shown.TIME),
    ),
    "Forkerte pinkoder i træk",
    "Wrong PINs in a row",
    dated="touched_ms",
)
# No right PIN forgets these.
WRONG_PINS = Table(
    VISITS,
    "wrong_pins",
    (
        Column("attempt", "INTEGER PRIMARY KEY", "Løbenummer", "Number"),
        Column("day", _TEXT, "Hvilken dag", "Which day"),
        _CARD,
        Column(PATRON, "TEXT", *_PATRON_WORDS),
        Column("answered", _INT, "En rigtig kom efter", "A right one came after", Shown.FLAG),
        Column("at_card", "INTEGER", "Ved hvilket kort", "At which card", since=(0, 3)),
    ),
    "Forkerte pinkoder i alt",
    "All wrong PINs",
    beside=(
        "CREATE INDEX wrong_pins_by_card ON wrong_pins (row_key)",
        "CREATE INDEX wrong_pins_by_patron ON wrong_pins (patron_ref)",
    ),
)
HOLDS = _apart(
    VISITS,
    "holds",
    "a window of time; a visit in it stands in `attempts`",
    f"number {_NUMBERED}, since_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, "
    "case_number TEXT NOT NULL, reason TEXT NOT NULL, until_ms INTEGER NOT NULL, "
    "added_ms INTEGER NOT NULL, added_by TEXT NOT NULL",
)
# What the door did without a card. None decides, so none is kept twice.
EVENTS = _apart(
    VISITS,
    "events",
    "of the house; `by` is a member of staff, at work",
    f"number {_NUMBERED}, at_ms INTEGER NOT NULL, clock TEXT NOT NULL, boot_id TEXT NOT NULL, "
    "boot_ms INTEGER NOT NULL, kind TEXT NOT NULL, why TEXT NOT NULL, by TEXT NOT NULL",
    since=(0, 3),
    beside=("CREATE INDEX events_by_time ON events (at_ms)", _UNDATED.format("events")),
)
# A wrong bit in these would make a doubt out of none, or hide one.
CLOCK_READINGS = _apart(
    VISITS,
    "clock_readings",
    "the time",
    f"{_ONLY}, boot_id {_TEXT}, accepted_ms {_INT}, accepted_boot_ms {_INT}, "
    "doubt_ms INTEGER, doubt_boot_ms INTEGER, doubted_boot_ms INTEGER",
    later=(Column("leap_ms", "INTEGER", twice=True, since=(0, 3)),),
    twice=(
        "boot_id",
        "accepted_ms",
        "accepted_boot_ms",
        "doubt_ms",
        "doubt_boot_ms",
        "doubted_boot_ms",
    ),
)
# A wrong bit in these would delete visits too soon.
CARRIED_TIME = _apart(
    VISITS,
    "carried_time",
    "the time",
    f"{_ONLY}, believed_ms INTEGER NOT NULL, carried_ms INTEGER NOT NULL, boot_id TEXT NOT NULL, "
    "boot_ms INTEGER NOT NULL",
    twice=("believed_ms", "carried_ms", "boot_id", "boot_ms"),
    since=(0, 3),
)
_OF_VISITS = (
    _apart(
        VISITS,
        "reader",
        "of the reader, and of no person",
        f"{_ONLY}, spent_ms INTEGER NOT NULL, boot_id TEXT, boot_ms INTEGER",
    ),
    _apart(VISITS, "clock", "the time", f"{_ONLY}, high_water_ms INTEGER NOT NULL"),
    CLOCK_READINGS,
    CARRIED_TIME,
    # Theirs is the layout in which deleting alone leaves most: a table with an index on its keys.
    _apart(
        VISITS,
        "canaries",
        "no card has these row keys: the purge's proof looks for them",
        "row_key BLOB NOT NULL, at_ms INTEGER NOT NULL",
        beside=("CREATE UNIQUE INDEX canaries_by_key ON canaries (row_key)",),
    ),
    _apart(
        VISITS,
        "hourly",
        "counts, which hold no identifier from the first moment",
        "hour INTEGER NOT NULL, mode TEXT NOT NULL, kind TEXT NOT NULL, outcome TEXT NOT NULL, "
        "count INTEGER NOT NULL",
        key=("hour", "mode", "kind", "outcome"),
    ),
)

TABLES = (
    REGISTER,
    LEARNT,
    ASKED,
    SHUT_OUT,
    SHUT_OUT_COUNTS,
    CACHE,
    BANS,
    PASSES,
    RESTRICTIONS,
    OBJECTIONS,
    WRONG_PINS_ELSEWHERE,
    OVERRIDES,
    DAYS,
    DAY_SOURCES,
    WEEK,
    ACCOUNTS,
    SESSIONS,
    ALARMS,
    AUDIT,
    *_OF_BRANCH,
    ATTEMPTS,
    THROTTLES,
    WRONG_PINS,
    EVENTS,
    HOLDS,
    *_OF_VISITS,
)
"""Every table; those about people in the order in which they are shown."""


def of_database(database: str) -> tuple[Table, ...]:
    """Return the tables of one database."""
    return tuple(table for table in TABLES if table.database == database)


def person_tables(database: str) -> tuple[Table, ...]:
    """Return the tables about people in one database."""
    return tuple(table for table in of_database(database) if table.danish)


def select(columns: str, rest: str) -> str:
    """Return a SELECT of constants; values are always bound."""
    return f"SELECT {columns} FROM {rest}"  # noqa: S608 -- as said


def rehearse(connection: sqlite3.Connection, database: str, first: str = "") -> None:
    """Insert a row of each table once more, after `first`, and take all back.

    Raises sqlite3.Error: one can't be inserted.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(first)
        for table in of_database(database):
            # The audit log takes only its next number.
            next_one = f"({select('max(number) + 1', table.name)})"
            row = ", ".join(next_one if name == "number" else name for name in table.names)
            into = f"{table.name} ({', '.join(table.names)})"
            connection.execute(f"INSERT OR REPLACE INTO {into} {select(row, table.name)} LIMIT 1")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def create_tables(
    connection: sqlite3.Connection, tables: Iterable[Table], release: tuple[int, int]
) -> None:
    """Make the tables and columns that came with a release, with what keeps second copies.

    Later ones are left out, so that the layout of a release never changes. A column of a table that
    is there already needs a default, or may be empty.
    """
    for table in tables:
        then = replace(table, columns=tuple(one for one in table.columns if one.since <= release))
        new = [column for column in then.columns if column.since == release]
        if len(new) == len(then.columns):
            statements = [_create(then), *then.beside, *_keep_twice(then)] if new else []
        else:
            added = (f"ALTER TABLE {table.name} ADD COLUMN {one.name} {one.sql}" for one in new)
            # To keep all rows twice anew would take a wrong bit for a right one.
            anew = _kept_anew(then) if any(column.twice for column in new) else ()
            statements = [*added, *anew]
        for statement in (*statements, *(sql for since, sql in table.later if since == release)):
            connection.execute(statement)


def _create(table: Table) -> str:
    lines = [f"{column.name} {column.sql}" for column in table.columns]
    lines += [f"PRIMARY KEY ({', '.join(table.key)})"] if table.key else []
    lines += [table.rule] if table.rule else []
    # A key that is no whole number needs no rowids beside it, which would tell which came first.
    bare = any("PRIMARY KEY" in line and " INTEGER " not in line for line in lines)
    body = ",\n    ".join(lines)
    return f"CREATE TABLE {table.name} (\n    {body}\n) STRICT{', WITHOUT ROWID' * bare}"


def second_copy(table: Table, called: Callable[[str], str] = str) -> str:
    """Return a row's second copy as SQL; `called` turns a column's name into the one to use."""
    # One wrong bit moves nothing from one value to the next, so nothing has to part them. The full
    # stop keeps the last digits from what SQLite writes behind the row.
    parts = (
        f"quote({called(name)})" if name in QUOTED else f"coalesce({called(name)}, '-')"
        for name in table.twice
    )
    return " || ".join([*parts, "'.'"])


def key_sum(row_key: bytes, pin_check: bytes | None) -> int:
    """Return the checksum of a row's key and PIN check, by which one wrong bit is always found."""
    return crc32(row_key + (pin_check or b""))


def whole(table: Table) -> str:
    """Return a condition that fails if a bit is wrong in what a row keeps twice."""
    return f"({table.name}.{TWICE} IS {second_copy(table, f'{table.name}.{{}}'.format)})"


def _kept_anew(table: Table) -> Iterator[str]:
    if table.twice:
        yield from (f"DROP TRIGGER IF EXISTS {table.name}_{event}" for event in ("changed", "put"))
        yield f"UPDATE {table.name} SET {TWICE} = {second_copy(table)}"  # noqa: S608 -- as said
        yield from _keep_twice(table)


def _keep_twice(table: Table) -> Iterator[str]:
    if not table.twice:
        return
    again = second_copy(table, "new.{}".format)
    keys = table.key or [column.name for column in table.columns if "PRIMARY KEY" in column.sql]
    condition = " AND ".join(f"{name} = new.{name}" for name in keys)
    when = f"new.{TWICE} IS NOT {again}"
    events = {"changed": f"UPDATE OF {', '.join(table.twice)}", "put": "INSERT"}
    if table.given_with:
        when = f"new.{table.given_with} IS old.{table.given_with} AND {when}"
        del events["put"]
    for name, event in events.items():
        # They are made of names in this file alone.
        yield f"""
            CREATE TRIGGER {table.name}_{name} AFTER {event} ON {table.name} WHEN {when}
            BEGIN UPDATE {table.name} SET {TWICE} = {again} WHERE {condition}; END
        """  # noqa: S608 -- as said


# Times are stored as milliseconds.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
ValueT = TypeVar("ValueT")
ResultT = TypeVar("ResultT")


def to_ms(at: datetime) -> int:
    """Return an aware time as whole milliseconds since 1970, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


def maybe(convert: Callable[[ValueT], ResultT], value: ValueT | None) -> ResultT | None:
    """Return a value converted, and None for None: an empty column."""
    return None if value is None else convert(value)


def from_ms(ms: int) -> datetime:
    """Return the UTC time of milliseconds since 1970; StoreDamagedError beyond the calendar."""
    try:
        return _EPOCH + ms * _MILLISECOND
    except OverflowError:
        raise StoreDamagedError("a stored time lies beyond the calendar") from None
