"""The tables ``[[outputs]]``: what else goes on and off with the mode, by pin or by command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from doorctl.access.calendar import Mode
from doorctl.access.outputs import Output
from doorctl.config.description import key
from doorctl.config.wiring import BcmPin
from doorctl.config.wording import shown
from doorctl.errors import Problem

NAME = "outputs"
ModeName = Literal["closed", "lockdown", "self_service", "staffed"]
Argument = Annotated[str, Meta(max_length=255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WiredOutput:
    """Something that follows the mode."""

    name: Annotated[
        str,
        key(
            "What it is called in the log and on the staff page.",
            "light",
            "1 to 32 of a-z, 0-9, - and _",
            pattern=r"^[a-z0-9_-]{1,32}\Z",
        ),
    ]
    pin: Annotated[
        BcmPin | None,
        key("BCM number of its relay, high while it is on. Absent: it has a command.", 12),
    ] = None
    command: Annotated[
        tuple[Argument, ...],
        key(
            "A command, its whole path and its arguments, run at each change with on or off after "
            "them; no shell reads it. Empty: it has a pin.",
            ["/usr/local/bin/patron-pcs"],
            "a list of at most 16 texts",
            max_length=16,
        ),
    ] = ()
    modes: Annotated[
        tuple[ModeName, ...],
        key(
            "The modes in which it is on. Empty: only at the warnings.",
            ["staffed", "self_service"],
            'a list of "staffed", "self_service", "closed", "lockdown"',
            max_length=4,
        ),
    ]
    lead_min: Annotated[
        int,
        key(
            "Minutes by which it goes on before such a mode starts; negative: after.",
            ge=-240,
            le=240,
        ),
    ] = 0
    lag_min: Annotated[
        int,
        key(
            "Minutes by which it goes off after such a mode ends; negative: before.",
            ge=-240,
            le=240,
        ),
    ] = 0
    at_warnings: Annotated[
        bool,
        key(
            "Whether its command also runs with on at each of closing.warn_min, such as for an "
            "announcement, and with off after pulse_s."
        ),
    ] = False
    pulse_s: Annotated[float, key("Seconds that it is on at a warning.", ge=1, le=300)] = 10.0

    @property
    def rule(self) -> Output:
        """When it is on, as the pure rooms judge it."""
        modes = frozenset(Mode(name) for name in self.modes)
        return Output(self.name, modes, self.lead_min, self.lag_min)


def output_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong between outputs, and between them and the pins of ``[gpio]``.

    Args:
        values: what is right by itself, by full key; an output that is not is None.
    """
    listed: Sequence[WiredOutput | None] = values.get(NAME, ())
    placed = [(f"{NAME}[{place}]", one) for place, one in enumerate(listed) if one is not None]
    names: dict[str, str] = {}
    pins = {pin: name for name, pin in values.items() if _is_pin(name) and pin is not None}
    for where, one in placed:
        yield from _within(where, one)
        if (other := names.setdefault(one.name, where)) != where:
            what = f"found {shown(one.name)}, which is {other}'s too; give each its own"
            yield Problem(f"{where}.name", what)
        if one.pin is None:
            continue
        mine = f"{where}.pin"
        if (other := pins.setdefault(one.pin, mine)) != mine:
            what = f"found {one.pin}, which is {other} too; give each the pin it is wired to"
            yield Problem(mine, what)


def _is_pin(name: str) -> bool:
    return name.startswith("gpio.") and name.endswith("_pin")


def _within(where: str, one: WiredOutput) -> Iterator[Problem]:
    if one.pin is None and not one.command:
        yield Problem(f"{where}.pin", "missing; give a pin, or a command instead")
    elif one.pin is not None and one.command:
        yield Problem(f"{where}.command", "found beside a pin; give one of them")
    if one.pin is not None and one.at_warnings:
        what = "found beside a pin; give a command, for at a warning no pin is switched"
        yield Problem(f"{where}.at_warnings", what)
    if not one.modes and not one.at_warnings:
        yield Problem(f"{where}.modes", "found []; give those in which it is on, or at_warnings")
    if one.command and not one.command[0].startswith("/"):
        what = f"found {shown(one.command)}; begin with the command's whole path"
        yield Problem(f"{where}.command", what)
