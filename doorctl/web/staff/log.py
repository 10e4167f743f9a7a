"""The page of the door log: attempts under pseudonyms, with search, reveal and export."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import DAY_MINUTES
from doorctl.access.patron import SENTENCES, Reason
from doorctl.access.throttle import A_CODE
from doorctl.accounts.account import Permission
from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState
from doorctl.core.staff_text import SHORT_TEXT, refuse_purpose
from doorctl.services.visits import DayPicture, DoorLog, ModeBand, Slot, as_dict
from doorctl.store.door_log import OPEN, LogFilter, Visit
from doorctl.web.frame import Form, Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.staff.filled_in import FieldError, of_field
from doorctl.web.staff.why import sentence
from doorctl.web.words import MODES, Words

GRANTED, REFUSED = "granted", "refused"
OUTCOMES: Final = (GRANTED, REFUSED, OPEN)
REASONS: Final = frozenset(reason.value for reason in Reason)


def chosen(form: Form, today: date, zone: tzinfo) -> LogFilter:
    """Return the filter that an address or a form gives, for `today` where it gives no day.

    The filter names no person, so it may stand in an address. Its times are local. An unknown
    outcome or reason is left out. Raises FieldError where a day or a time makes no sense.
    """
    outcome = form.text("outcome")
    with of_field("day"):
        day = filled_in.day(form.text("day")) or today
    with of_field("from"):
        starts = _time(form.text("from"))
    with of_field("to"):
        ends = _time(form.text("to"))
    if starts is not None and ends is not None and ends <= starts:
        raise FieldError("to", "the time ends before it begins")
    span = of_day(day, zone)
    return replace(
        span,
        since=span.since if starts is None else datetime.combine(day, starts, zone),
        until=span.until if ends is None else datetime.combine(day, ends, zone),
        verdict=outcome if outcome in OUTCOMES else None,
        reasons=frozenset(form.every("reason")) & REASONS,
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
    at = filled_in.member(time.fromisoformat, written, "give a time of day as 07:30")
    return at.replace(second=0, microsecond=0, tzinfo=None)


NAMES: Mapping[str, str] = {GRANTED: "Let in", REFUSED: "Refused", OPEN: "Under way"}
"""What each outcome is called, in English."""

GROUP: Final = 4
"""Digits in a group: people read a pseudonym aloud, and spreadsheets must not calculate it."""


def row(request: PageRequest, visit: Visit) -> dict[str, Any]:
    """Return an attempt as this account may see it, in its language: on a page and on a stream.

    `state` is a key of :data:`NAMES`, and `name` its English name. `doubtful` says that the time
    may be wrong. `meaning` is empty while the attempt is under way, and `pseudonym` for an
    unreadable card. A hold is offered around the local time `around`, written as browsers do.

    An account that may neither search the log for a card nor look up whose it is gets a pseudonym
    of that day alone: seeing a person at the door must not tell a month of visits.
    """
    words, local = request.words, request.words.local(visit.at)
    links = request.may(Permission.SEARCH_LOG) or request.may(Permission.REVEAL)
    pseudonym = visit.card if links else _of_day(request, visit.card, local.date())
    return {
        "attempt": visit.attempt,
        "state": state(visit),
        "name": NAMES[state(visit)],
        "day": local.date(),
        "clock": words.say("{time}:{seconds}", time=words.clock(visit.at), seconds=f"{local:%S}"),
        "doubtful": visit.clock is ClockState.UNTRUSTED,
        "meaning": ending(words, visit.reason),
        "pseudonym": words.say("code") if visit.card == A_CODE else grouped(pseudonym),
        "around": f"{local:%Y-%m-%dT%H:%M}",
    }


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
    digest = hmac.digest(request.house.pseudonym_key, f"{day}:{card}".encode(), hashlib.sha256)
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


def as_csv(words: Words, visits: Iterable[Visit]) -> str:
    """Return a table with a head line; times are local, with their offset."""
    return table_of((COLUMNS, *_cells(words, visits)))


def as_json(visits: Iterable[Visit]) -> bytes:
    """Return a list of objects; times are UTC."""
    return msgspec.json.encode(
        [as_dict(visit) | {"at": visit.at.astimezone(UTC)} for visit in visits]
    )


def table_of(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as CSV that Danish spreadsheets open by themselves."""
    written = io.StringIO()
    csv.writer(written, delimiter=SEPARATOR).writerows(rows)
    return MARK + written.getvalue()


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


def typed(form: Form, wanted: LogFilter) -> dict[str, Any]:
    """Return these fields as they were filled in; an empty one gets the filter's value."""
    shown = {name: form.text(name) or usual for name, usual in fields_of(wanted).items()}
    return shown | {"reason": frozenset(form.every("reason")), "format": format_of(form)}


def format_of(form: Form) -> str:
    """Return the chosen format; the first where the form gives no known one."""
    return form.text("format") if form.text("format") in FORMATS else FORMATS[0]


def days(form: Form, wanted: LogFilter) -> tuple[date, date]:
    """Return the first and the last day to save; raises FieldError."""
    with of_field("first"):
        first = filled_in.day(form.text("first")) or day_of(wanted)
    with of_field("last"):
        last = filled_in.day(form.text("last")) or first
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


# The picture of a day at the door, as numbers for an SVG.

STEPS: Final = (1, 2, 3, 4, 5, 8)
MARKS: Final = 4

LEFT: Final = 44
WIDTH: Final = 864
RIGHT: Final = 44
TOP: Final = 12
ABOVE: Final = 130
BELOW: Final = 70
BAND: Final = 22
GAP: Final = 24
"""Room for the hours between the bars and the band."""

BASE: Final = TOP + ABOVE
BAND_Y: Final = BASE + BELOW + GAP
SLOT_MINUTES: Final = 15
ROOM_FOR_NAME: Final = 90
"""A narrower band shows no name; the legend names all bands."""


def scale_of(highest: int) -> int:
    """Return the top of a scale: a round number of four equal parts, not below the highest."""
    size = MARKS
    while True:
        for step in STEPS:
            if size * step >= highest:
                return size * step
        size *= 10


def timeline(words: Words, day: DayPicture, now: datetime) -> dict[str, Any]:
    """Return the picture of a day at a local moment, with the table's rows.

    `marks` are y and number of each mark of the scale on the left, `marks_inside` on the right.
    `inside` are the points of the head-count's line, as SVG writes them; both are empty where the
    head-count is not known. `hours` are x and name of each mark of the day; `now` is x of this
    moment, None on another day. `modes` has each mode of the bands with its English name, in order.
    """
    high = scale_of(max((slot.granted for slot in day.slots), default=0))
    low = scale_of(max((slot.refused for slot in day.slots), default=0))
    unit = min(ABOVE / high, BELOW / low)
    most_inside = scale_of(max((count for _, count in day.inside), default=0))
    bands = [_band(words, day.day, band) for band in day.bands]
    return {
        "bars": [bar for slot in day.slots for bar in _bars(words, slot, unit)],
        "bands": bands,
        "modes": {band["mode"]: band["name"] for band in bands},
        "marks": list(_marks(high, low, unit)),
        "marks_inside": _marks_inside(most_inside) if day.inside else [],
        "inside": " ".join(
            f"{_x(_minute(words, day.day, at))},{round(BASE - ABOVE * count / most_inside, 1)}"
            for at, count in day.inside
        ),
        "hours": [(_x(hour * 60), f"{hour:02}") for hour in range(0, 25, 2)],
        "now": _x(_minute(words, day.day, now)) if words.local(now).date() == day.day else None,
        "rows": list(_rows(words, day)),
        "granted": sum(slot.granted for slot in day.slots),
        "refused": sum(slot.refused for slot in day.slots),
        "width": LEFT + WIDTH + RIGHT,
        "height": BAND_Y + BAND + 4,
    }


def _bars(words: Words, slot: Slot, unit: float) -> Iterator[dict[str, Any]]:
    local = words.local(slot.starts)
    x = _x(local.hour * 60 + local.minute) + 1
    width = round(WIDTH * SLOT_MINUTES / DAY_MINUTES - 2, 1)
    up, down = round(slot.granted * unit, 1), round(slot.refused * unit, 1)
    if slot.granted:
        yield {"x": x, "y": round(BASE - up, 1), "width": width, "height": up, "granted": True}
    if slot.refused:
        yield {"x": x, "y": BASE, "width": width, "height": down, "granted": False}


def _band(words: Words, day: date, band: ModeBand) -> dict[str, Any]:
    x, mode = _x(_minute(words, day, band.starts)), band.mode
    width = round(_x(_minute(words, day, band.ends)) - x, 1)
    named = width >= ROOM_FOR_NAME
    return {"x": x, "width": width, "mode": mode.value, "name": MODES[mode], "named": named}


def _marks(high: int, low: int, unit: float) -> Iterator[tuple[float, int]]:
    for count in (high, high // 2, 0):
        yield round(BASE - count * unit, 1), count
    yield round(BASE + low * unit, 1), low


def _marks_inside(most: int) -> list[tuple[float, int]]:
    return [(round(BASE - ABOVE * count / most, 1), count) for count in (most, most // 2, 0)]


def _rows(words: Words, day: DayPicture) -> Iterator[dict[str, Any]]:
    ends = {words.local(at).hour: count for at, count in day.inside if words.local(at).minute == 0}
    if day.inside and words.local(day.inside[-1][0]).date() > day.day:
        ends[24] = day.inside[-1][1]
    for hour in range(24):
        slots = [slot for slot in day.slots if words.local(slot.starts).hour == hour]
        yield {
            "name": f"{hour:02}-{hour + 1:02}",
            "granted": sum(slot.granted for slot in slots),
            "refused": sum(slot.refused for slot in slots),
            "inside": ends.get(hour + 1),
            "modes": list(_modes(words, day.day, day.bands, hour * 60)),
        }


def _modes(words: Words, day: date, bands: Sequence[ModeBand], starts: int) -> Iterator[str]:
    for band in bands:
        begins, ends = _minute(words, day, band.starts), _minute(words, day, band.ends)
        if begins < starts + 60 and ends > starts:
            yield MODES[band.mode]


def _minute(words: Words, day: date, at: datetime) -> int:
    """Return the minutes after a day's midnight, by the clock on the wall.

    The hour that summer time skips stays empty; a repeated hour is drawn on the first one.
    """
    local = words.local(at)
    if local.date() >= day + timedelta(days=1):
        return DAY_MINUTES
    return 0 if local.date() < day else local.hour * 60 + local.minute


def _x(minute: float) -> float:
    return round(LEFT + WIDTH * minute / DAY_MINUTES, 1)


PAGE: Final = "/log"
ROWS: Final = 50
MOST_FOUND: Final = 200
"""Attempts of one card that are shown: a month of many visits a day."""

NO_ATTEMPT: Final = "there is no such attempt in the door log"
MOST_DIGITS: Final = 18
"""Digits of an attempt number: a door does not live to see a few billion attempts."""
FIXED: Mapping[str, Any] = {
    "names": NAMES,
    "outcomes": OUTCOMES,
    "one_day": timedelta(days=1),
    "longest": SHORT_TEXT,
}
"""What the template uses and no request changes."""

FIELDS: Final = ("day", "from", "to", "first", "last", "purpose", filled_in.CARD)
"""The fields of the page's forms that can be wrong."""


class LogPages:
    """Show the door log."""

    def __init__(self, frame: Frame, log: DoorLog) -> None:
        self._frame = frame
        self._log = log

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, form = self._frame.guarded, self._frame.form
        return (
            guarded(PAGE, self._page, Permission.SEE_LOG),
            form(f"{PAGE}/search", self._search, Permission.SEARCH_LOG, self._again),
            guarded(f"{PAGE}/reveal", self._revealed, Permission.REVEAL),
            form(f"{PAGE}/reveal", self._reveal, Permission.REVEAL, self._revealed),
            form(f"{PAGE}/export", self._export, Permission.EXPORT_LOG, self._again),
        )

    async def _page(self, request: PageRequest) -> Response:
        try:
            wanted = chosen(request.queried, request.today, request.words.zone)
        except FieldError as error:
            return await self._again(request, request.queried, error)
        return await self._shown(request, wanted, before=_number(request.query("before")))

    async def _search(self, request: PageRequest, form: Form) -> Response:
        with of_field(filled_in.CARD):
            visits = await request.aside(self._visits_of, filled_in.card(form), request.by)
        rows = [row(request, visit) for visit in visits[:MOST_FOUND]]
        return request.page("log_found.html", rows=rows, more=len(visits) > MOST_FOUND)

    def _visits_of(self, typed: str, by: str) -> tuple[Visit, ...]:
        keys = self._log.search(typed, by)
        return self._log.page(LogFilter(cards=keys), limit=MOST_FOUND + 1).visits

    async def _reveal(self, request: PageRequest, form: Form) -> Response:
        number = _number(form.text("attempt"))
        if number is None:
            raise InputError(NO_ATTEMPT)
        ref = await request.aside(self._log.reveal, number, form.text("purpose"), request.by)
        return await self._revealed(request, form, ref=ref, asks=False)

    async def _revealed(
        self,
        request: PageRequest,
        form: Form | None = None,
        error: InputError | None = None,
        *,
        ref: str | None = None,
        asks: bool = True,
    ) -> Response:
        number = _number(request.query("attempt") if form is None else form.text("attempt"))
        visit = None if number is None else await request.aside(self._visit, number)
        if visit is None:
            raise InputError(NO_ATTEMPT)
        return request.page(
            "log_reveal.html",
            row=row(request, visit),
            purpose="" if form is None else form.text("purpose"),
            wrong=request.words.refusal(error),
            ref=ref,
            asks=asks,
            longest=SHORT_TEXT,
        )

    def _visit(self, number: int) -> Visit | None:
        visits = self._log.after(number - 1, 1)
        return visits[0] if visits and visits[0].attempt == number else None

    async def _export(self, request: PageRequest, form: Form) -> Response:
        zone, kind = request.words.zone, format_of(form)
        wanted = chosen(form, request.today, zone)
        first, last = days(form, wanted)
        span = spanned(wanted, first, last, zone)
        visits = await request.aside(self._saved, span, form.text("purpose"), request.by)
        content = as_json(visits) if kind == JSON else as_csv(request.words, visits)
        named = f'attachment; filename="doorctl-log-{first}-{last}.{kind}"'
        media = "application/json" if kind == JSON else "text/csv"
        return Response(content, media_type=media, headers={"Content-Disposition": named})

    def _saved(self, chosen: LogFilter, purpose: str, by: str) -> tuple[Visit, ...]:
        with of_field("purpose"):
            refuse_purpose(purpose)
        # Fewer days mend whatever else the door log refuses.
        with of_field("last"):
            return self._log.export(chosen, purpose, by)

    async def _again(self, request: PageRequest, form: Form, error: InputError) -> Response:
        wanted = of_day(request.today, request.words.zone)
        with suppress(InputError):
            wanted = chosen(form, request.today, request.words.zone)
        field = error.field if isinstance(error, FieldError) else "last"
        wrong = {field: request.words.refusal(error)}
        return await self._shown(request, wanted, fields=typed(form, wanted), wrong=wrong)

    async def _shown(
        self,
        request: PageRequest,
        wanted: LogFilter,
        before: int | None = None,
        *,
        fields: dict[str, Any] | None = None,
        wrong: Mapping[str, str] | None = None,
    ) -> Response:
        day, words = day_of(wanted), request.words
        view = await request.aside(self._log.view, wanted, day, before=before, limit=ROWS)
        page, newest = view.page, before is None
        return request.page(
            "log.html",
            422 if wrong else 200,
            day=day,
            filtered=partial(address, wanted),
            chosen=fields_of(wanted),
            fields=fields or fields_of(wanted),
            wrong=dict.fromkeys(FIELDS, "") | dict(wrong or {}),
            rows=[row(request, visit) for visit in page.visits],
            older=page.visits[-1].attempt if page.more else None,
            newest=newest,
            since=_place(view.newest) if newest and follows(wanted, request.today) else "",
            timeline=timeline(words, view.picture, request.now),
            reasons=[
                (why.value, sentence(words, why)) for why in SENTENCES if why is not Reason.OK
            ],
            today=request.today,
            **FIXED,
        )


def _place(newest: Visit | None) -> str:
    return f"0-{GRANTED}" if newest is None else f"{newest.attempt}-{state(newest)}"


def _number(written: str) -> int | None:
    if not written.isascii() or not written.isdigit() or len(written) > MOST_DIGITS:
        return None
    return int(written)
