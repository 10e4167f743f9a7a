"""The page of the branch: how it is now, with what staff can do at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from starlette.responses import Response
from starlette.routing import BaseRoute

import doorctl
from doorctl.access.calendar import Cause, Mode
from doorctl.access.day import Override
from doorctl.access.patron import CacheStamp
from doorctl.accounts.roles import Permission
from doorctl.core.alarms import AlarmRecord, Urgency
from doorctl.core.errors import DoorctlError, InputError, StoreError
from doorctl.core.moments import ClockState
from doorctl.core.texts import refuse_purpose
from doorctl.lookup.app import App, open_book
from doorctl.lookup.configured import outdated
from doorctl.lookup.health import ask_deciding
from doorctl.lookup.witness import trust_clock
from doorctl.ops.process import DataDisk
from doorctl.privacy.audit import Action, Deed
from doorctl.rpc.client import ask_whether_there
from doorctl.services import deeds
from doorctl.services.branch import change, noted
from doorctl.services.cards import open_register
from doorctl.services.hours import Hours, hours_now, open_once
from doorctl.services.visits import Night, last_night
from doorctl.store.branch import LastOverride
from doorctl.web.alarms import StandingAlarms
from doorctl.web.forms import BLANK, Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.staff.filled_in import FieldError, of_field
from doorctl.web.staff.log import ending, happened
from doorctl.web.words import CAUSES, MODES, SETTABLE, Words

ResultT = TypeVar("ResultT")

LOOK_LIMIT_S: Final = 1.0
"""Longest wait for the door process; after it the page is shown without its state."""

DEED_LIMIT_S: Final = 5.0

NIGHT_ROWS: Final = 5
"""Refusals and events of last night that the page shows; the log has them all."""


DoorNow = Mapping[str, Any]
"""What the door process answers of its state; see `doorctl status`. None stands for what an older
one does not answer, for a line that is not configured, and for a head-count that is not known.
"""
ANSWERED: Final = (
    "reader",
    "keypad",
    "door",
    "inside",
    "inside_low",
    "inside_high",
    "clock",
    "clock_in_doubt",
    "clock_unconfirmed",
    "waits_for_witness",
    "version",
    "backup_age_s",
    "good_until",
)


@dataclass(frozen=True, slots=True)
class BranchPicture:
    """The whole branch at one moment.

    `door` is None where the door process does not answer, and the others where they can't be read.
    `problem` is a sentence on the register, the copy of which is `register_age` old.
    """

    at: datetime
    door: DoorNow | None
    hours: Hours | None
    register: CacheStamp | None
    register_age: timedelta | None
    problem: str | None
    disk_free_bytes: int | None


def branch_now(app: App) -> BranchPicture:
    """Return the branch as it is now, with None for what can't be read; raises no error."""
    moment, register = app.clock.moment(), None
    try:
        with open_register(app) as patrons:
            register = patrons.stamp()
        problem = outdated(register, app.config)
    except StoreError as error:
        problem = str(error)
    return BranchPicture(
        at=moment.local,
        door=_door(app),
        hours=_read(partial(hours_now, app)),
        register=register,
        register_age=None if register is None else register.age(moment),
        problem=problem,
        disk_free_bytes=_read(DataDisk(app.config.storage.directory).free_bytes),
    )


def _read(look: Callable[[], ResultT]) -> ResultT | None:
    """Return what is found; None where it can't be read."""
    with suppress(DoorctlError):
        return look()
    return None


def _door(app: App) -> DoorNow | None:
    state = _read(partial(ask_deciding, app.config, LOOK_LIMIT_S))
    return None if state is None else dict.fromkeys(ANSWERED) | dict(state)


# What is wrong is decided here alone, so that the page's first sentence names what the page marks.

LEAVES: Mapping[str, str] = {
    "locked": "Locked",
    "released": "Released",
    "open": "Open",
    "held": "Held open",
    "forced": "Forced open",
}

CLOCKS: Mapping[str, str] = {
    ClockState.TRUSTED.value: "Set",
    ClockState.HOLDOVER.value: "Set, and carried on without the network",
    ClockState.UNTRUSTED.value: "Not set",
}

OLD: Final = timedelta(hours=30)
"""The age at which the register is too old; one that is pushed each night is never older."""

LITTLE_BYTES: Final = 200_000_000
"""The least free disk with which a purge has room to work."""

CONNECTED: Final = "connected"


def _of_door(wrong: Callable[[DoorNow], bool]) -> Callable[[BranchPicture], bool]:
    """Return a fault's test, which is false while the door does not answer."""
    return lambda now: now.door is not None and wrong(now.door)


FAULTS: Mapping[str, Callable[[BranchPicture], bool]] = {
    "Mode": lambda now: now.hours is None or now.hours.standing.mode is None,
    "Door": _of_door(lambda door: door["door"] in {"held", "forced"}),
    "Card reader": _of_door(lambda door: door["reader"] not in {CONNECTED, None}),
    "Keypad": _of_door(lambda door: door["keypad"] not in {CONNECTED, None}),
    "Clock": _of_door(
        lambda door: door["clock"] == ClockState.UNTRUSTED.value or bool(door["waits_for_witness"])
    ),
    "Patron register": lambda now: now.problem is not None or is_old(now),
    "Free disk": lambda now: now.disk_free_bytes is not None and now.disk_free_bytes < LITTLE_BYTES,
    "Version": _of_door(lambda door: door["version"] != doorctl.__version__),
}
"""What can be wrong, by its English name on the page, and the test for it."""


def faults(now: BranchPicture) -> tuple[str, ...]:
    """Return the names of the faults, without the alarms."""
    return tuple(name for name, wrong in FAULTS.items() if wrong(now))


def is_old(now: BranchPicture) -> bool:
    """Tell whether a new patron register is overdue."""
    return now.register_age is not None and now.register_age > OLD


TECHNICAL: Final = frozenset(FAULTS) - {"Mode", "Door"}


class Headline(NamedTuple):
    """One sentence about the branch; `state` is good, bad, locked, or noted by staff already."""

    text: str
    state: str


def headline(
    words: Words, now: BranchPicture, alarms: Sequence[AlarmRecord] | None, it_phone: str = ""
) -> Headline:
    """Return the sentence that a page begins with: the worst of what is wrong."""
    if now.door is None:
        silent = words.say("The door does not answer: nobody is let in.")
        return Headline(f"{silent} {words.call_it(it_phone)}", "bad")
    if locked := _locked_down(words, now):
        return Headline(locked, "locked")
    if alarms is None:
        return Headline(words.say("The alarms can't be read."), "bad")
    if new := [alarm for alarm in alarms if not alarm.acknowledged_by]:
        return Headline(_first_alarm(words, new), "bad")
    return _without_new_alarms(words, now, len(alarms))


def _without_new_alarms(words: Words, now: BranchPicture, noted: int) -> Headline:
    if wrong := faults(now):
        named = ", ".join(words.say(name) for name in wrong)
        return Headline(words.say("Something is wrong: {things}.", things=named), "bad")
    if noted:
        text = words.count("{n} alarm is acknowledged.", "{n} alarms are acknowledged.", noted)
        return Headline(text, "noted")
    return Headline(words.say("All is well."), "good")


def _first_alarm(words: Words, alarms: Sequence[AlarmRecord]) -> str:
    first, others = words.alarm(alarms[0].known.means), len(alarms) - 1
    if not others:
        return first
    return words.count("{first} {n} other alarm.", "{first} {n} other alarms.", others, first=first)


def _locked_down(words: Words, now: BranchPicture) -> str:
    hours = now.hours
    if hours is not None and hours.standing.cause is Cause.LOCKDOWN:
        return words.say("A lockdown is over. The door stays closed until staff lift it.")
    if hours is None or hours.standing.mode is not Mode.LOCKDOWN:
        return ""
    return words.say("Locked down: only emergency passes open the door.")


def mode_line(words: Words, now: BranchPicture) -> str:
    """Return "Self-service until 22:00, then closed", as far as it is known."""
    hours = now.hours
    mode = words.say(MODES[None if hours is None else hours.standing.mode])
    if hours is not None and hours.standing.mode is Mode.STAFFED:
        mode = words.say("Staffed: the door is unlocked for everybody")
        if now.door is not None and now.door["waits_for_witness"]:
            mode = words.say("Staffed, but a card opens the door: the time is not confirmed")
    if hours is None or hours.changes_at is None:
        return mode
    at = hours.changes_at
    day = _day(words, at.date(), now.at.date())
    line = words.say("{mode} until {day}{time}", mode=mode, day=day, time=words.clock(at))
    # What follows a lockdown is closed by the calendar, or in place of staffed hours.
    if hours.standing.mode is Mode.LOCKDOWN and hours.calendar.mode_at(at) is Mode.STAFFED:
        then = words.say("then closed until staff lift the lockdown")
    elif hours.next_change is not None:
        mode_then = words.say(MODES[hours.next_change[1]]).lower()
        then = words.say("then {mode}", mode=mode_then)
    else:
        return line
    return f"{line}, {then}"


def _day(words: Words, day: date, today: date) -> str:
    """Return nothing for today, else "torsdag " or "24.12.2026 "; before a time of day."""
    if day == today:
        return ""
    near = day < today + timedelta(days=7)
    return f"{words.weekday(day) if near else words.short_day(day)} "


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
    """Return the version of the mode that a form was made of; one that names none is of none."""
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
    night = _read(partial(last_night, app, NIGHT_ROWS))
    return branch_now(app), night, _read(alarms.standing), _read(partial(_lifted, app))


def _lifted(app: App) -> LastOverride | None:
    """Return the lockdown by who is signed in that another has lifted lately."""
    with open_book(app) as book:
        return book.lifted(app.by, app.clock.moment().local - LIFTED_FOR)


# A door that does not run does nothing that could go on record, so it is asked first.


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
        "night": night,
        "alarms": alarms,
        "urgent": Urgency.NOW,
        "headline": headline(words, now, alarms, request.app.config.branch.it_phone),
        "mode_line": mode_line(words, now),
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
