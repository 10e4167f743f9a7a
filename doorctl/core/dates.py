"""Dates and times as people write them."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime, time, timedelta

from doorctl.core.errors import InputError

LAST_MINUTE = 24 * 60

_CLOCK = re.compile(r"(?:kl\.?\s*)?([0-9]{1,2})(?:[.:, ]?([0-5][0-9]))?", re.IGNORECASE)

_ISO_DAY = re.compile(r"(20[0-9]{2})-([0-9]{2})-([0-9]{2})")

_DAY = re.compile(
    r"([0-9]{1,2})\s*[-./,]\s*([0-9]{1,2})(?:\s*[-./,]\s*(20[0-9]{2}|[0-9]{2}))?[.,]?"
)

_ISO_T = re.compile(r"(?<=[0-9])t(?=[0-9])")


def read_minute(typed: str) -> int:
    """Read a time of day: 12, 730, 7.30, 7:30, 0730, kl. 7; return minutes after midnight, 0-1440.

    InputError: it is none.
    """
    match = _CLOCK.fullmatch(typed.strip())
    minute = int(match[1]) * 60 + int(match[2] or 0) if match else LAST_MINUTE + 1
    if minute > LAST_MINUTE:
        raise InputError("write the time as 7.30, 730 or 7")
    return minute


def read_day(typed: str, today: date | None = None, *, past: bool = False) -> date:
    """Read a date from 2000 to 2099: 24.12.2026, 24/12-26, 24-12-2026, 2026-12-24.

    With `today`, 24/12 and 24.12 too: the next one from today on, or with `past` the last one until
    today. InputError: it is none.
    """
    iso, match = _ISO_DAY.fullmatch(typed.strip()), _DAY.fullmatch(typed.strip())
    year, month, day = iso.groups() if iso else match.group(3, 2, 1) if match else (None, "", "")
    found: list[date] = []
    for each in _years(year, today) if iso or match else ():
        with suppress(ValueError):
            found.append(date(each, int(month), int(day)))
    if year is None and today is not None:
        found = [at for at in found if (at <= today if past else at >= today)]
    if not found:
        raise InputError("write the date as 24.12.2026")
    return found[-1 if past else 0]


def read_moment(typed: str, today: date | None = None, *, past: bool = False) -> datetime:
    """Read a local date and time, without a zone: "24/12 7.30", "24.12.2026 kl. 21.05", ISO 8601.

    A time alone is `today`'s; else as :func:`read_day` and :func:`read_minute`.
    """
    before, _, clock = _ISO_T.sub(" ", typed.strip().lower()).rpartition(" ")
    written = before.rstrip(" .").removesuffix("kl").removesuffix("at").rstrip(" ,")
    with suppress(InputError):
        day = read_day(written, today, past=past) if written else today
        if day is not None:
            return datetime.combine(day, time()) + timedelta(minutes=read_minute(clock))
    raise InputError("write the date and the time as 24.12.2026 7.30")


def _years(written: str | None, today: date | None) -> tuple[int, ...]:
    if written is not None:
        return (2000 + int(written) % 100,)
    return () if today is None else (today.year - 1, today.year, today.year + 1)
