"""When a ban begins and ends, as staff say it in days, and what one does now."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import Enum

from doorctl.access.rights import ALL_BRANCHES, Ban
from doorctl.core.moments import Moment

ONE_DAY = timedelta(days=1)


class BanState(Enum):
    """What a ban does at a branch now; the values are fixed names in lists and scripts."""

    HOLDS = "holds"
    AHEAD = "ahead"
    ENDED = "ended"
    LIFTED = "lifted"
    ELSEWHERE = "elsewhere"
    """It is of other branches."""


def state(ban: Ban, moment: Moment, branch: str, *, lifted: bool) -> BanState:
    """Return what a ban does.

    Args:
        ban: as stored.
        moment: the time.
        branch: the branch's id.
        lifted: whether staff have lifted it.
    """
    if lifted:
        return BanState.LIFTED
    if ban.holds(moment, branch):
        return BanState.HOLDS
    if ban.branches.isdisjoint({branch, ALL_BRANCHES}):
        return BanState.ELSEWHERE
    return BanState.AHEAD if ban.since > moment.latest_known else BanState.ENDED


def since(first: date | None, moment: Moment) -> datetime:
    """Return when a ban begins.

    Args:
        first: its first day, local; None for now, which today is too.
        moment: the time.
    """
    if first is not None and first != moment.local.date():
        return _midnight(first, moment)
    # An unset clock may be ahead; what is certainly past has begun by any clock.
    return moment.local if moment.dependable else moment.high_water


def until(last: date | None, moment: Moment) -> datetime | None:
    """Return just before when a ban ends.

    Args:
        last: its last day, local, that day too; None for no end.
        moment: the time.
    """
    return None if last is None else _midnight(last + ONE_DAY, moment)


def _midnight(day: date, moment: Moment) -> datetime:
    return datetime.combine(day, time(), moment.local.tzinfo)
