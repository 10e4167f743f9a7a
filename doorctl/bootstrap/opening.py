"""Asks the running door to let somebody in once."""

from __future__ import annotations

from doorctl.config import Config
from doorctl.ports import Clock
from doorctl.transports.control import Question, ask


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
    until_s = clock.monotonic_s() + limit_s
    question = Question("open", {"reason": reason, "by": by, "until_s": until_s})
    ask(config.control.socket, question, timeout_s=limit_s)
