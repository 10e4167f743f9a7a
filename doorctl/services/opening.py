"""Asks the running door to let somebody in once, or to take its clock as right."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from doorctl.core.errors import NotAnsweringError
from doorctl.core.staff_text import refuse_purpose
from doorctl.ops.clock import SystemClock
from doorctl.rpc.control import Question, ask
from doorctl.services.app import App

TRUST_CLOCK = "trust_clock"


def open_once(app: App, reason: str, by: str, limit_s: float) -> None:
    """Have the door released once; after the limit it is not, whatever the door does later.

    Raises:
        InputError: the reason has no place on record.
        NotAnsweringError: the door did not answer in time; it does not open any more.
        StoreError: the door could not do it.
    """
    refuse_purpose(reason, "reason")
    until_s = app.clock.monotonic_s() + limit_s
    question = Question("open", {"reason": reason, "by": by, "until_s": until_s})
    ask(app.config.control.socket, question, timeout_s=limit_s)


def trust_clock(app: App, limit_s: float) -> str:
    """Have door and web take the wall clock as right; return the door's time, ISO.

    A web process that is not running is left out: once the door has corrected the high-water mark,
    it starts without a doubt.

    Raises:
        NotAnsweringError: the door did not answer in time.
        StoreError: the door took it, and could not store that.
    """
    question = Question(TRUST_CLOCK)
    answer = ask(app.config.control.socket, question, timeout_s=limit_s)
    with suppress(NotAnsweringError):
        ask(app.config.web.socket, question, timeout_s=limit_s)
    return str(answer["at"])


def believes(clock: SystemClock) -> dict[str, Any]:
    """Take a clock as right, and return its time as the answer."""
    clock.believe()
    return {"at": clock.moment().local.isoformat(timespec="seconds")}
