"""The door log counted for statistics, of which settled days are kept."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from doorctl.lookup.app import App
from doorctl.lookup.configured import zone
from doorctl.privacy.statistics import Gathered, gather, moments, widened
from doorctl.services.visits import Span
from doorctl.store.hourly import HourlyHistory

SETTLED: Final = timedelta(days=2)
"""Counts of hours that are over for so long hardly ever change."""

READ_AGAIN: Final = timedelta(days=31)

A_MONTH: Final = timedelta(days=32)


@dataclass(frozen=True, slots=True)
class Settled:
    """What was counted up to a UTC time, and what the table said of it."""

    until: datetime
    totals: tuple[int, int]
    sums: Gathered


def statistics(
    app: App, since: date | None, until: date | None, kept: dict[Span, Settled] | None = None
) -> Gathered:
    """Return how much the door is used; it names nobody, so no look goes on the audit log.

    It covers the month or the year that both local days lie in, else all time. With what is `kept`
    from call to call only the last days of years are read; the figures are the same, without days.
    """
    branch = zone(app.config)
    since_at, until_at = span = moments(*widened(since, until), branch)
    is_month = since_at and until_at and until_at - since_at < A_MONTH
    with closing(HourlyHistory(app.storage.visits_db)) as history:
        if kept is None or is_month:
            return gather(history.hours(*span), branch)
        long_ago = app.clock.moment().latest_known - SETTLED
        settled = _settled(history, span, long_ago, branch, kept)
        return gather(history.hours(settled.until, until_at), branch, settled.sums, daily=False)


def _settled(
    history: HourlyHistory, span: Span, until: datetime, branch: tzinfo, kept: dict[Span, Settled]
) -> Settled:
    since, ends = span
    until = max(min(until, ends or until), since or until)
    found = kept.get(span)
    if (
        found is None
        or until - found.until >= READ_AGAIN
        or history.totals(since, found.until) != found.totals
    ):
        # Asked first: what is counted while the rows are read makes them differ the next time.
        totals = history.totals(since, until)
        sums = gather(history.hours(since, until), branch, daily=False)
        kept[span] = found = Settled(until, totals, sums)
    return found
