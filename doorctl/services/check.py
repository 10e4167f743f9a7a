"""What ``doorctl check`` asks the door, which makes the line: the command has little to load."""

from __future__ import annotations

from pathlib import Path

from doorctl.config import Config
from doorctl.core.errors import NotAnsweringError
from doorctl.lookup.health import (
    CHECK_SOCKET,
    CONFIRM,
    SILENT,
    Health,
    alarms_standing,
    ask_deciding,
    nobody_enters,
    plugin_line,
)
from doorctl.rpc.question import Nothing
from doorctl.rpc.status import CHECK


def check(config: Config) -> tuple[Health, str]:
    """Return the door's health and a monitoring plugin's line, as the door says them.

    Needs neither a key nor root. Raises DoorctlError: that is not known.
    """
    for path in (config.control.socket.with_name(CHECK_SOCKET), Path("/run/doorctl", CHECK_SOCKET)):
        try:
            answer = CHECK.ask(path, Nothing())
            return Health(answer.health), answer.line
        except NotAnsweringError:
            continue
    return Health.CRITICAL, plugin_line(Health.CRITICAL, SILENT)


def refuse_unready(config: Config, limit_s: float) -> str:
    """Return what staff have to do though patrons are let in; "" for nothing.

    Raises NotAnsweringError where no patron is let in now, with why; as :func:`ask_deciding`.
    """
    state = ask_deciding(config, limit_s)
    alarms = alarms_standing(config, state.get("alarms", [])) or []
    if whys := nobody_enters(state, alarms, config):
        raise NotAnsweringError(" ".join(whys.values()))
    return CONFIRM if state.get("waits_for_witness") else ""
