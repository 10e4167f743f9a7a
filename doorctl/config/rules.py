"""What must hold beyond one key's own bounds: between keys, and against the machine.

Each rule gets the valid values, by full key, and may miss the others, so that one wrong key
doesn't hide another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from os import fsencode
from os.path import normpath
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from doorctl.config.lms import LMS_RULES, is_this_machine
from doorctl.config.signin import SIGNIN_RULES
from doorctl.config.tables_web import ALARM_RULES
from doorctl.config.wording import shown
from doorctl.core.errors import Problem

CREDENTIALS = "CREDENTIALS_DIRECTORY"
CREDENTIALS_SPELT = (f"${CREDENTIALS}", f"${{{CREDENTIALS}}}")
SOCKETS = {"control.socket": "door.sock", "web.socket": "web.sock"}
"""Keys that name a socket, and what it is called in its process's directory by default."""

WEBS, DOORS = "storage.directory", "storage.door_directory"

FILES = frozenset(
    {
        "alarms.email.ca_file",
        "alarms.email.password_file",
        "alarms.webhook.ca_file",
        "alarms.webhook.secret_file",
        "lms.ca_file",
        "lms.password_file",
        "lms.terminal_password_file",
        "secrets.installation_key_file",
        "signin.oidc.ca_file",
        "signin.oidc.client_secret_file",
        "sync.signing_key_file",
        "web.tls.certificate_file",
        "web.tls.key_file",
        "web.tls.client_ca_file",
    }
)
"""Keys that name a file which systemd may hand over; an empty one names none."""

DIRECTORIES = frozenset({WEBS, "sync.feed", "sync.state_directory", "web.catalogues"})
"""Keys whose path is only made absolute."""

PUBLIC_KEYS = "web.push.public_key_files"


def placed(values: Mapping[str, Any], base: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the values with every path made absolute.

    Args:
        values: the valid ones, by full key; keys may be missing.
        base: absolute directory from which relative paths count.
        environment: where ``$CREDENTIALS_DIRECTORY`` is looked up. If it isn't set, the name
            stays in the path, and a rule reports it.
    """
    result = dict(values)
    for name in DIRECTORIES & result.keys():
        result[name] = base / result[name]
    if DOORS in result:
        own = result[DOORS] != Path()
        result[DOORS] = base / result[DOORS] if own else result.get(WEBS, Path())
    for name in FILES & result.keys():
        result[name] = placed_file(result[name], base, environment)
    if PUBLIC_KEYS in result:
        result[PUBLIC_KEYS] = tuple(base / written for written in result[PUBLIC_KEYS])
    for name in SOCKETS.keys() & result.keys():
        socket = _socket(name, result, base)
        if socket is None:
            del result[name]
        else:
            result[name] = socket
    return result


def placed_file(written: Path, base: Path, environment: Mapping[str, str]) -> Path:
    """Return the place of one file; an empty path stays empty."""
    if written == Path():
        return written
    directory = environment.get(CREDENTIALS)
    if directory and written.parts[:1] and written.parts[0] in CREDENTIALS_SPELT:
        return Path(directory, *written.parts[1:])
    return base / written


def _socket(name: str, values: Mapping[str, Any], base: Path) -> Path | None:
    written: Path = values[name]
    if written != Path():
        return base / written
    directory: Path | None = values.get(DOORS if name == "control.socket" else WEBS)
    return None if directory is None else directory / SOCKETS[name]


Values = Mapping[str, Any]

PULLED_UP = frozenset({2, 3})
"""GPIO2 and GPIO3 have 1.8 kilohm to 3.3 V on every Pi: the chip's pull-down is too weak."""

HIGH_WHEN_CUT: Mapping[str, tuple[str, bool]] = MappingProxyType(
    {
        "gpio.contact_pin": ("gpio.contact_open_high", True),
        "gpio.exit_button_pin": ("gpio.exit_button_active_high", False),
        "gpio.fire_pin": ("gpio.fire_active_high", True),
        "gpio.other_door_pin": ("gpio.other_door_open_high", True),
    }
)
"""Input -> its level's key and the value of it with which the pin is pulled up."""


def pulls_fit(values: Values) -> Iterator[Problem]:
    """An input that has to be pulled down is on a pin that can be."""
    for name, (level, pulled_up) in HIGH_WHEN_CUT.items():
        pin, high = values.get(name), values.get(level)
        if pin in PULLED_UP and high is not None and high is not pulled_up:
            yield Problem(
                name,
                f"found {pin}, which every Pi pulls up, so that a cut wire would go unseen; give "
                f"another pin, or {level} = {shown(pulled_up)}",
            )


def warning_comes_before_alarm(values: Values) -> Iterator[Problem]:
    """The buzzer warns while there is time left to close the door."""
    warned, held = values.get("door.prewarn_s"), values.get("door.held_open_s")
    if warned is not None and held is not None and warned >= held:
        yield Problem(
            "door.prewarn_s",
            f"found {shown(warned)}; give less than door.held_open_s, which is {shown(held)}",
        )


def longer_is_longer(values: Values) -> Iterator[Problem]:
    """Patrons who need longer do not get less time than others."""
    longer, release = values.get("door.long_release_s"), values.get("door.release_s")
    if not values.get("door.long_release_tags") or longer is None or release is None:
        return
    if longer < release:
        yield Problem(
            "door.long_release_s",
            f"found {shown(longer)}; give at least door.release_s, which is {shown(release)}",
        )


WIRING_RULES: tuple[Callable[[Values], Iterator[Problem]], ...] = (
    pulls_fit,
    warning_comes_before_alarm,
    longer_is_longer,
)

Rule = Callable[[Values], Iterator[Problem]]

TLS_FILES = ("certificate_file", "key_file", "client_ca_file")

SOCKET_PATH_BYTES = 107
"""Linux's ``sockaddr_un`` holds 108 with the final NUL (unix(7))."""


def zone_exists(values: Values) -> Iterator[Problem]:
    """This machine knows the branch's time zone."""
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
    """Linux can bind the resolved path of each socket."""
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
    """If a code opens, it can be typed before any card: not on the reader's line."""
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
    """Without TLS the web process listens to this machine only, unless configured otherwise."""
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
