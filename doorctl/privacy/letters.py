"""The letters to patrons: a page with all that is held of a person, and the letter about a ban."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import partial
from gettext import NullTranslations
from html import escape
from itertools import groupby
from types import MappingProxyType
from typing import Any, Literal

from doorctl.access.rights import Ban
from doorctl.config.tables import Branch
from doorctl.core.moments import Moment
from doorctl.privacy.audit import Action, AuditReader
from doorctl.privacy.subject import Column, HeldRow, Lookup, Shown, Subject, Table, Tombstone

FORMAT = "doorctl-subject/1"

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LISTED: Mapping[Action, str] = MappingProxyType(
    {
        Action.VISITS_LISTED: "attempts",
        Action.BANS_LISTED: "bans",
        Action.PASSES_LISTED: "passes",
    }
)
"""The table of each list that staff can look at."""


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

    A list that staff looked at counts as a look at each person in it; the person's `rows` show
    which lists those are.
    """
    tables = {row.table.name for row in rows}
    wanted = {action for action, table in _LISTED.items() if table in tables}
    lists = audit.entries() if wanted else ()
    named = audit.about(subject.row_keys, subject.patron_ref)
    found = {entry.number: entry for entry in lists if entry.deed.action in wanted}
    found |= {entry.number: entry for entry in named}
    return tuple(
        Lookup(entry.at, entry.deed.action.value, entry.deed.why)
        for _, entry in sorted(found.items())
    )


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


Language = Literal["da", "en"]

_STYLE = (
    "body{font:1rem/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:0 0 1rem;width:100%}"
    "th,td{border:1px solid #767676;padding:.25rem .5rem;text-align:left;vertical-align:top;"
    "overflow-wrap:anywhere}th{width:45%;font-weight:normal}"
)


_ACTIONS = MappingProxyType(
    {
        "visits_listed": "The list of visits was shown",
        "patron_explained": "Your card was looked up",
        "card_unlocked": "Wrong PINs were forgotten",
        "ban_added": "You were banned",
        "bans_listed": "The list of bans was shown",
        "pass_issued": "You were given a pass",
        "passes_listed": "The list of passes was shown",
        "subject_exported": "Your data were exported",
        "subject_restricted": "Your data were restricted",
        "subject_unrestricted": "The restriction was ended",
    }
)
"""The audit log's names for what can be about one person; any other is shown as it is."""


def _catalogue(language: Language) -> NullTranslations:
    # Imported here to save memory: the door and most commands write no page.
    from doorctl.core.language import own  # noqa: PLC0415 - as said

    return own(language).words


def _say(language: Language, text: str) -> str:
    return _catalogue(language).pgettext("export", text)


def page(export: Export, *, branch: str, at: datetime, zone: tzinfo, language: Language) -> str:
    """Return the page as HTML, in Danish or English; times are those of `zone`."""
    title = escape(_say(language, "What the door knows of you"))
    intro = _say(
        language,
        "This is all that the door system at {branch} holds of you on {day}. Name, address, CPR "
        "number, birthday and PIN are not kept. Numbers are sealed: without the system's key they "
        "say nothing.",
    )
    day = _day(at.astimezone(zone), language)
    body = "\n".join(
        (
            f"<h1>{title}</h1>",
            f"<p>{escape(intro.format(branch=branch, day=day))}</p>",
            *_sections(export, zone, language),
        )
    )
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _sections(export: Export, zone: tzinfo, language: Language) -> Iterator[str]:
    say = partial(_say, language)
    if export.empty:
        yield f"<p>{escape(say('Nothing is held of you.'))}</p>"
    for table, rows in groupby(export.rows, key=lambda row: row.table):
        yield f"<h2>{escape(_of(table, language))}</h2>"
        for row in rows:
            yield _table(_lines(row, zone, language))
    if export.lookups:
        yield f"<h2>{escape(say('What staff have looked at or changed'))}</h2>"
    for lookup in export.lookups:
        what = say(_ACTIONS.get(lookup.what, lookup.what))
        lines = [(say("When"), _instant(lookup.at, zone, language)), (say("What"), what)]
        yield _table([*lines, *([(say("Reason"), lookup.why)] if lookup.why else [])])
    if export.tombstones:
        erased = "You were erased before. What is left is a mark without name or number"
        yield f"<h2>{escape(say(erased))}</h2>"
    for stone in export.tombstones:
        erased, until = (_instant(day, zone, language) for day in (stone.erased_at, stone.until))
        yield _table([(say("When"), erased), (say("The mark goes"), until)])


def _lines(row: HeldRow, zone: tzinfo, language: Language) -> list[tuple[str, str]]:
    pairs = zip(row.table.columns, row.values, strict=True)
    return [
        (_of(column, language), _in_words(column, stored, zone, language))
        for column, stored in pairs
    ]


def _in_words(column: Column, stored: Any, zone: tzinfo, language: Language) -> str:
    if column.shown is Shown.OF_STAFF:
        return _say(language, "(a member of staff)")
    if stored is None or stored in ("", "[]"):
        return _say(language, "(none)")
    if column.shown is Shown.FLAG:
        return _say(language, "yes" if stored else "no")
    read = value(column, stored, zone)
    if column.shown is Shown.TIME:
        return _instant(datetime.fromisoformat(str(read)), zone, language)
    return of_the_week(column, stored, danish=language == "da") or str(read)


def of_the_week(column: Column, stored: Any, *, danish: bool) -> str:
    """Return weekdays or a time of day as people read them; empty for any other column."""
    if column.shown is Shown.WEEKDAYS and set(stored) <= set("0123456"):
        say = _catalogue("da" if danish else "en").gettext
        return ", ".join(say(_DAYS[int(digit)]) for digit in stored)
    if column.shown is Shown.MINUTE:
        return _of_clock(stored, danish=danish)
    if column.shown is Shown.SPANS:
        spans = (map(int, span.split("-")) for span in stored.split())
        return ", ".join("-".join(_of_clock(at, danish=danish) for at in span) for span in spans)
    return ""


def _of_clock(stored: int, *, danish: bool) -> str:
    hours, minutes = divmod(stored, 60)
    return f"{hours:02}{'.' if danish else ':'}{minutes:02}"


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _table(lines: list[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>\n'
        for name, text in lines
    )
    return f"<table>\n{rows}</table>"


def _of(named: Table | Column, language: Language) -> str:
    return named.danish if language == "da" else named.english


def _instant(at: datetime, zone: tzinfo, language: Language) -> str:
    local = at.astimezone(zone)
    clock = f"{local:%H.%M.%S}" if language == "da" else f"{local:%H:%M:%S}"
    return f"{_day(local, language)} {'kl. ' if language == 'da' else ''}{clock}"


def _day(local: date, language: Language) -> str:
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
    """Return the letter in ``da`` or ``en``; an empty line stands between paragraphs."""
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
    return _joined(
        f"{branch.name}: du kan ikke komme ind, når biblioteket er ubemandet",
        f"Du har fået karantæne: Dit kort lukker ikke døren op {span}.",
        f"Grunden er: {ban.reason}",
        ban.note,
        "Det følger af husets regler og gælder kun de ubemandede timer. Du kan låne som før, "
        "og du er velkommen, når der er personale.",
        f"Har du spørgsmål, eller mener du, at det er forkert, så ring til os{call}. "
        f"Karantænen har nummer {ban.number}.",
    )


def _english(ban: Ban, branch: Branch, first: date, last: date | None) -> str:
    begins = _day(first, "en")
    span = (
        f"from {begins} until further notice. We shall look at it again after a year"
        if last is None
        else f"from {begins} until {_day(last, 'en')}, that day too"
    )
    call = f" on {branch.phone}" if branch.phone else ""
    return _joined(
        f"{branch.name}: you can't come in while the library is unstaffed",
        f"Your card does not open the door {span}.",
        f"The reason is: {ban.reason}",
        ban.note,
        "This follows from the house rules and is about the unstaffed hours only. You can borrow "
        "as before, and you are welcome when staff are there.",
        f"If you have questions, or think that this is wrong, please call us{call}. "
        f"The case has number {ban.number}.",
    )


def _joined(*paragraphs: str) -> str:
    return "\n\n".join(filter(None, paragraphs))
