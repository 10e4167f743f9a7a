"""Pin factories by name, and the order of the calls that reach lgpio."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from doorctl.devices.pins import open_factory
from doorctl.errors import DeviceError

RECORDING_LGPIO = '''
"""A driver that prints each call instead of doing it; found before the real one."""
BOTH_EDGES, RISING_EDGE, FALLING_EDGE = 3, 1, 2
SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 128, 32, 64

class error(Exception):
    pass

def gpiochip_open(chip):
    return 0

def gpiochip_close(handle):
    print("chip closed")

def gpio_claim_input(handle, gpio, flags=0):
    print("input", gpio)
    return 0

def gpio_claim_output(handle, gpio, level=0, flags=0):
    if gpio == 5:
        raise error("'GPIO busy'")
    print("output", gpio, level)
    return 0

def gpio_write(handle, gpio, level):
    print("write", gpio, level)
    return 0

def gpio_get_mode(handle, gpio):
    return 0
'''

PRELUDE = """
import lgpio
from gpiozero import InputDevice
from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin
from doorctl.devices.pins import GpioRelay, GpioSignals, relay_off
from doorctl.devices.steady_pin import steady_pin

class Pi4(LGPIOFactory):
    def _get_revision(self):
        return 0xC03111

factory = Pi4()
factory.pin_class = steady_pin(LGPIOPin, lgpio)
"""


def calls(directory: Path, script: str) -> list[str]:
    """Run a script in another process whose lgpio is the recording one; return the calls."""
    (directory / "lgpio.py").write_text(RECORDING_LGPIO)
    path = os.pathsep.join([str(directory), str(Path.cwd())])
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + script],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return ran.stdout.splitlines()


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


def test_relay_off_only_ever_drives_the_off_level(tmp_path: Path) -> None:
    """The command that systemd runs after a crash leaves the pin driven, not floating."""
    script = "relay_off(factory, 17, active_high=False)\nfactory.close()"

    assert calls(tmp_path, script) == ["output 17 1", "write 17 1", "chip closed"]


def test_inputs_are_as_gpiozero_makes_them(tmp_path: Path) -> None:
    """Only outputs are different."""
    script = "InputDevice(27, pull_up=None, active_state=True, pin_factory=factory).close()"

    assert calls(tmp_path, script)[:2] == ["input 27", "input 27"]


def test_a_refusal_of_the_driver_is_a_device_error(tmp_path: Path) -> None:
    """The driver's own exception does not get out; the text names the pin and what lgpio said."""
    script = (
        "from doorctl.errors import DeviceError\n"
        "try:\n    GpioRelay(factory, 5, active_high=True)\n"
        "except DeviceError as error:\n    print(error)"
    )

    assert "GPIO5 can't be driven: 'GPIO busy'" in calls(tmp_path, script)


def test_the_mock_factory_is_asked_for_by_name(tmp_path: Path) -> None:
    """`mock` is gpiozero's own, a new one each time."""
    assert isinstance(open_factory("mock", tmp_path), MockFactory)
    assert open_factory("mock", tmp_path) is not open_factory("mock", tmp_path)


def test_an_unknown_factory_is_refused(tmp_path: Path) -> None:
    """Nothing falls back: a typo stops the daemon and says what exists."""
    with pytest.raises(
        DeviceError, match=r"no pin factory 'rpigpio'; gpio\.factory is lgpio, mock"
    ):
        open_factory("rpigpio", tmp_path)


def opened_in_another_process(directory: Path, prelude: str) -> str:
    """Open the lgpio factory elsewhere, as importing lgpio starts a thread; return the error."""
    script = (
        f"{prelude}\nfrom pathlib import Path\n"
        "from doorctl.devices.pins import open_factory\nfrom doorctl.errors import DeviceError\n"
        "try:\n    open_factory('lgpio', Path('run').resolve())\n"
        "except DeviceError as error:\n    print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return ran.stdout


def test_a_missing_lgpio_says_what_to_install(tmp_path: Path) -> None:
    """`lgpio` without the package is one clear line, never another factory."""
    absent = "import sys; sys.modules['lgpio'] = None"

    assert "pip install 'doorctl[pi]'" in opened_in_another_process(tmp_path, absent)


@pytest.mark.skipif(
    importlib.util.find_spec("lgpio") is None or any(Path("/dev").glob("gpiochip*")),
    reason="needs the real lgpio on a machine without GPIO",
)
def test_off_a_pi_the_real_lgpio_is_refused(tmp_path: Path) -> None:
    """No chip is a DeviceError, and lgpio's FIFO lands in the directory that was given."""
    (tmp_path / "run").mkdir()

    assert "the GPIO chip can't be opened" in opened_in_another_process(tmp_path, "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
