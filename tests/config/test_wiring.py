"""What must hold between the keys of the pins and of the door leaf."""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path

import pytest

from doorctl.config.rules import HIGH_WHEN_CUT, PULLED_UP
from doorctl.core.errors import ConfigError, DeviceError
from doorctl.devices.pins import GpioInputs, InputPin, open_factory
from tests.config.conftest import RIGHT, Configured, Wrong


@pytest.fixture
def loaded(configured: Configured) -> Configured:
    """Return a function that loads a right configuration with overrides."""
    return partial(configured, RIGHT)


INPUTS = {
    "contact_pin": "contact_open",
    "exit_button_pin": "exit_pressed",
    "fire_pin": "fire",
    "other_door_pin": "other_door_open",
}
"""Each key, and what its level means."""


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_has_a_pin_of_its_own(wrong: Wrong, name: str) -> None:
    """An input on the relay's pin could release the strike."""
    assert wrong(f"gpio.{name}=17") == [
        f"gpio.{name}: found 17, which is gpio.relay_pin too; give each the pin it is wired to"
    ]


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("pin", sorted(PULLED_UP))
def test_a_pin_that_the_board_pulls_up_is_not_pulled_down(
    loaded: Configured, wrong: Wrong, name: str, pin: int
) -> None:
    """GPIO2 and GPIO3 suit what is pulled up, and nothing else."""
    level, pulled_up = HIGH_WHEN_CUT[f"gpio.{name}"]
    up, down = (f"{level}={str(high).lower()}" for high in (pulled_up, not pulled_up))

    loaded(f"gpio.{name}={pin}", up)
    (line,) = wrong(f"gpio.{name}={pin}", down)
    assert line.startswith(f"gpio.{name}: found {pin}, which every Pi pulls up, ")
    assert line.endswith(f"; give another pin, or {level} = {str(pulled_up).lower()}")


@pytest.mark.parametrize("name", INPUTS)
def test_what_the_configuration_lets_through_can_be_claimed(
    loaded: Configured, tmp_path: Path, name: str
) -> None:
    """The rule about pulls and the pins of a real board agree on every pin and level."""
    level, _ = HIGH_WHEN_CUT[f"gpio.{name}"]
    role = INPUTS[name]
    for pin, high in product(range(28), (True, False)):
        relay_pin = 26 if pin != 26 else 25
        overrides = [
            f"gpio.{name}={pin}",
            f"{level}={str(high).lower()}",
            f"gpio.relay_pin={relay_pin}",
        ]
        factory = open_factory("mock", tmp_path)

        try:
            loaded(*overrides)
        except ConfigError:
            with pytest.raises(DeviceError):
                GpioInputs(factory, lambda: None, **{role: InputPin(pin, high)})
        else:
            GpioInputs(factory, lambda: None, **{role: InputPin(pin, high)}).close()


@pytest.mark.parametrize("prewarn_s", ["20", "20.5"])
def test_the_warning_comes_before_the_alarm(
    loaded: Configured, wrong: Wrong, prewarn_s: str
) -> None:
    """A warning at the moment of opening, or before it, is no warning."""
    assert wrong("door.held_open_s=20", f"door.prewarn_s={prewarn_s}") == [
        f"door.prewarn_s: found {float(prewarn_s)}; give less than door.held_open_s, which is 20.0"
    ]
    assert loaded("door.held_open_s=20", "door.prewarn_s=19.9").door.prewarn_s == 19.9
    assert loaded("door.held_open_s=1", "door.prewarn_s=0").door.prewarn_s == 0


def test_a_longer_release_is_no_shorter(loaded: Configured, wrong: Wrong) -> None:
    """Where somebody is tagged for it; without tags nobody asks."""
    overrides = ["door.release_s=20", "door.long_release_s=19"]

    assert loaded(*overrides).door.long_release_tags == ()
    assert wrong(*overrides, 'door.long_release_tags=["slow"]') == [
        "door.long_release_s: found 19.0; give at least door.release_s, which is 20.0"
    ]


@pytest.mark.parametrize("tags", ['[""]', '[" a"]', '["a\\u0007"]', '["a", 1]', '"a"'])
def test_tags_are_spelt_as_in_the_register(wrong: Wrong, tags: str) -> None:
    """What no row of a feed can hold is a slip."""
    (line,) = wrong(f"door.long_release_tags={tags}")

    assert "give a list of at most 16 tags of 1 to 64 characters, such as" in line


def test_one_wrong_key_hides_no_other(wrong: Wrong) -> None:
    """A rule between keys leaves out what is wrong by itself."""
    lines = wrong("door.held_open_s=0", "door.prewarn_s=200", "gpio.fire_pin=17")

    assert [line.partition(":")[0] for line in lines] == ["door.held_open_s", "gpio.fire_pin"]
