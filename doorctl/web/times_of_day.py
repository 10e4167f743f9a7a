"""Hours of a day as each language writes them: the same on the staff pages and at the door."""

from __future__ import annotations

from doorctl.access.hours import DAY_MINUTES
from doorctl.web.pages.words import Words


def time_of_day(words: Words, minute: int) -> str:
    """Return "07.05" for minutes after midnight; 24.00 ends a day, and later is the next day's."""
    hour, minutes = divmod(minute if minute <= DAY_MINUTES else minute - DAY_MINUTES, 60)
    return words.say("{hour}:{minute}", hour=f"{hour:02}", minute=f"{minutes:02}")


def hours_of_day(words: Words, starts: int, ends: int) -> str:
    """Return "07.00-22.00", with the dash or the words of the language."""
    return words.say(
        "{starts} to {ends}", starts=time_of_day(words, starts), ends=time_of_day(words, ends)
    )
