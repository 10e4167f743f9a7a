"""The page of the branch now: its state, what is wrong, and what staff can do at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

import doorctl
from doorctl.access.calendar import Cause, Mode
from doorctl.access.day import Override
from doorctl.accounts.account import Permission
from doorctl.core.alarms import AlarmRecord, Urgency
from doorctl.core.errors import DoorctlError, InputError, StoreError
from doorctl.core.moments import ClockState
from doorctl.core.staff_text import SHORT_TEXT, refuse_purpose
from doorctl.ops.machine import DataDisk
from doorctl.privacy.audit import Action, Deed
from doorctl.rpc import deeds
from doorctl.rpc.control import Question, ask
from doorctl.services.alarms import StandingAlarms
from doorctl.services.app import App, outdated
from doorctl.services.branch import change, note
from doorctl.services.cards import open_register
from doorctl.services.hours import Hours, hours_now, open_once, trust_clock
from doorctl.web.frame import BLANK, Form, Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.staff.filled_in import FieldError, of_field
from doorctl.web.words import CAUSES, MODES, SETTABLE, Words

LOOK_LIMIT_S: Final = 1.0
"""Longest wait for the door process; after it the page is shown without its state."""

DEED_LIMIT_S: Final = 5.0


DoorNow = Mapping[str, Any]
"""What the door process answers of its state; see `doorctl status`. None stands for what an older
one does not answer, for a line that is not configured, and for a head-count that is not known.
"""
ANSWERED: Final = (
    *("reader", "keypad", "door", "inside", "inside_low", "inside_high"),
    *("clock", "clock_in_doubt", "version"),
)


@dataclass(frozen=True, slots=True)
class RegisterNow:
    """The copy of the patron register; None for what can't be read. `problem` is a sentence."""

    epoch: int | None
    patrons: int
    age: timedelta | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class BranchPicture:
    """The whole branch at one moment, local.

    `door` is None where the door process does not answer, `hours` where they can't be read;
    `disk_free_bytes` is of the databases' disk, None where not known.
    """

    at: datetime
    door: DoorNow | None
    hours: Hours | None
    register: RegisterNow
    disk_free_bytes: int | None
    version: str


def branch_now(app: App) -> BranchPicture:
    """Return the branch as it is now, with None for what can't be read; raises no error."""
    return BranchPicture(
        at=app.clock.moment().local,
        door=_door(app),
        hours=_hours(app),
        register=_register(app),
        disk_free_bytes=_free_bytes(app),
        version=doorctl.__version__,
    )


def _door(app: App) -> DoorNow | None:
    try:
        state = ask(app.config.control.socket, Question("status"), timeout_s=LOOK_LIMIT_S)
    except DoorctlError:
        return None
    return dict.fromkeys(ANSWERED) | dict(state)


def _hours(app: App) -> Hours | None:
    with suppress(StoreError):
        return hours_now(app)
    return None


def _register(app: App) -> RegisterNow:
    now = app.clock.moment()
    try:
        with open_register(app) as patrons:
            stamp = patrons.stamp()
    except StoreError as error:
        return RegisterNow(None, 0, None, str(error))
    problem = outdated(stamp, app.config)
    return RegisterNow(stamp.epoch, stamp.patrons, stamp.age(now), problem)


def _free_bytes(app: App) -> int | None:
    with suppress(StoreError):
        return DataDisk(app.config.storage.directory).free_bytes()
    return None


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
    "Clock": _of_door(lambda door: door["clock"] == ClockState.UNTRUSTED.value),
    "Patron register": lambda now: now.register.problem is not None or is_old(now),
    "Free disk": lambda now: _is_little(now.disk_free_bytes),
    "Version": lambda now: now.door is not None and now.door["version"] != now.version,
}
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
    words: Words, now: BranchPicture, alarms: Sequence[AlarmRecord] | None
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
    if hours is not None and hours.standing.cause is Cause.LOCKDOWN:
        return words.say("A lockdown is over. The door stays closed until staff lift it.")
    if hours is None or hours.standing.mode is not Mode.LOCKDOWN or hours.changes_at is None:
        return ""
    time = words.moment(hours.changes_at)
    return words.say("Locked down until {time}: only emergency passes open the door.", time=time)


def _calm(words: Words, now: BranchPicture) -> str:
    hours = now.hours
    mode = words.say(MODES[None if hours is None else hours.standing.mode])
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


class NowPages:
    """Show the branch and carry out what staff ask for."""

    def __init__(self, frame: Frame, alarms: StandingAlarms) -> None:
        self._frame = frame
        self._alarms = alarms

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, form, post = self._frame.guarded, self._frame.form, ("POST",)
        return (
            guarded(PAGE, self._shown, Permission.SEE_NOW),
            form(f"{PAGE}/open", self._open, Permission.OPEN_ONCE, self._shown),
            guarded(f"{PAGE}/clock", self._trust_clock, Permission.SET_MODE, post),
            form(f"{PAGE}/mode", self._set_mode, Permission.SET_MODE, self._shown),
            guarded(f"{PAGE}/mode/end", self._end_mode, Permission.SET_MODE, post),
            guarded(f"{PAGE}/acknowledge", self._acknowledge, Permission.ACKNOWLEDGE, post),
        )

    async def _open(self, request: PageRequest, form: Form) -> Response:
        with of_field("reason"):
            await request.do(_opened, form.text("reason"))
        return request.done(PAGE, "opened")

    async def _trust_clock(self, request: PageRequest) -> Response:
        await request.do(_clock_trusted)
        return request.done(PAGE, "clock")

    async def _set_mode(self, request: PageRequest, form: Form) -> Response:
        cause = form.text("cause")
        with of_field("mode"):
            mode = filled_in.member(Mode, form.text("mode"), "choose one of the modes")
        with of_field("cause"):
            refuse_purpose(cause, "reason")
        with of_field("until"):
            override = Override(mode, _until(form.text("until"), request.words), cause, request.by)
            await request.do(change, deeds.set_mode(override))
        return request.done(PAGE, "mode")

    async def _end_mode(self, request: PageRequest) -> Response:
        await request.do(change, deeds.end_mode())
        return request.done(PAGE, "ended")

    async def _acknowledge(self, request: PageRequest) -> Response:
        form = await request.form()
        await request.aside(self._alarms.acknowledge, form.text("kind"), request.by)
        return request.done(PAGE, "acknowledged")

    async def _shown(
        self, request: PageRequest, form: Form = BLANK, error: InputError | None = None
    ) -> Response:
        now, alarms = await request.do(self._looked)
        wrong = {error.field: request.words.refusal(error)} if isinstance(error, FieldError) else {}
        context = _context(request.words, now, alarms)
        return request.page("now.html", form=form, wrong=wrong, **context)

    def _looked(self, app: App) -> tuple[BranchPicture, tuple[AlarmRecord, ...] | None]:
        now = branch_now(app)
        try:
            return now, self._alarms.standing()
        except StoreError:
            return now, None


def _opened(app: App, reason: str) -> None:
    refuse_purpose(reason, "reason")
    _note(app, Deed(Action.OPENED_ONCE, why=reason))
    open_once(app, reason, DEED_LIMIT_S)


def _clock_trusted(app: App) -> None:
    _note(app, Deed(Action.CLOCK_TRUSTED))
    trust_clock(app, DEED_LIMIT_S)


def _note(app: App, deed: Deed) -> None:
    # A door that does not run does nothing that could go on record.
    ask(app.config.control.socket, Question("status"), timeout_s=LOOK_LIMIT_S)
    note(app, deed)


def _context(
    words: Words, now: BranchPicture, alarms: tuple[AlarmRecord, ...] | None
) -> dict[str, Any]:
    hours = now.hours
    following = None if hours is None else hours.next_change
    doubt = None if now.door is None else now.door["clock_in_doubt"]
    return {
        "now": now,
        "alarms": alarms,
        "urgent": Urgency.NOW,
        "headline": headline(words, now, alarms),
        "mode": MODES[None if hours is None else hours.standing.mode],
        "cause": "" if hours is None else CAUSES[hours.standing.cause],
        "becomes": None if following is None else MODES[following[1]],
        "by_hand": None if hours is None else hours.by_hand,
        "leaves": LEAVES,
        "clocks": CLOCKS,
        "faults": faults(now),
        "register_is_old": is_old(now),
        "settable": [
            ("", words.say("Choose")),
            *((mode.value, words.say(MODES[mode])) for mode in SETTABLE),
        ],
        "until": f"{words.local(_offered(now)):%Y-%m-%dT%H:%M}",
        "longest": SHORT_TEXT,
        "modes": MODES,
        "in_doubt": doubt and datetime.fromisoformat(doubt),
    }


def _offered(now: BranchPicture) -> datetime:
    """Return the end that a form offers for a mode: at most the calendar's next change."""
    usual, hours = now.at + USUAL_SPAN, now.hours
    if hours is None or hours.changes_at is None or hours.standing.cause is Cause.STAFF:
        return usual
    return min(hours.changes_at, usual)


def _until(written: str, words: Words) -> datetime:
    until = None
    with suppress(InputError):
        until = filled_in.moment(written)
    if until is None:
        raise InputError("give the day and time at which it ends")
    return until.replace(tzinfo=words.zone)
