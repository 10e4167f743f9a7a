"""How the screen at the door is opened: the page with its secret, and its languages."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from doorctl.config import Config
from doorctl.core.errors import ConfigError, Problem
from doorctl.core.language import Languages
from doorctl.store.connection import create_private
from doorctl.web.panel import PAGE

SCREEN: Final = "screen.html"
"""In `storage.directory`: the page that the screen's browser starts with, where it has keys."""

_PAGE = (
    '<!DOCTYPE html><title>doorctl</title><form method="post" action="{}">'
    '<input type="hidden" name="key" value="{}"><button>doorctl</button></form>'
    "<script>document.forms[0].submit()</script><!-- {} -->\n"
)
"""It sends the secret as a form: an address stands in a history, and may stand in a log."""

_WRITTEN = re.compile(r"""action="([^"]+)".* value="([\w-]+)".*<!-- (\S+) -->""")


def opened_with(config: Config, boot_id: str) -> str:
    """Return the secret that opens the screen, from the file that its browser starts with.

    Each user of this machine can read an address on a command line. The file stays, so that a web
    process that starts again finds the screen as it was, until the machine starts again; delete it
    to have another secret made earlier.
    """
    path = config.storage.directory / SCREEN
    scheme = "https" if config.web.tls.wanted else "http"
    address = f"{scheme}://127.0.0.1:{config.web.port}{PAGE}"
    secret, written = secrets.token_urlsafe(16), ""
    with suppress(OSError, UnicodeDecodeError):
        written = path.read_text(encoding="ascii")
    earlier = _WRITTEN.search(written)
    if earlier is not None and (earlier[1], earlier[3]) == (address, boot_id):
        secret = earlier[2]
    page = _PAGE.format(address, secret, boot_id)
    if written == page:
        return secret
    # On a disk that is full the screen has no keys until it is not, and all else goes on.
    with suppress(OSError):
        path.unlink(missing_ok=True)
        create_private(path, page.encode())
    return secret


def offered(languages: Languages, codes: tuple[str, ...]) -> Languages:
    """Return the languages to choose from on the screen: the branch's own, then those of `codes`.

    Raises ConfigError: one of them has no catalogue.
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
