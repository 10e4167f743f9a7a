"""One contract for the relay: the gpiozero adapter on mock pins, and the fake that others use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from doorctl.config.tables import Gpio
from doorctl.core.errors import DeviceError
from doorctl.devices.pins import GpioRelay, outputs_kept, pulse, relay_risks
from doorctl.doord.door_driver import Relay
from tests.fakes.relay import FakeRelay

PIN = 17

Rig = tuple[Relay, Callable[[], list[bool]]]
"""A relay, and how to ask for every state that its strike went through."""


def levels(factory: MockFactory) -> list[bool]:
    """Return each level of the pin, the first as it was found."""
    return [state.state for state in factory.pin(PIN).states]


def gpio_rig(*, active_high: bool) -> Rig:
    """Put the adapter on a mock pin."""
    factory = MockFactory()
    relay = GpioRelay(factory, PIN, active_high=active_high)
    factory.pin(PIN).clear_states()
    return relay, lambda: [level is active_high for level in levels(factory)]


def fake_rig() -> Rig:
    """Take the fake of `tests/fakes`."""
    relay = FakeRelay()
    return relay, lambda: [False, *(edge.energised for edge in relay.edges)]


@pytest.fixture(params=["active-high", "active-low", "fake"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """Each of them in turn."""
    if request.param == "fake":
        return fake_rig()
    return gpio_rig(active_high=request.param == "active-high")


def test_the_strike_follows_the_calls_exactly(rig: Rig) -> None:
    """De-energised at first; one edge for each change, none for what is said twice."""
    relay, states = rig
    assert states() == [False]
    relay.de_energise()
    relay.energise()
    relay.energise()
    relay.de_energise()
    relay.de_energise()
    relay.energise()

    assert states() == [False, True, False, True]


@pytest.mark.parametrize(("active_high", "expected"), [(True, [False]), (False, [False, True])])
def test_the_pin_goes_straight_to_its_off_level(expected: list[bool], *, active_high: bool) -> None:
    """The first level written is off: low for active-high boards, high for active-low ones."""
    factory = MockFactory()
    relay = GpioRelay(factory, PIN, active_high=active_high)

    assert levels(factory) == expected
    assert factory.pin(PIN).function == "output"
    relay.close()


@pytest.mark.parametrize("active_high", [True, False])
def test_closing_switches_off_first(*, active_high: bool) -> None:
    """Whatever its level was before us; close() may be called again, and all else says so then."""
    factory = MockFactory()
    factory.pin(PIN).output_with_state(active_high)
    relay = GpioRelay(factory, PIN, active_high=active_high)
    relay.energise()
    relay.close()
    relay.close()

    assert levels(factory)[-2:] == [active_high, not active_high]
    with pytest.raises(DeviceError, match="GPIO17 can't be driven"):
        relay.energise()


@pytest.mark.parametrize("pin", [PIN, 99])
def test_a_pin_that_is_taken_or_none_is_refused(pin: int) -> None:
    """A wiring mistake must be heard of at the start."""
    factory = MockFactory()
    relay = GpioRelay(factory, PIN, active_high=True)

    with pytest.raises(DeviceError, match=f"GPIO{pin} can't be driven"):
        GpioRelay(factory, pin, active_high=True)
    relay.close()


def machine(root: Path, kept: str, *, gpioset: bool) -> tuple[Path, str]:
    """Return a kernel's parameters and a directory of programs."""
    for driver in ("pinctrl_bcm2835", "pinctrl_rp1"):
        parameters = root / driver / "parameters"
        parameters.mkdir(parents=True)
        (parameters / "persist_gpio_outputs").write_text(f"{kept}\n", encoding="ascii")
    programs = root / "bin"
    programs.mkdir()
    if gpioset:
        (programs / "gpioset").touch(mode=0o755)
    return root, str(programs)


@pytest.mark.parametrize(
    ("kept", "gpioset", "factory", "risks"),
    [
        ("N", True, "lgpio", []),
        ("Y", True, "lgpio", ["strict_gpiod"]),
        ("N", False, "lgpio", ["apt install gpiod"]),
        ("Y", False, "lgpio", ["strict_gpiod", "apt install gpiod"]),
        ("Y", False, "mock", []),
    ],
)
def test_what_could_leave_the_relay_on_is_told(
    tmp_path: Path, kept: str, gpioset: bool, factory: str, risks: list[str]
) -> None:
    """A sentence each, with what to do; a door without a relay has no risk.

    Bug (outside look): nothing told that the kernel keeps the relay on, or that `gpioset` is
    missing.
    """
    told = relay_risks(factory, *machine(tmp_path, kept, gpioset=gpioset))

    assert [want in one for want, one in zip(risks, told, strict=True)] == [True] * len(risks)


def test_a_kernel_that_says_nothing_is_no_promise(tmp_path: Path) -> None:
    """Only a kernel that frees outputs is trusted to do so: anywhere else the grace is short."""
    assert outputs_kept(tmp_path) is None
    assert outputs_kept(machine(tmp_path / "kept", "Y", gpioset=True)[0]) is True
    assert outputs_kept(machine(tmp_path / "freed", "N", gpioset=True)[0]) is False


@pytest.mark.parametrize("active_high", [True, False])
def test_a_pulse_says_how_its_pin_moved(*, active_high: bool) -> None:
    """Before, in and after it: what a technician holds against the relay that clicked."""
    gpio = Gpio(factory="mock", relay_pin=PIN, relay_active_high=active_high)

    assert pulse(gpio, 0.0) == ((0, 1, 0) if active_high else (1, 0, 1))
