"""Alarms on their way from the door, which has no network, to web's Unix socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from doorctl.errors import DoorctlError
from doorctl.notices.rationing import Heard
from doorctl.ports import Clock, NotSentError
from doorctl.transports.control import Answer, Answers, Question, ask

LIMIT_S = 2.0
"""Longest wait for web to have taken an alarm; it only takes note of it."""

LONGEST_WHY = 500
"""Characters; with all of them escaped the question still fits into a line."""


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
        ago_s = max(0.0, self._clock.monotonic_s() - heard.at_s)
        about = _Alarm(heard.kind[:64], heard.why[:LONGEST_WHY], ago_s)
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
