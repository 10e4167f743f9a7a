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
    Web,
)
from doorctl.config.keys import KeyDescription, describe
from doorctl.config.loading import load, load_gpio
from doorctl.config.schema import Config
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
    "Reader",
    "Seal",
    "Secrets",
    "Span",
    "Storage",
    "Visits",
    "Web",
    "Week",
    "describe",
    "load",
    "load_gpio",
]
