"""One contract for named outputs: on mock pins, by commands, and the fake."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gpiozero import PinSetInput
from gpiozero.pins.mock import MockFactory, MockPin
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import DeviceError
from doorctl.core.ports import Outputs
from doorctl.devices.commands import CommandOutputs, OutputCommand
from doorctl.devices.pins import GpioOutputs, OutputPin
from tests.fakes.outputs import FakeOutputs

PINS = {"light": 12, "alarm": 13}
SENSE = {"light": True, "alarm": False}

Rig = tuple[Outputs, Callable[[], dict[str, bool]]]
"""Named outputs, and how to ask which are on once all is done."""


def gpio_rig() -> Rig:
    """Put the adapter on mock pins, one active-high and one active-low."""
    factory = MockFactory()
    outputs = GpioOutputs(factory, [OutputPin(name, PINS[name], SENSE[name]) for name in PINS])
    return outputs, lambda: {
        name: factory.pin(pin).state is SENSE[name] for name, pin in PINS.items()
    }


def fake_rig() -> Rig:
    """Take the fake of `tests/fakes`."""
    fake = FakeOutputs(PINS)
    return fake, lambda: fake.on


@pytest.fixture
def command_rig(tmp_path: Path) -> Iterator[Rig]:
    """Let commands write what they were asked into a file each."""
    commands = [
        OutputCommand(
            name,
            on=("cp", "/proc/sys/kernel/ostype", f"{tmp_path}/{name}"),
            off=("rm", "-f", f"{tmp_path}/{name}"),
        )
        for name in PINS
    ]
    outputs = CommandOutputs(commands, time.monotonic, lambda name, why: pytest.fail(name + why))
    yield outputs, lambda: {name: (tmp_path / name).exists() for name in PINS}
    outputs.stop()


@pytest.fixture(params=["gpio", "command", "fake"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """Each of them in turn."""
    if request.param == "command":
        made: Rig = request.getfixturevalue("command_rig")
        return made
    return gpio_rig() if request.param == "gpio" else fake_rig()


def settles(are_on: Callable[[], dict[str, bool]], expected: dict[str, bool]) -> bool:
    """Wait until the outputs are as expected, and tell whether they ever were."""
    give_up = time.monotonic() + 30
    while are_on() != expected and time.monotonic() < give_up:
        time.sleep(0.01)
    return are_on() == expected


def test_all_are_off_at_first(rig: Rig) -> None:
    """Building it switches nothing on."""
    _, are_on = rig

    assert are_on() == {"light": False, "alarm": False}


def test_each_is_switched_by_its_name(rig: Rig) -> None:
    """One output's state is its own; saying it twice changes nothing."""
    outputs, are_on = rig
    outputs.switch("light", on=True)
    outputs.switch("light", on=True)

    assert settles(are_on, {"light": True, "alarm": False})

    outputs.switch("alarm", on=True)
    outputs.switch("light", on=False)
    outputs.switch("light", on=False)

    assert settles(are_on, {"light": False, "alarm": True})


def test_an_unknown_name_is_told(rig: Rig) -> None:
    """A name that nobody wired is a DeviceError that says it, and nothing is switched."""
    outputs, are_on = rig

    with pytest.raises(DeviceError, match="there is no output heating"):
        outputs.switch("heating", on=True)
    assert are_on() == {"light": False, "alarm": False}


@pytest.mark.parametrize("make", [gpio_rig, fake_rig])
@given(wishes=st.lists(st.tuples(st.sampled_from(list(PINS)), st.booleans()), max_size=12))
def test_what_stands_is_the_last_wish(
    make: Callable[[], Rig], wishes: list[tuple[str, bool]]
) -> None:
    """Whatever came before."""
    outputs, are_on = make()
    for name, on in wishes:
        outputs.switch(name, on=on)

    assert are_on() == {"light": False, "alarm": False} | dict(wishes)


def states(factory: MockFactory, pin: int) -> list[bool]:
    """Return each level of a pin, the first as it was found."""
    return [state.state for state in factory.pin(pin).states]


@pytest.mark.parametrize(("active_high", "expected"), [(True, [False]), (False, [False, True])])
def test_a_pin_goes_straight_to_its_off_level(expected: list[bool], *, active_high: bool) -> None:
    """Claiming it switches nothing on, whatever its sense."""
    factory = MockFactory()
    GpioOutputs(factory, [OutputPin("light", 12, active_high=active_high)])

    assert states(factory, 12) == expected


def test_a_repetition_leaves_no_edge() -> None:
    """The controller may say it each minute; the light does not flicker."""
    factory = MockFactory()
    outputs = GpioOutputs(factory, [OutputPin("light", 12)])
    for on in (False, True, True, False, False):
        outputs.switch("light", on=on)

    assert states(factory, 12) == [False, True, False]


class BrokenPin(MockPin):  # type: ignore[misc]
    """A pin that can't be switched on or off once it is `broken`."""

    broken = False

    def _set_state(self, value: bool) -> None:
        if self.broken:
            raise PinSetInput("the wire is off")
        super()._set_state(value)


def test_one_that_fails_is_named_and_keeps_no_other_from_being_off() -> None:
    """The failure says which output; close() switches off the others and frees every pin."""
    factory = MockFactory(pin_class=BrokenPin)
    outputs = GpioOutputs(factory, [OutputPin("light", 12), OutputPin("alarm", 13)])
    outputs.switch("alarm", on=True)
    outputs.switch("light", on=True)
    factory.pin(13).broken = True

    with pytest.raises(DeviceError, match="the output alarm can't be driven: the wire is off"):
        outputs.switch("alarm", on=False)
    with pytest.raises(DeviceError, match="the output alarm"):
        outputs.close()
    outputs.close()

    assert states(factory, 12)[-1] is False
    factory.pin(13).broken = False
    GpioOutputs(factory, [OutputPin("light", 12), OutputPin("alarm", 13)]).close()


def test_the_fake_can_be_broken() -> None:
    """Others test with it what happens when an output can't be driven."""
    fake = FakeOutputs(["light"])
    fake.broken.add("light")

    with pytest.raises(DeviceError, match="the output light can't be driven"):
        fake.switch("light", on=True)
    assert (fake.on, fake.switched) == ({"light": False}, [])


def test_a_taken_pin_is_named_by_output_and_nothing_is_kept() -> None:
    """Two outputs on one pin stop the start; the first one's pin is free again, and off."""
    factory = MockFactory()

    with pytest.raises(DeviceError) as caught:
        GpioOutputs(factory, [OutputPin("light", 12), OutputPin("alarm", 12)])

    # The traceback keeps the half-built object, so that only its own undoing frees the pin.
    GpioOutputs(factory, [OutputPin("light", 12)]).close()
    assert str(caught.value).startswith("the output alarm: GPIO12 can't be driven")


def test_a_closed_output_says_so() -> None:
    """A call after close() is a DeviceError, not a silent nothing."""
    outputs = GpioOutputs(MockFactory(), [OutputPin("light", 12)])
    outputs.close()

    with pytest.raises(DeviceError, match="there is no output light"):
        outputs.switch("light", on=True)
