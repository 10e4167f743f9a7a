"""One contract for the inputs: the gpiozero adapter on mock pins, and the fake that others use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from gpiozero import PinInvalidState
from gpiozero.pins.mock import MockFactory, MockPin
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import DeviceError
from doorctl.devices.pins import GpioInputs, InputPin
from doorctl.door.pins import IN_DOUBT, Levels
from doorctl.doord.door_driver import InputPins
from tests.fakes.inputs import FakeInputs

PINS = {"contact_open": 22, "exit_pressed": 27, "fire": 5, "other_door_open": 6}
QUIET = Levels(contact_open=False, exit_pressed=False, fire=False, other_door_open=False)


def wires(*, active_high: bool) -> dict[str, InputPin]:
    """Return all four inputs' pins."""
    return {name: InputPin(pin, active_high) for name, pin in PINS.items()}


class BreakablePin(MockPin):  # type: ignore[misc]
    """A pin that can't be read, or not be watched, while it is broken."""

    broken = False
    deaf = False

    def _get_state(self) -> bool:
        if self.broken:
            raise PinInvalidState("the chip is gone")
        return bool(super()._get_state())

    def _enable_event_detect(self) -> None:
        if self.deaf:
            raise OSError("no interrupt left")
        super()._enable_event_detect()


class GpioRig:
    """The adapter on mock pins, all four wired."""

    def __init__(self, *, active_high: bool) -> None:
        self.wakes = 0
        self.active_high = active_high
        self.factory = MockFactory(pin_class=BreakablePin)
        self.gpio = GpioInputs(self.factory, self._woken, **wires(active_high=active_high))
        self.inputs: InputPins = self.gpio
        for name in PINS:
            self.put(name, active=False)

    def _woken(self) -> None:
        self.wakes += 1

    def put(self, name: str, *, active: bool) -> None:
        """Bring an input to a level from outside."""
        pin = self.factory.pin(PINS[name])
        (pin.drive_high if active is self.active_high else pin.drive_low)()

    def break_(self, name: str, *, broken: bool = True) -> None:
        """Let a pin fail, or work again."""
        self.factory.pin(PINS[name]).broken = broken


class FakeRig:
    """The fake of `tests/fakes`."""

    def __init__(self) -> None:
        self.wakes = 0
        self.fake = FakeInputs(self._woken, QUIET)
        self.inputs: InputPins = self.fake

    def _woken(self) -> None:
        self.wakes += 1

    def put(self, name: str, *, active: bool) -> None:
        """Bring an input to a level."""
        self.fake.become(**{name: active})

    def break_(self, name: str, *, broken: bool = True) -> None:
        """Let an input fail, or work again."""
        (self.fake.broken.add if broken else self.fake.broken.discard)(name)


Rig = GpioRig | FakeRig
RIGS: list[Callable[[], Rig]] = [
    lambda: GpioRig(active_high=True),
    lambda: GpioRig(active_high=False),
    FakeRig,
]


STEPS = st.one_of(st.tuples(st.sampled_from(list(PINS)), st.booleans()), st.none())
"""A pin and the level it is brought to, or None for a look at all levels."""


@pytest.mark.parametrize("make", RIGS)
@given(steps=st.lists(STEPS, max_size=16))
def test_levels_are_what_stands(
    make: Callable[[], Rig], steps: list[tuple[str, bool] | None]
) -> None:
    """Each level is the last one of its own pin; the first change after a look wakes, once."""
    rig, stands = make(), QUIET
    rig.inputs.levels()
    wakes, asleep = rig.wakes, True
    for step in [*steps, None]:
        if step is None:
            asleep = True
            assert rig.inputs.levels() == stands
            continue
        level: dict[str, Any] = {step[0]: step[1]}
        changed = replace(stands, **level)
        if changed != stands and asleep:
            wakes, asleep = wakes + 1, False
        stands = changed
        rig.put(step[0], active=step[1])
        assert rig.wakes == wakes


@pytest.mark.parametrize("make", RIGS)
@pytest.mark.parametrize("name", PINS)
@pytest.mark.parametrize("active", [True, False])
def test_a_pin_that_cannot_be_read_is_in_doubt(
    make: Callable[[], Rig], name: str, *, active: bool
) -> None:
    """Whatever it said last, it counts as a cut wire; the others go on, and it may come back."""
    rig = make()
    rig.put(name, active=active)
    stood = rig.inputs.levels()
    rig.break_(name)
    doubted = rig.inputs.levels()

    assert doubted.failing is not None
    assert replace(doubted, failing=None) == replace(stood, **{name: getattr(IN_DOUBT, name)})

    rig.break_(name, broken=False)
    assert rig.inputs.levels() == stood


def test_doubt_alarms_and_opens_nothing() -> None:
    """Doubt is an open door, a fire and an open other door, but never a pressed button."""
    assert {one.name: getattr(IN_DOUBT, one.name) for one in fields(IN_DOUBT)} == {
        "contact_open": True,
        "exit_pressed": False,
        "fire": True,
        "other_door_open": True,
        "failing": None,
    }


@pytest.mark.parametrize("active_high", [True, False])
def test_a_cut_wire_reads_as_doubt(*, active_high: bool) -> None:
    """With nothing connected each pin is pulled to the level that doubt is, whatever its sense."""
    inputs = GpioInputs(MockFactory(), lambda: None, **wires(active_high=active_high))

    assert inputs.levels() == IN_DOUBT


def test_every_failing_pin_is_named() -> None:
    """The alarm's text tells the technician which pins, and what the driver said."""
    rig = GpioRig(active_high=True)
    rig.break_("fire")
    rig.break_("contact_open")

    told = rig.inputs.levels().failing

    assert told == "GPIO22 can't be read: the chip is gone; GPIO5 can't be read: the chip is gone"


@pytest.mark.parametrize("inputs", [GpioInputs(MockFactory(), lambda: None), FakeInputs()])
def test_what_is_not_wired_is_none(inputs: InputPins) -> None:
    """None is neither open nor closed: without a second door nobody waits for it."""
    levels = inputs.levels()

    assert levels.other_door_open is None
    assert levels.failing is None


@pytest.mark.parametrize(
    ("wired", "told"),
    [
        ({"contact_open": 22, "exit_pressed": 22}, "GPIO22 can't be read"),
        ({"contact_open": 22, "exit_pressed": 23}, "GPIO23 can't be read: no interrupt left"),
    ],
)
def test_a_pin_that_is_refused_stops_the_start_and_none_is_kept(
    wired: dict[str, int], told: str
) -> None:
    """One that is taken, or that can't be watched; those claimed before it are free again."""
    factory = MockFactory(pin_class=BreakablePin)
    factory.pin(23).deaf = True

    with pytest.raises(DeviceError) as caught:
        GpioInputs(
            factory, lambda: None, **{name: InputPin(pin, True) for name, pin in wired.items()}
        )

    # The traceback keeps the half-built object, so that only its own undoing frees the pin.
    factory.pin(23).deaf = False
    for pin in wired.values():
        GpioInputs(factory, lambda: None, contact_open=InputPin(pin, active_high=True)).close()
    assert str(caught.value).startswith(told)


def test_after_close_nothing_wakes_and_all_is_doubt() -> None:
    """close() ends the wake-ups and gives the pins back; it may be called again."""
    rig = GpioRig(active_high=True)
    rig.inputs.levels()
    rig.gpio.close()
    rig.gpio.close()
    wakes = rig.wakes
    for name in PINS:
        rig.put(name, active=True)
        rig.put(name, active=False)

    assert rig.wakes == wakes
    levels = rig.inputs.levels()
    assert replace(levels, failing=None) == IN_DOUBT
    assert "GPIO22 can't be read: it was closed" in (levels.failing or "")
