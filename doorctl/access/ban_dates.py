"""When a ban begins and ends, in days as staff give them, and what it does now."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import Enum

from doorctl.access.rights import ALL_BRANCHES, Ban, Listed
from doorctl.access.wall_time import ONE_DAY
from doorctl.core.moments import Moment


class BanState(Enum):
    """What a ban does at a branch now; the values are fixed names in lists and scripts."""

    HOLDS = "holds"
    AHEAD = "ahead"
    ENDED = "ended"
    LIFTED = "lifted"
    ELSEWHERE = "elsewhere"
    """It is for other branches."""


def ban_state(entry: Listed[Ban], moment: Moment, branch: str) -> BanState:
    """Return what a listed ban does at a branch now."""
    ban = entry.held
    if entry.ended_at is not None:
        return BanState.LIFTED
    if ban.holds(moment, branch):
        return BanState.HOLDS
    if ban.branches.isdisjoint({branch, ALL_BRANCHES}):
        return BanState.ELSEWHERE
    return BanState.AHEAD if ban.since > moment.latest_known else BanState.ENDED


def ban_since(first: date | None, moment: Moment) -> datetime:
    """Return the begin of a ban from its first local day on; None and today both mean now."""
    if first is not None and first != moment.local.date():
        return _midnight(first, moment)
    # An unset clock may be ahead, and so may one source alone after a boot; what is certainly past
    # has begun by any clock.
    return moment.known_time - (moment.leap or timedelta(0))


def ban_until(last: date | None, moment: Moment) -> datetime | None:
    """Return the end of a ban, just after its last local day; None for no end."""
    return None if last is None else _midnight(last + ONE_DAY, moment)


def _midnight(day: date, moment: Moment) -> datetime:
    return datetime.combine(day, time(), moment.local.tzinfo)
