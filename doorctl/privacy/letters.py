"""What is held of a person, as scripts read it, and the letter that tells a patron of a ban."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Any

from doorctl.access.rights import Ban
from doorctl.config.tables import Branch
from doorctl.core.moments import Moment
from doorctl.privacy.audit import Action, AuditReader, Entry
from doorctl.privacy.subject import Column, HeldRow, Lookup, Shown, Subject, Tombstone

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


def lookups(audit: AuditReader, rows: Collection[HeldRow], subject: Subject) -> tuple[Lookup, ...]:
    """Return what staff looked at or changed of a person, oldest first; not who did.

    A list that staff looked at counts where one of the person's `rows` stood in it.
    """
    named = audit.about(subject.row_keys, subject.patron_ref)
    stand = {action: _standing(action, rows, named) for action in _LISTED}
    lists = audit.entries() if any(stand.values()) else ()
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
    listed = [
        dict(zip(row.table.names, row.values, strict=True))
        for row in rows
        if row.table.name == table
    ]
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


def _day(local: date, language: str) -> str:
    if language == "da":
        return f"{local.day}.{local.month}.{local.year}"
    return f"{local.day} {local:%B %Y}"


# The letter that tells a patron of a ban, in Danish and in English.
#
# It speaks of the house rules and of the hours without staff only: biblioteksloven § 31 lets a
# library exclude from lending, and from nothing else. So a ban is "karantæne", as in the house
# rules of Copenhagen's libraries, here and on every page; the law's own word would say too much.


def letter(ban: Ban, branch: Branch, moment: Moment) -> str:
    """Return the letter; staff write the addressee on it by hand: no name is known here."""
    danish, english = (letter_in(language, ban, branch, moment) for language in ("da", "en"))
    return f"{danish}\n\n{'-' * 60}\n\n{english}"


def letter_in(language: str, ban: Ban, branch: Branch, moment: Moment) -> str:
    """Return the letter in ``da`` or ``en``; an empty line stands between paragraphs.

    A ban that is not stored yet has no number in it.
    """
    first = letter_day(ban.since, moment)
    last = None if ban.until is None else letter_day(ban.until - timedelta.resolution, moment)
    return (_danish if language == "da" else _english)(ban, branch, first, last)


def letter_day(at: datetime, moment: Moment) -> date:
    """Return the local date of an instant."""
    return at.astimezone(moment.local.tzinfo).date()


def _danish(ban: Ban, branch: Branch, first: date, last: date | None) -> str:
    begins = _day(first, "da")
    span = (
        f"fra den {begins} og indtil videre. Vi ser på det igen, når der er gået et år"
        if last is None
        else f"fra den {begins} til og med den {_day(last, 'da')}"
    )
    call = f" på {branch.phone}" if branch.phone else ""
    number = f" Karantænen har nummer {ban.number}." if ban.number else ""
    return _joined(
        f"{branch.name}: du kan ikke komme ind, når biblioteket er ubemandet",
        f"Du har fået karantæne: Dit kort lukker ikke døren op {span}.",
        f"Grunden er: {ban.reason}",
        ban.note,
        "Det følger af husets regler og gælder kun de ubemandede timer. Du kan låne som før, "
        "og du er velkommen, når der er personale.",
        f"Har du spørgsmål, så ring til os{call}.{number}",
        "Er du uenig, kan du klage til bibliotekets leder. Du kan skrive eller ringe, og klagen "
        "skal ikke have en bestemt form.",
    )


def _english(ban: Ban, branch: Branch, first: date, last: date | None) -> str:
    begins = _day(first, "en")
    span = (
        f"from {begins} until further notice. We shall look at it again after a year"
        if last is None
        else f"from {begins} until {_day(last, 'en')}, that day too"
    )
    call = f" on {branch.phone}" if branch.phone else ""
    number = f" The case has number {ban.number}." if ban.number else ""
    return _joined(
        f"{branch.name}: you can't come in while the library is unstaffed",
        f"Your card does not open the door {span}.",
        f"The reason is: {ban.reason}",
        ban.note,
        "This follows from the house rules and is about the unstaffed hours only. You can borrow "
        "as before, and you are welcome when staff are there.",
        f"If you have questions, please call us{call}.{number}",
        "If you disagree, you can complain to the head of the library. Write or call; a complaint "
        "needs no particular form.",
    )


def _joined(*paragraphs: str) -> str:
    return "\n\n".join(filter(None, paragraphs))
