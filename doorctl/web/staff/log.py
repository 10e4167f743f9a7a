"""The page of the door log: attempts under pseudonyms, with search, reveal and export."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.patron import SENTENCES, Reason
from doorctl.access.throttle import A_CODE
from doorctl.accounts.account import Permission
from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState
from doorctl.core.staff_text import SHORT_TEXT, refuse_purpose
from doorctl.services.visits import DoorLog, LogView
from doorctl.store.door_log import OPEN, LogFilter, Visit
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.staff.drawing import timeline
from doorctl.web.staff.filled_in import FieldError, of_field
from doorctl.web.staff.why import sentence
from doorctl.web.words import Words

GRANTED, REFUSED = "granted", "refused"
OUTCOMES: Final = (GRANTED, REFUSED, OPEN)
REASONS: Final = frozenset(reason.value for reason in Reason)


def chosen(
    text: Callable[[str], str], every: Callable[[str], Sequence[str]], today: date, zone: tzinfo
) -> LogFilter:
    """Return the filter that an address or a form gives, for `today` where it gives no day.

    The filter names no person, so it may stand in an address. Its times are local. `text` returns a
    parameter, empty where absent. An unknown outcome or reason is left out.

    Raises:
        FieldError: a day or a time makes no sense.
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
    span = of_day(day, zone)
    return replace(
        span,
        since=span.since if starts is None else datetime.combine(day, starts, zone),
        until=span.until if ends is None else datetime.combine(day, ends, zone),
        verdict=outcome if outcome in OUTCOMES else None,
        reasons=frozenset(every("reason")) & REASONS,
    )


def of_day(first: date, zone: tzinfo, last: date | None = None) -> LogFilter:
    """Return the filter for a local day, or for all days up to the last."""
    ends = (last or first) + timedelta(days=1)
    return LogFilter(
        since=datetime.combine(first, time(), zone), until=datetime.combine(ends, time(), zone)
    )


def day_of(wanted: LogFilter) -> date:
    """Return the local day that a page shows."""
    return date.min if wanted.since is None else wanted.since.date()


def _times(wanted: LogFilter) -> tuple[str, str]:
    """Return the filter's first and last time of day; empty for the day's beginning and end."""
    starts, ends = wanted.since, wanted.until
    whole = ends is None or f"{ends:%F %R}" == f"{day_of(wanted) + timedelta(days=1)} 00:00"
    from_then = "" if starts is None or starts.time() == time() else f"{starts:%H:%M}"
    return from_then, "" if whole or ends is None else f"{ends:%H:%M}"


def follows(wanted: LogFilter, today: date) -> bool:
    """Tell whether the page shows the whole of today, so that it gets new attempts."""
    return day_of(wanted) == today and _times(wanted) == ("", "") and wanted.verdict != OPEN


def address(wanted: LogFilter, **others: object) -> str:
    """Return a filter as an address's query string, with other parameters."""
    fields = fields_of(wanted)
    pairs = [(name, fields[name]) for name in ("day", "from", "to", "outcome") if fields[name]]
    pairs += [("reason", reason) for reason in sorted(wanted.reasons)]
    return urlencode([*pairs, *others.items()])


def fits(visit: Visit, wanted: LogFilter) -> bool:
    """Tell whether an attempt passes the filter; one under way passes only an empty filter."""
    outcome, reasons = wanted.verdict, wanted.reasons
    if visit.verdict is None:
        return not reasons and outcome is None
    return outcome in {None, visit.verdict} and (not reasons or visit.reason in reasons)


def _time(written: str) -> time | None:
    if not written:
        return None
    try:
        return time.fromisoformat(written).replace(second=0, microsecond=0, tzinfo=None)
    except ValueError:
        raise InputError("give a time of day as 07:30") from None


NAMES: Mapping[str, str] = MappingProxyType(
    {GRANTED: "Let in", REFUSED: "Refused", OPEN: "Under way"}
)
"""What each outcome is called, in English."""

GROUP: Final = 4
"""Digits in a group: people read a pseudonym aloud, and spreadsheets must not calculate it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt in the page's language, the same on a page and on a stream.

    `state` is a key of :data:`NAMES`. `doubtful` says that the time may be wrong. `meaning` is
    empty while the attempt is under way, and `pseudonym` for an unreadable card. A hold is offered
    around the time `around`, which is local and written as browsers do.
    """

    attempt: int
    state: str
    day: date
    clock: str
    doubtful: bool
    meaning: str
    pseudonym: str
    around: str

    @property
    def name(self) -> str:
        """What its outcome is called, in English."""
        return NAMES[self.state]


def row(request: PageRequest, visit: Visit) -> Row:
    """Return an attempt as this account may see it, in its language.

    An account that may neither search the log for a card nor look up whose it is gets a pseudonym
    of that day alone: seeing a person at the door must not tell a month of visits.
    """
    words, local = request.words, request.words.local(visit.at)
    links = request.may(Permission.SEARCH_LOG) or request.may(Permission.REVEAL)
    pseudonym = visit.card if links else _of_day(request, visit.card, local.date())
    return Row(
        attempt=visit.attempt,
        state=state(visit),
        day=local.date(),
        clock=words.say("{time}:{seconds}", time=words.clock(visit.at), seconds=f"{local:%S}"),
        doubtful=visit.clock is ClockState.UNTRUSTED,
        meaning=ending(words, visit.reason),
        pseudonym=words.say("code") if visit.card == A_CODE else grouped(pseudonym),
        around=f"{local:%Y-%m-%dT%H:%M}",
    )


def state(visit: Visit) -> str:
    """Return an attempt's state, a key of :data:`NAMES`."""
    return OPEN if visit.verdict is None else visit.verdict


def ending(words: Words, reason: str | None) -> str:
    """Return what a reason means; a reason that only a newer door knows stays as it is."""
    if reason is None:
        return ""
    return sentence(words, Reason(reason)) if reason in REASONS else reason


def _of_day(request: PageRequest, card: str | None, day: date) -> str | None:
    if card is None:
        return None
    digest = hmac.digest(request.pseudonym_key, f"{day}:{card}".encode(), hashlib.sha256)
    return digest.hex()[: len(card)]


def grouped(pseudonym: str | None) -> str:
    """Return a pseudonym in groups, as ``7f3a 09c1``; empty for None."""
    digits = pseudonym or ""
    return " ".join(digits[at : at + GROUP] for at in range(0, len(digits), GROUP))


# Attempts as a file: CSV that Danish spreadsheets open by themselves, or JSON for scripts.

CSV, JSON = "csv", "json"
FORMATS: Final = (CSV, JSON)

SEPARATOR: Final = ";"
"""Where decimals have a comma, as in Danish, spreadsheets do not separate cells by commas."""

MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""The byte order mark, by which Excel recognises UTF-8."""

ACTIVE: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet calculates a cell that begins with one of these."""

COLUMNS: Final = ("attempt", "time", "clock", "outcome", "reason", "meaning", "card")


def exported(words: Words, visits: Iterable[Visit], form: str, name: str) -> Response:
    """Return a CSV or JSON file to download; `name` is plain ASCII without the ending."""
    content = as_json(visits) if form == JSON else as_csv(words, visits)
    kind = "application/json" if form == JSON else "text/csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(content, media_type=kind, headers=headers)


def as_csv(words: Words, visits: Iterable[Visit]) -> str:
    """Return a table with a head line; times are local, with their offset."""
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
                "attempt": visit.attempt,
                "at": visit.at.astimezone(UTC),
                "clock": visit.clock.value,
                "verdict": visit.verdict,
                "reason": visit.reason,
                "card": visit.card,
            }
            for visit in visits
        ]
    )


def inert(cell: str) -> str:
    """Return a cell in a form that no spreadsheet calculates."""
    return f"'{cell}" if cell.startswith(ACTIVE) else cell


def _cells(words: Words, visits: Iterable[Visit]) -> Iterator[list[str]]:
    for visit in visits:
        cells = (
            str(visit.attempt),
            words.local(visit.at).isoformat(sep=" ", timespec="seconds"),
            visit.clock.value,
            state(visit),
            visit.reason or "",
            ending(words, visit.reason),
            grouped(visit.card),
        )
        yield [inert(cell) for cell in cells]


Text = Callable[[str], str]
"""Returns a form's field, empty where absent."""


def fields_of(wanted: LogFilter) -> dict[str, Any]:
    """Return the fields of the filter's and the export's form for this filter."""
    day, (starts, ends) = str(day_of(wanted)), _times(wanted)
    return {
        "day": day,
        "from": starts,
        "to": ends,
        "outcome": wanted.verdict or "",
        "reason": wanted.reasons,
        "first": day,
        "last": day,
        "purpose": "",
        "format": FORMATS[0],
    }


def typed(text: Text, every: Callable[[str], Sequence[str]], wanted: LogFilter) -> dict[str, Any]:
    """Return these fields as they were filled in; an empty one gets the filter's value."""
    shown = {name: text(name) or usual for name, usual in fields_of(wanted).items()}
    return shown | {"reason": frozenset(every("reason")), "format": format_of(text)}


def format_of(text: Text) -> str:
    """Return the chosen format; the first where the form gives no known one."""
    chosen = text("format")
    return chosen if chosen in FORMATS else FORMATS[0]


def days(text: Text, wanted: LogFilter) -> tuple[date, date]:
    """Return the first and the last day to save.

    Raises:
        FieldError: a field is no day, or the last day is before the first.
    """
    with of_field("first"):
        first = filled_in.day(text("first")) or day_of(wanted)
    with of_field("last"):
        last = filled_in.day(text("last")) or first
    if last < first:
        raise FieldError("last", "the last day is before the first")
    return first, last


def spanned(wanted: LogFilter, first: date, last: date, zone: tzinfo) -> LogFilter:
    """Return the filter for some days; times of day count only for a single day."""
    span, ahead = of_day(first, zone, last), first - day_of(wanted)
    since, until = span.since, span.until
    if first == last:
        since, until = (at and at + ahead for at in (wanted.since, wanted.until))
    return replace(wanted, since=since, until=until)


PAGE: Final = "/log"
ROWS: Final = 50
MOST_FOUND: Final = 200
"""Attempts of one card that are shown: a month of many visits a day."""

MOST_DIGITS: Final = 18
"""Digits of an attempt number: a door does not live to see a few billion attempts."""
FIXED: Mapping[str, Any] = MappingProxyType(
    {"names": NAMES, "outcomes": OUTCOMES, "one_day": timedelta(days=1), "longest": SHORT_TEXT}
)
"""What the template uses and no request changes."""

FIELDS: Final = ("day", "from", "to", "first", "last", "purpose", filled_in.CARD)
"""The fields of the page's forms that can be wrong."""

NOTHING_WRONG: Final[Mapping[str, str]] = MappingProxyType({})


class LogPages:
    """Show the door log."""

    def __init__(self, frame: Frame, log: DoorLog) -> None:
        self._frame = frame
        self._log = log

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, post = self._frame.guarded, ("POST",)
        return (
            guarded(PAGE, self._page, Permission.SEE_LOG),
            guarded(f"{PAGE}/search", self._search, Permission.SEARCH_LOG, post),
            guarded(f"{PAGE}/reveal", self._ask_purpose, Permission.REVEAL),
            guarded(f"{PAGE}/reveal", self._reveal, Permission.REVEAL, post),
            guarded(f"{PAGE}/export", self._export, Permission.EXPORT_LOG, post),
        )

    async def _page(self, request: PageRequest) -> Response:
        every, wanted = request.http.query_params.getlist, _today(request)
        try:
            wanted = chosen(request.query, every, request.today, request.words.zone)
        except FieldError as error:
            return await self._wrong(request, wanted, error, typed(request.query, every, wanted))
        return await self._shown(request, wanted, before=_number(request.query("before")))

    async def _search(self, request: PageRequest) -> Response:
        form = await request.form()
        try:
            visits = await request.aside(self._visits_of, filled_in.card(form), request.by)
        except InputError as error:
            wrong = FieldError(filled_in.CARD, error.text, **error.values)
            return await self._wrong(request, _today(request), wrong)
        rows = [row(request, visit) for visit in visits[:MOST_FOUND]]
        return request.page("log_found.html", rows=rows, more=len(visits) > MOST_FOUND)

    def _visits_of(self, typed: str, by: str) -> tuple[Visit, ...]:
        keys = self._log.search(typed, by)
        return self._log.page(LogFilter(cards=keys), limit=MOST_FOUND + 1).visits

    async def _ask_purpose(self, request: PageRequest) -> Response:
        return await self._revealed(request, _number(request.query("attempt")))

    async def _reveal(self, request: PageRequest) -> Response:
        form = await request.form()
        number, purpose = _number(form.text("attempt")), form.text("purpose")
        if number is None:
            raise InputError("there is no such attempt in the door log")
        try:
            ref = await request.aside(self._log.reveal, number, purpose, request.by)
        except InputError as error:
            return await self._revealed(
                request, number, purpose=purpose, wrong=request.words.refusal(error)
            )
        return await self._revealed(request, number, purpose=purpose, ref=ref, asks=False)

    async def _revealed(self, request: PageRequest, number: int | None, **more: Any) -> Response:
        visit = None if number is None else await request.aside(self._visit, number)
        if visit is None:
            raise InputError("there is no such attempt in the door log")
        blank = {"purpose": "", "wrong": "", "ref": None, "asks": True, "longest": SHORT_TEXT}
        status = 422 if more.get("wrong") else 200
        context = blank | {"row": row(request, visit)} | more
        return request.page("log_reveal.html", status, **context)

    def _visit(self, number: int) -> Visit | None:
        visits = self._log.after(number - 1, 1)
        return visits[0] if visits and visits[0].attempt == number else None

    async def _export(self, request: PageRequest) -> Response:
        form = await request.form()
        zone, wanted = request.words.zone, _today(request)
        try:
            wanted = chosen(form.text, form.every, request.today, zone)
            first, last = days(form.text, wanted)
            span = spanned(wanted, first, last, zone)
            visits = await request.aside(self._saved, span, form.text("purpose"), request.by)
        except FieldError as error:
            fields = typed(form.text, form.every, wanted)
            return await self._wrong(request, wanted, error, fields)
        name = f"doorctl-log-{first}-{last}"
        return exported(request.words, visits, format_of(form.text), name)

    def _saved(self, chosen: LogFilter, purpose: str, by: str) -> tuple[Visit, ...]:
        with of_field("purpose"):
            refuse_purpose(purpose)
        # Fewer days mend whatever else the door log refuses.
        with of_field("last"):
            return self._log.export(chosen, purpose, by)

    async def _wrong(
        self,
        request: PageRequest,
        wanted: LogFilter,
        error: FieldError,
        fields: dict[str, Any] | None = None,
    ) -> Response:
        return await self._shown(
            request, wanted, fields=fields, wrong={error.field: request.words.refusal(error)}
        )

    async def _shown(
        self,
        request: PageRequest,
        wanted: LogFilter,
        before: int | None = None,
        *,
        fields: dict[str, Any] | None = None,
        wrong: Mapping[str, str] = NOTHING_WRONG,
    ) -> Response:
        day, view = day_of(wanted), await request.aside(self._view, wanted, before)
        page = view.page
        return request.page(
            "log.html",
            422 if wrong else 200,
            day=day,
            address=partial(address, wanted),
            chosen=fields_of(wanted),
            fields=fields or fields_of(wanted),
            wrong=dict.fromkeys(FIELDS, "") | dict(wrong),
            rows=[row(request, visit) for visit in page.visits],
            older=page.visits[-1].attempt if page.more else None,
            newest=before is None,
            since=_place(view.newest) if before is None and follows(wanted, request.today) else "",
            timeline=timeline(request.words, view.picture, request.now),
            reasons=_reasons(request.words),
            today=request.today,
            **FIXED,
        )

    def _view(self, wanted: LogFilter, before: int | None) -> LogView:
        return self._log.view(wanted, day_of(wanted), before=before, limit=ROWS)


def _today(request: PageRequest) -> LogFilter:
    return of_day(request.today, request.words.zone)


def _place(newest: Visit | None) -> str:
    return f"0-{GRANTED}" if newest is None else f"{newest.attempt}-{state(newest)}"


def _number(written: str) -> int | None:
    if not written.isascii() or not written.isdigit() or len(written) > MOST_DIGITS:
        return None
    return int(written)


def _reasons(words: Words) -> list[tuple[str, str]]:
    return [(cause.value, sentence(words, cause)) for cause in SENTENCES if cause is not Reason.OK]
