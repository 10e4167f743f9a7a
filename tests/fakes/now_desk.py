"""The branch now, and its calendar, as whoever stages a page wants them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from doorctl.access.calendar import Cause, Day, Mode, ModeSpan
from doorctl.access.day import Override
from doorctl.core.errors import InputError
from doorctl.core.staff_text import refuse_text
from doorctl.web.desks import BranchPicture, DoorNow, HoursNow, RegisterNow

AT = datetime(2026, 11, 25, 19, 30, tzinfo=ZoneInfo("Europe/Copenhagen"))
EVENING: Day = (
    ModeSpan(Mode.STAFFED, 10 * 60, 18 * 60),
    ModeSpan(Mode.SELF_SERVICE, 18 * 60, 22 * 60),
)

QUIET = BranchPicture(
    at=AT,
    door=DoorNow("connected", "connected", "locked", False, 4, 2, 6, "trusted", "0.2.0"),
    hours=HoursNow(
        mode=Mode.SELF_SERVICE,
        cause=Cause.SCHEDULE,
        override=None,
        changes_at=AT.replace(hour=22, minute=0),
        becomes=Mode.CLOSED,
        opens_next=AT,
        today=EVENING,
    ),
    register=RegisterNow(42, 40_123, timedelta(hours=3, minutes=5), None),
    disk_free_bytes=12_300_000_000,
    version="0.2.0",
)
"""An evening on which nothing is wrong."""


@dataclass
class FakeNowDesk:
    """Implements `NowDesk`: shows `picture`, and keeps what was asked for in `done`."""

    picture: BranchPicture = QUIET
    done: list[tuple[str, ...]] = field(default_factory=list)

    def now(self) -> BranchPicture:
        """Return the picture."""
        return self.picture

    def open_once(self, reason: str, by: str) -> None:
        """Note that the door was opened."""
        refuse_text("reason", reason)
        self.done.append(("opened", reason, by))

    def trust_clock(self, by: str) -> None:
        """Note that the clock is right."""
        self.done.append(("clock", by))

    def set_mode(self, mode: Mode, until: datetime, cause: str, by: str) -> None:
        """Set a mode."""
        refuse_text("reason", cause)
        if until <= self.picture.at:
            raise InputError("the mode would be over already; give a later end")
        hours = self.picture.hours or QUIET.hours
        assert hours is not None
        override = Override(mode, until, cause, by)
        hours = replace(hours, mode=mode, cause=Cause.STAFF, override=override, changes_at=until)
        self.picture = replace(self.picture, hours=hours)
        self.done.append(("mode", mode.value, f"{until:%Y-%m-%dT%H:%M%z}", by))

    def end_mode(self, by: str) -> None:
        """Go back to the calendar."""
        hours = self.picture.hours
        if hours is None or hours.override is None:
            raise InputError("no mode is set by hand, so there is none to end")
        self.picture = replace(self.picture, hours=QUIET.hours)
        self.done.append(("ended", by))
