"""What must hold between the keys of the pins and of the door leaf."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from doorctl.config import Config, load
from doorctl.config.rules import HIGH_WHEN_CUT, PULLED_UP
from doorctl.core.errors import ConfigError, DeviceError
from doorctl.devices.pins import GpioInputs, InputPin, open_factory

RIGHT = '[branch]\nname = "Ø"\nid = "oest"\n[reader]\nport = "/dev/ttyUSB0"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A right configuration."""
    path = tmp_path / "doorctl.toml"
    path.write_text(RIGHT, encoding="utf-8")
    return path


def loaded(path: Path, *overrides: str) -> Config:
    """Load it with overrides."""
    return load(path, overrides, environment={})


def told(path: Path, *overrides: str) -> list[str]:
    """Return what is wrong with it."""
    with pytest.raises(ConfigError) as caught:
        loaded(path, *overrides)
    return [str(problem) for problem in caught.value.problems]


INPUTS = {
    "contact_pin": "contact_open",
    "exit_button_pin": "exit_pressed",
    "fire_pin": "fire",
    "other_door_pin": "other_door_open",
}
"""Each key, and what its level means."""


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_has_a_pin_of_its_own(path: Path, name: str) -> None:
    """An input on the relay's pin could release the strike."""
    assert told(path, f"gpio.{name}=17") == [
        f"gpio.{name}: found 17, which is gpio.relay_pin too; give each the pin it is wired to"
    ]


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("pin", sorted(PULLED_UP))
def test_a_pin_that_the_board_pulls_up_is_not_pulled_down(path: Path, name: str, pin: int) -> None:
    """GPIO2 and GPIO3 suit what is pulled up, and nothing else."""
    level, pulled_up = HIGH_WHEN_CUT[f"gpio.{name}"]
    up, down = (f"{level}={str(high).lower()}" for high in (pulled_up, not pulled_up))

    loaded(path, f"gpio.{name}={pin}", up)
    (line,) = told(path, f"gpio.{name}={pin}", down)
    assert line.startswith(f"gpio.{name}: found {pin}, which every Pi pulls up, ")
    assert line.endswith(f"; give another pin, or {level} = {str(pulled_up).lower()}")


@pytest.mark.parametrize("name", INPUTS)
def test_what_the_configuration_lets_through_can_be_claimed(path: Path, name: str) -> None:
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
        factory = open_factory("mock", path.parent)

        try:
            loaded(path, *overrides)
        except ConfigError:
            with pytest.raises(DeviceError):
                GpioInputs(factory, lambda: None, **{role: InputPin(pin, high)})
        else:
            GpioInputs(factory, lambda: None, **{role: InputPin(pin, high)}).close()


@pytest.mark.parametrize("prewarn_s", ["20", "20.5"])
def test_the_warning_comes_before_the_alarm(path: Path, prewarn_s: str) -> None:
    """A warning at the moment of opening, or before it, is no warning."""
    assert told(path, "door.held_open_s=20", f"door.prewarn_s={prewarn_s}") == [
        f"door.prewarn_s: found {float(prewarn_s)}; give less than door.held_open_s, which is 20.0"
    ]
    assert loaded(path, "door.held_open_s=20", "door.prewarn_s=19.9").door.prewarn_s == 19.9
    assert loaded(path, "door.held_open_s=1", "door.prewarn_s=0").door.prewarn_s == 0


def test_a_longer_release_is_no_shorter(path: Path) -> None:
    """Where somebody is tagged for it; without tags nobody asks."""
    overrides = ["door.release_s=20", "door.long_release_s=19"]

    assert loaded(path, *overrides).door.long_release_tags == ()
    assert told(path, *overrides, 'door.long_release_tags=["slow"]') == [
        "door.long_release_s: found 19.0; give at least door.release_s, which is 20.0"
    ]


@pytest.mark.parametrize("tags", ['[""]', '[" a"]', '["a\\u0007"]', '["a", 1]', '"a"'])
def test_tags_are_spelt_as_in_the_register(path: Path, tags: str) -> None:
    """What no row of a feed can hold is a slip."""
    (line,) = told(path, f"door.long_release_tags={tags}")

    assert "give a list of at most 16 tags of 1 to 64 characters, such as" in line


def test_one_wrong_key_hides_no_other(path: Path) -> None:
    """A rule between keys leaves out what is wrong by itself."""
    lines = told(path, "door.held_open_s=0", "door.prewarn_s=200", "gpio.fire_pin=17")

    assert [line.partition(":")[0] for line in lines] == ["door.held_open_s", "gpio.fire_pin"]
