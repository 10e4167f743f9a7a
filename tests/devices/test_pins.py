"""Relay, inputs, outputs and lamps: one contract for mock pins and for the fakes of others."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
from gpiozero import PinInvalidState, PinSetInput
from gpiozero.pins.mock import MockFactory, MockPin
from hypothesis import given
from hypothesis import strategies as st

from doorctl.config.tables import Gpio
from doorctl.core.errors import DeviceError
from doorctl.devices.inputs import GpioInputs, InputPin
from doorctl.devices.pins import GpioOutputs, GpioRelay, GpioSignals, outputs_kept, relay_risks
from doorctl.devices.relay_off import leave_word, lock_when_dead, pulse
from doorctl.door.inputs import IN_DOUBT, Levels
from doorctl.door.lamps import Lamps
from doorctl.extras.outputs.commands import CommandOutputs
from doorctl.extras.outputs.switching import Outputs
from tests.fakes.pins import FakeInputs, FakeOutputs, FakeRelay, FakeSignals
from tests.fakes.waiting import until

RELAY = 17
INPUTS = {"contact_open": 22, "exit_pressed": 27, "fire": 5, "other_door_open": 6}
OUTPUTS = {"light": 12, "alarm": 13}
QUIET = Levels(contact_open=False, exit_pressed=False, fire=False, other_door_open=False)


class BreakablePin(MockPin):  # type: ignore[misc]
    """A pin that can be neither read nor driven while it is broken, or not be watched."""

    broken = False
    deaf = False

    def _get_state(self) -> bool:
        if self.broken:
            raise PinInvalidState("the chip is gone")
        return bool(super()._get_state())

    def _set_state(self, value: bool) -> None:
        if self.broken:
            raise PinSetInput("the wire is off")
        super()._set_state(value)

    def _enable_event_detect(self) -> None:
        if self.deaf:
            raise OSError("no interrupt left")
        super()._enable_event_detect()


def states(factory: MockFactory, pin: int) -> list[bool]:
    """Return each level of a pin, the first as it was found."""
    return [state.state for state in factory.pin(pin).states]


RelayRig = tuple[GpioRelay, Callable[[], list[bool]]]
"""A relay, and how to ask for every state that its strike went through."""


@pytest.fixture(params=["active-high", "active-low", "fake"])
def relay_rig(request: pytest.FixtureRequest) -> RelayRig:
    """The adapter on a mock pin, and the fake, each in turn."""
    if request.param == "fake":
        fake = FakeRelay()
        return fake, lambda: [False, *(edge.energised for edge in fake.edges)]
    factory, active_high = MockFactory(), request.param == "active-high"
    relay = GpioRelay(factory, RELAY, active_high=active_high)
    factory.pin(RELAY).clear_states()
    return relay, lambda: [level is active_high for level in states(factory, RELAY)]


def test_the_strike_follows_the_calls_exactly(relay_rig: RelayRig) -> None:
    """De-energised at first; one edge for each change, none for what is said twice."""
    relay, went_through = relay_rig
    assert went_through() == [False]
    relay.de_energise()
    relay.energise()
    relay.energise()
    relay.de_energise()
    relay.de_energise()
    relay.energise()

    assert went_through() == [False, True, False, True]


@pytest.mark.parametrize(("active_high", "expected"), [(True, [False]), (False, [False, True])])
def test_the_pin_goes_straight_to_its_off_level(expected: list[bool], *, active_high: bool) -> None:
    """The first level written is off: low for active-high boards, high for active-low ones."""
    factory = MockFactory()
    relay = GpioRelay(factory, RELAY, active_high=active_high)

    assert states(factory, RELAY) == expected
    assert factory.pin(RELAY).function == "output"
    relay.close()


@pytest.mark.parametrize("active_high", [True, False])
def test_closing_switches_off_first(*, active_high: bool) -> None:
    """Whatever its level was before us; close() may be called again, and all else says so then."""
    factory = MockFactory()
    factory.pin(RELAY).output_with_state(active_high)
    relay = GpioRelay(factory, RELAY, active_high=active_high)
    relay.energise()
    relay.close()
    relay.close()

    assert states(factory, RELAY)[-2:] == [active_high, not active_high]
    with pytest.raises(DeviceError, match="GPIO17 can't be driven"):
        relay.energise()


@pytest.mark.parametrize("pin", [RELAY, 99])
def test_a_pin_that_is_taken_or_none_is_refused(pin: int) -> None:
    """A wiring mistake must be heard of at the start."""
    factory = MockFactory()
    relay = GpioRelay(factory, RELAY, active_high=True)

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
    gpio = Gpio(factory="mock", relay_pin=RELAY, relay_active_high=active_high)

    assert pulse(gpio, 0.0) == ((0, 1, 0) if active_high else (1, 0, 1))


# The word for systemd, which locks with it where no Python can start.


@dataclass
class Chip(MockFactory):  # type: ignore[misc]
    """Pins that say which chip they are on, as lgpio's do."""

    chip: int = 0


@pytest.mark.parametrize(
    ("gpio", "chip", "word"),
    [
        (Gpio(factory="mock"), 0, "/dev/gpiochip0 17 0\n"),
        (Gpio(factory="mock", relay_pin=20, relay_active_high=False), 4, "/dev/gpiochip4 20 1\n"),
    ],
)
def test_the_word_is_chip_pin_and_the_level_that_locks(
    tmp_path: Path, gpio: Gpio, chip: int, word: str
) -> None:
    """It follows the configuration and the chip in use; nothing else has to be known to lock."""
    leave_word(gpio, Chip(chip), {"RUNTIME_DIRECTORY": str(tmp_path)})

    assert (tmp_path / "relay").read_text() == word


def test_without_a_chip_there_is_no_word(tmp_path: Path) -> None:
    """Mock pins belong to none, and a word about one would drive a pin of this machine."""
    leave_word(Gpio(factory="mock"), MockFactory(), {"RUNTIME_DIRECTORY": str(tmp_path)})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("environment", [{}, {"RUNTIME_DIRECTORY": "/nowhere/at/all"}])
def test_a_word_that_cannot_be_left_keeps_nobody_out(environment: dict[str, str]) -> None:
    """Started by hand, or on a full disk: the daemon goes on, and our own command locks."""
    leave_word(Gpio(factory="mock"), Chip(0), environment)


DIES = """
import os, signal, sys
from pathlib import Path
from doorctl.config.tables import Gpio
from doorctl.devices.relay_off import lock_when_dead
class Chip:
    chip = 4
lock_when_dead(Gpio(relay_pin=17, relay_active_high=False), Chip(), Path(sys.argv[1]), sys.argv[2])
os.kill(os.getpid(), getattr(signal, sys.argv[3]))
signal.pause()
"""
GPIOSET = """#!/bin/sh
[ "$1" != --version ] || exit 0
echo "$*" >>"$(dirname "$0")/asked"
[ "$(wc -l <"$(dirname "$0")/asked")" -ge 3 ]
"""
"""Finds the line in use, twice."""


def dying(tmp_path: Path, *, kept: bool, ends: str = "SIGKILL") -> subprocess.Popen[bytes]:
    """Start a process that ends on the spot; its shell has our end of a pipe until it is over."""
    parameter = tmp_path / "modules/pinctrl_bcm2835/parameters/persist_gpio_outputs"
    parameter.parent.mkdir(parents=True)
    parameter.write_text("Y\n" if kept else "N\n", encoding="ascii")
    gpioset = tmp_path / "bin/gpioset"
    gpioset.parent.mkdir()
    gpioset.write_text(GPIOSET, encoding="utf-8")
    gpioset.chmod(0o755)
    programs = f"{gpioset.parent}:/usr/bin:/bin"
    words = (sys.executable, "-c", DIES, tmp_path / "modules", programs, ends)
    return subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)


@pytest.mark.parametrize("to_all", [None, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_who_is_killed_is_locked_after_at_once(
    tmp_path: Path, to_all: signal.Signals | None
) -> None:
    """By a shell that waits from the start on, until the line is free; only SIGKILL ends it.

    Bug (emulated Pi): a door that was stopped kept the relay on for 1.0 to 1.2 s after the release,
    as systemd needs 0.6 s to start the program that locks.
    """
    process = dying(tmp_path, kept=True, ends="SIGSTOP")
    with process:
        assert process.stdout is not None
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert not (tmp_path / "bin/asked").exists()
        if to_all is not None:
            os.killpg(process.pid, to_all)
        process.kill()
        process.stdout.read()

    asked = (tmp_path / "bin/asked").read_text(encoding="utf-8").splitlines()
    assert asked == ["-t 0 -c /dev/gpiochip4 17=1"] * 3


def test_where_the_kernel_frees_the_outputs_of_the_dead_nobody_waits(tmp_path: Path) -> None:
    """The pin falls by itself; nor on mock pins, which are no chip's."""
    with dying(tmp_path, kept=False) as process:
        assert process.stdout is not None
        process.stdout.read()
    lock_when_dead(Gpio(factory="mock"), MockFactory(), tmp_path)

    assert not (tmp_path / "bin/asked").exists()


def test_a_shell_that_cannot_be_started_keeps_nobody_out(tmp_path: Path) -> None:
    """The daemon goes on; systemd is left, which locks too."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        lock_when_dead(Gpio(), Chip(0), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# Inputs.


def wires(*, active_high: bool) -> dict[str, InputPin]:
    """Return all four inputs' pins."""
    return {name: InputPin(pin, active_high) for name, pin in INPUTS.items()}


@dataclass
class InputRig:
    """All four inputs, who brings one to a level or breaks it, and how often they woke somebody."""

    inputs: GpioInputs
    put: Callable[[str, bool], object]
    break_: Callable[[str, bool], object]
    wakes: list[None]


def gpio_inputs(*, active_high: bool) -> InputRig:
    """Put the adapter on mock pins."""
    factory, wakes = MockFactory(pin_class=BreakablePin), list[None]()
    inputs = GpioInputs(factory, lambda: wakes.append(None), **wires(active_high=active_high))

    def put(name: str, active: bool) -> None:
        pin = factory.pin(INPUTS[name])
        (pin.drive_high if active is active_high else pin.drive_low)()

    for name in INPUTS:
        put(name, False)
    return InputRig(
        inputs,
        put,
        lambda name, broken: setattr(factory.pin(INPUTS[name]), "broken", broken),
        wakes,
    )


def fake_inputs() -> InputRig:
    """Take the fake of `tests/fakes`."""
    wakes = list[None]()
    fake = FakeInputs(lambda: wakes.append(None), QUIET)

    def break_(name: str, broken: bool) -> None:
        (fake.broken.add if broken else fake.broken.discard)(name)

    return InputRig(fake, lambda name, active: fake.become(**{name: active}), break_, wakes)


RIGS: list[Callable[[], InputRig]] = [
    lambda: gpio_inputs(active_high=True),
    lambda: gpio_inputs(active_high=False),
    fake_inputs,
]


STEPS = st.one_of(st.tuples(st.sampled_from(list(INPUTS)), st.booleans()), st.none())
"""A pin and the level it is brought to, or None for a look at all levels."""


@pytest.mark.parametrize("make", RIGS)
@given(steps=st.lists(STEPS, max_size=16))
def test_levels_are_what_stands(
    make: Callable[[], InputRig], steps: list[tuple[str, bool] | None]
) -> None:
    """Each level is the last one of its own pin; the first change after a look wakes, once."""
    rig, stands = make(), QUIET
    rig.inputs.levels()
    wakes, asleep = len(rig.wakes), True
    for step in [*steps, None]:
        if step is None:
            asleep = True
            assert rig.inputs.levels() == stands
            continue
        level: dict[str, Any] = {step[0]: step[1]}
        changed = replace(stands, **level)
        if changed != stands and asleep:
            wakes, asleep = wakes + 1, False
        stands = changed
        rig.put(*step)
        assert len(rig.wakes) == wakes


@pytest.mark.parametrize("make", RIGS)
@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("active", [True, False])
def test_a_pin_that_cannot_be_read_is_in_doubt(
    make: Callable[[], InputRig], name: str, *, active: bool
) -> None:
    """Whatever it said last, it counts as a cut wire; the others go on, and it may come back."""
    rig = make()
    rig.put(name, active)
    stood = rig.inputs.levels()
    rig.break_(name, True)
    doubted = rig.inputs.levels()

    assert doubted.failing is not None
    assert replace(doubted, failing=None) == replace(stood, **{name: getattr(IN_DOUBT, name)})

    rig.break_(name, False)
    assert rig.inputs.levels() == stood


def test_doubt_alarms_and_opens_nothing() -> None:
    """Doubt is an open door, a fire and an open other door, but never a pressed button."""
    assert {one.name: getattr(IN_DOUBT, one.name) for one in fields(IN_DOUBT)} == {
        "contact_open": True,
        "exit_pressed": False,
        "fire": True,
        "other_door_open": True,
        "failing": None,
    }


@pytest.mark.parametrize("active_high", [True, False])
def test_a_cut_wire_reads_as_doubt(*, active_high: bool) -> None:
    """With nothing connected each pin is pulled to the level that doubt is, whatever its sense."""
    inputs = GpioInputs(MockFactory(), lambda: None, **wires(active_high=active_high))

    assert inputs.levels() == IN_DOUBT


def test_every_failing_pin_is_named() -> None:
    """The alarm's text tells the technician which pins, and what the driver said."""
    rig = gpio_inputs(active_high=True)
    rig.break_("fire", True)
    rig.break_("contact_open", True)

    told = rig.inputs.levels().failing

    assert told == "GPIO22 can't be read: the chip is gone; GPIO5 can't be read: the chip is gone"


@pytest.mark.parametrize("inputs", [GpioInputs(MockFactory(), lambda: None), FakeInputs()])
def test_what_is_not_wired_is_none(inputs: GpioInputs) -> None:
    """None is neither open nor closed: without a second door nobody waits for it."""
    levels = inputs.levels()

    assert levels.other_door_open is None
    assert levels.failing is None


@pytest.mark.parametrize(
    ("wired", "told"),
    [
        ({"contact_open": 22, "exit_pressed": 22}, "GPIO22 can't be read"),
        ({"contact_open": 22, "exit_pressed": 23}, "GPIO23 can't be read: no interrupt left"),
    ],
)
def test_a_pin_that_is_refused_stops_the_start_and_none_is_kept(
    wired: dict[str, int], told: str
) -> None:
    """One that is taken, or that can't be watched; those claimed before it are free again."""
    factory = MockFactory(pin_class=BreakablePin)
    factory.pin(23).deaf = True

    with pytest.raises(DeviceError) as caught:
        GpioInputs(
            factory, lambda: None, **{name: InputPin(pin, True) for name, pin in wired.items()}
        )

    # The traceback keeps the half-built object, so that only its own undoing frees the pin.
    factory.pin(23).deaf = False
    for pin in wired.values():
        GpioInputs(factory, lambda: None, contact_open=InputPin(pin, active_high=True)).close()
    assert str(caught.value).startswith(told)


def test_after_close_nothing_wakes_and_all_is_doubt() -> None:
    """close() ends the wake-ups and gives the pins back; it may be called again."""
    rig = gpio_inputs(active_high=True)
    rig.inputs.levels()
    rig.inputs.close()
    rig.inputs.close()
    wakes = len(rig.wakes)
    for name in INPUTS:
        rig.put(name, True)
        rig.put(name, False)

    assert len(rig.wakes) == wakes
    levels = rig.inputs.levels()
    assert replace(levels, failing=None) == IN_DOUBT
    assert "GPIO22 can't be read: it was closed" in (levels.failing or "")


# Named outputs: on mock pins, by commands, and the fake.

Rig = tuple[Outputs, Callable[[], dict[str, bool]]]
"""Named outputs, and how to ask which are on once all is done."""


@pytest.fixture(params=["gpio", "command", "fake"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """The adapter on mock pins, commands that each write into a file, and the fake, in turn."""
    if request.param == "fake":
        fake = FakeOutputs(OUTPUTS)
        yield fake, lambda: fake.on
    elif request.param == "gpio":
        factory = MockFactory()
        outputs = GpioOutputs(factory, OUTPUTS)
        yield outputs, lambda: {n: bool(factory.pin(pin).state) for n, pin in OUTPUTS.items()}
    else:
        script = "if [ $2 = on ]; then touch $1; else rm -f $1; fi"
        commands = {n: ("sh", "-c", script, "sh", f"{tmp_path}/{n}") for n in OUTPUTS}
        switches = CommandOutputs(commands, time.monotonic, lambda n, why: pytest.fail(n + why))
        yield switches, lambda: {n: (tmp_path / n).exists() for n in OUTPUTS}
        switches.stop()


def settles(are_on: Callable[[], dict[str, bool]], expected: dict[str, bool]) -> bool:
    """Wait until the outputs are as expected."""
    return until(lambda: are_on() == expected)


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


def test_a_repetition_leaves_no_edge() -> None:
    """The controller may say it each minute; the light does not flicker."""
    factory = MockFactory()
    outputs = GpioOutputs(factory, {"light": 12})
    for on in (False, True, True, False, False):
        outputs.switch("light", on=on)

    assert states(factory, 12) == [False, True, False]


def test_one_that_fails_is_named_and_keeps_no_other_from_being_off() -> None:
    """The failure says which output; close() switches off the others and frees every pin."""
    factory = MockFactory(pin_class=BreakablePin)
    outputs = GpioOutputs(factory, OUTPUTS)
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
    GpioOutputs(factory, OUTPUTS).close()


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
    outputs = GpioOutputs(MockFactory(), OUTPUTS)
    outputs.close()

    with pytest.raises(DeviceError, match="there is no output light"):
        outputs.switch("light", on=True)


# Lamps and buzzer are outputs that are switched together.

LIT = (22, 23, 24)
ALL = Lamps(green=True, red=True, buzzer=True)
LAMPS = st.builds(Lamps, green=st.booleans(), red=st.booleans(), buzzer=st.booleans())

Lights = tuple[GpioSignals, Callable[[], Lamps]]


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
    factory = MockFactory(pin_class=BreakablePin)
    signals = GpioSignals(factory, *LIT)
    factory.pin(broken).broken = True

    for lamps, level in ((ALL, True), (Lamps(), False)):
        with pytest.raises(DeviceError):
            signals.show(lamps)
        assert {factory.pin(pin).state for pin in LIT if pin != broken} == {level}
