"""The configuration: a TOML file becomes one frozen `Config`, or a list of all its problems."""

from doorctl.access.hours import Span
from doorctl.config.admission import Policy
from doorctl.config.alarms import AlarmEmail, Alarms, AlarmWebhook
from doorctl.config.hours_tables import Closing
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
from doorctl.config.lms import Lms
from doorctl.config.loading import load, load_gpio, reload
from doorctl.config.opening import DatedHours, Opening, Week, past_exceptions
from doorctl.config.outputs import WiredOutput
from doorctl.config.schema import Config
from doorctl.config.sync import Sync, Target
from doorctl.config.web import Push, Tls, Web
from doorctl.config.wiring import Door, Gpio, Keypad, Reader

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
