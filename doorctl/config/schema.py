"""The whole schema: every table, each key's type, bounds, default, unit and why, each once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, get_type_hints

from msgspec import Meta, inspect

from doorctl.config.hours import (
    Closing,
    Opening,
    Week,
    WrittenException,
    WrittenHours,
    WrittenStaffed,
)
from doorctl.config.network import (
    AlarmEmail,
    Alarms,
    AlarmWebhook,
    Lms,
    Oidc,
    Push,
    Signin,
    Sync,
    Tls,
    Web,
    WrittenSync,
)
from doorctl.config.tables import (
    Branch,
    ClockTrust,
    Control,
    Door,
    Gpio,
    Keypad,
    Panel,
    Policy,
    Reader,
    Seal,
    Secrets,
    Storage,
    Visits,
    WiredOutput,
)
from doorctl.config.wording import REQUIRED, shown


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a configuration was read: the file, and what the command line laid over it.

    `values` holds each key's value as it is written, or its default; `tables` are the file's own.
    """

    path: Path = Path()
    overrides: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    tables: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration; thread-safe, because nothing in it changes.

    Args:
        hours: seven days of self-service, Monday first, local time; None for always open.
        opening: all hours in the configuration; `hours` is its week.
        outputs: what else follows the mode, each name and pin once.
        sync: None where this machine sends to no branch.
        control: `socket` is absolute once loaded; a `Config` built by hand has no usable default.
    """

    branch: Branch
    storage: Storage = field(default_factory=Storage)
    secrets: Secrets = field(default_factory=Secrets)
    seal: Seal = field(default_factory=Seal)
    reader: Reader
    keypad: Keypad = field(default_factory=Keypad)
    gpio: Gpio = field(default_factory=Gpio)
    door: Door = field(default_factory=Door)
    policy: Policy = field(default_factory=Policy)
    hours: Week | None = None
    opening: Opening = field(default_factory=Opening)
    closing: Closing = field(default_factory=Closing)
    outputs: tuple[WiredOutput, ...] = ()
    visits: Visits = field(default_factory=Visits)
    clock: ClockTrust = field(default_factory=ClockTrust)
    control: Control = field(default_factory=Control)
    web: Web = field(default_factory=Web)
    panel: Panel = field(default_factory=Panel)
    signin: Signin = field(default_factory=Signin)
    lms: Lms = field(default_factory=Lms)
    alarms: Alarms = field(default_factory=Alarms)
    sync: Sync | None = None
    origin: Origin = field(default=Origin(), repr=False, compare=False)


TABLES: Mapping[str, type[Any]] = MappingProxyType(
    {
        "branch": Branch,
        "storage": Storage,
        "secrets": Secrets,
        "seal": Seal,
        "reader": Reader,
        "keypad": Keypad,
        "gpio": Gpio,
        "door": Door,
        "policy": Policy,
        "hours": WrittenHours,
        "hours.staffed": WrittenStaffed,
        "hours.exceptions": WrittenException,
        "closing": Closing,
        "outputs": WiredOutput,
        "visits": Visits,
        "clock": ClockTrust,
        "control": Control,
        "web": Web,
        "web.tls": Tls,
        "web.push": Push,
        "panel": Panel,
        "signin": Signin,
        "signin.oidc": Oidc,
        "lms": Lms,
        "alarms": Alarms,
        "alarms.email": AlarmEmail,
        "alarms.webhook": AlarmWebhook,
        "sync": WrittenSync,
    }
)
"""Table -> what stands in it, in the order of ``config/doorctl.toml``; `sync` is the sender's own.

A dotted table stands in the one before the dot, and so does its section's value in that section.
"""

LISTED = frozenset({"hours.exceptions", "outputs"})
"""Tables of which a file may have many, each under ``[[name]]``."""


# Messages, the example file's comments and the documentation are all made of these.


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """One key of the schema; `default` is `REQUIRED` where there is none."""

    table: str
    leaf: str
    annotation: Any
    meta: Meta
    default: Any

    @property
    def name(self) -> str:
        """The full key, such as ``door.release_s``."""
        return f"{self.table}.{self.leaf}"

    @property
    def why(self) -> str:
        """Its unit and reason."""
        return self.meta.description or ""

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        in_words = (self.meta.extra or {}).get("allowed")
        blank = ', or ""' if self.default == Path() else ""
        return in_words or _allowed(inspect.type_info(self.annotation)) + blank

    @property
    def example(self) -> str:
        """One valid value, as TOML."""
        return shown(self.meta.examples[0] if self.meta.examples else self.default)

    @property
    def is_text(self) -> bool:
        """Whether it is written as a text in quotes."""
        value = self.meta.examples[0] if self.meta.examples else self.default
        return shown(value).startswith('"')

    @property
    def may_be_blank(self) -> bool:
        """Whether an empty text means the default."""
        return self.default in ("", Path())


class KeyDescription(NamedTuple):
    """A key as the documentation shows it; `default` is TOML, ``required`` or ``absent``."""

    key: str
    type: str
    default: str
    why: str


def describe() -> list[KeyDescription]:
    """Return every key in the order of ``config/doorctl.toml``."""
    return [
        KeyDescription(key.name, key.allowed, _default(key.default), key.why)
        for table in keys().values()
        for key in table.values()
    ]


@cache
def keys() -> Mapping[str, Mapping[str, Key]]:
    """Return table, such as ``web.tls`` -> last part of a key -> key, in the schema's order."""
    return MappingProxyType({name: section_keys(name, section) for name, section in TABLES.items()})


def section_keys(name: str, section: type[Any]) -> Mapping[str, Key]:
    """Return last part of a key -> key of one section that stands at `name`."""
    hints = get_type_hints(section, include_extras=True)
    return {
        field.name: Key(name, field.name, Annotated[hints[field.name], meta], meta, field.default)
        for field in dataclasses.fields(section)
        if (meta := field.metadata.get("meta")) is not None
    }


def _default(value: object) -> str:
    if value is REQUIRED:
        return "required"
    return "absent" if value is None else shown(value)


def _allowed(info: inspect.Type) -> str:
    match info:
        case inspect.Metadata(type=inner) | inspect.UnionType(types=(inner, *_)):
            return _allowed(inner)
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(shown(value) for value in values)}"
        case inspect.IntType(ge=lowest, le=highest):
            return f"a whole number from {lowest} to {highest}"
        case inspect.FloatType(ge=None, gt=above, le=highest):
            return f"a number above {above:g}, at most {highest:g}"
        case inspect.FloatType(ge=lowest, le=highest):
            return f"a number from {lowest:g} to {highest:g}"
    return "true or false" if isinstance(info, inspect.BoolType) else "a path"
