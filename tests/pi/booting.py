"""Boots the emulated Pi until one boot has a USB bus that lives: some lose theirs, for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from tests.pi.table import Result

BOOTS = 4
"""How often at most."""


class Booted(Protocol):
    """A Pi that has been switched on."""

    def usb_is_dead(self) -> bool:
        """Tell whether the emulated bus broke down."""

    def has_pulsed(self) -> bool:
        """Tell whether the relay was ever on."""


PiT = TypeVar("PiT", bound=Booted)


@contextmanager
def living(
    start: Callable[[int], AbstractContextManager[PiT]],
    booting: Callable[[PiT], list[Result]],
    tell: Callable[[str], None],
) -> Iterator[tuple[PiT, list[Result]]]:
    """Give the first Pi whose bus lives, or whose relay moved, and what was seen of its boot.

    The last of :data:`BOOTS` is given whatever it is like.

    Args:
        start: switches the Pi on for that time, from 0; leaving it cuts the power.
        booting: watches a boot to its end.
        tell: hears of a boot that is begun again.
    """
    for number in range(BOOTS):
        with start(number) as pi:
            results = booting(pi)
            if number + 1 == BOOTS or pi.has_pulsed() or not pi.usb_is_dead():
                yield pi, results
                return
        tell("the emulator's USB bus broke down; booting again")
