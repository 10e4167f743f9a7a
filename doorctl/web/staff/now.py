"""The page of the branch: how it is now, with what staff can do at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

import doorctl
from doorctl.access.calendar import Cause, Mode
from doorctl.access.day import Override
from doorctl.accounts.roles import Permission
from doorctl.core.alarm_records import AlarmRecord
from doorctl.core.alarms import Urgency
from doorctl.core.errors import InputError
from doorctl.core.texts import refuse_purpose
from doorctl.lookup.app import App, open_book
from doorctl.lookup.witness import trust_clock
from doorctl.privacy.audit import Action, Deed
from doorctl.rpc.client import ask_whether_there
from doorctl.rpc.door import DEED_LIMIT_S
from doorctl.services import deeds
from doorctl.services.branch import change, noted
from doorctl.services.hours import open_once
from doorctl.services.visits import Night, last_night
from doorctl.store.branch_rows import LastOverride
from doorctl.web.alarms import StandingAlarms
from doorctl.web.forms import BLANK, Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.staff.branch_state import (
    CLOCKS,
    LEAVES,
    TECHNICAL,
    BranchPicture,
    branch_now,
    course_of,
    faults,
    headline,
    is_old,
    mode_line,
    read_or_none,
    summary_of,
)
from doorctl.web.staff.filled_in import FieldError, of_field
from doorctl.web.staff.log_rows import ending, happened
from doorctl.web.words import CAUSES, MODES, SETTABLE, Words

NIGHT_ROWS: Final = 5
"""Refusals and events of last night that the page shows; the log has them all."""

PAGE: Final = "/now"
USUAL_SPAN: Final = timedelta(hours=2)
"""The length that a form offers for a mode: one click leaves no door unlocked overnight."""


def now_pages(frame: Frame, alarms: StandingAlarms) -> tuple[BaseRoute, ...]:
    """Return the routes that show the branch and carry out what staff ask for."""
    guarded, form, post = frame.guarded, frame.form, ("POST",)
    shown, acknowledge = partial(_shown, alarms), partial(_acknowledge, alarms)
    return (
        guarded(PAGE, shown, Permission.SEE_NOW),
        form(f"{PAGE}/open", _open, Permission.OPEN_ONCE, shown),
        guarded(f"{PAGE}/clock", _trust_clock, Permission.SET_MODE, post),
        form(f"{PAGE}/lock", _lock, Permission.SET_MODE, shown),
        form(f"{PAGE}/mode", _set_mode, Permission.SET_MODE, shown),
        form(f"{PAGE}/mode/end", _end_mode, Permission.SET_MODE, shown),
        form(f"{PAGE}/lift", _lift, Permission.SET_MODE, shown),
        guarded(f"{PAGE}/acknowledge", acknowledge, Permission.ACKNOWLEDGE, post),
    )


async def _open(request: PageRequest, form: Form) -> Response:
    reason = form.text("reason")
    with of_field("reason"):
        refuse_purpose(reason, "reason")
        opens = partial(open_once, reason=reason, limit_s=DEED_LIMIT_S)
        await request.call(_done_by_door, Deed(Action.OPENED_ONCE, why=reason), opens)
    return request.done(PAGE, "opened")


async def _trust_clock(request: PageRequest) -> Response:
    trusts = partial(trust_clock, limit_s=DEED_LIMIT_S)
    await request.call(_done_by_door, Deed(Action.CLOCK_TRUSTED), trusts)
    return request.done(PAGE, "clock")


async def _lock(request: PageRequest, form: Form) -> Response:
    return await _changed(request, form, Mode.LOCKDOWN, "lock-")


async def _set_mode(request: PageRequest, form: Form) -> Response:
    with of_field("mode"):
        mode = filled_in.member(Mode, form.text("mode"), "choose one of the modes")
    return await _changed(request, form, mode)


async def _changed(request: PageRequest, form: Form, mode: Mode, prefix: str = "") -> Response:
    cause, ends = form.text(f"{prefix}cause"), f"{prefix}until"
    with of_field(f"{prefix}cause"):
        refuse_purpose(cause, "reason")
    with of_field(ends):
        until = filled_in.moment(form, ends, request.today)
        if until is None:
            raise InputError("give the day and time at which it ends")
        override = Override(mode, until.replace(tzinfo=request.words.zone), cause, request.by)
        with _of_others():
            await request.call(change, deeds.set_mode(override, _version(form)))
    return request.done(PAGE, mode.value)


async def _end_mode(request: PageRequest, form: Form) -> Response:
    with _of_others():
        await request.call(change, deeds.end_mode(request.by, _version(form)))
    return request.done(PAGE, "ended")


async def _lift(request: PageRequest, form: Form) -> Response:
    with _of_others():
        await request.call(change, deeds.end_mode(request.by, _version(form), lockdown=True))
    return request.done(PAGE, "lifted")


OTHERS: Final = "others"
"""The error's field where others have changed the mode since the page was made."""


@contextmanager
def _of_others() -> Iterator[None]:
    """Tell what others have done apart from what is wrong with the form itself."""
    try:
        yield
    except InputError as error:
        if error.text not in deeds.MODE_CONFLICTS:
            raise
        raise FieldError(OTHERS, error.text, **error.values) from None


def _version(form: Form) -> int:
    """Return the version of the mode that a form was made with; -1 where it names none."""
    written = form.text("version")
    return int(written) if written.isdecimal() and len(written) <= filled_in.MOST_DIGITS else -1


async def _acknowledge(alarms: StandingAlarms, request: PageRequest) -> Response:
    form = await request.form()
    await request.in_thread(alarms.acknowledge, form.text("kind"), request.by)
    return request.done(PAGE, "acknowledged")


async def _shown(
    alarms: StandingAlarms,
    request: PageRequest,
    form: Form = BLANK,
    error: InputError | None = None,
) -> Response:
    wrong = filled_in.wrongs(request, error, "mode")
    picture, night, standing, lifted = await request.call(_looked, alarms)
    context = _context(request, picture, night, standing)
    return request.page("now.html", form=form, wrong=wrong, lifted=lifted, **context)


LIFTED_FOR: Final = timedelta(hours=12)
"""How long somebody is told that another has lifted their lockdown: until they come again."""


def _looked(
    app: App, alarms: StandingAlarms
) -> tuple[BranchPicture, Night | None, tuple[AlarmRecord, ...] | None, LastOverride | None]:
    night = read_or_none(partial(last_night, app, NIGHT_ROWS))
    return (
        branch_now(app),
        night,
        read_or_none(alarms.standing),
        read_or_none(partial(_lifted, app)),
    )


def _lifted(app: App) -> LastOverride | None:
    """Return the lockdown by who is signed in that another has lifted lately."""
    with open_book(app) as book:
        return book.lifted(app.by, app.clock.moment().local - LIFTED_FOR)


def _done_by_door(app: App, deed: Deed, act: Callable[[App], object]) -> None:
    ask_whether_there(app.config.control.socket)
    with noted(app, deed):
        act(app)


def _context(
    request: PageRequest,
    now: BranchPicture,
    night: Night | None,
    alarms: tuple[AlarmRecord, ...] | None,
) -> dict[str, Any]:
    words, hours = request.words, now.hours
    calendar = None if hours is None else hours.calendar.mode_at(now.at)
    doubt, unconfirmed = (
        None if now.door is None else now.door[each]
        for each in ("clock_in_doubt", "clock_unconfirmed")
    )
    wrong = faults(now)
    return {
        "now": now,
        "version": doorctl.__version__,
        "it_phone": request.app.config.branch.it_phone,
        "pinless": not request.app.config.policy.require_pin,
        "night": night,
        "alarms": alarms,
        "urgent": Urgency.NOW,
        "headline": headline(words, summary_of(now, alarms), request.app.config.branch.it_phone),
        "mode_line": mode_line(words, course_of(now), now.at.date()),
        "after_lockdown": AFTER_LOCKDOWN.get(calendar, MODES[calendar]),
        "cause": "" if hours is None else CAUSES[hours.standing.cause],
        "by_hand": None if hours is None else hours.by_hand,
        "leaves": LEAVES,
        "clocks": CLOCKS,
        "faults": wrong,
        "technical": [name for name in wrong if name in TECHNICAL],
        "night_lines": _night_lines(words, night),
        "register_is_old": is_old(now),
        "settable": [
            ("", words.say("Choose")),
            *((mode.value, words.say(MODES[mode])) for mode in SETTABLE),
        ],
        "until": _offered(words, now),
        "in_doubt": doubt and datetime.fromisoformat(doubt),
        "unconfirmed": unconfirmed and datetime.fromisoformat(unconfirmed),
    }


AFTER_LOCKDOWN: Mapping[Mode | None, str] = {
    Mode.STAFFED: "staffed, unlocked for everybody",
    Mode.SELF_SERVICE: "self-service, opened by card",
    Mode.CLOSED: "closed to patrons",
}
"""What the calendar's mode means for a door whose lockdown is lifted."""


def _night_lines(words: Words, night: Night | None) -> list[tuple[datetime, str]]:
    """Return the last refusals and events of the night in words; pushes come all the time."""
    if night is None:
        return []
    lines = [(visit.at, ending(words, visit.reason)) for visit in night.last_refused]
    lines += [(event.at, happened(words, event)) for event in night.events if event.kind != "push"]
    return sorted(lines, reverse=True)[:NIGHT_ROWS]


def _offered(words: Words, now: BranchPicture) -> str:
    """Return the end that a form offers for a mode: at most the calendar's next change."""
    until, hours = now.at + USUAL_SPAN, now.hours
    if hours and hours.changes_at and hours.standing.cause is not Cause.STAFF:
        until = min(hours.changes_at, until)
    return words.clock(until) if until.date() == now.at.date() else words.moment(until)
