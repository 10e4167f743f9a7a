"""The configuration: a TOML file becomes one frozen `Config`, or a list of all its problems."""

from doorctl.access.calendar import Span
from doorctl.config.hours import Closing, DatedHours, Opening, Week, past_exceptions
from doorctl.config.loading import load, load_gpio, reload
from doorctl.config.network import (
    AlarmEmail,
    Alarms,
    AlarmWebhook,
    Lms,
    Push,
    Sync,
    Target,
    Tls,
    Web,
)
from doorctl.config.schema import Config, KeyDescription, describe
from doorctl.config.tables import (
    Branch,
    ClockTrust,
    Control,
    Door,
    Gpio,
    Keypad,
    Policy,
    Reader,
    Seal,
    Secrets,
    Storage,
    Visits,
    WiredOutput,
)

__all__ = [
    "AlarmEmail",
    "AlarmWebhook",
    "Alarms",
    "Branch",
    "ClockTrust",
    "Closing",
    "Config",
    "Control",
    "DatedHours",
    "Door",
    "Gpio",
    "KeyDescription",
    "Keypad",
    "Lms",
    "Opening",
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
    "WiredOutput",
    "describe",
    "load",
    "load_gpio",
    "past_exceptions",
    "reload",
]
