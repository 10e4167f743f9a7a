"""Public holidays as dated days, by the well-kept `holidays` package.

For the programs that make calendars (command line, web, sync), never for the door process: the
package takes 20 MB and 0.1 s to load. So import this module where it is needed, not at the top.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import holidays
from holidays.constants import OPTIONAL, PUBLIC

from doorctl.access.calendar import ALL_DAY, Cause, DatedDay, Day
from doorctl.config.hours import HalfHoliday, HolidayRule
from doorctl.core.errors import InputError

SUNDAY = 6

ALSO: dict[HalfHoliday, tuple[int, int]] = {
    "workers_day": (5, 1),
    "constitution_day": (6, 5),
    "christmas_eve": (12, 24),
    "new_years_eve": (12, 31),
}
"""Month and day of days on which many close, though they are no public holidays in Denmark."""

LANGUAGES = {"DK": "da"}


def public_holidays(
    years: Iterable[int],
    rule: HolidayRule,
    week: tuple[Day, ...] | None,
    also: Iterable[HalfHoliday] = (),
    country: str = "DK",
) -> dict[date, DatedDay]:
    """Return each public holiday's hours, with its name in the country's language as a note.

    Store bededag is none since 2024.

    Args:
        rule: what a holiday is: like any other day (then nothing is returned), closed, or a day
            with Sunday's hours.
        week: the branch's week, for Sunday's hours; None for self-service at all hours.
        also: Danish days that count as such here.

    Raises:
        InputError: the country's holidays are not known.
    """
    if rule == "ignore":
        return {}
    sunday = ALL_DAY if week is None else week[SUNDAY]
    spans: Day = () if rule == "closed" else sunday
    wanted, chosen = sorted(set(years)), {ALSO[one] for one in also}
    named = _named(country, wanted, PUBLIC)
    if chosen:
        optional = _named(country, wanted, OPTIONAL)
        found = {day: name for day, name in optional.items() if (day.month, day.day) in chosen}
        named = {**found, **named}
    return {day: DatedDay(spans, Cause.HOLIDAY, name) for day, name in sorted(named.items())}


def _named(country: str, years: list[int], category: str) -> dict[date, str]:
    try:
        known = holidays.country_holidays(
            country, years=years, language=LANGUAGES.get(country), categories=(category,)
        )
    except (NotImplementedError, ValueError) as error:
        raise InputError(f"{country}: no {category} holidays are known; give another") from error
    return dict(known.items())
