"""The page of the branch now: its state, what is wrong, and what staff can do at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import BY_STAFF, Cause, Mode
from doorctl.accounts.account import Permission
from doorctl.core.alarms import Urgency
from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import ClockState
from doorctl.core.staff_text import SHORT_TEXT, refuse_purpose
from doorctl.services.alarms import AlarmDesk, StandingAlarm
from doorctl.web.desks import BranchPicture, DoorNow, NowDesk
from doorctl.web.frame.forms import Form
from doorctl.web.frame.frame import Frame, PageRequest
from doorctl.web.frame.words import CAUSES, MODES, SETTABLE, Words
from doorctl.web.staff import filled_in
from doorctl.web.staff.filled_in import FieldError, of_field

# What is wrong is decided here alone, so that the page's first sentence names what the page marks.

LEAVES: Mapping[str, str] = MappingProxyType(
    {
        "locked": "Locked",
        "released": "Released",
        "open": "Open",
        "held": "Held open",
        "forced": "Forced open",
    }
)

CLOCKS: Mapping[str, str] = MappingProxyType(
    {
        ClockState.TRUSTED.value: "Set",
        ClockState.HOLDOVER.value: "Set, and carried on without the network",
        ClockState.UNTRUSTED.value: "Not set",
    }
)

OLD: Final = timedelta(hours=30)
"""A register that is pushed each night is never older."""

LITTLE_BYTES: Final = 200_000_000
"""With less free disk than that a purge has no room to work."""

CONNECTED: Final = "connected"


def _of_door(wrong: Callable[[DoorNow], bool]) -> Callable[[BranchPicture], bool]:
    """Return a fault's test, which is false while the door does not answer."""
    return lambda now: now.door is not None and wrong(now.door)


FAULTS: Mapping[str, Callable[[BranchPicture], bool]] = MappingProxyType(
    {
        "Mode": lambda now: now.hours is None or now.hours.mode is None,
        "Door": _of_door(lambda door: door.leaf in {"held", "forced"}),
        "Card reader": _of_door(lambda door: door.reader not in {CONNECTED, None}),
        "Keypad": _of_door(lambda door: door.keypad not in {CONNECTED, None}),
        "Clock": _of_door(lambda door: door.clock == ClockState.UNTRUSTED.value),
        "Patron register": lambda now: now.register.problem is not None or is_old(now),
        "Free disk": lambda now: _is_little(now.disk_free_bytes),
        "Version": lambda now: now.door is not None and now.door.version != now.version,
    }
)
"""What can be wrong, by its English name on the page, and the test for it."""


def faults(now: BranchPicture) -> tuple[str, ...]:
    """Return the names of the faults, without the alarms."""
    return tuple(name for name, wrong in FAULTS.items() if wrong(now))


def _is_little(free_bytes: int | None) -> bool:
    return free_bytes is not None and free_bytes < LITTLE_BYTES


def is_old(now: BranchPicture) -> bool:
    """Tell whether a new patron register is overdue."""
    return now.register.age is not None and now.register.age > OLD


def headline(
    words: Words, now: BranchPicture, alarms: Sequence[StandingAlarm] | None
) -> tuple[str, bool]:
    """Return one sentence about the branch, and whether it is good news."""
    if now.door is None:
        return words.say("The door process does not answer: nobody is let in."), False
    if locked := _locked_down(words, now):
        return locked, False
    if alarms is None:
        return words.say("The alarms can't be read."), False
    if alarms:
        count = len(alarms)
        return words.count("{n} alarm stands.", "{n} alarms stand.", count), False
    if wrong := faults(now):
        named = ", ".join(words.say(name) for name in wrong)
        return words.say("Something is wrong: {things}.", things=named), False
    return _calm(words, now), True


def _locked_down(words: Words, now: BranchPicture) -> str:
    hours = now.hours
    if hours is not None and hours.cause is Cause.LOCKDOWN:
        return words.say("A lockdown is over. The door stays closed until staff lift it.")
    if hours is None or hours.mode is not Mode.LOCKDOWN or hours.changes_at is None:
        return ""
    time = words.moment(hours.changes_at)
    return words.say("Locked down until {time}: only emergency passes open the door.", time=time)


def _calm(words: Words, now: BranchPicture) -> str:
    hours = now.hours
    mode = words.say(MODES[None if hours is None else hours.mode])
    if hours is None or hours.changes_at is None:
        return words.say("{mode}. Nothing to do.", mode=mode)
    if hours.changes_at.date() != now.at.date():
        day = words.moment(hours.changes_at)
        return words.say("{mode} until {day}. Nothing to do.", mode=mode, day=day)
    until = words.clock(hours.changes_at)
    return words.say("{mode} until {time}. Nothing to do.", mode=mode, time=until)


PAGE: Final = "/now"
USUAL_SPAN: Final = timedelta(hours=2)
"""The length that a form offers for a mode: one click leaves no door unlocked overnight."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong in a form, and what was typed, to be shown again.

    `field` is the name of the wrong field; empty where the form has no other.
    """

    form: str
    text: str
    fields: Form
    field: str = ""


class NowPages:
    """Show the branch and carry out what staff ask for."""

    def __init__(self, frame: Frame, desk: NowDesk, alarms: AlarmDesk) -> None:
        self._frame = frame
        self._desk = desk
        self._alarms = alarms

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, post = self._frame.guarded, ("POST",)
        return (
            guarded(PAGE, self._page, Permission.SEE_NOW),
            guarded(f"{PAGE}/open", self._open, Permission.OPEN_ONCE, post),
            guarded(f"{PAGE}/clock", self._trust_clock, Permission.SET_MODE, post),
            guarded(f"{PAGE}/mode", self._set_mode, Permission.SET_MODE, post),
            guarded(f"{PAGE}/mode/end", self._end_mode, Permission.SET_MODE, post),
            guarded(f"{PAGE}/acknowledge", self._acknowledge, Permission.ACKNOWLEDGE, post),
        )

    async def _page(self, asked: PageRequest) -> Response:
        return await self._shown(asked)

    async def _open(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            await asked.aside(self._desk.open_once, form.text("reason"), asked.by)
        except InputError as error:
            return await self._shown(asked, Wrong("open", asked.words.refusal(error), form))
        return asked.done(PAGE, "opened")

    async def _trust_clock(self, asked: PageRequest) -> Response:
        await asked.aside(self._desk.trust_clock, asked.by)
        return asked.done(PAGE, "clock")

    async def _set_mode(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            with of_field("mode"):
                mode = _mode(form.text("mode"))
            with of_field("cause"):
                refuse_purpose(form.text("cause"), "reason")
            with of_field("until"):
                until = _until(form.text("until"), asked.words)
                await asked.aside(self._desk.set_mode, mode, until, form.text("cause"), asked.by)
        except FieldError as error:
            text = asked.words.refusal(error)
            return await self._shown(asked, Wrong("mode", text, form, error.field))
        return asked.done(PAGE, "mode")

    async def _end_mode(self, asked: PageRequest) -> Response:
        await asked.aside(self._desk.end_mode, asked.by)
        return asked.done(PAGE, "ended")

    async def _acknowledge(self, asked: PageRequest) -> Response:
        form = await asked.form()
        await asked.aside(self._alarms.acknowledge, form.text("kind"), asked.by)
        return asked.done(PAGE, "acknowledged")

    async def _shown(self, asked: PageRequest, wrong: Wrong | None = None) -> Response:
        now, alarms = await asked.aside(self._looked)
        status = 200 if wrong is None else 422
        return asked.page("now.html", status, **_context(asked.words, now, alarms, wrong))

    def _looked(self) -> tuple[BranchPicture, tuple[StandingAlarm, ...] | None]:
        now = self._desk.now()
        try:
            return now, self._alarms.standing()
        except StoreError:
            return now, None


def _context(
    words: Words,
    now: BranchPicture,
    alarms: tuple[StandingAlarm, ...] | None,
    wrong: Wrong | None,
) -> dict[str, Any]:
    hours = now.hours
    by_hand = hours is not None and hours.cause in BY_STAFF
    return {
        "now": now,
        "alarms": alarms,
        "urgent": Urgency.NOW,
        "headline": headline(words, now, alarms),
        "mode": MODES[None if hours is None else hours.mode],
        "cause": "" if hours is None else CAUSES[hours.cause],
        "becomes": None if hours is None or hours.becomes is None else MODES[hours.becomes],
        "by_hand": hours.override if hours is not None and by_hand else None,
        "leaves": LEAVES,
        "clocks": CLOCKS,
        "faults": faults(now),
        "register_is_old": is_old(now),
        "settable": [("", words.say("Choose")), *_settable(words)],
        "until": f"{words.local(_offered(now)):%Y-%m-%dT%H:%M}",
        "longest": SHORT_TEXT,
        "wrong": wrong,
        "modes": MODES,
    }


def _settable(words: Words) -> Iterator[tuple[str, str]]:
    return ((one.value, words.say(MODES[one])) for one in SETTABLE)


def _offered(now: BranchPicture) -> datetime:
    """Return the end that a form offers for a mode: at most the calendar's next change."""
    usual, hours = now.at + USUAL_SPAN, now.hours
    if hours is None or hours.changes_at is None or hours.cause is Cause.STAFF:
        return usual
    return min(hours.changes_at, usual)


def _mode(name: str) -> Mode:
    try:
        return Mode(name)
    except ValueError:
        raise InputError("choose one of the modes") from None


def _until(written: str, words: Words) -> datetime:
    try:
        until = filled_in.moment(written)
    except InputError:
        until = None
    if until is None:
        raise InputError("give the day and time at which it ends")
    return until.replace(tzinfo=words.zone)
