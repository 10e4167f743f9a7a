"""What else follows the mode: light, alarm arming, patrons' PCs, each with an offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from doorctl.access.calendar import Calendar, Mode
from doorctl.access.modes import Override, planned, planned_changes


@dataclass(frozen=True, slots=True)
class Output:
    """Something that is on in some modes.

    Args:
        name: what it is called.
        modes: when it is on.
        lead_min: real minutes by which it goes on before such a mode starts; negative: after.
        lag_min: real minutes by which it goes off after such a mode ends; negative: before.
    """

    name: str
    modes: frozenset[Mode]
    lead_min: int = 0
    lag_min: int = 0


def outputs_on(
    outputs: Iterable[Output],
    calendar: Calendar | None,
    override: Override | None,
    local: datetime,
) -> frozenset[str]:
    """Return the names of the outputs that are on.

    While staff have set the mode, it alone counts, without offsets: nobody could have known of
    it before, and a lockdown must not wait. Where the calendar says nothing it is closed.

    Args:
        outputs: all there are.
        calendar: as for `standing`.
        override: as for `standing`.
        local: now, trusted, aware, in the branch's time zone.
    """
    if override is not None and local.astimezone(UTC) < override.until:
        return frozenset(one.name for one in outputs if override.mode in one.modes)
    return frozenset(one.name for one in outputs if _is_on(one, calendar, local))


def _is_on(output: Output, calendar: Calendar | None, local: datetime) -> bool:
    now = local.astimezone(UTC)
    lead, lag = timedelta(minutes=output.lead_min), timedelta(minutes=output.lag_min)
    return any(
        (starts is None or starts - lead <= now) and (ends is None or now < ends + lag)
        for starts, ends in _runs(output, calendar, local)
    )


def _runs(
    output: Output, calendar: Calendar | None, local: datetime
) -> Iterator[tuple[datetime | None, datetime | None]]:
    """Yield start and end, UTC, of each time without a break in the output's modes.

    Only those near enough to count; None for a bound that is too far away for any offset.
    """
    reach = timedelta(minutes=max(abs(output.lead_min), abs(output.lag_min)))
    now = local.astimezone(UTC)
    after = (now - reach).astimezone(local.tzinfo)
    started: datetime | None = None
    running = planned(calendar, None, after) in output.modes
    for instant, mode in planned_changes(calendar, None, after, now + reach):
        at = instant.astimezone(UTC)
        if running and mode not in output.modes:
            yield started, at
        elif not running and mode in output.modes:
            started = at
        running = mode in output.modes
    if running:
        yield started, None
