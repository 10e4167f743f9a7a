"""A boot is begun again for the emulator's own fault only, and never hides a relay that moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.pi.booting import BOOTS, living
from tests.pi.table import Result


@dataclass(frozen=True)
class Pi:
    """A boot that has gone well or not."""

    number: int
    dead: bool
    pulsed: bool

    def usb_is_dead(self) -> bool:
        """Tell whether the bus broke down."""
        return self.dead

    def has_pulsed(self) -> bool:
        """Tell whether the relay was ever on."""
        return self.pulsed


@pytest.mark.parametrize(
    ("dead", "pulsed", "given"),
    [
        ((False,), (False,), 0),
        ((True, False), (False, False), 1),
        ((True, True), (False, True), 1),
        ((True,) * BOOTS, (False,) * BOOTS, BOOTS - 1),
    ],
)
def test_the_first_boot_that_counts(
    dead: tuple[bool, ...], pulsed: tuple[bool, ...], given: int
) -> None:
    """With its own results; each one before was told of and had its power cut."""
    cut: list[int] = []
    told: list[str] = []

    @contextmanager
    def start(number: int) -> Iterator[Pi]:
        yield Pi(number, dead[number], pulsed[number])
        cut.append(number)

    def booting(pi: Pi) -> list[Result]:
        return [Result(f"boot {pi.number}", "keeps", "", "", ok=not pi.dead)]

    with living(start, booting, told.append) as (pi, results):
        assert (pi.number, results[0].scenario) == (given, f"boot {given}")
        assert (cut, len(told)) == ([*range(given)], given)
    assert cut == [*range(given + 1)]
