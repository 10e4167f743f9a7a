"""Alarms go from the door, which has no network, to web, over both Unix sockets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from doorctl.core.alarms import RaisedAlarm, Source
from doorctl.core.errors import DoorctlError
from doorctl.core.ports import Clock, NotSentError
from doorctl.core.raised import Raised
from doorctl.rpc.question import Answers, Empty, Nothing, Question

LIMIT_S = 2.0
"""Longest wait for web to have taken an alarm; it only takes note of it."""

LONGEST_WHY = 500
"""Characters; with all of them escaped the question still fits into a line."""


class _Alarm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alarm on its way; `ago_s` is how long it waited at the door."""

    kind: Annotated[str, Meta(max_length=64)]
    why: Annotated[str, Meta(max_length=LONGEST_WHY)] = ""
    ago_s: Annotated[float, Meta(ge=0)] = 0.0


class _Standing(msgspec.Struct, frozen=True):
    standing: tuple[_Alarm, ...]
    well: tuple[Annotated[str, Meta(max_length=64)], ...] = ()


ALARM = Question("alarm", _Alarm, Empty, "web", limit_s=LIMIT_S)
STANDING = Question("alarms", Nothing, _Standing, "door", limit_s=LIMIT_S)
"""Web's question to the door: which of its alarms stand, and which would be wrong now."""


def send_alarm(path: Path, clock: Clock, heard: RaisedAlarm) -> None:
    """Send an alarm to the web process, with how long it has waited.

    Raises NotSentError: web does not answer, or does not take alarms.
    """
    try:
        ALARM.ask(path, _sent(heard, clock.monotonic_s()))
    except DoorctlError as err:
        raise NotSentError(str(err)) from err


def alarm_answers(hear: Callable[[RaisedAlarm], None], clock: Clock) -> Answers:
    """Return the web process's answer to the door's ``alarm``.

    `hear` takes note of an alarm and must not block; the monotonic seconds of web's own clock
    count.
    """

    def answer(alarm: _Alarm) -> Empty:
        hear(_heard(alarm, clock.monotonic_s()))
        return Empty()

    return ALARM.answered(answer)


def standing_answers(raised: Callable[[], Raised], clock: Clock) -> Answers:
    """Return the door's answer to web's ``alarms``; `raised` must be thread-safe."""

    def answer(_about: Nothing) -> _Standing:
        now_s, doors = clock.monotonic_s(), raised()
        standing = tuple(_sent(heard, now_s) for heard in doors.standing())
        return _Standing(standing, tuple(sorted(doors.well())))

    return STANDING.answered(answer)


def ask_standing(path: Path, clock: Clock) -> tuple[tuple[RaisedAlarm, ...], frozenset[str]]:
    """Ask the door which of its alarms stand, and of which kinds it has found that all is well.

    Web's own monotonic seconds count. Raises DoorctlError: it does not answer, or not to this.
    """
    said = STANDING.ask(path, Nothing())
    now_s = clock.monotonic_s()
    return tuple(_heard(alarm, now_s) for alarm in said.standing), frozenset(said.well)


def _sent(heard: RaisedAlarm, now_s: float) -> _Alarm:
    return _Alarm(heard.kind[:64], heard.why[:LONGEST_WHY], max(0.0, now_s - heard.at_s))


def _heard(alarm: _Alarm, now_s: float) -> RaisedAlarm:
    return RaisedAlarm(alarm.kind, alarm.why, now_s - alarm.ago_s, Source.DOOR)
