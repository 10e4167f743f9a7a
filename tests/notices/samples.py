"""Notices for tests; nothing in them is of a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from doorctl.core.alarms import RaisedAlarm
from doorctl.core.moments import ClockState, Moment
from doorctl.core.ports import Notice
from doorctl.notices.sending import notice

BRANCH = "Randers Bibliotek, Øst"
AT = datetime(2026, 3, 2, 19, 4, 5, tzinfo=ZoneInfo("Europe/Copenhagen"))
MOMENT = Moment(AT, AT, ClockState.TRUSTED)


def a_notice(kind: str = "door_forced", why: str = "", **changes: Any) -> Notice:
    """Return the notice of one alarm, heard at `AT`."""
    made = notice(RaisedAlarm(kind, why, 10.0), BRANCH, MOMENT, 10.0)
    return replace(made, **changes)
