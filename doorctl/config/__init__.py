"""The configuration: a TOML file becomes one frozen `Config`, or a list of all its problems."""

from doorctl.access.hours import Span
from doorctl.config.admission import Policy
from doorctl.config.hours import Week
from doorctl.config.installation import (
    Branch,
    ClockTrust,
    Control,
    Seal,
    Secrets,
    Storage,
    Visits,
)
from doorctl.config.keys import KeyDescription, describe
from doorctl.config.loading import load, load_gpio
from doorctl.config.schema import Config
from doorctl.config.sync import Sync, Target
from doorctl.config.web import Push, Tls, Web
from doorctl.config.wiring import Door, Gpio, Keypad, Reader

__all__ = [
    "Branch",
    "ClockTrust",
    "Config",
    "Control",
    "Door",
    "Gpio",
    "KeyDescription",
    "Keypad",
    "Policy",
    "Push",
    "Reader",
    "Seal",
    "Secrets",
    "Span",
    "Storage",
    "Sync",
    "Target",
    "Tls",
    "Visits",
    "Web",
    "Week",
    "describe",
    "load",
    "load_gpio",
]
