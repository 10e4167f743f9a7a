"""Outputs that follow the mode: a light, an alarm system, patrons' PCs; by a pin or a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from doorctl.config.rules import SAME_PIN, Values, listed, repeated, unlike
from doorctl.config.tables import BcmPin, key, list_key, shown
from doorctl.core.alarms import over, today
from doorctl.core.errors import DeviceError, Problem
from doorctl.core.ports import AlarmOnce
from doorctl.extras.extra import DoorParts, Extra, JobParts

if TYPE_CHECKING:
    from doorctl.doord.hours import Follower
    from doorctl.extras.outputs.following import Output

TABLE = "outputs"
FAILING = "output_failing"
PAUSE_S = 1.0
"""Between two turns of the job that runs commands."""

ModeName = Literal["closed", "lockdown", "self_service", "staffed"]
Argument = Annotated[str, Meta(max_length=255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WiredOutput:
    """An output that follows the mode."""

    name: str = key(
        example="light", allowed="1 to 32 of a-z, 0-9, - and _", pattern=r"^[a-z0-9_-]{1,32}\Z"
    )
    pin: BcmPin | None = key(None, example=12)
    command: tuple[Argument, ...] = list_key("texts", 16, ["/usr/local/bin/patron-pcs"])
    modes: tuple[ModeName, ...] = key(
        example=["staffed", "self_service"],
        allowed='a list of "staffed", "self_service", "closed", "lockdown"',
        max_length=4,
    )
    lead_min: int = key(0, within=(-240, 240))
    lag_min: int = key(0, within=(-240, 240))
    at_warnings: bool = key(False)
    pulse_s: float = key(10.0, within=(1, 300))

    @property
    def rule(self) -> Output:
        """When it is on, as the pure code judges it."""
        from doorctl.access.calendar import Mode
        from doorctl.extras.outputs.following import Output

        modes = frozenset(Mode(name) for name in self.modes)
        return Output(self.name, modes, self.lead_min, self.lag_min)


def outputs_fit(values: Values) -> Iterator[Problem]:
    """Each output is a pin or a command, and is on at some time."""
    for where, output in listed(values, TABLE):
        if output.pin is None and not output.command:
            yield Problem(f"{where}.pin", "missing; give a pin, or a command instead")
        elif output.pin is not None and output.command:
            yield Problem(f"{where}.command", "found beside a pin; give one of them")
        if output.pin is not None and output.at_warnings:
            what = "found beside a pin; give a command, for at a warning no pin is switched"
            yield Problem(f"{where}.at_warnings", what)
        if not output.modes and not output.at_warnings:
            what = "found []; give those in which it is on, or at_warnings"
            yield Problem(f"{where}.modes", what)
        if output.command and not output.command[0].startswith("/"):
            what = f"found {shown(output.command)}; begin with the command's whole path"
            yield Problem(f"{where}.command", what)


def pins_differ(values: Values) -> Iterator[Problem]:
    """No output's pin does another job."""
    wired = [(name, pin) for name, pin in values.items() if name.startswith("gpio.")]
    own = [(f"{where}.pin", output.pin) for where, output in listed(values, TABLE)]
    pins = [(name, pin) for name, pin in wired + own if name.endswith("pin") and pin is not None]
    for name, pin, other in repeated(pins):
        if name.startswith(TABLE):
            yield Problem(name, SAME_PIN, found=pin, other=other)


def follower(parts: DoorParts) -> Follower | None:
    """Return what switches the outputs that are pins; None without any, or where none works."""
    from doorctl.devices.pins import GpioOutputs
    from doorctl.extras.outputs.switching import PinFollower

    wired = [each for each in parts.config.all_of(WiredOutput) if each.pin is not None]
    pins = {output.name: output.pin for output in wired if output.pin is not None}
    if not pins:
        return None
    opening = AlarmOnce(parts.log, FAILING, "gpio")
    try:
        outputs = parts.stack.enter_context(closing(GpioOutputs(parts.factory, pins)))
    except DeviceError as err:
        # A light that can't be switched keeps nobody out.
        opening.tell(str(err))
        return None
    opening.tell(None)
    return PinFollower(tuple(output.rule for output in wired), outputs, parts.log)


def jobs(parts: JobParts) -> None:
    """Have the outputs that are commands switched, on a thread of its own."""
    commanded = [each for each in parts.config.all_of(WiredOutput) if each.command]
    if not commanded:
        return
    from doorctl.extras.outputs.commands import CommandOutputs
    from doorctl.extras.outputs.job import OutputsJob
    from doorctl.lookup.calendar import calendar_of
    from doorctl.ops.threads import regular
    from doorctl.store.branch import BranchRecords

    config, clock, log = parts.config, parts.clock, parts.log
    book = BranchRecords(config.storage.branch_db)
    commands = {output.name: output.command for output in commanded}
    failing = {name: AlarmOnce(log, FAILING, f"command {name}") for name in commands}

    def failed(name: str, why: str) -> None:
        failing[name].tell(f"{name}: {why}")

    def worked(name: str) -> None:
        failing[name].tell(None)

    switches = CommandOutputs(commands, clock.monotonic_s, failed, worked=worked)
    parts.stack.callback(switches.stop)
    following = OutputsJob(
        tuple(output.rule for output in commanded),
        calendar_of=partial(calendar_of, config.opening),
        branch=book,
        switches=switches,
        clock=clock,
        log=log,
        warn_min=config.closing.warn_min,
        pulses_s={output.name: output.pulse_s for output in commanded if output.at_warnings},
    )
    parts.stack.enter_context(regular(TABLE, following.turn, PAUSE_S, log).going(book.close))


ALARMS = {
    FAILING: today(
        "Light, alarm or another output can't be switched.",
        "Switch it by hand, and check its relay or command.",
    ),
    "output_failing_cleared": over(FAILING, "Light, alarm and other outputs are switched again."),
}

EXTRA = Extra(
    section=WiredOutput,
    rules=(outputs_fit, pins_differ, partial(unlike, table=TABLE, leaf="name")),
    alarms=ALARMS,
    follower=follower,
    jobs=jobs,
)
