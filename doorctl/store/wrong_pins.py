"""Each patron's wrong PINs: what no right PIN forgets. Part of the door log's one writer.

A row is charged before its PIN is compared and goes again unless the PIN was wrong. It knows its
day and no more, and a patron's knows no card. The patron's number is the same at all branches.
"""

from __future__ import annotations

import sqlite3

from doorctl.access.throttle import UNANSWERED_DAYS, WRONG_PIN_DAYS

COUNT = "SELECT count(*) FROM wrong_pins WHERE row_key = ? OR patron_ref = ?"
FORGET = "DELETE FROM wrong_pins WHERE row_key = ? OR patron_ref = ?"
TAKE_BACK = "DELETE FROM wrong_pins WHERE attempt = ?"

MANY = """
    SELECT patron_ref, count(*) AS wrong FROM wrong_pins WHERE patron_ref IS NOT NULL
    GROUP BY patron_ref HAVING wrong >= ? ORDER BY wrong DESC LIMIT ?
"""

_CHARGE = "INSERT INTO wrong_pins VALUES (?, date(? / 1000, 'unixepoch'), ?, ?, 0)"
_ANSWER = """
    UPDATE wrong_pins SET answered = 1 FROM wrong_pins AS right
    WHERE right.attempt = ? AND wrong_pins.patron_ref = right.patron_ref
"""
_DATE = """
    UPDATE wrong_pins SET day = date(at_ms / 1000, 'unixepoch') FROM attempts
    WHERE attempts.attempt = wrong_pins.attempt AND day <> date(at_ms / 1000, 'unixepoch')
"""
# A card that is nobody's is forgotten with its visits.
_PURGE = """
    DELETE FROM wrong_pins
    WHERE patron_ref IS NULL AND attempt NOT IN (SELECT attempt FROM attempts)
    OR day < date(:now / 1000, 'unixepoch', CASE WHEN answered THEN :answered ELSE :longest END)
"""


def create(database: sqlite3.Connection) -> None:
    """Lay out the table."""
    database.execute("""
        CREATE TABLE wrong_pins (
            attempt INTEGER PRIMARY KEY,
            day TEXT NOT NULL,
            row_key BLOB,
            patron_ref TEXT,
            answered INTEGER NOT NULL
        ) STRICT
    """)
    database.execute("CREATE INDEX wrong_pins_by_card ON wrong_pins (row_key)")
    database.execute("CREATE INDEX wrong_pins_by_patron ON wrong_pins (patron_ref)")


def charge(connection: sqlite3.Connection, attempt: int, at_ms: int, whose: str | bytes) -> None:
    """Count a PIN as wrong that is yet to be compared: a patron's, or a card's that is nobody's."""
    card, patron = (None, whose) if isinstance(whose, str) else (whose, None)
    connection.execute(_CHARGE, (attempt, at_ms, card, patron))


def settle(connection: sqlite3.Connection, attempt: int, *, right: bool | None) -> None:
    """Keep what was charged if the PIN was wrong; a right one answers the patron's others."""
    if right:
        connection.execute(_ANSWER, (attempt,))
    if right is not False:
        connection.execute(TAKE_BACK, (attempt,))


def date(connection: sqlite3.Connection) -> None:
    """Give each row its attempt's day, once that is known better."""
    connection.execute(_DATE)


def purge(connection: sqlite3.Connection, now_ms: int) -> None:
    """Delete what no longer counts, by the highest trusted time, after the visits were purged."""
    ages = {"answered": f"-{WRONG_PIN_DAYS} days", "longest": f"-{UNANSWERED_DAYS} days"}
    connection.execute(_PURGE, {"now": now_ms, **ages})
