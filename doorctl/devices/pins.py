"""The strike's relay, lamps, outputs and inputs on GPIO pins, by a named gpiozero factory."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from tempfile import gettempdir
from threading import Event
from typing import Any

from gpiozero import Factory, GPIODevice, GPIOZeroError, OutputDevice, PinFixedPull
from gpiozero.pins.local import LocalPiPin
from gpiozero.pins.mock import MockFactory

from doorctl.config.tables import Factory as FactoryName
from doorctl.config.tables import Gpio
from doorctl.core.errors import DeviceError
from doorctl.door.inputs import IN_DOUBT, Levels
from doorctl.door.lamps import Lamps

# gpiozero's lgpio pins, made safe for a strike: no pin passes through an unwanted level.
#
# gpiozero claims a new pin as a floating input, then as an output that is low, and only then
# writes the wanted level: a pulse on an active-low relay. It leaves a closed output floating. An
# input floats before it is pulled, and lgpio's exceptions are not translated.


def steady_pin(pin_class: Any, lines: Any) -> Any:
    """Derive a pin class whose outputs and pulled inputs are steady from gpiozero's ``LGPIOPin``.

    Args:
        lines: the module lgpio, which can't be imported here: importing it starts a thread.
    """
    return type("SteadyPin", (Steady, pin_class), {"lines": lines})


class Steady:
    """The changes to ``LGPIOPin``; raises DeviceError where lgpio refuses."""

    lines: Any
    factory: Any
    info: Any
    _number: int
    _is_input = False

    def __init__(self, factory: Any, info: Any) -> None:
        # LGPIOPin's own is left out: it claims the line as a floating input.
        LocalPiPin.__init__(self, factory, info)
        self._pwm = None
        self._bounce = None
        self._callback = None
        self._edges = self.lines.BOTH_EDGES

    def output_with_state(self, state: bool) -> None:
        """Become an output that has its level from the first moment."""
        self._drive(self.lines.gpio_claim_output, state)

    def input_with_pull(self, pull: str) -> None:
        """Become an input that is pulled (``up`` or ``down``) from the first moment."""
        if self.info.pull not in (pull, ""):
            raise PinFixedPull(f"it has a resistor that pulls it {self.info.pull}")
        flags = {"up": self.lines.SET_PULL_UP, "down": self.lines.SET_PULL_DOWN}[pull]
        with self._telling("read"):
            self.lines.gpio_claim_input(self._handle, self._number, flags)
        self._is_input = True

    def close(self) -> None:
        """Release an input; leave an output driven as it is: off is safer than floating."""
        if self._is_input:
            self._is_input = False
            with self._telling("given back"):
                super().close()  # type: ignore[misc]

    def _get_state(self) -> bool:
        with self._telling("read"):
            return super()._get_state()  # type: ignore[misc,no-any-return]

    def _set_state(self, state: bool) -> None:
        self._drive(self.lines.gpio_write, state)

    def _enable_event_detect(self) -> None:
        with self._telling("watched"):
            super()._enable_event_detect()  # type: ignore[misc]

    def _disable_event_detect(self) -> None:
        with self._telling("given back"):
            super()._disable_event_detect()  # type: ignore[misc]

    def _drive(self, call: Callable[[int, int, int], int], state: bool) -> None:
        try:
            call(self._handle, self._number, int(state))
        except self.lines.error:
            with self._telling("driven"):
                raise

    @property
    def _handle(self) -> int:
        return self.factory._handle  # type: ignore[no-any-return] # noqa: SLF001 - as LGPIOPin does

    @contextmanager
    def _telling(self, done: str) -> Iterator[None]:
        try:
            yield
        except self.lines.error as error:
            raise DeviceError(f"GPIO{self._number} can't be {done}: {error}") from error


def open_factory(name: FactoryName, work_directory: Path) -> Factory:
    """Open a pin factory by name: ``lgpio`` for a Pi, ``mock`` for none; there is no fallback.

    lgpio puts a FIFO into `work_directory`, and starts a thread: don't fork afterwards. Raises
    DeviceError: it is not installed or the chip can't be opened.
    """
    return MockFactory() if name == "mock" else _open_lgpio(work_directory)


class GpioRelay:
    """The strike's relay on one Broadcom pin; an output at its off level from the first moment.

    One thread; both calls are idempotent.

    Raises DeviceError: the pin can't be claimed; later, from every call, that it can't be driven.
    """

    def __init__(self, factory: Factory, pin: int, *, active_high: bool) -> None:
        self._name = f"GPIO{pin}"
        self._output = claimed_output(factory, pin, active_high=active_high)

    def energise(self) -> None:
        """Let the door be opened."""
        try:
            self._output.on()
        except (GPIOZeroError, OSError):
            with telling(f"{self._name} can't be driven"):
                raise

    def de_energise(self) -> None:
        """Lock the door."""
        with telling(f"{self._name} can't be driven"):
            self._output.off()

    def close(self) -> None:
        """Switch off, then give the pin back; idempotent."""
        if not self._output.closed:
            try:
                self.de_energise()
            finally:
                self._output.close()


MODULES = Path("/sys/module")
"""Where the kernel shows its drivers' settings."""


def outputs_kept(modules: Path = MODULES) -> bool | None:
    """Return whether the kernel keeps an output's level when its process dies; None for unknown.

    Raspberry Pi OS does, unless ``dtparam=strict_gpiod`` stands in ``config.txt``.
    """
    said = set()
    for parameter in modules.glob("pinctrl_*/parameters/persist_gpio_outputs"):
        with suppress(OSError):
            said.add(parameter.read_text(encoding="ascii").strip())
    return "Y" in said if said else None


def relay_risks(
    factory: str, modules: Path = MODULES, programs: str | None = None
) -> tuple[str, ...]:
    """Return what could leave the relay on after the door process dies, a sentence each.

    A mock factory has no relay. `modules` is as for :func:`outputs_kept`; ``gpioset`` is looked
    for in `programs`, in ``PATH``'s format, or in ``PATH`` itself.
    """
    if factory == "mock":
        return ()
    risks = []
    if outputs_kept(modules):
        risks.append(
            "The kernel keeps the relay on when the door process dies: add dtparam=strict_gpiod "
            "to /boot/firmware/config.txt and reboot."
        )
    if which("gpioset", path=programs) is None:
        risks.append("gpioset is missing, which locks without Python: apt install gpiod.")
    return tuple(risks)


def claimed_output(factory: Factory, pin: int, *, active_high: bool) -> Any:
    """Claim a pin as gpiozero's ``OutputDevice``, off from the first moment; raises DeviceError."""
    with telling(f"GPIO{pin} can't be driven"):
        return OutputDevice(pin, active_high=active_high, initial_value=False, pin_factory=factory)


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn gpiozero's exceptions into a DeviceError: `what` (``GPIO17 can't be read``) and why."""
    try:
        yield
    except DeviceError:
        raise
    except (GPIOZeroError, OSError) as error:
        raise DeviceError(f"{what}: {error}") from error


def _open_lgpio(work_directory: Path) -> Factory:
    # Read when lgpio is imported; without it the FIFO lands in the working directory.
    os.environ["LG_WD"] = str(work_directory)
    try:
        lgpio = importlib.import_module("lgpio")
        gpiozero_lgpio = importlib.import_module("gpiozero.pins.lgpio")
    except (ImportError, OSError) as error:
        raise DeviceError(
            "lgpio can't be loaded; install it with: pip install 'doorctl[pi]'"
            f" (and {work_directory} must be writable)"
        ) from error
    try:
        factory = gpiozero_lgpio.LGPIOFactory()
    except (GPIOZeroError, OSError, lgpio.error) as error:
        raise DeviceError(
            f"the GPIO chip can't be opened: {error}; is this a Raspberry Pi,"
            " and is the daemon's user in the group gpio?"
        ) from error
    factory.pin_class = steady_pin(gpiozero_lgpio.LGPIOPin, lgpio)
    return factory


# Locks the door without the daemon: all that is needed is to know the relay's pin.

WORD = "relay"
"""The file under systemd's ``RuntimeDirectory=`` that says how the relay is switched off."""


def lock(gpio: Gpio, environment: Mapping[str, str]) -> None:
    """Switch the relay off.

    The driver's own file goes into systemd's runtime directory, if there is one: a full disk must
    not keep the strike released. Raises DeviceError: it can't be driven.
    """
    work_directory = Path(environment.get("RUNTIME_DIRECTORY") or gettempdir())
    with closing(open_factory(gpio.factory, work_directory)) as factory:
        # Claiming the pin drives it to its off level, whatever its level was.
        GpioRelay(factory, gpio.relay_pin, active_high=gpio.relay_active_high).close()


def pulse(gpio: Gpio, length_s: float) -> tuple[int, ...]:
    """Switch the relay on for so long, and return its pin's level before, in and after it.

    Raises DeviceError: the pin can't be driven, such as because the door process has it.
    """
    with closing(open_factory(gpio.factory, Path(gettempdir()))) as factory:
        relay = GpioRelay(factory, gpio.relay_pin, active_high=gpio.relay_active_high)
        with closing(relay), telling(f"GPIO{gpio.relay_pin} can't be read"):
            levels = [factory.pin(gpio.relay_pin).state]
            relay.energise()
            levels.append(factory.pin(gpio.relay_pin).state)
            Event().wait(length_s)
            relay.de_energise()
            levels.append(factory.pin(gpio.relay_pin).state)
    return tuple(map(int, levels))


def leave_word(gpio: Gpio, factory: Factory, environment: Mapping[str, str]) -> None:
    """Leave ``CHIP PIN LEVEL`` for systemd, which locks with it where no Python can start.

    Nothing is left without systemd's ``RUNTIME_DIRECTORY`` or on a chip that isn't one. Never
    raises: `lock` serves then. `factory` is the one that the relay was claimed from.
    """
    directory, chip = environment.get("RUNTIME_DIRECTORY"), getattr(factory, "chip", None)
    if not directory or not isinstance(chip, int):
        return
    off = _off(gpio)
    with suppress(OSError):
        Path(directory, WORD).write_text(f"/dev/gpiochip{chip} {gpio.relay_pin} {off}\n", "ascii")


DEAD_MANS_SWITCH = """\
trap '' HUP INT TERM
gpioset --version >/dev/null
read -r _
for _ in 1 2 3 4 5 6 7 8 9; do gpioset -t 0 -c "$0" "$1" && exit; sleep 0.05; done
"""
"""Nothing is written into its pipe, so `read` ends as soon as nobody can. The program was used once
before, so that it is in memory and no card has to be read. The kernel gives a dead process's files
back one by one; so long the line may be in use."""


def lock_when_dead(
    gpio: Gpio, factory: Factory, modules: Path = MODULES, programs: str = "/usr/bin:/bin"
) -> None:
    """Have a shell wait for the end of this process, however it ends, and lock at once.

    systemd locks too, but first starts three programs one after another. Nothing is begun where
    the kernel is known to free a dead process's outputs, or on a chip that isn't one. Never raises:
    systemd is left. `factory` is as for `leave_word`, `modules` for `outputs_kept`; ``gpioset`` is
    looked for in `programs`.
    """
    chip = getattr(factory, "chip", None)
    if not isinstance(chip, int):
        return
    line = (f"/dev/gpiochip{chip}", f"{gpio.relay_pin}={_off(gpio)}")
    with suppress(OSError):
        if outputs_kept(modules) is False:
            return
        # No other process inherits the end that stays here, and nobody closes it.
        waits, _ = os.pipe()
        os.posix_spawn(
            "/bin/sh",
            ("sh", "-c", DEAD_MANS_SWITCH, *line),
            {"PATH": programs},
            file_actions=((os.POSIX_SPAWN_DUP2, waits, 0),),
            # systemd sends them to the whole unit, and the shell takes a moment to set its trap.
            setsigmask=(signal.SIGHUP, signal.SIGINT, signal.SIGTERM),
        )
        os.close(waits)


def _off(gpio: Gpio) -> int:
    return 0 if gpio.relay_active_high else 1


# Door contact, exit button, fire alarm and the other door's contact on GPIO pins.
#
# Each pin is pulled to the level that a cut wire has to count as (`IN_DOUBT`), so the pull follows
# from the level that means open, pressed or fire and is no setting of its own. The driver filters
# nothing, because each driver filters in another way; debouncing is pure code elsewhere.


@dataclass(frozen=True, slots=True)
class InputPin:
    """One input's Broadcom pin, and whether its high level means open, pressed or fire."""

    pin: int
    active_high: bool


class GpioInputs:
    """Door contact, exit button, fire alarm and the other door's contact. One thread.

    `wired` has the names of `Levels`. A pin that fails later has its level of `IN_DOUBT` until it
    can be read again. `on_change` is called from the driver's thread at the first edge after each
    `levels`, so that a wire that chatters fills no queue; it must only post, never raise. One can
    be lost, so ask every second as well.

    Raises DeviceError: a pin can't be claimed, or not with its pull; none is kept then.
    """

    def __init__(self, factory: Factory, on_change: Callable[[], None], **wired: InputPin) -> None:
        self._wires: dict[str, _Wire] = {}
        self._on_change = on_change
        self._announced = False
        with ExitStack() as undoing:
            undoing.callback(self.close)
            for name, pin in wired.items():
                doubt = getattr(IN_DOUBT, name)
                self._wires[name] = _Wire(factory, pin, self._changed, in_doubt=doubt)
            undoing.pop_all()

    def levels(self) -> Levels:
        """Read all pins; never raises and filters nothing. None for what is not wired."""
        # Before the first reading: an edge from now on may not show in it.
        self._announced = False
        states: dict[str, bool] = {}
        failing = []
        for name, wire in self._wires.items():
            try:
                states[name] = wire.active()
            except DeviceError as error:
                states[name] = wire.in_doubt
                failing.append(str(error))
        return Levels(**states, failing="; ".join(failing) or None)

    def close(self) -> None:
        """Stop calling `on_change` and give the pins back, no longer pulled; idempotent.

        Raises DeviceError: a pin failed; the others are given back all the same.
        """
        with ExitStack() as all_of_them:
            for wire in self._wires.values():
                all_of_them.callback(wire.close)

    def _changed(self) -> None:
        if not self._announced:
            self._announced = True
            self._on_change()


class _Wire:
    def __init__(
        self, factory: Factory, wiring: InputPin, changed: Callable[[], None], *, in_doubt: bool
    ) -> None:
        self.in_doubt = in_doubt
        self._name = f"GPIO{wiring.pin}"
        self._active_high = wiring.active_high
        self._tell = changed
        with telling(f"{self._name} can't be read"), ExitStack() as undoing:
            self._device: Any = GPIODevice(wiring.pin, pin_factory=factory)
            undoing.callback(self._device.close)
            high_in_doubt = in_doubt is wiring.active_high
            self._device.pin.input_with_pull("up" if high_in_doubt else "down")
            # The driver keeps a weak reference, so this has to be a method of what lives on.
            self._device.pin.when_changed = self._changed
            undoing.pop_all()

    def active(self) -> bool:
        if self._device.closed:
            raise DeviceError(f"{self._name} can't be read: it was closed")
        with telling(f"{self._name} can't be read"):
            return bool(self._device.pin.state) is self._active_high

    def close(self) -> None:
        if self._device.closed:
            return
        with telling(f"{self._name} can't be given back"), ExitStack() as both:
            both.callback(self._device.close)
            self._device.pin.when_changed = None

    def _changed(self, _ticks: object, _state: object) -> None:
        self._tell()


class GpioOutputs:
    """The real Outputs. Each is off from the first moment and after :meth:`close`. One thread.

    `pins` has each output's Broadcom pin, which its high level switches on.

    The pins are free between two runs of the daemon, so no output can be promised to stay on over a
    restart. Wire each so that off does no harm: a light by its relay's normally-closed contact.
    Raises DeviceError: a pin can't be claimed, and none is kept.
    """

    def __init__(self, factory: Factory, pins: Mapping[str, int]) -> None:
        self._outputs: dict[str, Any] = {}
        with ExitStack() as undoing:
            undoing.callback(self.close)
            for name, pin in pins.items():
                try:
                    self._outputs[name] = claimed_output(factory, pin, active_high=True)
                except DeviceError as error:
                    raise DeviceError(f"the output {name}: {error}") from error
            undoing.pop_all()

    def switch(self, name: str, *, on: bool) -> None:
        """Switch one output; raises DeviceError, and the others keep their state."""
        output = self._outputs.get(name)
        if output is None:
            raise DeviceError(f"there is no output {name}")
        _switch(name, output, on=on)

    def close(self) -> None:
        """Switch all off, then give the pins back; idempotent.

        Raises DeviceError: a pin failed; the others are off all the same.
        """
        outputs, self._outputs = self._outputs, {}
        with ExitStack() as all_of_them:
            for name, output in outputs.items():
                all_of_them.callback(output.close)
                all_of_them.callback(_switch, name, output, on=False)


class GpioSignals(GpioOutputs):
    """Green and red lamp and buzzer at the reader; None for what is not wired. One thread."""

    def __init__(
        self, factory: Factory, green: int | None, red: int | None, buzzer: int | None
    ) -> None:
        pins = {"green": green, "red": red, "buzzer": buzzer}
        super().__init__(factory, {name: pin for name, pin in pins.items() if pin is not None})

    def show(self, lamps: Lamps) -> None:
        """Switch all of them to the given state.

        Raises DeviceError: about the first that can't be driven; the others are switched all the
        same.
        """
        with ExitStack() as all_of_them:
            for name in self._outputs:
                all_of_them.callback(self.switch, name, on=getattr(lamps, name))


def _switch(name: str, output: Any, *, on: bool) -> None:
    with telling(f"the output {name} can't be driven"):
        output.value = on
