"""The page of the screen at the door, in the web process."""

from __future__ import annotations

from types import MappingProxyType
from zoneinfo import ZoneInfo

from doorctl.config import Config
from doorctl.errors import ConfigError, Problem
from doorctl.transports.panel import PanelOverSocket
from doorctl.web.pages.language import Languages
from doorctl.web.pages.templates import Templates
from doorctl.web.panel import Panel, Showing


def panel_page(config: Config, languages: Languages, templates: Templates) -> Panel:
    """Return the page; its `stop` ends the streams, so call it before the server is to stop.

    Args:
        config: the whole configuration.
        languages: every catalogue, the branch's own first.
        templates: the pages'.

    Raises:
        ConfigError: a language that is offered has no catalogue.
    """
    branch, panel = config.branch, config.panel
    showing = Showing(
        branch=branch.name,
        phone=branch.phone,
        zone=ZoneInfo(branch.time_zone),
        keypad=panel.keypad and not config.keypad.port,
        elsewhere=panel.elsewhere,
        speech=panel.speech,
        idle_s=panel.idle_s,
    )
    door = PanelOverSocket(config.control.socket)
    return Panel(door, showing, offered(languages, panel.languages), templates)


def offered(languages: Languages, codes: tuple[str, ...]) -> Languages:
    """Return those that can be chosen on the screen: the branch's own, then as `codes` say.

    Raises:
        ConfigError: one of them has no catalogue.
    """
    if not codes:
        return languages
    if missing := [code for code in codes if code not in languages.known]:
        there = ", ".join(languages.known)
        what = f"there is no catalogue for {', '.join(missing)}; there are {there}"
        raise ConfigError("the configuration", [Problem("panel.languages", what)])
    own = languages.first
    known = {code: languages.known[code] for code in (own.code, *codes)}
    return Languages(MappingProxyType(known))
