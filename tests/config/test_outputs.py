from collections.abc import Callable

import pytest

from doorctl.access.calendar import Mode
from doorctl.access.day import Output
from doorctl.config.tables import WiredOutput
from tests.config.conftest import RIGHT, Configured, Wrong

Loading = Callable[[str], tuple[WiredOutput, ...]]
LIGHT = '[[outputs]]\nname = "light"\npin = 12\nmodes = ["staffed", "self_service"]\n'
PCS = '[[outputs]]\nname = "pcs"\ncommand = ["/usr/local/bin/pcs", "--all"]\nmodes = ["staffed"]\n'


@pytest.fixture
def loaded(configured: Configured) -> Loading:
    """Return a function that loads a configuration with these lines at its end."""
    return lambda text: configured(RIGHT + text).outputs


def test_outputs_are_pins_or_commands(loaded: Loading) -> None:
    """Each has a name, a pin or a command, its modes and its offsets."""
    light, pcs = loaded(f"{LIGHT}lead_min = 10\nlag_min = -5\n{PCS}")

    assert (light.pin, light.command) == (12, ())
    assert light.rule == Output("light", frozenset({Mode.STAFFED, Mode.SELF_SERVICE}), 10, -5)
    assert (pcs.pin, pcs.command) == (None, ("/usr/local/bin/pcs", "--all"))
    assert pcs.rule == Output("pcs", frozenset({Mode.STAFFED}))


def test_an_announcement_needs_no_modes(loaded: Loading) -> None:
    """What is only heard at the warnings is on in no mode, and for ten seconds by default."""
    text = PCS.replace('"staffed"', "") + "at_warnings = true\n"

    (found,) = loaded(text)
    assert (found.rule.modes, found.at_warnings, found.pulse_s) == (frozenset(), True, 10.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            LIGHT + PCS.replace("pcs", "light"),
            'outputs[1].name: found "light", which is outputs[0].name too; give each its own',
        ),
        (
            LIGHT + LIGHT.replace("light", "lamp"),
            (
                "outputs[1].pin: found 12, which is outputs[0].pin too; give each the pin it is "
                "wired to"
            ),
        ),
        (
            LIGHT.replace("12", "17"),
            (
                "outputs[0].pin: found 17, which is gpio.relay_pin too; give each the pin it is "
                "wired to"
            ),
        ),
        (
            LIGHT.replace("pin = 12\n", ""),
            "outputs[0].pin: missing; give a pin, or a command instead",
        ),
        (
            LIGHT + 'command = ["/bin/true"]\n',
            "outputs[0].command: found beside a pin; give one of them",
        ),
        (
            PCS.replace("/usr/local/bin/", ""),
            ('outputs[0].command: found ["pcs", "--all"]; begin with the command\'s whole path'),
        ),
        (
            LIGHT.replace('"staffed", "self_service"', ""),
            "outputs[0].modes: found []; give those in which it is on, or at_warnings",
        ),
        (
            f"{LIGHT}at_warnings = true\n",
            (
                "outputs[0].at_warnings: found beside a pin; give a command, for at a warning no "
                "pin is switched"
            ),
        ),
    ],
)
def test_what_outputs_may_not_say(wrong: Wrong, text: str, told: str) -> None:
    """Each slip is told by the output's place and key, with what is found and what is right."""
    assert wrong(text) == [told]
