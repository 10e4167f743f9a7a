"""A time that staff or a sender answer for: the question to door and web, and what they answer."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from doorctl.config import Config
from doorctl.core.errors import InputError, NotAnsweringError
from doorctl.lookup.app import App
from doorctl.ops.clock import SystemClock
from doorctl.rpc.control import Question, ask

WITNESS_LIMIT_S = 2.0
"""Longest wait for the door to compare a time; its sender waits as long for web's answer."""


TRUST_CLOCK, SAID = "trust_clock", "said"
"""The question, and under which name it holds what time a sender's clock says just now."""


def trust_clock(app: App, limit_s: float) -> str:
    """Have door and web take the wall clock as right; return the door's time, ISO.

    A web process that is not running is left out: once the door has corrected the high-water mark,
    it starts without a doubt. Raises NotAnsweringError: the door did not answer in time.
    StoreError: the door took it, and could not store that.
    """
    question = Question(TRUST_CLOCK)
    answer = ask(app.config.control.socket, question, timeout_s=limit_s)
    with suppress(NotAnsweringError):
        ask(app.config.web.socket, question, timeout_s=limit_s)
    return str(answer["at"])


def tell_time(config: Config, said: datetime) -> None:
    """Tell the door what time a sender says it is, aware; a door that does not answer is left out.

    StoreError: the door could not take it.
    """
    question = Question(TRUST_CLOCK, {SAID: said.isoformat()})
    with suppress(NotAnsweringError):
        ask(config.control.socket, question, timeout_s=WITNESS_LIMIT_S)


def confirms(clock: SystemClock, question: Question) -> dict[str, Any]:
    """Compare a clock with what a sender says, and return whether they agree.

    Raises InputError: it says no time.
    """
    try:
        said = datetime.fromisoformat(str(question.about[SAID])).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError("that question says no time") from None
    return {"agrees": clock.confirm(said)}


def believes(clock: SystemClock) -> dict[str, Any]:
    """Take a clock as right, and return its time as the answer."""
    clock.believe()
    return {"at": clock.moment().local.isoformat(timespec="seconds")}
