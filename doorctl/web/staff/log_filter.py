"""Which attempts somebody asked for, as in an address; what makes no sense is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from doorctl.access.reasons import Reason
from doorctl.web.desks import LogFilter
from doorctl.web.pages.words import Words

VERDICTS: Final = ("granted", "refused", "open")
ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is in the form of the page.

    Args:
        verdict: one of :data:`VERDICTS`, or empty for any.
        reasons: fixed names; none for any.
        day: local; None for every day.
        from_: local time of day, "HH:MM"; empty for the beginning.
        to: the same for the end.
    """

    verdict: str
    reasons: tuple[str, ...]
    day: date | None
    from_: str
    to: str

    def wanted(self, words: Words, cards: frozenset[bytes] | None = None) -> LogFilter:
        """Return it as a filter of UTC times."""
        day = self.day
        return LogFilter(
            verdict=self.verdict or None,
            reasons=frozenset(self.reasons),
            since=None if day is None else _at(day, self.from_ or "00:00", words),
            until=None if day is None else _end(day, self.to, words),
            cards=cards,
        )

    def address(self, **more: Any) -> str:
        """Return it as the query of an address; it holds no card and nobody's name."""
        said = [("verdict", self.verdict), ("from", self.from_), ("to", self.to)]
        said += [("reason", one) for one in self.reasons]
        said.append(("day", "all" if self.day is None else self.day.isoformat()))
        said += [(name, str(value)) for name, value in more.items()]
        return urlencode([(name, value) for name, value in said if value])

    def fields(self) -> tuple[tuple[str, str], ...]:
        """Return it as hidden fields of a form."""
        day = "all" if self.day is None else self.day.isoformat()
        plain = (("verdict", self.verdict), ("day", day), ("from", self.from_), ("to", self.to))
        return (*plain, *(("reason", one) for one in self.reasons))


def read(text: Callable[[str], str], every: Iterable[str], today: date) -> Asked:
    """Return what was asked for.

    Args:
        text: returns a parameter or field, empty where it was not sent.
        every: the reasons.
        today: local; shown where nobody says which day.
    """
    known = {one.value for one in Reason}
    verdict, day = text("verdict"), text("day")
    return Asked(
        verdict=verdict if verdict in VERDICTS else "",
        reasons=tuple(one for one in every if one in known),
        day=None if day == "all" else _date(day) or today,
        from_=_time(text("from")),
        to=_time(text("to")),
    )


def _at(day: date, written: str, words: Words) -> datetime:
    return datetime.combine(day, time.fromisoformat(written), words.zone).astimezone(UTC)


def _end(day: date, written: str, words: Words) -> datetime:
    # The minute that is named belongs to it.
    if not written:
        return _at(day + ONE_DAY, "00:00", words)
    return _at(day, written, words) + timedelta(minutes=1)


def _date(written: str) -> date | None:
    try:
        return date.fromisoformat(written)
    except ValueError:
        return None


def _time(written: str) -> str:
    try:
        return time.fromisoformat(written).strftime("%H:%M")
    except ValueError:
        return ""
