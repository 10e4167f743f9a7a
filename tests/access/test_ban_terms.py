"""When a ban begins and ends as staff say it, and what one does now."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from doorctl.access.rights import Ban, BanEntry, BanState, ban_state
from doorctl.access.rights import ban_since as since
from doorctl.access.rights import ban_until as until
from doorctl.core.moments import ClockState, Moment

ZONE = ZoneInfo("Europe/Copenhagen")
LOCAL = datetime(2026, 11, 25, 14, 30, tzinfo=ZONE)
PAST = datetime(2026, 11, 1, 3, tzinfo=UTC)
NOW = Moment(LOCAL, PAST, ClockState.TRUSTED)
UNSET = Moment(LOCAL, PAST, ClockState.UNTRUSTED)
HOUR = timedelta(hours=1)


def ban(begins: datetime, ends: datetime | None = None, branches: str = "oest") -> Ban:
    """Return a ban."""
    return Ban(1, "støj", begins, ends, "grethe", frozenset({branches}))


@pytest.mark.parametrize("first", [None, LOCAL.date()])
def test_from_today_is_from_now(first: date | None) -> None:
    """Nobody is banned for the hours of today that have been; an unset clock delays nothing.

    Bug (mutation): no test noticed a ban of today that began in the past, last minutes left
    over by an unset clock, or hours drawn out by staff (gaps in tests).
    """
    assert since(first, NOW) == LOCAL
    assert since(first, UNSET) == PAST


@pytest.mark.parametrize("first", [date(2026, 11, 26), date(2026, 11, 24), date(2026, 7, 1)])
def test_from_another_day_is_from_its_midnight(first: date) -> None:
    """Local, in summer and in winter; a day that is past is written down as it was said."""
    assert since(first, NOW) == datetime(first.year, first.month, first.day, tzinfo=ZONE)


def test_the_last_day_counts_too() -> None:
    """To its very end, also where it has 25 hours; without one there is no end."""
    assert until(date(2026, 10, 25), NOW) == datetime(2026, 10, 26, tzinfo=ZONE)
    assert until(None, NOW) is None


@pytest.mark.parametrize(
    ("made", "lifted", "does"),
    [
        (ban(LOCAL - HOUR), False, BanState.HOLDS),
        (ban(LOCAL - HOUR, LOCAL + HOUR, "*"), False, BanState.HOLDS),
        (ban(LOCAL - HOUR), True, BanState.LIFTED),
        (ban(LOCAL + HOUR), True, BanState.LIFTED),
        (ban(LOCAL + HOUR), False, BanState.AHEAD),
        (ban(LOCAL - 2 * HOUR, LOCAL), False, BanState.ENDED),
        (ban(LOCAL - HOUR, branches="syd"), False, BanState.ELSEWHERE),
        (ban(LOCAL + HOUR, branches="syd"), False, BanState.ELSEWHERE),
    ],
)
def test_what_a_ban_does_now(made: Ban, *, lifted: bool, does: BanState) -> None:
    """One word for each, the same on the page and in the command's list."""
    entry = BanEntry(made, None, "1001", PAST if lifted else None)
    assert ban_state(entry, NOW, "oest") is does


def test_while_nobody_knows_the_time_a_ban_holds() -> None:
    """As at the door: one that may have begun has."""
    entry = BanEntry(ban(LOCAL + HOUR), None, "1001")
    assert ban_state(entry, UNSET, "oest") is BanState.HOLDS
