"""What must hold between the keys of the pins and of the door leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from doorctl.config.wording import shown
from doorctl.errors import Problem

Values = Mapping[str, Any]

PULLED_UP = frozenset({2, 3})
"""GPIO2 and GPIO3 have 1.8 kilohm to 3.3 V on every Pi: no pull-down of the chip's is a match."""

HIGH_WHEN_CUT: Mapping[str, tuple[str, bool]] = MappingProxyType(
    {
        "gpio.contact_pin": ("gpio.contact_open_high", True),
        "gpio.exit_button_pin": ("gpio.exit_button_active_high", False),
        "gpio.fire_pin": ("gpio.fire_active_high", True),
        "gpio.other_door_pin": ("gpio.other_door_open_high", True),
    }
)
"""Input -> its level's key and the value of it with which the pin is pulled up."""


def pulls_fit(values: Values) -> Iterator[Problem]:
    """An input that has to be pulled down stands on a pin that can be."""
    for name, (level, pulled_up) in HIGH_WHEN_CUT.items():
        pin, high = values.get(name), values.get(level)
        if pin in PULLED_UP and high is not None and high is not pulled_up:
            yield Problem(
                name,
                f"found {pin}, which every Pi pulls up, so that a cut wire would go unseen; give "
                f"another pin, or {level} = {shown(pulled_up)}",
            )


def warning_comes_before_alarm(values: Values) -> Iterator[Problem]:
    """The buzzer warns while there is time left to close the door."""
    warned, held = values.get("door.prewarn_s"), values.get("door.held_open_s")
    if warned is not None and held is not None and warned >= held:
        yield Problem(
            "door.prewarn_s",
            f"found {shown(warned)}; give less than door.held_open_s, which is {shown(held)}",
        )


def longer_is_longer(values: Values) -> Iterator[Problem]:
    """Nobody who needs longer gets less than others."""
    longer, release = values.get("door.long_release_s"), values.get("door.release_s")
    if not values.get("door.long_release_tags") or longer is None or release is None:
        return
    if longer < release:
        yield Problem(
            "door.long_release_s",
            f"found {shown(longer)}; give at least door.release_s, which is {shown(release)}",
        )


WIRING_RULES: tuple[Callable[[Values], Iterator[Problem]], ...] = (
    pulls_fit,
    warning_comes_before_alarm,
    longer_is_longer,
)
