"""The door log's picture of a span, as numbers for an SVG."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from doorctl.access.wall_time import ONE_DAY
from doorctl.services import picture
from doorctl.services.picture import ModeBand, Picture
from doorctl.store.door_log import Slot
from doorctl.web.staff.charts import scale_of
from doorctl.web.words import MODES, Words

LEFT: Final = 44

WIDTH: Final = 864

RIGHT: Final = 44

TOP: Final = 12

ABOVE: Final = 100

BELOW: Final = 56

BAND: Final = 22

GAP: Final = 24
"""Room for the hours between the bars and the band."""

BASE: Final = TOP + ABOVE

BAND_Y: Final = BASE + BELOW + GAP

ROOM_FOR_NAME: Final = 90
"""A narrower band shows no name; the legend names all bands."""

MOST_NAMES: Final = 13
"""Names of hours or days that stand beside each other."""


def timeline(words: Words, shown: Picture, now: datetime) -> dict[str, Any]:
    """Return the picture of a span at a moment, with the table's rows.

    `marks` are y and number of each mark of the scale on the left, `marks_inside` on the right.
    `inside` are the points of the head-count's line, as SVG writes them; both are empty where the
    head-count is not known. `names` are x and name of hours or days; `now` is x of this moment,
    None in another time. `modes` has each mode of the bands with its English name, in order.
    """
    high = scale_of(slot.granted for slot in shown.slots)
    low = scale_of(slot.refused for slot in shown.slots)
    most = scale_of(count for _, count in shown.inside)
    unit = min(ABOVE / high, BELOW / low)
    bands = [_band(shown, band) for band in shown.bands]
    rows = list(_rows(words, shown))
    every = -(-len(rows) // MOST_NAMES)
    return {
        "bars": [bar for slot in shown.slots for bar in _bars(shown, slot, unit)],
        "bands": bands,
        "modes": {band["mode"]: band["name"] for band in bands},
        "marks": [(_y(count, unit), abs(count)) for count in (high, high // 2, 0, -low)],
        "marks_inside": [
            (_y(count, ABOVE / most), count) for count in (most, most // 2, 0) if shown.inside
        ],
        "inside": " ".join(f"{_x(shown, at)},{_y(n, ABOVE / most)}" for at, n in shown.inside),
        "names": [(_x(shown, row["begins"]), row["mark"]) for row in rows[::every]],
        "now": _x(shown, now) if shown.since <= now < shown.until else None,
        "rows": rows,
        "granted": sum(slot.granted for slot in shown.slots),
        "refused": sum(slot.refused for slot in shown.slots),
        "width": LEFT + WIDTH + RIGHT,
        "height": BAND_Y + BAND + 4,
    }


def _bars(shown: Picture, slot: Slot, unit: float) -> Iterator[dict[str, Any]]:
    x = _x(shown, slot.starts) + 1
    width = round(max(2, _x(shown, slot.starts + shown.step) - x - 1), 1)
    up, down = round(slot.granted * unit, 1), round(slot.refused * unit, 1)
    if slot.granted:
        yield {"x": x, "y": round(BASE - up, 1), "width": width, "height": up, "granted": True}
    if slot.refused:
        yield {"x": x, "y": BASE, "width": width, "height": down, "granted": False}


def _band(shown: Picture, band: ModeBand) -> dict[str, Any]:
    x, mode = _x(shown, band.starts), band.mode
    width = round(_x(shown, band.ends) - x, 1)
    named = width >= ROOM_FOR_NAME
    return {"x": x, "width": width, "mode": mode.value, "name": MODES[mode], "named": named}


def _rows(words: Words, shown: Picture) -> Iterator[dict[str, Any]]:
    """Yield the numbers of each hour, of each day of a long span."""
    ends, by_hour = dict(shown.inside), shown.step < picture.HOUR
    for begins, stops in pairwise(_edges(words, shown)):
        slots = [slot for slot in shown.slots if begins <= slot.starts < stops]
        bands = (band for band in shown.bands if band.starts < stops and band.ends > begins)
        local = words.local(begins)
        mark = f"{local:%H}" if by_hour else f"{local:%d.%m}"
        yield {
            "begins": begins,
            "mark": mark,
            "name": f"{mark}-{local.hour + 1:02}" if by_hour else words.short_day(local.date()),
            "granted": sum(slot.granted for slot in slots),
            "refused": sum(slot.refused for slot in slots),
            "inside": ends.get(stops),
            "modes": [MODES[band.mode] for band in bands],
        }


def _edges(words: Words, shown: Picture) -> Iterator[datetime]:
    """Yield when each local hour or day of a span begins, and the one after it, in UTC."""
    by_day = shown.step == picture.HOUR
    local = words.local(shown.since).replace(minute=0, second=0, microsecond=0)
    at = (local.replace(hour=0) if by_day else local).astimezone(UTC)
    while at < shown.until:
        yield at
        at = (words.local(at) + ONE_DAY).astimezone(UTC) if by_day else at + picture.HOUR
    yield at


def _x(shown: Picture, at: datetime) -> float:
    part = (at - shown.since) / (shown.until - shown.since)
    return round(LEFT + WIDTH * min(max(part, 0), 1), 1)


def _y(count: int, unit: float) -> float:
    return round(BASE - count * unit, 1)
