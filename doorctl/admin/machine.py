"""What a machine has beside the configuration: secrets, systemd's drop-ins, config.txt's lines."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from doorctl.config import Config
from doorctl.config.loading import keys
from doorctl.config.rules import CREDENTIALS_SPELT
from doorctl.core.asking import Talks
from doorctl.store.connection import write_over

LOOK_UP_S = 5.0
"""A resolver asks twice, for 5 s each: once is enough for a name server that is there."""

DOORS = "reader."
"""Begins the keys whose file is the door's alone, and no other process's."""


def credential_file(value: object) -> str:
    """Return the name of a file that systemd hands over; "" where a value names none."""
    head, slash, name = value.partition("/") if isinstance(value, str) else ("", "", "")
    return name if slash and head in CREDENTIALS_SPELT else ""


def put(path: Path, content: bytes, mode: int = 0o644) -> bool:
    """Write a file of root's, whole and durably; a file that is there keeps its owner and mode.

    Returns whether its content is new. Raises OSError.
    """
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_over(path, content, mode, keep=True)
    return True


def secrets(config: Config) -> list[tuple[str, str]]:
    """Return the keys whose file systemd hands over, and the file's name."""
    placed = ((name, credential_file(str(value))) for name, value in config.origin.values.items())
    return [(name, file) for name, file in placed if file]


def drop_ins(config: Config, directory: Path) -> dict[str, str]:
    """Return unit -> what its configuration needs of systemd: secrets, port, addresses outside."""
    loads = {name: f"LoadCredential={file}:{directory / file}" for name, file in secrets(config)}
    alarms = [line for name, line in loads.items() if name.startswith("alarms.")]
    door = [line for name, line in loads.items() if name.startswith(DOORS)]
    others = [line for name, line in loads.items() if not name.startswith(DOORS)]
    web = [*others, *(f"IPAddressAllow={one}" for one in outside(config))]
    if config.web.port != keys()["web"]["port"].default:
        web.append(f"SocketBindAllow=tcp:{config.web.port}")
    units = {
        "doorctl-web.service": web,
        "doorctl-alarm@.service": alarms,
        "doorctl-door.service": door,
    }
    return {
        unit: "\n".join(["# Made by doorctl setup.", "[Service]", *sorted(set(lines)), ""])
        for unit, lines in units.items()
    }


def look_up(name: str) -> list[str]:
    """Return a machine's addresses; OSError or UnicodeError: there are none."""
    return [str(found[4][0]) for found in socket.getaddrinfo(name, None)]


def outside(
    config: Config, look_up: Callable[[str], list[str]] = look_up, limit_s: float = LOOK_UP_S
) -> list[str]:
    """Return the addresses beyond private networks that web has to reach, as they are just now.

    A name that is not found in `limit_s` is left out.
    """
    values = config.origin.values.items()
    named = [at for name, at in values if at and name.endswith(("host", "url", "issuer"))]
    talks, addresses = Talks(), set[str]()
    for name in sorted({urlsplit(at).hostname or at for at in named}):
        with suppress(OSError, UnicodeError):
            addresses.update(talks.within_or_cut(limit_s, partial(look_up, name), lambda: None))
    return sorted(one for one in addresses if not ip_address(one.partition("%")[0]).is_private)


def missing_boot_lines(config: Config, text: str) -> list[str]:
    """Return those that a config.txt lacks of the two lines that keep an undriven strike locked."""
    level = "dl" if config.gpio.relay_active_high else "dh"
    lines = ("dtparam=strict_gpiod", f"gpio={config.gpio.relay_pin}=op,{level}")
    there = {line.strip() for line in text.splitlines()}
    return [line for line in lines if line not in there]


def with_boot_lines(config: Config, text: str) -> str:
    """Return a config.txt with both lines, for every board."""
    missing = missing_boot_lines(config, text)
    return "\n".join([text.rstrip("\n"), "[all]", *missing, ""]) if missing else text
