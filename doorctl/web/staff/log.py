"""The page of the door log: attempts under pseudonyms, and what it takes to see more of them."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.codes_throttle import A_CODE
from doorctl.access.patron import SENTENCES, Reason
from doorctl.accounts.account import Permission
from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState
from doorctl.core.staff_text import SHORT_TEXT, refuse_purpose
from doorctl.ports import Visit
from doorctl.web.desks import DayPicture, DoorLog, LogFilter, LogPage
from doorctl.web.frame.frame import Frame, PageRequest
from doorctl.web.frame.words import Words
from doorctl.web.staff import filled_in
from doorctl.web.staff.filled_in import FieldError, of_field
from doorctl.web.staff.refusals import told
from doorctl.web.staff.timeline import timeline
from doorctl.web.staff.why import sentence

# Which attempts a page of the door log shows: read from an address or a form, and written back.

GRANTED, REFUSED, OPEN = "granted", "refused", "open"
OUTCOMES: Final = (GRANTED, REFUSED, OPEN)
REASONS: Final = frozenset(one.value for one in Reason)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen; it holds nobody's number, so it may stand in an address.

    Args:
        day: local.
        starts: time of that day, included; None for its beginning.
        ends: time of that day, not included; None for its end.
        outcome: one of :data:`OUTCOMES`, or empty for any.
        reasons: any of them; none for all.
    """

    day: date
    starts: time | None = None
    ends: time | None = None
    outcome: str = ""
    reasons: frozenset[str] = frozenset()

    def wanted(self, words: Words) -> LogFilter:
        """Return it as the door log is asked; times of the day are the branch's."""
        return LogFilter(
            verdict=self.outcome or None,
            reasons=self.reasons,
            since=self._at(self.starts, self.day, words),
            until=self._at(self.ends, self.day if self.ends else _next(self.day), words),
        )

    def follows(self, today: date) -> bool:
        """Tell whether attempts that come now belong here: today, whatever the time."""
        whole_day = self.starts is None and self.ends is None
        return whole_day and self.day == today and self.outcome != OPEN

    def address(self, **others: object) -> str:
        """Return it as the part of an address after the question mark, with other parameters."""
        pairs: list[tuple[str, object]] = [("day", self.day)]
        pairs += [(name, f"{at:%H:%M}") for name, at in self._times() if at is not None]
        if self.outcome:
            pairs.append(("outcome", self.outcome))
        pairs += [("reason", one) for one in sorted(self.reasons)]
        return urlencode([*pairs, *others.items()])

    def _times(self) -> tuple[tuple[str, time | None], ...]:
        return ("from", self.starts), ("to", self.ends)

    def _at(self, at: time | None, day: date, words: Words) -> datetime:
        return datetime.combine(day, at or time(), words.zone)


def chosen(
    text: Callable[[str], str], every: Callable[[str], Sequence[str]], today: date
) -> Chosen:
    """Return what was chosen.

    Args:
        text: returns a parameter, empty where absent.
        every: returns all values of one.
        today: where no day was chosen.

    Raises:
        FieldError: a day or a time that is none; an outcome or a reason that is none is any.
    """
    outcome = text("outcome")
    with of_field("day"):
        day = filled_in.day(text("day")) or today
    with of_field("from"):
        starts = _time(text("from"))
    with of_field("to"):
        ends = _time(text("to"))
    if starts is not None and ends is not None and ends <= starts:
        raise FieldError("to", "the time ends before it begins")
    return Chosen(
        day=day,
        starts=starts,
        ends=ends,
        outcome=outcome if outcome in OUTCOMES else "",
        reasons=frozenset(every("reason")) & REASONS,
    )


def fits(visit: Visit, outcome: str, reasons: frozenset[str]) -> bool:
    """Tell whether an attempt belongs to what was chosen; one under way may still come to."""
    if visit.verdict is None:
        return not reasons and not outcome
    return outcome in {"", visit.verdict} and (not reasons or visit.reason in reasons)


def _next(day: date) -> date:
    return day + timedelta(days=1)


def _time(written: str) -> time | None:
    if not written:
        return None
    try:
        return time.fromisoformat(written).replace(second=0, microsecond=0, tzinfo=None)
    except ValueError:
        raise InputError("give a time of day as 07:30") from None


# An attempt as a row of the door log says it; the same on a page and on a stream.

NAMES: Mapping[str, str] = MappingProxyType(
    {GRANTED: "Let in", REFUSED: "Refused", OPEN: "Under way"}
)
"""What each outcome is called, in English."""

GROUP: Final = 4
"""So many digits of a pseudonym stand together: it is read aloud, and no spreadsheet's number."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt.

    Args:
        attempt: its number.
        state: one of :data:`NAMES`.
        day: when it began, as the language writes it.
        clock: the time of that day.
        doubtful: whether that time may be wrong.
        told: how it ended, a sentence; empty while it is under way.
        pseudonym: empty for an unreadable card.
        around: local, as a browser writes a moment: where a hold would begin and end.
    """

    attempt: int
    state: str
    day: str
    clock: str
    doubtful: bool
    told: str
    pseudonym: str
    around: str

    @property
    def name(self) -> str:
        """What its outcome is called, in English."""
        return NAMES[self.state]


def row(asked: PageRequest, visit: Visit) -> Row:
    """Return an attempt as whoever asks may see it, in their language.

    Who may neither search the log for a card nor look up whose it is gets a pseudonym of that day
    alone: one look at the door links no month of visits.
    """
    words, local = asked.words, asked.words.local(visit.at)
    links = asked.may(Permission.SEARCH_LOG) or asked.may(Permission.REVEAL)
    pseudonym = visit.card if links else _of_day(asked, visit.card, local.date())
    return Row(
        attempt=visit.attempt,
        state=state(visit),
        day=words.short_day(local.date()),
        clock=words.say("{time}:{seconds}", time=words.clock(visit.at), seconds=f"{local:%S}"),
        doubtful=visit.clock is ClockState.UNTRUSTED,
        told=ending(words, visit.reason),
        pseudonym=words.say("code") if visit.card == A_CODE else grouped(pseudonym),
        around=f"{local:%Y-%m-%dT%H:%M}",
    )


def state(visit: Visit) -> str:
    """Return how far an attempt has come: one of :data:`NAMES`."""
    return OPEN if visit.verdict is None else visit.verdict


def ending(words: Words, reason: str | None) -> str:
    """Return what a reason means; one that a newer door gave stands as it is."""
    if reason is None:
        return ""
    return sentence(words, Reason(reason)) if reason in REASONS else reason


def _of_day(asked: PageRequest, card: str | None, day: date) -> str | None:
    if card is None:
        return None
    told = hmac.digest(asked.pseudonym_key, f"{day}:{card}".encode(), hashlib.sha256)
    return told.hex()[: len(card)]


def grouped(pseudonym: str | None) -> str:
    """Return ``7f3a 09c1``; empty for none."""
    digits = pseudonym or ""
    return " ".join(digits[at : at + GROUP] for at in range(0, len(digits), GROUP))


# Attempts as a file: CSV that Danish spreadsheets open by themselves, or JSON for scripts.

CSV, JSON = "csv", "json"
FORMATS: Final = (CSV, JSON)

SEPARATOR: Final = ";"
"""Where the comma is in decimals, as in Danish, spreadsheets take it for no separator."""

MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""By it Excel knows UTF-8."""

ACTIVE: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would calculate."""

COLUMNS: Final = ("attempt", "time", "clock", "outcome", "reason", "meaning", "card")


def exported(words: Words, visits: Iterable[Visit], form: str, name: str) -> Response:
    """Return a file to keep.

    Args:
        words: the language in which a CSV says what a reason means.
        visits: in order.
        form: one of :data:`FORMATS`.
        name: the file's, without its ending; plain ASCII.
    """
    content = as_json(visits) if form == JSON else as_csv(words, visits)
    kind = "application/json" if form == JSON else "text/csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(content, media_type=kind, headers=headers)


def as_csv(words: Words, visits: Iterable[Visit]) -> str:
    """Return a table with a head; times are local, with their offset."""
    written = io.StringIO()
    table = csv.writer(written, delimiter=SEPARATOR)
    table.writerow(COLUMNS)
    table.writerows(_cells(words, visits))
    return MARK + written.getvalue()


def as_json(visits: Iterable[Visit]) -> bytes:
    """Return a list of objects; times are UTC."""
    return msgspec.json.encode(
        [
            {
                "attempt": one.attempt,
                "at": one.at.astimezone(UTC),
                "clock": one.clock.value,
                "verdict": one.verdict,
                "reason": one.reason,
                "card": one.card,
            }
            for one in visits
        ]
    )


def inert(cell: str) -> str:
    """Return a cell that no spreadsheet calculates."""
    return f"'{cell}" if cell.startswith(ACTIVE) else cell


def _cells(words: Words, visits: Iterable[Visit]) -> Iterator[list[str]]:
    for one in visits:
        cells = (
            str(one.attempt),
            words.local(one.at).isoformat(sep=" ", timespec="seconds"),
            one.clock.value,
            state(one),
            one.reason or "",
            ending(words, one.reason),
            grouped(one.card),
        )
        yield [inert(cell) for cell in cells]


# What is filled in on the door log's page: shown again where it makes no sense.

Text = Callable[[str], str]
"""Returns a field, empty where absent."""


def fields_of(wanted: Chosen) -> dict[str, Any]:
    """Return the fields of the filter and of the export, as they stand for what was chosen."""
    return {
        "day": str(wanted.day),
        "from": f"{wanted.starts:%H:%M}" if wanted.starts is not None else "",
        "to": f"{wanted.ends:%H:%M}" if wanted.ends is not None else "",
        "outcome": wanted.outcome,
        "reason": wanted.reasons,
        "first": str(wanted.day),
        "last": str(wanted.day),
        "purpose": "",
        "format": FORMATS[0],
    }


def typed(text: Text, every: Callable[[str], Sequence[str]], wanted: Chosen) -> dict[str, Any]:
    """Return the same fields as somebody filled them in; those left empty as were they chosen."""
    shown = {name: text(name) or usual for name, usual in fields_of(wanted).items()}
    return shown | {"reason": frozenset(every("reason")), "format": format_of(text)}


def format_of(text: Text) -> str:
    """Return the format that was chosen; the first where it is none."""
    chosen = text("format")
    return chosen if chosen in FORMATS else FORMATS[0]


def days(text: Text, wanted: Chosen) -> tuple[date, date]:
    """Return the first and the last day to save.

    Raises:
        FieldError: one of them is no day, or the last is before the first.
    """
    with of_field("first"):
        first = filled_in.day(text("first")) or wanted.day
    with of_field("last"):
        last = filled_in.day(text("last")) or first
    if last < first:
        raise FieldError("last", "the last day is before the first")
    return first, last


def spanned(wanted: Chosen, first: date, last: date, words: Words) -> LogFilter:
    """Return what is wanted of some days; the times of the day are of a single one."""
    if first == last:
        return replace(wanted, day=first).wanted(words)
    begins = replace(wanted, day=first, starts=None, ends=None).wanted(words)
    ends = replace(wanted, day=last, starts=None, ends=None).wanted(words)
    return replace(begins, until=ends.until)


PAGE: Final = "/log"
ROWS: Final = 50
MOST_FOUND: Final = 200
"""Attempts of one card that are shown: a month of many visits a day."""

MOST_DIGITS: Final = 18
"""Of an attempt number: a few billion are more than a door lives to see."""
FIXED: Mapping[str, Any] = MappingProxyType(
    {"names": NAMES, "outcomes": OUTCOMES, "one_day": timedelta(days=1), "longest": SHORT_TEXT}
)
"""What the template names and no page changes."""

FIELDS: Final = ("day", "from", "to", "first", "last", "purpose", filled_in.CARD)
"""Of the page's forms: each may be what is wrong."""

NOTHING_WRONG: Final[Mapping[str, str]] = MappingProxyType({})


class LogPages:
    """Show the door log.

    Args:
        frame: around each page.
        desk: the door log.
    """

    def __init__(self, frame: Frame, desk: DoorLog) -> None:
        self._frame = frame
        self._desk = desk

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return them."""
        guarded, post = self._frame.guarded, ("POST",)
        return (
            guarded(PAGE, self._page, Permission.SEE_LOG),
            guarded(f"{PAGE}/search", self._search, Permission.SEARCH_LOG, post),
            guarded(f"{PAGE}/reveal", self._ask_purpose, Permission.REVEAL),
            guarded(f"{PAGE}/reveal", self._reveal, Permission.REVEAL, post),
            guarded(f"{PAGE}/export", self._export, Permission.EXPORT_LOG, post),
        )

    async def _page(self, asked: PageRequest) -> Response:
        every, wanted = asked.request.query_params.getlist, Chosen(asked.today)
        try:
            wanted = chosen(asked.asked, every, asked.today)
        except FieldError as error:
            return await self._wrong(asked, wanted, error, typed(asked.asked, every, wanted))
        return await self._shown(asked, wanted, before=_number(asked.asked("before")))

    async def _search(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            found = await asked.aside(self._found, filled_in.card(form), asked.by)
        except InputError as error:
            wrong = FieldError(filled_in.CARD, str(error))
            return await self._wrong(asked, Chosen(asked.today), wrong)
        rows = [row(asked, one) for one in found[:MOST_FOUND]]
        return asked.page("log_found.html", rows=rows, more=len(found) > MOST_FOUND)

    def _found(self, typed: str, by: str) -> tuple[Visit, ...]:
        keys = self._desk.search(typed, by)
        return self._desk.page(LogFilter(cards=keys), limit=MOST_FOUND + 1).visits

    async def _ask_purpose(self, asked: PageRequest) -> Response:
        return await self._revealed(asked, _number(asked.asked("attempt")))

    async def _reveal(self, asked: PageRequest) -> Response:
        form = await asked.form()
        number, purpose = _number(form.text("attempt")), form.text("purpose")
        if number is None:
            raise InputError("there is no such attempt in the door log")
        try:
            ref = await asked.aside(self._desk.reveal, number, purpose, asked.by)
        except InputError as error:
            return await self._revealed(
                asked, number, purpose=purpose, wrong=told(asked.words, error)
            )
        return await self._revealed(asked, number, purpose=purpose, ref=ref, asks=False)

    async def _revealed(self, asked: PageRequest, number: int | None, **more: Any) -> Response:
        visit = None if number is None else await asked.aside(self._one, number)
        if visit is None:
            raise InputError("there is no such attempt in the door log")
        blank = {"purpose": "", "wrong": "", "ref": None, "asks": True, "longest": SHORT_TEXT}
        status = 422 if more.get("wrong") else 200
        context = blank | {"row": row(asked, visit)} | more
        return asked.page("log_reveal.html", status, **context)

    def _one(self, number: int) -> Visit | None:
        found = self._desk.after(number - 1, 1)
        return found[0] if found and found[0].attempt == number else None

    async def _export(self, asked: PageRequest) -> Response:
        form = await asked.form()
        wanted = Chosen(asked.today)
        try:
            wanted = chosen(form.text, form.every, asked.today)
            first, last = days(form.text, wanted)
            span = spanned(wanted, first, last, asked.words)
            visits = await asked.aside(self._saved, span, form.text("purpose"), asked.by)
        except FieldError as error:
            fields = typed(form.text, form.every, wanted)
            return await self._wrong(asked, wanted, error, fields)
        name = f"doorctl-log-{first}-{last}"
        return exported(asked.words, visits, format_of(form.text), name)

    def _saved(self, chosen: LogFilter, purpose: str, by: str) -> tuple[Visit, ...]:
        with of_field("purpose"):
            refuse_purpose(purpose)
        # Whatever else the door log refuses, fewer days mend it.
        with of_field("last"):
            return self._desk.export(chosen, purpose, by)

    async def _wrong(
        self,
        asked: PageRequest,
        wanted: Chosen,
        error: FieldError,
        fields: dict[str, Any] | None = None,
    ) -> Response:
        return await self._shown(
            asked, wanted, fields=fields, wrong={error.field: told(asked.words, error)}
        )

    async def _shown(
        self,
        asked: PageRequest,
        wanted: Chosen,
        before: int | None = None,
        *,
        fields: dict[str, Any] | None = None,
        wrong: Mapping[str, str] = NOTHING_WRONG,
    ) -> Response:
        last, page, picture = await asked.aside(self._looked, wanted, before, asked.words)
        return asked.page(
            "log.html",
            422 if wrong else 200,
            wanted=wanted,
            fields=fields or fields_of(wanted),
            wrong=dict.fromkeys(FIELDS, "") | dict(wrong),
            rows=[row(asked, one) for one in page.visits],
            older=page.visits[-1].attempt if page.more else None,
            newest=before is None,
            since=last if before is None and wanted.follows(asked.today) else "",
            timeline=timeline(asked.words, picture, asked.now),
            reasons=_reasons(asked.words),
            today=asked.today,
            **FIXED,
        )

    def _looked(
        self, wanted: Chosen, before: int | None, words: Words
    ) -> tuple[str, LogPage, DayPicture]:
        # Asked for first: what is written meanwhile is told twice, and never not at all.
        number = self._desk.last()
        last = self._one(number)
        page = self._desk.page(wanted.wanted(words), before=before, limit=ROWS)
        since = f"{number}-{GRANTED if last is None else state(last)}"
        return since, page, self._desk.day(wanted.day)


def _number(written: str) -> int | None:
    if not written.isascii() or not written.isdigit() or len(written) > MOST_DIGITS:
        return None
    return int(written)


def _reasons(words: Words) -> list[tuple[str, str]]:
    return [(one.value, sentence(words, one)) for one in SENTENCES if one is not Reason.OK]
