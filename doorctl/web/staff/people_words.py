"""What is held of a person, in the words of a page; values stay text that is escaped later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final

from doorctl.privacy.subject import HeldRow
from doorctl.privacy.subject_erasure import Erasure
from doorctl.privacy.subject_export import UNIX_EPOCH, Export, value
from doorctl.privacy.subject_page import of_the_week
from doorctl.privacy.subject_table import PATRON, Column, PersonTable, Shown
from doorctl.web.pages.language import DANISH
from doorctl.web.pages.words import Words

RESTRICTIONS: Final = "restrictions"
MOST_LOOKS: Final = 50
"""How many looks by staff the page shows, the last ones; a file has them all."""

ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "visits_listed": "The door log was shown",
        "visits_exported": "The door log was exported",
        "card_searched": "The card was searched for",
        "visit_revealed": "A visit was revealed",
        "patron_explained": "The card was looked up",
        "card_unlocked": "Wrong PINs were forgotten",
        "ban_added": "A ban was added",
        "bans_listed": "The list of bans was shown",
        "pass_issued": "A pass was issued",
        "passes_listed": "The list of passes was shown",
        "subject_exported": "What is held was looked at or handed out",
        "subject_restricted": "The data were restricted",
        "subject_unrestricted": "The restriction was ended",
    }
)
"""The audit log's names for what can be about one person, in English; others stay as they are."""


@dataclass(frozen=True, slots=True)
class Case:
    """The rows of one table: its name, and for each row what each column says."""

    name: str
    rows: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What staff did: when, what and why, as text."""

    at: str
    what: str
    why: str


def cases(words: Words, export: Export) -> tuple[Case, ...]:
    """Return what is held, by table, in the language of the page; else in English."""
    return tuple(
        Case(_name(words, table), tuple(_row(words, row) for row in rows))
        for table, rows in groupby(export.rows, key=lambda row: row.table)
    )


def looks(words: Words, export: Export) -> tuple[Look, ...]:
    """Return the last looks by staff, newest first."""
    return tuple(
        Look(words.moment(one.at), words.say(ACTIONS.get(one.what, one.what)), one.why)
        for one in reversed(export.lookups[-MOST_LOOKS:])
    )


def known_ref(export: Export) -> str:
    """Return the library system's number of whoever it is; empty where no row has one."""
    numbers = (
        str(stored)
        for row in export.rows
        for name, stored in zip(row.table.names, row.values, strict=True)
        if name == PATRON and stored
    )
    return next(numbers, "")


def restricted(export: Export) -> bool:
    """Tell whether the person's data are restricted here."""
    return any(row.table.name == RESTRICTIONS for row in export.rows)


def left(done: Erasure) -> tuple[tuple[str, str], ...]:
    """Return each database in which something is left, and why."""
    return tuple(sorted(done.left.items()))


def _row(words: Words, row: HeldRow) -> tuple[tuple[str, str], ...]:
    pairs = zip(row.table.columns, row.values, strict=True)
    return tuple((_name(words, column), _value(words, column, stored)) for column, stored in pairs)


def _value(words: Words, column: Column, stored: Any) -> str:
    if column.shown is Shown.OF_STAFF:
        return words.say("(a member of staff)")
    if stored is None or stored in ("", "[]"):
        return words.say("(none)")
    if column.shown is Shown.FLAG:
        return words.say("yes") if stored else words.say("no")
    if column.shown is Shown.TIME:
        return words.moment(_instant(stored))
    danish = words.language.code == DANISH
    return of_the_week(column, stored, danish=danish) or str(value(column, stored, words.zone))


def _instant(stored: int) -> datetime:
    return UNIX_EPOCH + timedelta(milliseconds=stored)


def _name(words: Words, named: PersonTable | Column) -> str:
    return named.danish if words.language.code == DANISH else named.english
