"""What `relay-off` reads: the pins, whatever else is wrong with the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorctl.config import load, load_gpio
from doorctl.config.tables import Gpio
from doorctl.core.errors import ConfigError

PINS = """
[gpio]
relay_pin = 18
relay_active_high = false
"""
BOARD = Gpio(relay_pin=18, relay_active_high=False)
EXAMPLE = Path(__file__).parents[2] / "config" / "doorctl.toml"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A place for a configuration."""
    return tmp_path / "doorctl.toml"


def wrong(path: Path, text: str, *overrides: str) -> list[str]:
    """Load the pins of a wrong text and return what the problems are of."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_gpio(path, overrides)
    return [problem.where for problem in caught.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[door]\nrelease_s = 99\n",
        "[dor]\nrelease_s = 5\n",
        "door = 5\nxyzzy = 5\n",
        '[branch]\ntime_zone = "Mars/Olympus"\n[hours]\nmonday = ["25:00-26:00"]\n',
        '[secrets]\ninstallation_key_file = "$CREDENTIALS_DIRECTORY/installation.key"\n',
        "[storage]\ndirectory = 7\n",
    ],
)
def test_what_is_wrong_elsewhere_does_not_matter(path: Path, text: str) -> None:
    """The pins are told as they stand, whatever other tables hold or lack."""
    path.write_text(text + PINS, encoding="utf-8")

    assert load_gpio(path) == BOARD
    assert load_gpio(path, ["door.release_s=99", "branch.id=Ø"]) == BOARD


def test_overrides_count(path: Path) -> None:
    """As for every command, the last one wins over the file."""
    path.write_text(PINS, encoding="utf-8")

    assert load_gpio(path, ["gpio.relay_pin=4", "gpio.factory=mock"]) == Gpio(
        factory="mock", relay_pin=4, relay_active_high=False
    )


def test_without_the_table_the_pins_have_their_defaults(path: Path) -> None:
    """As for the daemon; a wrong value or a missing key elsewhere can't have meant a pin."""
    path.write_text("[door]\nrelease_s = 99\n", encoding="utf-8")

    assert load_gpio(path) == Gpio()


def test_the_example_gives_the_same_pins_as_the_whole() -> None:
    """What is right is read alike in both ways."""
    assert load_gpio(EXAMPLE) == load(EXAMPLE).gpio


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[gpio]\nrelay_pin = 40\n", "gpio.relay_pin"),
        ("[gpio]\nrelay_pni = 18\n", "gpio.relay_pni"),
        ("gpio = 18\n", "gpio"),
        ("[gpoi]\nrelay_pin = 18\n", "gpoi"),
        ("relay_pin = 18\n", "relay_pin"),
        ("[door]\nrelay_pin = 18\n", "door.relay_pin"),
    ],
)
def test_a_pin_is_never_guessed(path: Path, text: str, where: str) -> None:
    """A wrong or misspelt pin is told: to drive another could release the strike."""
    assert wrong(path, text) == [where]


def test_an_override_that_is_none_is_told(path: Path) -> None:
    """It may have meant the pin."""
    assert wrong(path, PINS, "gpio.relay_pin:4") == ['--set "gpio.relay_pin:4"']


def test_a_file_that_cannot_be_read_is_told(path: Path) -> None:
    """Without it nobody knows the pin."""
    with pytest.raises(ConfigError, match="file not found"):
        load_gpio(path)
