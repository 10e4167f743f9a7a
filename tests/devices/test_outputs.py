"""One contract for named outputs: on mock pins, by commands, and the fake; and for the lamps."""

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
from doorctl.devices.commands import CommandOutputs
from doorctl.devices.pins import GpioOutputs, GpioSignals
from doorctl.door.pins import Lamps
from doorctl.doord.door_driver import Signals
from tests.fakes.outputs import FakeOutputs
from tests.fakes.signals import FakeSignals

PINS = {"light": 12, "alarm": 13}

Rig = tuple[Outputs, Callable[[], dict[str, bool]]]
"""Named outputs, and how to ask which are on once all is done."""


def gpio_rig() -> Rig:
    """Put the adapter on mock pins."""
    factory = MockFactory()
    return GpioOutputs(factory, PINS), lambda: {
        name: bool(factory.pin(pin).state) for name, pin in PINS.items()
    }


def fake_rig() -> Rig:
    """Take the fake of `tests/fakes`."""
    fake = FakeOutputs(PINS)
    return fake, lambda: fake.on


@pytest.fixture
def command_rig(tmp_path: Path) -> Iterator[Rig]:
    """Let commands write what they were asked into a file each."""
    script = "if [ $2 = on ]; then touch $1; else rm -f $1; fi"
    commands = {name: ("sh", "-c", script, "sh", f"{tmp_path}/{name}") for name in PINS}
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


def test_each_is_switched_by_its_name(rig: Rig) -> None:
    """All are off at first; one output's state is its own; saying it twice changes nothing."""
    outputs, are_on = rig
    assert are_on() == {"light": False, "alarm": False}
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


def states(factory: MockFactory, pin: int) -> list[bool]:
    """Return each level of a pin, the first as it was found."""
    return [state.state for state in factory.pin(pin).states]


def test_a_repetition_leaves_no_edge() -> None:
    """The controller may say it each minute; the light does not flicker."""
    factory = MockFactory()
    outputs = GpioOutputs(factory, {"light": 12})
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
    outputs = GpioOutputs(factory, PINS)
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
    GpioOutputs(factory, PINS).close()


def test_a_taken_pin_is_named_by_output_and_nothing_is_kept() -> None:
    """Two outputs on one pin stop the start; the first one's pin is free again, and off."""
    factory = MockFactory()

    with pytest.raises(DeviceError) as caught:
        GpioOutputs(factory, {"light": 12, "alarm": 12})

    # The traceback keeps the half-built object, so that only its own undoing frees the pin.
    GpioOutputs(factory, {"light": 12}).close()
    assert str(caught.value).startswith("the output alarm: GPIO12 can't be driven")


def test_a_closed_output_says_so() -> None:
    """A call after close() is a DeviceError, not a silent nothing."""
    outputs = GpioOutputs(MockFactory(), PINS)
    outputs.close()

    with pytest.raises(DeviceError, match="there is no output light"):
        outputs.switch("light", on=True)


# Lamps and buzzer are outputs that are switched together.

GREEN, RED, BUZZER = LIT = (22, 23, 24)
ALL = Lamps(green=True, red=True, buzzer=True)
LAMPS = st.builds(Lamps, green=st.booleans(), red=st.booleans(), buzzer=st.booleans())

Lights = tuple[Signals, Callable[[], Lamps]]


def gpio_lights() -> Lights:
    """Put the adapter on mock pins; report what their levels light."""
    factory = MockFactory()
    signals = GpioSignals(factory, *LIT)
    return signals, lambda: Lamps(*(factory.pin(pin).state for pin in LIT))


def fake_lights() -> Lights:
    """Take the fake of `tests/fakes`."""
    signals = FakeSignals()
    return signals, lambda: signals.lamps


@pytest.mark.parametrize("make", [gpio_lights, fake_lights])
@given(shown=st.lists(LAMPS, max_size=8))
def test_what_is_lit_is_what_was_shown_last(make: Callable[[], Lights], shown: list[Lamps]) -> None:
    """All dark at first; then exactly the last state, whatever came before."""
    signals, lit = make()
    for lamps in shown:
        signals.show(lamps)

    assert lit() == (shown[-1] if shown else Lamps())


@pytest.mark.parametrize("missing", LIT)
def test_a_lamp_that_is_not_wired_is_left_alone(missing: int) -> None:
    """None instead of a pin is silently absent; the other two work."""
    factory = MockFactory()
    GpioSignals(factory, *(None if pin == missing else pin for pin in LIT)).show(ALL)

    assert [factory.pin(pin).state for pin in LIT] == [pin != missing for pin in LIT]


@pytest.mark.parametrize("broken", LIT)
def test_a_lamp_that_fails_keeps_no_other_from_being_switched(broken: int) -> None:
    """The buzzer falls silent though a lamp is broken; the failure is raised all the same."""
    factory = MockFactory(pin_class=BrokenPin)
    signals = GpioSignals(factory, *LIT)
    factory.pin(broken).broken = True

    for lamps, level in ((ALL, True), (Lamps(), False)):
        with pytest.raises(DeviceError):
            signals.show(lamps)
        assert {factory.pin(pin).state for pin in LIT if pin != broken} == {level}
