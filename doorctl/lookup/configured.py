"""What a configuration comes to: the clock, its zone, and how long things may take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from doorctl.access.patron import CacheStamp
from doorctl.config import Config
from doorctl.core.errors import (
    StoreDamagedError,
    StoreError,
)
from doorctl.core.moments import Moment
from doorctl.ops.clock import BUILD_FLOOR, SystemClock
from doorctl.store.door_log import VisitHistory
from doorctl.store.hourly import HourlyHistory

VIA_WEB_S = 0.5
"""What the way through the web process may add to the library system's own limit."""

WEBS_CONFIG = "web-config.json"
"""In the storage directory once a web process has run at the branch: by which keys it began."""

BACK_S = 0.25
"""How much sooner the door gives up on a web process that hangs than on the attempt.

Its silence must come while it counts: after the attempt's deadline, a right PIN that nobody
compared would stay charged as a wrong one.
"""


def zone(config: Config) -> ZoneInfo:
    """Return the branch's time zone."""
    return ZoneInfo(config.branch.time_zone)


def local(at: datetime, config: Config) -> datetime:
    """Return a time in the branch's zone; one without an offset is local."""
    branch = zone(config)
    return at.replace(tzinfo=branch) if at.tzinfo is None else at.astimezone(branch)


def ask_s(config: Config) -> float | None:
    """Return how long the library system's answer may take; None without a library system."""
    return config.lms.timeout_s + VIA_WEB_S if config.lms.kind else None


def web_answers_s(config: Config) -> float:
    """Return how long the web process may take to pass on the library system's answer."""
    return config.lms.timeout_s + VIA_WEB_S - BACK_S


def opened_on(config: Config, moment: Moment) -> date | None:
    """Return the day when `policy.first_card` was last heeded, set now or not; None if unknown."""
    with suppress(StoreError), closing(HourlyHistory(config.storage.visits_db)) as history:
        return history.opened_on(moment)
    return None


def work_directory(config: Config, environment: Mapping[str, str]) -> Path:
    """Return where a driver may leave its own files: systemd's runtime directory, if any."""
    return Path(environment.get("RUNTIME_DIRECTORY") or config.storage.door_directory)


def retention(config: Config) -> timedelta:
    """Return how long visits are kept."""
    return timedelta(days=config.visits.retention_days)


def system_clock(
    config: Config, *, wary: bool = False, damaged: Callable[[str], None] = lambda _why: None
) -> SystemClock:
    """Return this machine's clock, which never undercuts the highest trusted time on record.

    Door and web, which run for long, are `wary`: see :class:`~doorctl.ops.clock.SystemClock`. A
    doubt that the door has on record stands on. Where that record is `damaged`, which is told, it
    is a start like the first one.
    """
    high_water, kept, carried = BUILD_FLOOR, None, None
    with suppress(StoreError), closing(VisitHistory(config.storage.visits_db)) as history:
        high_water = history.high_water() or BUILD_FLOOR
        carried = history.carried_time()
        try:
            kept = history.clock_readings()
        except StoreDamagedError as err:
            damaged(str(err))
    branch, clock = config.branch, config.clock
    return SystemClock(
        branch.time_zone, clock.trust, high_water, wary=wary, kept=kept, carried=carried
    )


def outdated(stamp: CacheStamp, config: Config) -> str | None:
    """Return what to do where the cache was sealed for another age limit, else None."""
    if not stamp.epoch or stamp.minimum_age == config.policy.minimum_age:
        return None
    return (
        f"patrons were sealed for a minimum age of {stamp.minimum_age}; "
        "load the full feed again to apply policy.minimum_age"
    )
