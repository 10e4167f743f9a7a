"""What is held of a person, in words for the page and for letters; templates escape it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date, datetime
from itertools import groupby
from typing import Any, Final

from doorctl.access.patron import Reason
from doorctl.access.rights import ALL_BRANCHES
from doorctl.config.tables import Branch
from doorctl.core.errors import InputError
from doorctl.core.language import DANISH, ENGLISH, own
from doorctl.lookup.app import App
from doorctl.lookup.configured import zone
from doorctl.privacy.audit import Action
from doorctl.privacy.export import OF_LETTER, Export, HeldRow, Lookup, value
from doorctl.privacy.holds import LONGEST
from doorctl.privacy.subject import Decision
from doorctl.privacy.tables import CARD, PATRON, Column, Shown, Table
from doorctl.store.tables import ATTEMPTS, OBJECTIONS, from_ms
from doorctl.web.controller import basis, processors
from doorctl.web.staff.log_filter import REASONS
from doorctl.web.staff.passes import KINDS
from doorctl.web.staff.why import sentence
from doorctl.web.words import WEEKDAYS, Words

DECISIONS: Mapping[int | str, str] = {
    Decision.PENDING.value: "not decided",
    Decision.UPHELD.value: "upheld",
    Decision.REJECTED.value: "rejected",
}

BLOCKS: Mapping[str, str] = {
    "O": "the card is reported stolen",
    "D": "deceased",
    "S": "blocked from self-service",
    "F": "a longer exclusion from lending",
    "U": "an exclusion from lending",
    "E": "owes more than is allowed",
    "W": "registered on the website, not yet seen",
}
"""The library system's codes of blocks, in English."""

LISTS: Final = frozenset(
    {Action.VISITS_LISTED.value, Action.BANS_LISTED.value, Action.PASSES_LISTED.value}
)
"""Looks at lists."""

OUTCOMES: Mapping[Decision, str] = {
    Decision.PENDING: "Your data are kept and used for nothing until the objection is decided: the "
    "door does not let you in meanwhile.",
    Decision.UPHELD: "Your objection is upheld: the data are used for nothing any more, the door "
    "does not let you in, and the data are erased.",
    Decision.REJECTED: "Your objection is rejected: the data are used again, and the door lets you "
    "in as before.",
}

TECHNICAL: Final = frozenset(
    {
        CARD,
        "pin_check",
        "twice",
        "epoch",
        "boot_id",
        "boot_ms",
        "clock",
        "by",
        "days",
        "attempt",
        "restricts",
    }
)
"""Columns that stand in the annex alone."""

NOTHING: Final = (None, "", "[]")

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Case = tuple[str, list[str], list[list[str]]]
"""A table's name, its columns and its rows."""


def letter_context(words: Words, export: Export, branch: Branch) -> dict[str, Any]:
    """Return what is held of a person in words: visits, other cases, looks, and how many."""
    visits = [row.by_column for row in export.rows if row.table is ATTEMPTS]
    times = [words.moment(from_ms(visit["at_ms"])) for visit in visits]
    called = {ALL_BRANCHES: words.say("all libraries of the municipality"), branch.id: branch.name}
    called |= {code: f"{words.say(text)} ({code})" for code, text in BLOCKS.items()}
    called |= {kind.value: words.say(text) for kind, text in KINDS.items()}
    called |= {str(name): words.say(text) for name, text in DECISIONS.items()}
    counts = Counter(row.table.name for row in export.rows)
    return {
        "visits": list(zip(times, (_outcome(words, visit) for visit in visits), strict=True)),
        "let_in": sum(visit["verdict"] == "granted" for visit in visits),
        "cases": [
            _case(words, called, *case) for case in _tables(export) if case[0] is not ATTEMPTS
        ],
        "looks": [
            (words.moment(at.at), words.say(Action(at.what).words), reason_in_words(words, at.why))
            for at in export.lookups
            if not _is_listing(at)
        ],
        "lists": _lists(words, export),
        "listed": sum(map(_is_listing, export.lookups)),
        "objection": objection["decision"] if (objection := _objection(export)) else "",
        "stones": export.tombstones,
        "counts": counts,
    }


def _lists(words: Words, export: Export) -> list[tuple[str, str, str]]:
    """Return how often staff looked at each list in which the person stood, by the day.

    One afternoon's page of the door log is a look at everybody on it each time it is loaded.
    """
    days = Counter(
        (at.at.astimezone(words.zone).date(), at.what) for at in export.lookups if _is_listing(at)
    )
    return [
        (
            words.short_day(day),
            words.say(Action(what).words),
            words.count("{n} time", "{n} times", times),
        )
        for (day, what), times in sorted(days.items())
    ]


def _is_listing(look: Lookup) -> bool:
    """Tell whether a look was at a list with the person among others, for no reason of its own."""
    return look.what in LISTS and not look.why


def _objection(export: Export) -> dict[str, Any] | None:
    """Return the person's last objection by its columns."""
    found = [row.by_column for row in export.rows if row.table is OBJECTIONS]
    return found[-1] if found else None


def objection_words(words: Words, decision: str) -> str:
    """Return what came of an objection, as the person reads it."""
    return words.say(OUTCOMES[Decision(decision)])


def objection_letter(export: Export, app: App, at: datetime, first: str = DANISH) -> dict[str, Any]:
    """Return what the letter about a person's last objection takes; InputError without one."""
    if (objection := _objection(export)) is None:
        raise InputError("the person has no objection on record")
    decided = objection["decided_ms"]
    return {
        **letter(export, app, at, first),
        "objection": objection,
        "made": from_ms(objection["made_ms"]),
        "decided": None if decided is None else from_ms(decided),
    }


def annex(words: Words, export: Export) -> list[Case]:
    """Return every value of every row as it is stored, but for the names of staff."""

    def shown(column: Column, stored: Any) -> str:
        if column.shown is Shown.OF_STAFF:
            return words.say("(a member of staff)")
        read = value(column, stored, words.zone)
        return "" if read is None else str(read)

    return [
        (
            _name(words, table),
            [_name(words, column) for column in table.columns],
            [list(map(shown, table.columns, row.values)) for row in rows],
        )
        for table, rows in _tables(export)
    ]


def reason_in_words(words: Words, reason: str) -> str:
    """Return a reason on the audit log; the program's own one is put into words."""
    letter = OF_LETTER.fullmatch(reason)
    return words.say("Letter about ban {number}", number=letter[1]) if letter else reason


def letter(export: Export, app: App, at: datetime, first: str = DANISH) -> dict[str, Any]:
    """Return what the template of the letter to a person takes; `first` is its first language."""
    spoken = [
        Words(own(code), zone(app.config)) for code in (first, *({DANISH, ENGLISH} - {first}))
    ]
    return {
        "texts": [(words, letter_context(words, export, app.config.branch)) for words in spoken],
        "annex": annex(spoken[0], export),
        "config": app.config,
        "basis": basis,
        "objection_words": objection_words,
        "processors": processors,
        "held_days": LONGEST.days,
        "at": at,
    }


def _tables(export: Export) -> list[tuple[Table, list[HeldRow]]]:
    return [(table, list(rows)) for table, rows in groupby(export.rows, key=lambda row: row.table)]


def _case(words: Words, called: Mapping[str, str], table: Table, rows: list[HeldRow]) -> Case:
    kept = [
        (at, column)
        for at, column in enumerate(table.columns)
        if column.name not in TECHNICAL and any(row.values[at] not in NOTHING for row in rows)
    ]
    columns = [_name(words, column) for _, column in kept]
    texts = [[_value(words, called, column, row.values[at]) for at, column in kept] for row in rows]
    return _name(words, table), columns, texts


def _outcome(words: Words, visit: dict[str, Any]) -> str:
    if visit["verdict"] == "granted":
        return words.say("The door was unlocked.")
    known = visit["reason"] in REASONS
    return sentence(words, Reason(visit["reason"])) if known else words.say("It was not finished.")


def known_ref(export: Export) -> str:
    """Return the person's number in the library system; empty where no row has one."""
    numbers = (row.by_column.get(PATRON) for row in export.rows)
    return next(filter(None, numbers), "")


_SHOWN_AS: Mapping[Shown, Callable[[Words, Any], str]] = {
    Shown.FLAG: lambda words, flag: words.say("yes") if flag else words.say("no"),
    Shown.TIME: lambda words, ms: words.moment(from_ms(ms)),
    Shown.MINUTE: Words.time_of_day,
    Shown.SPANS: lambda words, spans: ", ".join(
        words.hours_of_day(*map(int, span.split("-"))) for span in spans.split()
    ),
    Shown.WEEKDAYS: lambda words, digits: ", ".join(
        words.say(WEEKDAYS[int(digit)]) for digit in digits
    ),
}


def _value(words: Words, called: Mapping[str, str], column: Column, stored: Any) -> str:
    if stored in NOTHING:
        return words.say("(none)")
    if column.shown in _SHOWN_AS:
        return _SHOWN_AS[column.shown](words, stored)
    if column.name in {"blocks", "branches", "tags"}:
        return ", ".join(called.get(name, name) for name in json.loads(stored))
    if column.name in {"kind", "decision"}:
        return called.get(stored, stored)
    return words.short_day(date.fromisoformat(stored)) if is_day(stored) else str(stored)


def is_day(stored: Any) -> bool:
    """Tell whether a stored value is a date as it is written in a database."""
    return isinstance(stored, str) and _DAY.fullmatch(stored) is not None


def _name(words: Words, named: Table | Column) -> str:
    return named.danish if words.language.code == DANISH else named.english
