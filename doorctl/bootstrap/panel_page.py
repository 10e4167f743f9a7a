"""The page of the screen at the door, in the web process."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from doorctl.config import Config
from doorctl.errors import ConfigError, Problem
from doorctl.store.new_file import create_private
from doorctl.transports.panel import PanelOverSocket
from doorctl.web.pages.language import Languages
from doorctl.web.pages.templates import Templates
from doorctl.web.panel import PAGE, Panel, Showing

SCREEN: Final = "screen.html"
"""In `storage.directory`: what the browser of the screen is begun with, where it has keys."""

_PAGE = (
    '<!DOCTYPE html><title>doorctl</title><form method="post" action="{}">'
    '<input type="hidden" name="key" value="{}"><button>doorctl</button></form>'
    "<script>document.forms[0].submit()</script>\n"
)
"""It sends the secret as a form: an address stands in a history, and may stand in a log."""

_WRITTEN = re.compile(r'(https?://[^"?]+)(?:\?key=|".* value=")([\w-]+)"')


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
    secret = opened_with(config) if showing.keypad else ""
    spoken = offered(languages, panel.languages)
    return Panel(door, showing, spoken, templates, secret=secret)


def opened_with(config: Config) -> str:
    """Return what the screen is opened with; it stands in a file that its browser is begun by.

    An address on a command line is everybody's on this machine. The file stays, so that a web
    process that begins anew finds the screen as it was; whoever deletes it has another one made.
    """
    path = config.storage.directory / SCREEN
    scheme = "https" if config.web.tls.wanted else "http"
    address = f"{scheme}://127.0.0.1:{config.web.port}{PAGE}"
    secret, written = secrets.token_urlsafe(16), ""
    with suppress(OSError, UnicodeDecodeError):
        written = path.read_text(encoding="ascii")
    found = _WRITTEN.search(written)
    if found is not None and found[1] == address:
        secret = found[2]
    page = _PAGE.format(address, secret)
    if written == page:
        return secret
    # On a disk that is full the screen has no keys until it is not, and all else goes on.
    with suppress(OSError):
        path.unlink(missing_ok=True)
        create_private(path, page.encode())
    return secret


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
