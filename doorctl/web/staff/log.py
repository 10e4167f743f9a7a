"""The page of the door log: attempts under pseudonyms, with search, reveal, export and stream."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import partial
from http import HTTPStatus
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import DAY_MINUTES, ONE_DAY
from doorctl.access.code_throttle import A_CODE
from doorctl.access.panel import CODES
from doorctl.access.patron import SENTENCES, Reason
from doorctl.access.policy import Finding
from doorctl.accounts.roles import Permission, permits
from doorctl.accounts.session import Token
from doorctl.core.alarms import KINDS
from doorctl.core.errors import DoorctlError, InputError, StuckError
from doorctl.core.moments import ClockState
from doorctl.core.texts import refuse_purpose
from doorctl.services import visits
from doorctl.services.visits import LogView, as_dict
from doorctl.store.door_log import OPEN, VISIT_COLUMNS, DoorEvent, LogFilter, Visit
from doorctl.web.forms import Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.staff.filled_in import FieldError, of_field
from doorctl.web.staff.statistics import table_of, timeline
from doorctl.web.staff.why import aloud, help_with, sentence
from doorctl.web.streams import SEND_S, EventStream
from doorctl.web.words import MODES, Words

GRANTED, REFUSED = "granted", "refused"
OUTCOMES: Final = (GRANTED, REFUSED, OPEN)
FOLD, EVENT, UPDATES = "fold", "event", "updates"
"""States of rows that are no attempt: let-ins of an hour, what the door did by itself, pushes."""

REASONS: Final = frozenset(reason.value for reason in Reason)


TONIGHT, TODAY, YESTERDAY, WEEK = "tonight", "today", "yesterday", "week"
SPANS: Mapping[str, str] = {
    TONIGHT: "Last night",
    TODAY: "Today",
    YESTERDAY: "Yesterday",
    WEEK: "7 days",
}
"""The spans that a page offers, and what each is called in English; the first is the usual one."""

TIMED: Final = ("day", "from", "ends", "to")
"""The fields of a chosen time: the first day, when it begins, the last day, and when it ends."""

MOST_DAYS: Final = timedelta(days=32)


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter with both its times, local; `span` is a key of :data:`SPANS`, else empty."""

    wanted: LogFilter
    span: str = ""

    @property
    def days(self) -> tuple[date, date]:
        """The first local day, and the last; one that goes on over midnight is of the first."""
        starts, ends = self.wanted.since, self.wanted.until
        if self.span or ends - starts > ONE_DAY:
            return starts.date(), (ends - timedelta.resolution).date()
        return starts.date(), starts.date()


def chosen(form: Form, today: date, zone: tzinfo) -> Choice:
    """Return what an address or a form chooses, tonight where it says nothing of times.

    It names no person, so it may stand in an address. A time of day that is not after the first is
    the next day's. Tonight begins a day back, until `visits.view` knows when the house was closed.
    An unknown outcome or reason is left out. Raises FieldError where a day or a time makes no
    sense.
    """
    outcome, timed = form.text("outcome"), any(map(form.text, TIMED))
    span = "" if timed else form.text("span") if form.text("span") in SPANS else TONIGHT
    back = {TONIGHT: 1, YESTERDAY: 1, WEEK: 6}.get(span, 0) * timedelta(days=1)
    until = today if span != YESTERDAY else today - back
    wanted = _typed_times(form, today, zone) if timed else of_day(today - back, zone, until)
    return Choice(
        replace(
            wanted,
            verdict=outcome if outcome in OUTCOMES else None,
            reasons=frozenset(form.every("reason")) & REASONS,
        ),
        span,
    )


def _typed_times(form: Form, today: date, zone: tzinfo) -> LogFilter:
    day = filled_in.day(form, "day", today, past=True) or today
    starts = filled_in.minute(form, "from") or 0
    ends = filled_in.minute(form, "to") or DAY_MINUTES
    last = filled_in.day(form, "ends", today, past=True) or day
    if not timedelta() <= last - day < MOST_DAYS:
        raise FieldError("ends", "the last day is before the first, or over 31 days after it")
    ends += (last - day).days * DAY_MINUTES
    ends += DAY_MINUTES if ends <= starts else 0
    since, until = (
        datetime.combine(
            day + minute // DAY_MINUTES * ONE_DAY, time(*divmod(minute % DAY_MINUTES, 60)), zone
        )
        for minute in (starts, ends)
    )
    return LogFilter(since=since, until=until)


def of_day(first: date, zone: tzinfo, last: date | None = None) -> LogFilter:
    """Return the filter for a local day, or for all days up to the last."""
    ends = (last or first) + timedelta(days=1)
    return LogFilter(
        since=datetime.combine(first, time(), zone), until=datetime.combine(ends, time(), zone)
    )


def _times(choice: Choice) -> tuple[str, str]:
    """Return the first and last time of day that were chosen; empty for a whole day's."""
    both = choice.wanted.since, choice.wanted.until
    starts, ends = (f"{at:%H:%M}" if at.time() > time() and not choice.span else "" for at in both)
    return starts, ends


def address(choice: Choice, **others: object) -> str:
    """Return a choice as an address's query string, with other parameters."""
    fields = fields_of(choice)
    names = ("span",) if choice.span else TIMED
    pairs = [(name, fields[name]) for name in (*names, "outcome") if fields[name]]
    pairs += [("reason", reason) for reason in sorted(choice.wanted.reasons)]
    return urlencode([*pairs, *others.items()])


NAMES: Mapping[str, str] = {GRANTED: "Came in", REFUSED: "Refused", OPEN: "Under way"}
"""What each outcome is called, in English."""

GROUP: Final = 4
"""Digits in a group: people read a pseudonym aloud, and spreadsheets must not calculate it."""


IN_WORDS: Final = frozenset({"attempt", "at", "clock", "verdict", "reason", "card"})
"""The fields of a visit that a row tells in words of its own."""

FURTHER: Final = tuple(name for name in VISIT_COLUMNS if name not in IN_WORDS)
"""All others: each is a column of the page and of the file, called as in a person's export."""


def further_heads(words: Words, names: Iterable[str] = FURTHER) -> list[str]:
    """Return what further columns of the log are called."""
    return [words.name_of(VISIT_COLUMNS[name]) for name in names]


def further(words: Words, visit: Visit, names: Iterable[str] = FURTHER) -> list[str]:
    """Return an attempt's values of further columns."""
    return [words.plain(getattr(visit, name)) for name in names]


def row(request: PageRequest, visit: Visit) -> dict[str, Any]:
    """Return an attempt as this account may see it, in its language.

    `state` is a key of :data:`NAMES`, and `name` its English name. `doubtful` says that the time
    may be wrong. `meaning` is empty while the attempt is under way, and `pseudonym` for an
    unreadable card. A hold is offered around the local time `around`, written as browsers do.

    An account that may neither search the log for a card nor look up whose it is gets a pseudonym
    of that day alone: seeing a person at the door must not tell a month of visits.
    """
    words, local, state = request.words, request.words.local(visit.at), visit.verdict or OPEN
    pseudonym = visit.card if may_link(request) else _of_day(request, visit.card, local.date())
    return {
        "id": f"attempt-{visit.attempt}",
        "attempt": visit.attempt,
        "state": state,
        "name": NAMES[state],
        "day": local.date(),
        "clock": _clock(words, visit.at),
        "doubtful": visit.clock is ClockState.UNTRUSTED,
        "meaning": ending(words, visit.reason),
        "pseudonym": words.say("code") if visit.card == A_CODE else grouped(pseudonym),
        "around": f"{local:%Y-%m-%dT%H:%M}",
        "is_card": visit.card not in {None, A_CODE},
        "further": further(words, visit),
    }


def may_link(request: PageRequest) -> bool:
    """Tell whether this account may follow one card over several days."""
    return request.may(Permission.SEARCH_LOG) or request.may(Permission.REVEAL)


PAST: Mapping[str, str] = {"ok": "The door was opened.", "closed": "Outside opening hours."}
"""Reasons whose sentence is for somebody who stands at the door."""


def ending(words: Words, reason: str | None) -> str:
    """Return what a reason means; a reason that only a newer door knows stays as it is."""
    if reason is None:
        return ""
    if reason in PAST:
        return words.say(PAST[reason])
    return sentence(words, Reason(reason)) if reason in REASONS else reason


def _of_day(request: PageRequest, card: str | None, day: date) -> str | None:
    if card is None:
        return None
    digest = hmac.digest(request.frame.pseudonym_key, f"{day}:{card}".encode(), hashlib.sha256)
    return digest.hex()[: len(card)]


def grouped(pseudonym: str | None) -> str:
    """Return a pseudonym in groups, as ``7f3a 09c1``; empty for None."""
    digits = pseudonym or ""
    return " ".join(digits[at : at + GROUP] for at in range(0, len(digits), GROUP))


# Attempts as a file: CSV that Danish spreadsheets open by themselves, or JSON for scripts.

ACTIVE: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet calculates a cell that begins with one of these."""

COLUMNS: Final = ("attempt", "time", "clock", "outcome", "reason", "meaning", "card", *FURTHER)


def as_csv(words: Words, visits: Iterable[Visit]) -> str:
    """Return a table with a head line; times are local, with their offset."""
    return table_of((COLUMNS, *_cells(words, visits)))


def as_json(visits: Iterable[Visit]) -> bytes:
    """Return a list of objects; times are UTC."""
    return msgspec.json.encode(
        [as_dict(visit) | {"at": visit.at.astimezone(UTC)} for visit in visits]
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
            visit.verdict or OPEN,
            visit.reason or "",
            ending(words, visit.reason),
            grouped(visit.card),
            *further(words, visit),
        )
        yield [inert(cell) for cell in cells]


def fields_of(choice: Choice) -> dict[str, Any]:
    """Return the fields of the filter's and the export's form for this choice."""
    (first, last), (starts, ends) = map(str, choice.days), _times(choice)
    return {
        "span": choice.span,
        "day": first,
        "from": starts,
        "ends": last if last != first else "",
        "to": ends,
        "outcome": choice.wanted.verdict or "",
        "reason": choice.wanted.reasons,
        "first": first,
        "last": last,
        "purpose": "",
        "format": "",
    }


def typed(form: Form) -> dict[str, Any]:
    """Return these fields as they were filled in, without the empty ones."""
    names = (*TIMED, "first", "last", "outcome", "purpose")
    shown: dict[str, Any] = {name: form.text(name) for name in names if form.text(name)}
    return shown | {"reason": frozenset(form.every("reason")), "format": form.text("format")}


def days(form: Form, choice: Choice, today: date) -> tuple[date, date]:
    """Return the first and the last day to save; raises FieldError."""
    first = filled_in.day(form, "first", today, past=True) or choice.days[0]
    last = filled_in.day(form, "last", today, past=True) or first
    if last < first:
        raise FieldError("last", "the last day is before the first")
    return first, last


def spanned(wanted: LogFilter, first: date, last: date, zone: tzinfo) -> LogFilter:
    """Return the filter for some days; times of day count only for a single day."""
    if first == last:
        ahead = first - wanted.since.date()
        return replace(wanted, since=wanted.since + ahead, until=wanted.until + ahead)
    span = of_day(first, zone, last)
    return replace(wanted, since=span.since, until=span.until)


# The timeline: attempts and what happened without a card, in one order.

HAPPENED: Mapping[tuple[str, str], str] = {
    ("started", ""): "The door process has started.",
    ("restarted", ""): "The door process has started again, after it had ended abruptly.",
    ("stopped", ""): "The door process was stopped.",
    ("reader", "lost"): "The card reader is gone.",
    ("reader", "connected"): "The card reader is there.",
    ("keypad", "lost"): "The keypad is gone.",
    ("keypad", "connected"): "The keypad is there.",
    ("fire", "active"): "The fire alarm is on; the door can be opened.",
    ("fire", "over"): "The fire alarm is over.",
}
"""What each event with its state means; those with other values have sentences of their own."""


def happened(words: Words, event: DoorEvent) -> str:
    """Return an event in words; one that only a newer door knows stays as it is."""
    if event.kind == "mode":
        modes = {mode.value: name for mode, name in MODES.items() if mode}
        mode = words.say(modes.get(event.why, MODES[None]))
        return _mode_changed(words, mode.lower(), event)
    if event.kind == "push":
        return words.say("Update no. {n} of the patron register is in use.", n=event.why)
    if event.kind == "opened_by_staff":
        return words.say("{who} opened the door: {why}", who=event.by, why=event.why)
    if event.kind in KINDS:
        return words.alarm(KINDS[event.kind].means)
    known = HAPPENED.get((event.kind, event.why))
    return f"{event.kind} {event.why}".strip() if known is None else words.say(known)


def _mode_changed(words: Words, mode: str, event: DoorEvent) -> str:
    if not event.by:
        return words.say("The library is now: {mode}.", mode=mode)
    if not event.cause:
        return words.say("{who} changed the mode, now: {mode}.", who=event.by, mode=mode)
    text = "{who} changed the mode, now: {mode}. Why: {why}"
    return words.say(text, who=event.by, mode=mode, why=event.cause)


def entries(request: PageRequest, view: LogView) -> list[dict[str, Any]]:
    """Return the page's rows, newest first: attempts, events and what is folded by the hour.

    The let-ins of an hour are one row with its `rows`, where the filter leaves all outcomes in, and
    so are its pushes. The first row of a local day has a `date`. `id` names a row in the page.
    """
    words, every = request.words, [(visit.at, row(request, visit)) for visit in view.visits]
    every += [(event.at, _event_row(words, event)) for event in view.events]
    every.sort(key=itemgetter(0), reverse=True)
    listed: dict[str, dict[str, Any]] = {}
    for at, shown in every:
        state, local = shown["state"], words.local(at)
        if state != UPDATES and (state != GRANTED or view.chosen.narrows):
            listed[shown["id"]] = shown
            continue
        fold, name = f"{state}-{local:%Y%m%d%H}", f"{local:%H}\N{EN DASH}{local.hour + 1:02}"
        empty = {"id": fold, "state": FOLD, "of": state, "day": shown["day"], "name": name}
        listed.setdefault(fold, empty | {"rows": []})["rows"].append(shown)
    rows = [one["rows"][0] if len(one.get("rows", ())) == 1 else one for one in listed.values()]
    for before, one in pairwise([{"day": None}, *rows]):
        one["date"] = one["day"] if one["day"] != before["day"] else None
    return rows


def _event_row(words: Words, event: DoorEvent) -> dict[str, Any]:
    return {
        "id": f"{event.kind}-{event.at.timestamp():.3f}",
        "state": UPDATES if event.kind == "push" else EVENT,
        "day": words.local(event.at).date(),
        "clock": _clock(words, event.at),
        "doubtful": event.clock is ClockState.UNTRUSTED,
        "meaning": happened(words, event),
    }


def _clock(words: Words, at: datetime) -> str:
    return words.say("{time}:{seconds}", time=words.clock(at), seconds=f"{words.local(at):%S}")


PAGE: Final = "/log"
ROWS: Final = 300
ROWS_OF_DAYS: Final = 100
"""Attempts on a page of a busy night or day, and of several, whose sums are wanted first."""
MOST_FOUND: Final = 200
"""Attempts of one card that are shown: a month of many visits a day."""


def log_pages(frame: Frame) -> tuple[BaseRoute, ...]:
    """Return the routes of the door log."""
    guarded, form, reveal = frame.guarded, frame.form, partial(_reveal, visits.Reveals())
    return (
        guarded(PAGE, _page, Permission.SEE_LOG),
        guarded(f"{PAGE}/attempt", _attempt, Permission.SEE_LOG),
        form(f"{PAGE}/search", _search, Permission.SEARCH_LOG, _again),
        guarded(f"{PAGE}/reveal", _revealed, Permission.REVEAL),
        form(f"{PAGE}/reveal", reveal, Permission.REVEAL, _revealed),
        form(f"{PAGE}/export", _export, Permission.EXPORT_LOG, _again),
    )


async def _page(request: PageRequest) -> Response:
    try:
        choice = chosen(request.queried, request.today, request.words.zone)
    except FieldError as error:
        return await _again(request, request.queried, error)
    before = request.query("before")
    return await _shown(request, choice, before=filled_in.number(before) if before else None)


async def _search(request: PageRequest, form: Form) -> Response:
    with of_field(filled_in.CARD):
        found = await request.call(visits.search, filled_in.card(form), MOST_FOUND + 1)
    return request.page(
        "log_found.html",
        rows=[row(request, visit) for visit in found[:MOST_FOUND]],
        heads=further_heads(request.words),
        more=len(found) > MOST_FOUND,
        hidden=await request.call(visits.hidden),
    )


async def _reveal(reveals: visits.Reveals, request: PageRequest, form: Form) -> Response:
    number = filled_in.number(form.text("attempt"))
    ref = await request.call(visits.reveal, reveals, number, form.text("purpose"))
    return await _revealed(request, form, ref=ref, asks=False)


async def _revealed(
    request: PageRequest,
    form: Form | None = None,
    error: InputError | None = None,
    *,
    ref: str | None = None,
    asks: bool = True,
) -> Response:
    form = form or request.queried
    visit, *_ = await _beside(request, form, same_day=True)
    return request.page(
        "log_reveal.html",
        row=row(request, visit),
        purpose=form.text("purpose"),
        wrong=request.words.refusal(error),
        ref=ref,
        asks=asks,
    )


async def _attempt(request: PageRequest) -> Response:
    links = may_link(request)
    visit, *others = await _beside(request, request.queried, same_day=not links)
    unnoted = False
    if links and others:
        try:
            await request.call(visits.note_seen, visit.attempt)
        except DoorctlError:
            others, unnoted = [], True
    reason = Reason(visit.reason) if visit.reason in REASONS else None
    return request.page(
        "log_attempt.html",
        row=row(request, visit),
        others=[row(request, visit) for visit in others],
        unnoted=unnoted,
        links=links,
        code=CODES.get(reason) if reason else None,
        help=help_with(Finding("", reason)) if reason not in {None, Reason.OK} else None,
        aloud=aloud(reason) if reason not in {None, Reason.OK} else "",
    )


async def _beside(request: PageRequest, form: Form, *, same_day: bool) -> tuple[Visit, ...]:
    number = filled_in.number(form.text("attempt"))
    return await request.call(visits.beside, number, same_day=same_day)


async def _export(request: PageRequest, form: Form) -> Response:
    zone, purpose = request.words.zone, form.text("purpose")
    choice = chosen(form, request.today, zone)
    first, last = days(form, choice, request.today)
    with of_field("purpose"):
        refuse_purpose(purpose)
    # Fewer days mend whatever else the door log refuses.
    with of_field("last"):
        wanted = spanned(choice.wanted, first, last, zone)
        found = await request.call(visits.export, wanted, purpose)
    named = f"doorctl-log-{first}-{last}"
    if form.text("format") == "json":
        return request.file(f"{named}.json", as_json(found), "application/json")
    return request.file(f"{named}.csv", as_csv(request.words, found), "text/csv")


async def _again(request: PageRequest, form: Form, error: InputError) -> Response:
    wrong = filled_in.wrongs(request, error, "last")
    try:
        choice = chosen(form, request.today, request.words.zone)
    except InputError:
        # No number of another time may stand beside what was asked for.
        choice = Choice(of_day(request.today, request.words.zone))
        return request.page("log.html", 422, **_framed(request, choice, form, wrong))
    return await _shown(request, choice, form=form, wrong=wrong)


async def _shown(
    request: PageRequest,
    choice: Choice,
    before: int | None = None,
    *,
    form: Form | None = None,
    wrong: Mapping[str, str] | None = None,
) -> Response:
    night, newest = choice.span == TONIGHT, before is None
    limit = ROWS if night or len({*choice.days}) == 1 else ROWS_OF_DAYS
    view = await request.call(visits.view, choice.wanted, before=before, limit=limit, night=night)
    choice, hidden = replace(choice, wanted=view.chosen), view.hidden
    # A page that goes up to now follows the door.
    follows = newest and view.chosen.since <= request.now < view.chosen.until
    return request.page(
        "log.html",
        422 if wrong else 200,
        **_framed(request, choice, form, wrong or {})
        | {
            "view": view,
            "hidden": hidden if hidden and hidden.before > view.chosen.since else None,
            "rows": entries(request, view),
            "heads": further_heads(request.words),
            "older": view.visits[-1].attempt if view.more else None,
            "newest": newest,
            "since": str(view.version) if follows else "",
            "timeline": timeline(request.words, view.picture, request.now),
        },
    )


def _framed(
    request: PageRequest, choice: Choice, form: Form | None, wrong: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the page has even where it shows no attempt."""
    chosen, words = fields_of(choice), request.words
    first, last = map(words.short_day, choice.days)
    fields = chosen | {"day": first, "first": first, "last": last}
    if chosen["ends"]:
        fields["ends"] = last
    if choice.span:
        # Empty, so that the form chooses an outcome of this span.
        fields |= {"day": "", "ends": ""}
    return {
        "view": None,
        "since": "",
        "filtered": partial(address, choice),
        "chosen": chosen,
        "fields": fields if form is None else fields | typed(form),
        "wrong": wrong,
        "reasons": [(why.value, sentence(words, why)) for why in SENTENCES if why is not Reason.OK],
        "names": NAMES,
        "outcomes": OUTCOMES,
        "spans": SPANS,
    }


# The stream that tells open pages that something was written. A page then asks for itself again and
# puts in what differs, so its filter, order and sums are those of any other answer. The id of an
# event is the state of the files, as `visits.version` gives it; a browser sends it when it comes
# again, so that it misses nothing.


PATH: Final = "/log/events"

MOST_CLIENTS: Final = 40
"""Pages that may be open at a time; a branch has a handful."""

MOST_OF_ONE: Final = 10
"""Open pages of one account, so that it shuts no other account out."""

RETRY: Final = "retry: 3000\n\n"
BEAT: Final = ": beat\n\n"
NEWS: Final = "event: news\nid: {}\ndata: written\n\n"


class LogEvents:
    """The stream's address; belongs to the event loop, except `stop`.

    `beat_s` is the longest silence, and `trust_s` the time until a session is checked again. A
    stream ends after `longest_s` where its session can't be checked. Every `look_s` it is checked
    whether anything was written, which costs microseconds.
    """

    beat_s = 10.0
    trust_s = 30.0
    longest_s = 50.0
    send_s = SEND_S
    look_s = 0.5

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._ending = False
        self._clients: Counter[str] = Counter()

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the stream's route."""
        return (self._frame.guarded(PATH, self._events, Permission.SEE_LOG),)

    @property
    def clients(self) -> int:
        """How many streams are open."""
        return self._clients.total()

    def stop(self) -> None:
        """End the streams so that the server can end; any thread or signal handler may call it."""
        self._ending = True

    async def _events(self, request: PageRequest) -> Response:
        full = self.clients >= MOST_CLIENTS or self._clients[request.by] >= MOST_OF_ONE
        if self._ending or full:
            return PlainTextResponse(
                "Too many pages are listening.",
                HTTPStatus.SERVICE_UNAVAILABLE,
                headers={"Retry-After": "10"},
            )
        seen = request.http.headers.get("last-event-id") or request.query("since")
        events = self._stream(request, seen)
        return EventStream(events, self._clients, request.by, self.send_s)

    async def _stream(self, request: PageRequest, seen: str) -> AsyncGenerator[str, None]:
        yield RETRY
        said_at = checked_at = _time()
        # After any failure the browser comes again and says where it was.
        with suppress(DoorctlError):
            while not self._ending:
                if _time() >= checked_at + self.trust_s:
                    goes_on, checked_at = await self._checked(request, checked_at)
                    if not goes_on:
                        return
                version = str(visits.version(self._frame.app))
                if version != seen or _time() >= said_at + self.beat_s:
                    yield BEAT if version == seen else NEWS.format(version)
                    seen, said_at = version, _time()
                await asyncio.sleep(self.look_s)

    async def _checked(self, request: PageRequest, before: float) -> tuple[bool, float]:
        """Tell whether the stream goes on, and when its session was checked last."""
        token = Token(request.http.cookies.get(self._frame.cookie(), ""))
        try:
            # It keeps no session alive: an open page does not mean that somebody sits there.
            person = await request.in_thread(self._frame.sessions.whose, token, does=False)
        except StuckError:
            # A full queue is no reason to end the stream of a browser that is signed in already.
            return _time() < before + self.longest_s, before
        if person is None or person.account.name != request.by:
            return False, before
        return permits(person.account.role, Permission.SEE_LOG), _time()


def _time() -> float:
    return asyncio.get_running_loop().time()
