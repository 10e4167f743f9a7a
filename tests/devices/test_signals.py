"""One contract for lamps and buzzer: the gpiozero adapter on mock pins, and the fake."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gpiozero import PinSetInput
from gpiozero.pins.mock import MockFactory, MockPin
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import DeviceError
from doorctl.devices.pins import GpioSignals
from doorctl.door.pins import Lamps
from doorctl.doord.door_driver import Signals
from tests.fakes.signals import FakeSignals

GREEN, RED, BUZZER = 22, 23, 24

LAMPS = st.builds(Lamps, green=st.booleans(), red=st.booleans(), buzzer=st.booleans())

Rig = tuple[Signals, Callable[[], Lamps]]


def gpio_rig() -> Rig:
    """Put the adapter on mock pins; report what their levels light."""
    factory = MockFactory()
    signals = GpioSignals(factory, GREEN, RED, BUZZER)
    return signals, lambda: Lamps(*(factory.pin(pin).state for pin in (GREEN, RED, BUZZER)))


def fake_rig() -> Rig:
    """Take the fake of `tests/fakes`."""
    signals = FakeSignals()
    return signals, lambda: signals.lamps


@pytest.mark.parametrize("make", [gpio_rig, fake_rig])
@given(shown=st.lists(LAMPS, max_size=8))
def test_what_is_lit_is_what_was_shown_last(make: Callable[[], Rig], shown: list[Lamps]) -> None:
    """All dark at first; then exactly the last state, whatever came before."""
    signals, lit = make()
    for lamps in shown:
        signals.show(lamps)

    assert lit() == (shown[-1] if shown else Lamps())


@pytest.mark.parametrize("missing", [GREEN, RED, BUZZER])
def test_an_output_that_is_not_wired_is_left_alone(missing: int) -> None:
    """None instead of a pin is silently absent; the other two work."""
    factory = MockFactory()
    green, red, buzzer = (None if pin == missing else pin for pin in (GREEN, RED, BUZZER))
    GpioSignals(factory, green, red, buzzer).show(Lamps(green=True, red=True, buzzer=True))

    assert [factory.pin(pin).state for pin in (GREEN, RED, BUZZER)] == [
        pin != missing for pin in (GREEN, RED, BUZZER)
    ]


def test_closing_leaves_all_dark() -> None:
    """No lamp or buzzer stays on after the daemon; close() may be called again."""
    factory = MockFactory()
    signals = GpioSignals(factory, GREEN, RED, BUZZER)
    signals.show(Lamps(green=True, red=True, buzzer=True))
    signals.close()
    signals.close()

    assert [factory.pin(pin).states[-1].state for pin in (GREEN, RED, BUZZER)] == [False] * 3


class BrokenPin(MockPin):  # type: ignore[misc]
    """A pin that can't be switched on or off once it is `broken`."""

    broken = False

    def _set_state(self, value: bool) -> None:
        if self.broken:
            raise PinSetInput("the wire is off")
        super()._set_state(value)


@pytest.mark.parametrize("broken", [GREEN, RED, BUZZER])
def test_one_that_fails_keeps_no_other_from_being_switched(broken: int) -> None:
    """The buzzer falls silent though a lamp is broken; the failure is raised all the same."""
    factory = MockFactory(pin_class=BrokenPin)
    signals = GpioSignals(factory, GREEN, RED, BUZZER)
    sound = [pin for pin in (GREEN, RED, BUZZER) if pin != broken]
    factory.pin(broken).broken = True

    with pytest.raises(DeviceError):
        signals.show(Lamps(green=True, red=True, buzzer=True))
    assert [factory.pin(pin).state for pin in sound] == [True, True]

    with pytest.raises(DeviceError):
        signals.show(Lamps())
    assert [factory.pin(pin).state for pin in sound] == [False, False]


@pytest.mark.parametrize("broken", [GREEN, RED, BUZZER])
def test_one_that_fails_keeps_no_other_from_being_dark_after_closing(broken: int) -> None:
    """close() switches off what can be, gives back every pin, and raises the failure once."""
    factory = MockFactory(pin_class=BrokenPin)
    signals = GpioSignals(factory, GREEN, RED, BUZZER)
    signals.show(Lamps(green=True, red=True, buzzer=True))
    factory.pin(broken).broken = True

    with pytest.raises(DeviceError):
        signals.close()
    signals.close()

    sound = [pin for pin in (GREEN, RED, BUZZER) if pin != broken]
    assert [factory.pin(pin).states[-1].state for pin in sound] == [False, False]
    factory.pin(broken).broken = False
    GpioSignals(factory, GREEN, RED, BUZZER).close()


def test_two_lamps_on_one_pin_are_refused() -> None:
    """A wiring mistake is a DeviceError that names the pin."""
    with pytest.raises(DeviceError, match="GPIO22"):
        GpioSignals(MockFactory(), GREEN, GREEN, None)
