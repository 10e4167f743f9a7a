"""Alarms on their way from the door, which has no network, to web: over both Unix sockets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from doorctl.errors import DoorctlError, StoreError
from doorctl.notices.rationing import Heard
from doorctl.ports import Clock, NotSentError
from doorctl.transports.control import Answer, Answers, Question, ask

LIMIT_S = 2.0
"""Longest wait for web to have taken an alarm; it only takes note of it."""

LONGEST_WHY = 500
"""Characters; with all of them escaped the question still fits into a line."""

STANDING = "alarms"
"""What web asks the door: which of its alarms stand."""


class _Alarm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alarm as it is told; `ago_s` is how long it waited at the door."""

    kind: Annotated[str, Meta(max_length=64)]
    why: Annotated[str, Meta(max_length=LONGEST_WHY)] = ""
    ago_s: Annotated[float, Meta(ge=0)] = 0.0


class AlarmsOverSocket:
    """Tell the web process of alarms. Thread-safe.

    Args:
        path: web's socket.
        clock: tells how long an alarm has waited.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def send(self, heard: Heard) -> None:
        """Tell one alarm.

        Raises:
            NotSentError: web does not answer, or does not take alarms.
        """
        about = _told(heard, self._clock.monotonic_s())
        question = Question("alarm", msgspec.to_builtins(about))
        try:
            ask(self._path, question, timeout_s=LIMIT_S, whom="web")
        except DoorctlError as err:
            raise NotSentError(str(err)) from err


def alarm_answers(hear: Callable[[Heard], None], clock: Clock) -> Answers:
    """Return what the web process answers to the door: ``alarm``.

    Args:
        hear: takes note of an alarm; must not block.
        clock: web's own; its monotonic seconds count.
    """

    def answer(question: Question) -> Answer:
        told = msgspec.convert(question.about, _Alarm)
        hear(Heard(told.kind, told.why, clock.monotonic_s() - told.ago_s))
        return {}

    return {"alarm": answer}


class _Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All alarms of the door that stand."""

    standing: tuple[_Alarm, ...]


def standing_answers(standing: Callable[[], tuple[Heard, ...]], clock: Clock) -> Answers:
    """Return what the door answers to web: ``alarms``.

    Args:
        standing: tells which of its alarms stand; thread-safe.
        clock: the door's own.
    """

    def answer(_question: Question) -> Answer:
        now_s = clock.monotonic_s()
        return {"standing": [msgspec.to_builtins(_told(one, now_s)) for one in standing()]}

    return {STANDING: answer}


def ask_standing(path: Path, clock: Clock) -> tuple[Heard, ...]:
    """Ask the door which of its alarms stand.

    Args:
        path: the door's socket.
        clock: web's own; its monotonic seconds count.

    Raises:
        DoorctlError: it does not answer, or not to this.
    """
    told = ask(path, Question(STANDING), timeout_s=LIMIT_S)
    try:
        found = msgspec.convert(told, _Standing).standing
    except msgspec.ValidationError:
        raise StoreError("the door process is of another version; restart it") from None
    now_s = clock.monotonic_s()
    return tuple(Heard(one.kind, one.why, now_s - one.ago_s) for one in found)


def _told(heard: Heard, now_s: float) -> _Alarm:
    ago_s = max(0.0, now_s - heard.at_s)
    return _Alarm(heard.kind[:64], heard.why[:LONGEST_WHY], ago_s)
