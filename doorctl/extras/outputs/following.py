"""Outputs that follow the mode: light, alarm arming, patrons' PCs, each with an offset. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from doorctl.access.calendar import Calendar, Mode
from doorctl.access.day import Override, planned, planned_changes


@dataclass(frozen=True, slots=True)
class Output:
    """An output that is on in some modes, with offsets in real minutes, which may be negative.

    On `lead_min` before such a mode starts, off `lag_min` after it ends.
    """

    name: str
    modes: frozenset[Mode]
    lead_min: int = 0
    lag_min: int = 0


def outputs_on(
    outputs: Iterable[Output], calendar: Calendar | None, override: Override | None, local: datetime
) -> frozenset[str]:
    """Return the names of the outputs that are on; `local` is trusted and aware.

    A mode that staff have set counts alone, without offsets: a lockdown must not wait. A lockdown
    that is over and not lifted keeps staffed hours closed, as `planned`.
    """
    if override is not None and local.astimezone(UTC) < override.until:
        return frozenset(output.name for output in outputs if override.mode in output.modes)
    over = override and replace(override, until=_LONG_AGO)
    return frozenset(output.name for output in outputs if _is_on(output, calendar, over, local))


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def _is_on(
    output: Output, calendar: Calendar | None, over: Override | None, local: datetime
) -> bool:
    now = local.astimezone(UTC)
    lead, lag = timedelta(minutes=output.lead_min), timedelta(minutes=output.lag_min)
    return any(
        (starts is None or starts - lead <= now) and (ends is None or now < ends + lag)
        for starts, ends in _runs(output, calendar, over, local)
    )


def _runs(
    output: Output, calendar: Calendar | None, over: Override | None, local: datetime
) -> Iterator[tuple[datetime | None, datetime | None]]:
    """Yield start and end, UTC, of each unbroken time in the output's modes.

    Only those near enough to count; None for a bound that is too far away for any offset.
    """
    reach = timedelta(minutes=max(abs(output.lead_min), abs(output.lag_min)))
    now = local.astimezone(UTC)
    after = (now - reach).astimezone(local.tzinfo)
    started: datetime | None = None
    running = planned(calendar, over, after) in output.modes
    for instant, mode in planned_changes(calendar, over, after, now + reach):
        at = instant.astimezone(UTC)
        if running and mode not in output.modes:
            yield started, at
        elif not running and mode in output.modes:
            started = at
        running = mode in output.modes
    if running:
        yield started, None
