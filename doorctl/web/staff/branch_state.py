"""The branch at one moment: what is wrong with it, and the sentences that say so.

What is wrong is decided here alone, so that the page's first sentence names what the page marks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import doorctl
from doorctl.access.calendar import Cause, Mode
from doorctl.access.patron import CacheStamp
from doorctl.core.alarm_records import AlarmRecord
from doorctl.core.alarms import kind_of
from doorctl.core.errors import DoorctlError, StoreError
from doorctl.core.moments import ClockState
from doorctl.lookup.app import App
from doorctl.lookup.configured import outdated
from doorctl.lookup.health import ask_deciding
from doorctl.ops.machine import DataDisk
from doorctl.services.hours import Hours, hours_now
from doorctl.services.register import open_register
from doorctl.web.words import MODES, Words

ResultT = TypeVar("ResultT")

LOOK_LIMIT_S: Final = 1.0
"""Longest wait for the door process; after it the page is shown without its state."""

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
        hours=read_or_none(partial(hours_now, app)),
        register=register,
        register_age=None if register is None else register.age(moment),
        problem=problem,
        disk_free_bytes=read_or_none(DataDisk(app.config.storage.directory).free_bytes),
    )


def read_or_none(look: Callable[[], ResultT]) -> ResultT | None:
    """Return what is found; None where it can't be read."""
    with suppress(DoorctlError):
        return look()
    return None


def _door(app: App) -> DoorNow | None:
    state = read_or_none(partial(ask_deciding, app.config, LOOK_LIMIT_S))
    return None if state is None else dict.fromkeys(ANSWERED) | dict(state)


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


class Lockdown(Enum):
    """Whether a lockdown keeps the door shut; the values are fixed names in a branch's reports."""

    NONE = "none"
    STANDS = "stands"
    NOT_LIFTED = "not_lifted"
    """Its time is over, and staff have not lifted it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the first sentence about a branch is made of.

    `alarms` are the kinds that stand, the most urgent first, without the `acknowledged` ones, of
    which there are so many; None where they can't be read. `faults` are names of :data:`FAULTS`.
    """

    door_answers: bool
    lockdown: Lockdown
    alarms: tuple[str, ...] | None
    acknowledged: int
    faults: tuple[str, ...]


def summary_of(now: BranchPicture, alarms: Sequence[AlarmRecord] | None) -> Summary:
    """Return what the first sentence is made of, from the branch itself."""
    new = tuple(alarm.kind for alarm in alarms or () if not alarm.acknowledged_by)
    return Summary(
        door_answers=now.door is not None,
        lockdown=lockdown_of(now.hours),
        alarms=None if alarms is None else new,
        acknowledged=len(alarms or ()) - len(new),
        faults=faults(now),
    )


def lockdown_of(hours: Hours | None) -> Lockdown:
    """Return whether a lockdown keeps the door shut, as far as the hours are known."""
    if hours is not None and hours.standing.cause is Cause.LOCKDOWN:
        return Lockdown.NOT_LIFTED
    if hours is not None and hours.standing.mode is Mode.LOCKDOWN:
        return Lockdown.STANDS
    return Lockdown.NONE


class Headline(NamedTuple):
    """One sentence about the branch; `state` is good, bad, locked, or noted by staff already."""

    text: str
    state: str


LOCKDOWNS: Mapping[Lockdown, str] = {
    Lockdown.STANDS: "Locked down: only emergency passes open the door.",
    Lockdown.NOT_LIFTED: "A lockdown is over. The door stays closed until staff lift it.",
}


def headline(words: Words, summary: Summary, it_phone: str = "") -> Headline:
    """Return the sentence that a page begins with: the worst of what is wrong."""
    if not summary.door_answers:
        silent = words.say("The door does not answer: nobody is let in.")
        return Headline(f"{silent} {words.call_it(it_phone)}", "bad")
    if summary.lockdown in LOCKDOWNS:
        return Headline(words.say(LOCKDOWNS[summary.lockdown]), "locked")
    if summary.alarms is None:
        return Headline(words.say("The alarms can't be read."), "bad")
    if summary.alarms:
        return Headline(_first_alarm(words, summary.alarms), "bad")
    return _without_new_alarms(words, summary)


def _without_new_alarms(words: Words, summary: Summary) -> Headline:
    if summary.faults:
        named = ", ".join(words.say(name) for name in summary.faults)
        return Headline(words.say("Something is wrong: {things}.", things=named), "bad")
    if noted := summary.acknowledged:
        text = words.count("{n} alarm is acknowledged.", "{n} alarms are acknowledged.", noted)
        return Headline(text, "noted")
    return Headline(words.say("All is well."), "good")


def _first_alarm(words: Words, kinds: Sequence[str]) -> str:
    first, others = words.alarm(kind_of(kinds[0]).means), len(kinds) - 1
    if not others:
        return first
    return words.count("{first} {n} other alarm.", "{first} {n} other alarms.", others, first=first)


@dataclass(frozen=True, slots=True)
class Course:
    """The branch's mode, and how it goes on; `mode` is None where it is not known.

    `by_card`: it is staffed, but a card opens the door, for the time is not confirmed. `until` is
    local, None where that is not known, and the mode after it is `then`, None likewise.
    `until_lifted`: instead of staffed hours the door stays closed then, until staff lift the
    lockdown.
    """

    mode: Mode | None
    by_card: bool = False
    until: datetime | None = None
    then: Mode | None = None
    until_lifted: bool = False


def course_of(now: BranchPicture) -> Course:
    """Return how the branch's mode goes on, as far as it is known."""
    hours = now.hours
    if hours is None:
        return Course(None)
    mode, at = hours.standing.mode, hours.changes_at
    waits = now.door is not None and bool(now.door["waits_for_witness"])
    return Course(
        mode=mode,
        by_card=mode is Mode.STAFFED and waits,
        until=at,
        then=None if at is None or hours.next_change is None else hours.next_change[1],
        # What follows a lockdown is closed by the calendar, or in place of staffed hours.
        until_lifted=mode is Mode.LOCKDOWN
        and at is not None
        and hours.calendar.mode_at(at) is Mode.STAFFED,
    )


def mode_line(words: Words, course: Course, today: date) -> str:
    """Return "Self-service until 22:00, then closed", as far as it is known."""
    mode, at = _mode(words, course), course.until
    if at is None:
        return mode
    day = _day(words, at.date(), today)
    line = words.say("{mode} until {day}{time}", mode=mode, day=day, time=words.clock(at))
    if course.until_lifted:
        then = words.say("then closed until staff lift the lockdown")
    elif course.then is not None:
        then = words.say("then {mode}", mode=words.say(MODES[course.then]).lower())
    else:
        return line
    return f"{line}, {then}"


def _mode(words: Words, course: Course) -> str:
    if course.by_card:
        return words.say("Staffed, but a card opens the door: the time is not confirmed")
    if course.mode is Mode.STAFFED:
        return words.say("Staffed: the door is unlocked for everybody")
    return words.say(MODES[course.mode])


def _day(words: Words, day: date, today: date) -> str:
    """Return nothing for today, else "torsdag " or "24.12.2026 "; before a time of day."""
    if day == today:
        return ""
    near = day < today + timedelta(days=7)
    return f"{words.weekday(day) if near else words.short_day(day)} "
