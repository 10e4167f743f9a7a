"""Pin factories by name, and the order of the calls that reach lgpio."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from doorctl.devices.factory import open_factory
from tests.fakes.waiting import LIMIT_S

RECORDING_LGPIO = '''
"""A driver that prints each call instead of doing it; found before the real one."""
BOTH_EDGES, RISING_EDGE, FALLING_EDGE = 3, 1, 2
SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 128, 32, 64
PULLS = {0: "as it is", 128: "floating", 32: "up", 64: "down"}
claimed = {}
watching = {}

class error(Exception):
    pass

def gpiochip_open(chip):
    return 0

def gpiochip_close(handle):
    print("chip closed")

def gpio_claim_input(handle, gpio, flags=0):
    if gpio == 5:
        raise error("'GPIO busy'")
    print("input", gpio, PULLS[flags])
    claimed[gpio] = flags
    return 0

def gpio_claim_alert(handle, gpio, edges, flags=0):
    if gpio == 6:
        raise error("'no interrupt'")
    print("alert", gpio, edges, PULLS[flags])
    return 0

class callback:
    def __init__(self, chip, gpio, edges, func):
        watching[gpio] = func

    def cancel(self):
        print("not watched")

def gpio_read(handle, gpio):
    if gpio == 22 and failing:
        raise error("'chip gone'")
    return claimed[gpio] == SET_PULL_UP

failing = []

def gpio_claim_output(handle, gpio, level=0, flags=0):
    if gpio == 5:
        raise error("'GPIO busy'")
    print("output", gpio, level)
    return 0

def gpio_write(handle, gpio, level):
    print("write", gpio, level)
    return 0

def gpio_get_mode(handle, gpio):
    return claimed.get(gpio, 0)
'''

PRELUDE = """
import lgpio
from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin
from doorctl.devices.factory import steady_pin
from doorctl.devices.inputs import GpioInputs, InputPin
from doorctl.devices.pins import GpioOutputs, GpioRelay

class Pi4(LGPIOFactory):
    def _get_revision(self):
        return 0xC03111

factory = Pi4()
factory.pin_class = steady_pin(LGPIOPin, lgpio)
"""


def said(directory: Path, script: str, *path: str) -> str:
    """Run a script in another process, for importing lgpio starts a thread; return its output."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*path, str(Path.cwd())])},
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT_S,
    )
    return ran.stdout


def calls(directory: Path, script: str) -> list[str]:
    """Run a script whose lgpio is the recording one; return the calls."""
    (directory / "lgpio.py").write_text(RECORDING_LGPIO)
    return said(directory, PRELUDE + script, str(directory)).splitlines()


def refused(build: str) -> str:
    """Return a script that prints why something can't be built."""
    return (
        "from doorctl.core.errors import DeviceError\n"
        f"try:\n    {build}\nexcept DeviceError as error:\n    print(error)"
    )


@pytest.mark.parametrize(("active_high", "on", "off"), [(True, 1, 0), (False, 0, 1)])
def test_the_relays_first_level_is_off(
    tmp_path: Path, on: int, off: int, *, active_high: bool
) -> None:
    """One call makes the pin an output at its off level: no input, no other level before it."""
    script = (
        f"relay = GpioRelay(factory, 17, active_high={active_high})\nrelay.energise()\n"
        "relay.close()\nfactory.close()"
    )

    assert calls(tmp_path, script) == [
        f"output 17 {off}",
        f"write 17 {on}",
        f"write 17 {off}",
        "chip closed",
    ]


@pytest.mark.parametrize(
    ("name", "active_high", "pull", "level"),
    [
        ("contact_open", True, "up", "True"),
        ("contact_open", False, "down", "True"),
        ("exit_pressed", False, "up", "False"),
    ],
)
def test_an_input_never_floats(
    tmp_path: Path, name: str, pull: str, level: str, *, active_high: bool
) -> None:
    """One call makes the pin a pulled input; watching and letting it go keep the pull till last.

    A cut wire presses no button: its pull is the other way round.
    """
    script = (
        f"wired = {{'{name}': InputPin(27, active_high={active_high})}}\n"
        "inputs = GpioInputs(factory, lambda: print('woken'), **wired)\n"
        f"print(inputs.levels().{name})\n"
        "lgpio.watching[27](0, 27, 1, 5_000_000_000)\n"
        "inputs.close()\nfactory.close()"
    )

    assert calls(tmp_path, script) == [
        f"input 27 {pull}",
        f"alert 27 3 {pull}",
        level,
        "woken",
        "not watched",
        f"input 27 {pull}",
        "input 27 floating",
        "chip closed",
    ]


def test_an_input_that_the_driver_loses_is_in_doubt(tmp_path: Path) -> None:
    """The driver's own exception does not get out of a reading; the text names the pin."""
    script = (
        "button = InputPin(22, active_high=True)\n"
        "inputs = GpioInputs(factory, lambda: None, contact_open=button)\n"
        "lgpio.failing.append(True)\nprint(inputs.levels())\ninputs.close()"
    )

    (told,) = (line for line in calls(tmp_path, script) if line.startswith("Levels"))

    assert "contact_open=True" in told
    assert "GPIO22 can't be read: 'chip gone'" in told


@pytest.mark.parametrize(
    ("pin", "told"),
    [
        (5, "GPIO5 can't be read: 'GPIO busy'"),
        (6, "GPIO6 can't be watched: 'no interrupt'"),
        (2, "GPIO2 can't be read: it has a resistor that pulls it up"),
    ],
)
def test_an_input_that_the_driver_refuses_is_told(tmp_path: Path, pin: int, told: str) -> None:
    """A pin that is taken, can't be watched or can't have its pull stops the start by its name."""
    build = f"GpioInputs(factory, lambda: None, contact_open=InputPin({pin}, active_high=False))"

    assert calls(tmp_path, refused(build))[-1] == told


def test_named_outputs_are_steady_too(tmp_path: Path) -> None:
    """A light is off from its first level to its last, and is left driven."""
    script = (
        "outputs = GpioOutputs(factory, {'light': 12})\noutputs.switch('light', on=True)\n"
        "outputs.close()\nfactory.close()"
    )

    assert calls(tmp_path, script) == ["output 12 0", "write 12 1", "write 12 0", "chip closed"]


def test_a_refusal_of_the_driver_is_a_device_error(tmp_path: Path) -> None:
    """The driver's own exception does not get out; the text names the pin and what lgpio said."""
    script = refused("GpioRelay(factory, 5, active_high=True)")

    assert "GPIO5 can't be driven: 'GPIO busy'" in calls(tmp_path, script)


def test_the_mock_factory_is_asked_for_by_name(tmp_path: Path) -> None:
    """`mock` is gpiozero's own, a new one each time."""
    assert isinstance(open_factory("mock", tmp_path), MockFactory)
    assert open_factory("mock", tmp_path) is not open_factory("mock", tmp_path)


OPENING = "from pathlib import Path\nfrom doorctl.devices.factory import open_factory\n" + refused(
    "open_factory('lgpio', Path('run').resolve())"
)


def test_a_missing_lgpio_says_what_to_install(tmp_path: Path) -> None:
    """`lgpio` without the package is one clear line, never another factory."""
    absent = "import sys; sys.modules['lgpio'] = None\n"

    assert "pip install 'doorctl[pi]'" in said(tmp_path, absent + OPENING)


@pytest.mark.skipif(
    importlib.util.find_spec("lgpio") is None or any(Path("/dev").glob("gpiochip*")),
    reason="needs the real lgpio on a machine without GPIO",
)
def test_off_a_pi_the_real_lgpio_is_refused(tmp_path: Path) -> None:
    """No chip is a DeviceError, and lgpio's FIFO lands in the directory that was given."""
    (tmp_path / "run").mkdir()

    assert "the GPIO chip can't be opened" in said(tmp_path, OPENING)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
