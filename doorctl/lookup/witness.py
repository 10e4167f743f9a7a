"""A time that staff or a sender answer for: the question to door and web, and what they answer."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from doorctl.config import Config
from doorctl.core.errors import InputError, NotAnsweringError
from doorctl.lookup.app import App
from doorctl.ops.clock import SystemClock
from doorctl.rpc.door import (
    TRUST_CLOCK,
    TRUST_WEBS_CLOCK,
    WITNESS_LIMIT_S,
    TrustClock,
    TrustedClock,
)
from doorctl.rpc.question import Nothing


def trust_clock(app: App, limit_s: float) -> str:
    """Have door and web take the wall clock as right; return the door's time, ISO.

    A web process that is not running is left out: once the door has corrected the high-water mark,
    it starts without a doubt. Raises NotAnsweringError: the door did not answer in time.
    StoreError: the door took it, and could not store that.
    """
    answer = TRUST_CLOCK.ask(app.config.control.socket, TrustClock(), timeout_s=limit_s)
    with suppress(NotAnsweringError):
        TRUST_WEBS_CLOCK.ask(app.config.web.socket, Nothing(), timeout_s=limit_s)
    return answer.at


def tell_time(config: Config, said: datetime) -> None:
    """Tell the door what time a sender says it is, aware; a door that does not answer is left out.

    StoreError: the door could not take it.
    """
    with suppress(NotAnsweringError):
        TRUST_CLOCK.ask(config.control.socket, TrustClock(said), timeout_s=WITNESS_LIMIT_S)


def confirms(clock: SystemClock, said: datetime) -> TrustedClock:
    """Compare a clock with the aware time that a sender says; answer whether they agree.

    Raises InputError: it says no time.
    """
    try:
        return TrustedClock(agrees=clock.confirm(said.astimezone(UTC)))
    except OverflowError:
        raise InputError("that question says no time") from None


def believes(clock: SystemClock) -> TrustedClock:
    """Take a clock as right, and answer its time."""
    clock.believe()
    return TrustedClock(clock.moment().local.isoformat(timespec="seconds"))
