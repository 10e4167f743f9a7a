"""The whole schema: every table, each key's type, bounds, default, unit and why, each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from doorctl.config.admission import Policy
from doorctl.config.alarms import AlarmEmail, Alarms, AlarmWebhook
from doorctl.config.hours_tables import Closing, WrittenException, WrittenHours, WrittenStaffed
from doorctl.config.installation import (
    Branch,
    ClockTrust,
    Control,
    Seal,
    Secrets,
    Storage,
    Visits,
)
from doorctl.config.lms import Lms
from doorctl.config.opening import Opening, Week
from doorctl.config.outputs import WiredOutput
from doorctl.config.panel import Panel
from doorctl.config.signin import Oidc, Signin
from doorctl.config.sync import Sync, WrittenSync
from doorctl.config.web import Push, Tls, Web
from doorctl.config.wiring import Door, Gpio, Keypad, Reader


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a configuration was read.

    Args:
        path: the file.
        overrides: what the command line laid over it.
        values: each key's value as it is written, or its default.
    """

    path: Path = Path()
    overrides: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration; thread-safe, for nothing in it changes.

    Args:
        hours: seven days of self-service, Monday first, local time; None for always open.
        opening: all that is said of the hours; `hours` is its week.
        outputs: what else follows the mode, each name and pin once.
        sync: None where this machine sends to no branch.
        control: `socket` is absolute once loaded; built by hand, it has no default of use.
        origin: where it was read; says nothing of one built by hand.
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
