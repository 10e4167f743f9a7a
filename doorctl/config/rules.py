"""What must hold beyond one key's own bounds: between keys, and against the machine.

Each rule sees the values that are right by themselves, by full key, and may miss the others, so
that one wrong key doesn't hide another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from os import fsencode
from os.path import normpath
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from doorctl.config.alarms import ALARM_RULES
from doorctl.config.lms import is_this_machine
from doorctl.config.lms_rules import LMS_RULES
from doorctl.config.places import CREDENTIALS, CREDENTIALS_SPELT, SOCKETS
from doorctl.config.signin import SIGNIN_RULES
from doorctl.config.wiring_rules import WIRING_RULES
from doorctl.config.wording import shown
from doorctl.errors import Problem

Values = Mapping[str, Any]
Rule = Callable[[Values], Iterator[Problem]]

TLS_FILES = ("certificate_file", "key_file", "client_ca_file")

SOCKET_PATH_BYTES = 107
"""Linux's ``sockaddr_un`` holds 108 with the final NUL (unix(7))."""


def zone_exists(values: Values) -> Iterator[Problem]:
    """The branch's time zone is one that this machine knows."""
    name = values.get("branch.time_zone")
    if name is None or _is_zone(name):
        return
    from difflib import get_close_matches  # noqa: PLC0415 - for slips of the pen alone, 0.1 MB

    close = get_close_matches(name, sorted(available_timezones()), n=1)
    advice = f"did you mean {shown(close[0])}?" if close else 'give one such as "Europe/Copenhagen"'
    yield Problem("branch.time_zone", f"found {shown(name)}, which is no time zone; {advice}")


def ports_differ(values: Values) -> Iterator[Problem]:
    """Reader and keypad are two lines, or the keypad's is left empty."""
    port = values.get("keypad.port")
    if port and port == values.get("reader.port"):
        yield Problem(
            "keypad.port",
            f"found {shown(port)}, which is reader.port too; "
            'give "" if the keys come on the reader\'s line',
        )


def timeouts_nest(values: Values) -> Iterator[Problem]:
    """The whole PIN may take at least as long as one digit."""
    digit, total = values.get("keypad.digit_timeout_s"), values.get("keypad.total_timeout_s")
    if digit is not None and total is not None and total < digit:
        yield Problem(
            "keypad.total_timeout_s",
            f"found {shown(total)}; give at least keypad.digit_timeout_s, which is {shown(digit)}",
        )


def pins_differ(values: Values) -> Iterator[Problem]:
    """No pin does two jobs."""
    taken: dict[int, str] = {}
    for name, pin in values.items():
        if not name.startswith("gpio.") or not name.endswith("_pin") or pin is None:
            continue
        if pin in taken:
            yield Problem(
                name, f"found {pin}, which is {taken[pin]} too; give each the pin it is wired to"
            )
        taken.setdefault(pin, name)


def socket_fits(values: Values) -> Iterator[Problem]:
    """Each socket's resolved path is one that Linux can bind."""
    for name, file in SOCKETS.items():
        socket: Path | None = values.get(name)
        length = 0 if socket is None else len(fsencode(socket))
        if length > SOCKET_PATH_BYTES:
            yield Problem(
                name,
                f"the path is {length} bytes long and a Unix socket's may have "
                f'{SOCKET_PATH_BYTES}; give a shorter one such as "/run/doorctl/{file}"',
            )


def sockets_differ(values: Values) -> Iterator[Problem]:
    """Two processes answer on two sockets."""
    door: Path | None = values.get("control.socket")
    web: Path | None = values.get("web.socket")
    if door is not None and web is not None and normpath(door) == normpath(web):
        yield Problem(
            "web.socket",
            f"found {shown(str(web))}, which is control.socket too; give each process its own",
        )


def codes_can_be_typed(values: Values) -> Iterator[Problem]:
    """Where a code opens, there is somewhere to type it before any card: not the reader's line."""
    port, panel = values.get("keypad.port"), values.get("panel.keypad")
    if values.get("policy.code_entry") and port == "" and panel is False:
        yield Problem(
            "policy.code_entry",
            "found true, and keys on the reader's line are heard after a card only, so no code can "
            "be typed; set keypad.port or panel.keypad, or give false",
        )


def tls_is_whole(values: Values) -> Iterator[Problem]:
    """A certificate has its key, and clients' certificates are asked for under TLS only."""
    files = {leaf: values.get(f"web.tls.{leaf}") for leaf in TLS_FILES}
    if None in files.values():
        return
    missing = [leaf for leaf in TLS_FILES[:2] if files[leaf] == Path()]
    there = [leaf for leaf in TLS_FILES if files[leaf] != Path()]
    if there:
        yield from (
            Problem(f"web.tls.{leaf}", f"missing beside web.tls.{there[0]}; give its path")
            for leaf in missing
        )


def plain_stays_here(values: Values) -> Iterator[Problem]:
    """Without TLS the web process listens to this machine only, unless told otherwise."""
    host, allowed = values.get("web.host"), values.get("web.allow_plain")
    plain = values.get("web.tls.certificate_file") == values.get("web.tls.key_file") == Path()
    if plain and host is not None and allowed is False and not is_this_machine(host):
        yield Problem(
            "web.host",
            f"found {shown(host)}, which other machines reach, without web.tls; give "
            "certificate_file and key_file there, or web.allow_plain = true if something in front "
            "encrypts",
        )


def credentials_are_there(values: Values) -> Iterator[Problem]:
    """The variable in the key's path was filled in: no directory has that name."""
    path: Path | None = values.get("secrets.installation_key_file")
    if path is not None and not set(CREDENTIALS_SPELT).isdisjoint(path.parts):
        yield Problem(
            "secrets.installation_key_file",
            f"${CREDENTIALS} is set only for a systemd service with LoadCredential=; give the "
            'key\'s own path, such as "/etc/doorctl/installation.key"',
        )


RULES: tuple[Rule, ...] = (
    zone_exists,
    credentials_are_there,
    ports_differ,
    timeouts_nest,
    pins_differ,
    *WIRING_RULES,
    socket_fits,
    sockets_differ,
    codes_can_be_typed,
    tls_is_whole,
    plain_stays_here,
    *LMS_RULES,
    *ALARM_RULES,
    *SIGNIN_RULES,
)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
