"""Asks the running door to let somebody in once, or to take its clock as right."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from doorctl.access.staff_text import refuse_purpose
from doorctl.config import Config
from doorctl.errors import NotAnsweringError
from doorctl.ops.clock import SystemClock
from doorctl.ports import Clock
from doorctl.transports.control import Question, ask

TRUST_CLOCK = "trust_clock"


def open_once(config: Config, clock: Clock, reason: str, by: str, limit_s: float) -> None:
    """Have the door released once; after the limit it is not, whatever the door does later.

    Args:
        config: the whole configuration.
        clock: the machine's, which the door goes by as well.
        reason: why, in a few words.
        by: which account asks.
        limit_s: longest wait for the door, seconds.

    Raises:
        InputError: the reason has no place on record.
        NotAnsweringError: the door did not answer in time; it does not open any more.
        StoreError: the door could not do it.
    """
    refuse_purpose(reason, "reason")
    until_s = clock.monotonic_s() + limit_s
    question = Question("open", {"reason": reason, "by": by, "until_s": until_s})
    ask(config.control.socket, question, timeout_s=limit_s)


def trust_clock(config: Config, limit_s: float) -> str:
    """Have door and web take the wall clock as right; return it as the door has it, ISO.

    While web is not running there is nothing to tell it: it has no doubt of its own at a start,
    once the door has mended the high-water mark.

    Raises:
        NotAnsweringError: the door did not answer in time.
        StoreError: the door took it, and could not store that.
    """
    question = Question(TRUST_CLOCK)
    told = ask(config.control.socket, question, timeout_s=limit_s)
    with suppress(NotAnsweringError):
        ask(config.web.socket, question, timeout_s=limit_s)
    return str(told["at"])


def believes(clock: SystemClock) -> dict[str, Any]:
    """Take a clock as right; return the time as it is answered to whoever said so."""
    clock.believe()
    return {"at": clock.moment().local.isoformat(timespec="seconds")}
