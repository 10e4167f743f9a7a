"""Opening hours for a test, laid over its configuration, and times that a command takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

ALL_DAY = '["00:00-24:00"]'

SELF_SERVICE = tuple(f"hours.{day}={ALL_DAY}" for day in DAYS)
STAFFED = tuple(f"hours.staffed.{day}={ALL_DAY}" for day in DAYS)
CLOSED = ("hours.monday=[]",)
"""A table of hours without any."""


def in_s(seconds: float) -> str:
    """Return the time in so many seconds as ``--until`` takes it, to the second."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def ahead(days: int) -> str:
    """Return the date in so many days."""
    return (datetime.now(ZoneInfo("Europe/Copenhagen")) + timedelta(days=days)).date().isoformat()
