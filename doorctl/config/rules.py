"""What must hold beyond one key's own bounds: between keys, and against the machine.

Each rule gets the valid values, by full key, and may miss the others, so that one wrong key
doesn't hide another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from ipaddress import ip_address
from os import fsencode
from os.path import normpath
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from doorctl.cards.keys import KEYS, byte_of
from doorctl.config.tables import (
    Address,
    Gpio,
    Keypad,
    Target,
    is_this_machine,
    keypad_is_wired,
    read_address,
    shown,
)
from doorctl.core.errors import Problem

CREDENTIALS = "CREDENTIALS_DIRECTORY"
CREDENTIALS_SPELT = (f"${CREDENTIALS}", f"${{{CREDENTIALS}}}")
WEBS, DOORS = "storage.directory", "storage.door_directory"
SOCKETS = {"control.socket": (DOORS, "door.sock"), "web.socket": (WEBS, "web.sock")}
"""Keys that name a socket, and where it is by default: in its process's directory, under a name."""

FEED, FETCHED = "sync.feed", "source.fetch."

MAY_BE_EMPTY = (DOORS, *SOCKETS, FEED)
"""Keys of paths that, left empty, are of none."""

CATALOGUES = "web.catalogues"

PUBLIC_KEYS = "web.push.public_key_files"

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
"""Of a host's name (RFC 1123), with the underscore that some machines have."""

TARGETS = "sync.targets"
TLS_OF_TARGET = ("ca_file", "certificate_file", "key_file")
TARGET_FILES = (*TLS_OF_TARGET, "public_key_file")
NATS_SERVERS = "sync.nats.servers"


def placed(values: Mapping[str, Any], base: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the values with every path made absolute, from `base` on; keys may be missing.

    Where ``$CREDENTIALS_DIRECTORY`` isn't set, the name stays in the path, and a rule reports it.
    """
    result = dict(values)
    for name, written in values.items():
        if is_file(name) or name == CATALOGUES:
            result[name] = placed_file(written, base, environment)
        elif isinstance(written, Path) and (written != Path() or name not in MAY_BE_EMPTY):
            result[name] = base / written
    if result.get(DOORS) == Path():
        result[DOORS] = result.get(WEBS, Path())
    if PUBLIC_KEYS in result:
        result[PUBLIC_KEYS] = tuple(base / written for written in result[PUBLIC_KEYS])
    if TARGETS in result:
        result[TARGETS] = tuple(
            target and replace(target, **_files(target, base, environment))
            for target in result[TARGETS]
        )
    for name, (directory, file) in SOCKETS.items():
        if result.get(name) == Path():
            del result[name]
            if directory in result:
                result[name] = result[directory] / file
    return result


def is_file(name: str) -> bool:
    """Tell whether a key names a file, which systemd may hand over; an empty one names none."""
    return name.endswith("_file")


def placed_file(written: Path, base: Path, environment: Mapping[str, str]) -> Path:
    """Return the place of one file; an empty path stays empty."""
    if written == Path():
        return written
    directory = environment.get(CREDENTIALS)
    if directory and written.parts[:1] and written.parts[0] in CREDENTIALS_SPELT:
        return Path(directory, *written.parts[1:])
    return base / written


def _files(target: Target, base: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    return {leaf: placed_file(getattr(target, leaf), base, environment) for leaf in TARGET_FILES}


Values = Mapping[str, Any]
Rule = Callable[[Values], Iterator[Problem]]

NONE = ("", Path(), ())
"""Values that count as none."""

PULLED_UP = frozenset({2, 3})
"""GPIO2 and GPIO3 have 1.8 kilohm to 3.3 V on every Pi: the chip's pull-down is too weak."""

HIGH_AT_BOOT = range(9)
"""GPIO0 to GPIO8 are pulled up until a program drives them, and the others down, on every Pi."""

HIGH_WHEN_CUT: Mapping[str, tuple[str, bool]] = MappingProxyType(
    {
        "gpio.contact_pin": ("gpio.contact_open_high", True),
        "gpio.exit_button_pin": ("gpio.exit_button_active_high", False),
        "gpio.fire_pin": ("gpio.fire_active_high", True),
        "gpio.other_door_pin": ("gpio.other_door_open_high", True),
    }
)
"""Input -> its level's key and the value of it with which the pin is pulled up."""

SOCKET_PATH_BYTES = 107
"""Linux's ``sockaddr_un`` holds 108 with the final NUL (unix(7))."""

TLS_FILES = ("certificate_file", "key_file", "client_ca_file")
ACCOUNT = ("user", "password_file")
MISSING = "missing beside {beside}; give it"
USELESS = "does nothing beside {beside}; leave it out"
ITS_PATH = "missing beside {beside}; give its path"
SAME_PIN = "found {found}, which is {other} too; give each the pin it is wired to"


def zone_exists(values: Values) -> Iterator[Problem]:
    """This machine knows the branch's time zone."""
    name = values.get("branch.time_zone")
    if name is None:
        return
    with suppress(KeyError, ValueError, OSError):
        ZoneInfo(name)
        return
    from difflib import get_close_matches  # noqa: PLC0415 - for slips of the pen alone, 0.1 MB

    close = get_close_matches(name, sorted(available_timezones()), n=1)
    advice = f"did you mean {shown(close[0])}?" if close else 'give one such as "Europe/Copenhagen"'
    yield Problem("branch.time_zone", f"found {shown(name)}, which is no time zone; {advice}")


def credentials_are_there(values: Values) -> Iterator[Problem]:
    """The variable in the key's path was filled in: no directory has that name."""
    path: Path | None = values.get("secrets.installation_key_file")
    if path is not None and not set(CREDENTIALS_SPELT).isdisjoint(path.parts):
        yield Problem(
            "secrets.installation_key_file",
            f"${CREDENTIALS} is set only for a systemd service with LoadCredential=; give the "
            'key\'s own path, such as "/etc/doorctl/installation.key"',
        )


LINE_DEFAULTS = {field.name: field.default for field in fields(Keypad)}

SERIAL_ONLY = ("data_bits", "parity", "stop_bits")

OF_OTHER_KINDS: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        ("reader", "usb"): ("baud", *SERIAL_ONLY),
        ("reader", "osdp"): SERIAL_ONLY,
        ("keypad", "usb"): ("baud", *SERIAL_ONLY),
        # It is the reader's keypad: what it is wired to stands in [reader].
        ("keypad", "osdp"): ("port", "baud", *SERIAL_ONLY),
    }
)
"""Line and its kind -> keys of its table that mean nothing there."""


def line_kinds_fit(values: Values) -> Iterator[Problem]:
    """Each line has what its kind needs, and no key of another kind."""
    for (table, kind), leaves in OF_OTHER_KINDS.items():
        if values.get(f"{table}.kind") != kind:
            continue
        for leaf in leaves:
            default = LINE_DEFAULTS[leaf]
            if values.get(f"{table}.{leaf}", default) != default:
                name = f"{table}.{leaf}"
                yield Problem(name, USELESS, beside=f"{table}.kind = {shown(kind)}")
    if values.get("keypad.kind") == "usb" and values.get("keypad.port") == "":
        yield Problem("keypad.port", MISSING, beside='keypad.kind = "usb"')
    if values.get("keypad.kind") == "osdp" and values.get("reader.kind", "osdp") != "osdp":
        yield Problem(
            "keypad.kind",
            'found "osdp", which is the keypad of an OSDP reader; give reader.kind = "osdp" too',
        )


def has_keypad_line(values: Values) -> bool | None:
    """Tell whether a keypad is wired on a line of its own; None where that is not known."""
    kind, port = values.get("keypad.kind"), values.get("keypad.port")
    return None if kind is None or port is None else keypad_is_wired(kind, port)


def ports_differ(values: Values) -> Iterator[Problem]:
    """Reader and keypad are two lines, or the keypad's is left empty."""
    port = values.get("keypad.port")
    if not port or port != values.get("reader.port") or values.get("keypad.kind") == "osdp":
        return
    if "usb" in {values.get("reader.kind"), values.get("keypad.kind")}:
        yield Problem(
            "keypad.port",
            "found {found}, which is reader.port too; a USB device is scanner or keypad, so give "
            "the keypad's own",
            found=shown(port),
        )
    else:
        yield Problem(
            "keypad.port",
            'found {found}, which is reader.port too; give "" if the keys come on the reader\'s '
            "line",
            found=shown(port),
        )


def keys_differ(values: Values) -> Iterator[Problem]:
    """No byte of the keypad is two keys."""
    taken = {byte: f"the key {chr(byte)}" for byte in KEYS}
    for name in ("keypad.clear", "keypad.enter"):
        for written in values.get(name, ()):
            byte = byte_of(written)
            if byte in taken:
                yield Problem(
                    name,
                    "found {found}, which is {other} already; take it out",
                    found=shown(written),
                    other=taken[byte],
                )
        taken |= dict.fromkeys(map(byte_of, values.get(name, ())), f"in {name}")


def pins_differ(values: Values) -> Iterator[Problem]:
    """No pin does two jobs."""
    pins = [
        (name, pin)
        for name, pin in values.items()
        if name.startswith("gpio.") and name.endswith("pin") and pin is not None
    ]
    for name, pin, other in repeated(pins):
        yield Problem(name, SAME_PIN, found=pin, other=other)


def pulls_fit(values: Values) -> Iterator[Problem]:
    """An input that has to be pulled down is on a pin that can be."""
    for name, (level, pulled_up) in HIGH_WHEN_CUT.items():
        pin, high = values.get(name), values.get(level)
        if pin in PULLED_UP and high is not None and high is not pulled_up:
            yield Problem(
                name,
                "found {found}, which every Pi pulls up, so that a cut wire would go unseen; give "
                "another pin, or {level} = {pulled_up}",
                found=pin,
                level=level,
                pulled_up=shown(pulled_up),
            )


def undriven_locks(gpio: Gpio) -> Iterator[Problem]:
    """The relay's pin means locked while nobody drives it: at boot, and once the door has ended.

    None of `RULES`: setup, check-config, doctor and self-test refuse it, but a door that has run so
    starts, with an alarm, for no upgrade may keep its patrons out.
    """
    pin, active_high = gpio.relay_pin, gpio.relay_active_high
    if (pin in HIGH_AT_BOOT) is active_high:
        yield Problem(
            "gpio.relay_pin",
            "found {found}, by which the door is open while nobody drives the pin, as at boot: "
            "give {first} to {last} beside gpio.relay_active_high = {level}, for GPIO0-8 are "
            "pulled up and GPIO9-27 down",
            found=pin,
            first=9 if active_high else 0,
            last=27 if active_high else 8,
            level=shown(active_high),
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
    if values.get("door.long_release_tags"):
        yield from _at_least(values, "door.long_release_s", "door.release_s")


def socket_fits(values: Values) -> Iterator[Problem]:
    """Linux can bind the resolved path of each socket."""
    for name, (_, file) in SOCKETS.items():
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
    wired, panel = has_keypad_line(values), values.get("panel.keypad")
    if values.get("policy.code_entry") and wired is False and panel is False:
        yield Problem(
            "policy.code_entry",
            "found true, and keys on the reader's line are heard after a card only, so no code can "
            "be typed; name a keypad in [keypad] or set panel.keypad, or give false",
        )


def help_is_heard(values: Values) -> Iterator[Problem]:
    """A button that calls for help has a way out of the house."""
    ways = (values.get(name) for name in ("alarms.email.host", "alarms.webhook.url"))
    if values.get("panel.help_button") and not any(ways):
        yield Problem(
            "panel.help_button",
            "found true, and no alarm leaves here; set alarms.email.host or alarms.webhook.url",
        )


def tls_is_whole(values: Values) -> Iterator[Problem]:
    """A certificate has its key, and clients' certificates are asked for under TLS only."""
    for problem in together(values, "web.tls", TLS_FILES, ITS_PATH):
        # Without an authority for clients nobody is asked for a certificate.
        if problem.where != "web.tls.client_ca_file":
            yield problem


def plain_stays_here(values: Values) -> Iterator[Problem]:
    """Without TLS the web process listens to this machine only, unless configured otherwise."""
    host, allowed = values.get("web.host"), values.get("web.allow_plain")
    plain = values.get("web.tls.certificate_file") == values.get("web.tls.key_file") == Path()
    if plain and host is not None and allowed is False and not is_this_machine(host):
        yield Problem(
            "web.host",
            "found {found}, which other machines reach, without web.tls; give certificate_file and "
            "key_file there, or web.allow_plain = true if something in front encrypts",
            found=shown(host),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryKind:
    """What a kind of `lms.kind` wants of [lms]: a rule.

    The keys that are `needed`, and none that is `useless`; and an address by one of `schemes`, the
    encrypted one first, such as `sample`, with a port and no path if `is_bare`.
    """

    kind: str
    needed: tuple[str, ...]
    schemes: tuple[str, ...]
    sample: str
    is_bare: bool = False
    useless: tuple[str, ...] = ()

    def __call__(self, values: Values) -> Iterator[Problem]:
        """Yield what is missing, and what is wrong with the address."""
        yield from self._is_whole(values)
        yield from self._address_fits(values)

    def _is_whole(self, values: Values) -> Iterator[Problem]:
        """All that it needs is there; an account has its password."""
        missing = [f"lms.{leaf}" for leaf in self.needed if values.get(f"lms.{leaf}") in NONE]
        for name in missing:
            yield Problem(name, MISSING, beside=f"lms.kind = {shown(self.kind)}")
        for name in (f"lms.{leaf}" for leaf in self.useless):
            if values.get(name) not in NONE:
                yield Problem(name, USELESS, beside=f"lms.kind = {shown(self.kind)}")
        for problem in together(values, "lms", ACCOUNT):
            if problem.where not in missing:
                yield problem

    def _address_fits(self, values: Values) -> Iterator[Problem]:
        """Card numbers and PINs leave this machine encrypted only."""
        url = values.get("lms.url")
        if not url:
            return
        address = read_address(url)
        if address is None or not self._fits(address):
            what = "found {found}, which is no address for {kind}; give one such as {example}"
            sample = shown(self.sample)
            yield Problem("lms.url", what, found=shown(url), kind=self.kind, example=sample)
        elif not address.encrypted and not is_this_machine(address.host):
            yield Problem(
                "lms.url",
                "found {found}, which sends PINs to another machine in the clear; give {scheme}://",
                found=shown(url),
                scheme=self.schemes[0],
            )
        elif not address.encrypted and values.get("lms.ca_file") not in (None, Path()):
            yield Problem("lms.ca_file", USELESS, beside=shown(url))

    def _fits(self, address: Address) -> bool:
        if address.scheme not in self.schemes:
            return False
        return not self.is_bare or (bool(address.port) and not address.path)


def mail_is_encrypted(values: Values) -> Iterator[Problem]:
    """A password is never sent in the clear to another machine."""
    host, security = values.get("alarms.email.host"), values.get("alarms.email.security")
    user = values.get("alarms.email.user")
    if security == "none" and host and user and not is_this_machine(host):
        yield Problem(
            "alarms.email.security",
            'found "none" beside a user, whose password would go in the clear; '
            'give "starttls" or "tls"',
        )


def targets_fit(values: Values) -> Iterator[Problem]:
    """A branch has an address, or is reached over NATS; and no key of the other way."""
    for where, target in listed(values, TARGETS):
        by_nats = target.via == "nats"
        yield from (_reached_by_nats if by_nats else _reached_by_url)(values, where, target)
        others = ("url", *TLS_OF_TARGET) if by_nats else ("public_key_file",)
        for leaf in others:
            if getattr(target, leaf) not in NONE:
                yield Problem(f"{where}.{leaf}", USELESS, beside=f"via = {shown(target.via)}")


def _reached_by_nats(values: Values, where: str, target: Target) -> Iterator[Problem]:
    """Its answers are believed by its own key; and some server carries them."""
    if target.public_key_file == Path():
        what = "missing beside {beside}; give the public half of its web.nats.signing_key_file"
        yield Problem(f"{where}.public_key_file", what, beside='via = "nats"')
    if not values.get(NATS_SERVERS):
        yield Problem(f"{where}.via", 'found "nats" without [sync.nats]; give its servers there')


def _reached_by_url(_values: Values, where: str, target: Target) -> Iterator[Problem]:
    """By a certificate with both of its files it is asked by https."""
    if not target.url:
        yield Problem(
            f"{where}.url",
            'missing; give an address such as {example}, or via = "nats"',
            example=shown("https://oest.example:8443"),
        )
        return
    address = read_address(target.url)
    if address is None or address.port == 0 or not _is_host(address.host):
        what = f"found {shown(target.url)}, which no machine has; mend host and port"
        yield Problem(f"{where}.url", what)
    files = {f"{where}.{leaf}": getattr(target, leaf) for leaf in TLS_OF_TARGET}
    if {*files.values()} != {Path()} and not target.url.startswith("https:"):
        what = f"found {shown(target.url)} beside certificates; give https"
        yield Problem(f"{where}.url", what)
    yield from together(files, where, ("certificate_file", "key_file"), ITS_PATH)


def feed_is_named(values: Values) -> Iterator[Problem]:
    """A sender knows where its export is; one that fetches it is judged by that extra."""
    fetches = any(name.startswith(FETCHED) for name in values)
    if values.get(FEED) == Path() and not fetches:
        yield Problem(FEED, f"missing; give a path, such as {shown('/srv/doorctl/exports')}")


def _is_host(host: str) -> bool:
    """Tell whether this is an IP address, or a name that the domain name system can hold."""
    with suppress(ValueError):
        return bool(ip_address(host))
    labels = host.removesuffix(".").split(".")
    return all(_LABEL.fullmatch(label) for label in labels)


def unlike(values: Values, table: str, leaf: str) -> Iterator[Problem]:
    """Each row of a table has its own value of a key."""
    named = ((f"{where}.{leaf}", getattr(row, leaf)) for where, row in listed(values, table))
    for name, value, other in repeated(named):
        what = f"found {shown(value)}, which is {other} too; give each its own"
        yield Problem(name, what)


def listed(values: Values, table: str) -> list[tuple[str, Any]]:
    """Return a table's rows that are right by themselves, and where each stands."""
    rows = enumerate(values.get(table, ()))
    return [(f"{table}[{place}]", row) for place, row in rows if row is not None]


def repeated(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any, str]]:
    """Yield each value that has come before, with its name and that of the first."""
    first: dict[Any, str] = {}
    for name, value in named:
        if (other := first.setdefault(value, name)) != name:
            yield name, value, other


def _at_least(values: Values, name: str, other: str) -> Iterator[Problem]:
    mine, its = values.get(name), values.get(other)
    if mine is not None and its is not None and mine < its:
        what = f"found {shown(mine)}; give at least {other}, which is {shown(its)}"
        yield Problem(name, what)


def together(
    values: Values, table: str, leaves: Sequence[str], text: str = MISSING
) -> Iterator[Problem]:
    """If one of these keys of a table is given, all are."""
    given = {f"{table}.{leaf}": values.get(f"{table}.{leaf}") for leaf in leaves}
    there = [name for name, value in given.items() if value is not None and value not in NONE]
    for name, value in given.items():
        if there and value in NONE:
            yield Problem(name, text, beside=there[0])


def encrypted(values: Values, name: str, danger: str) -> Iterator[Problem]:
    """An address of another machine is one of https://; else there is a danger, in words."""
    url = values.get(name)
    if not url:
        return
    address = read_address(url)
    if address is None or address.port == 0:
        yield Problem(name, "found {found}, whose port is none; mend it", found=shown(url))
    elif address.scheme == "http" and not is_this_machine(address.host):
        yield Problem(name, f"found {{found}}, {danger}; give https://", found=shown(url))


RULES: tuple[Rule, ...] = (
    zone_exists,
    credentials_are_there,
    line_kinds_fit,
    ports_differ,
    keys_differ,
    partial(_at_least, name="keypad.total_timeout_s", other="keypad.digit_timeout_s"),
    pins_differ,
    pulls_fit,
    warning_comes_before_alarm,
    longer_is_longer,
    socket_fits,
    sockets_differ,
    codes_can_be_typed,
    help_is_heard,
    tls_is_whole,
    plain_stays_here,
    partial(together, table="alarms.email", leaves=("host", "sender", "to")),
    partial(together, table="alarms.email", leaves=ACCOUNT),
    partial(together, table="alarms.webhook", leaves=("url", "secret_file")),
    mail_is_encrypted,
    partial(
        encrypted,
        name="backup.destination",
        danger="by which anybody on the way could take the password",
    ),
    partial(
        encrypted,
        name="alarms.webhook.url",
        danger="which tells another machine of alarms in the clear",
    ),
    partial(
        encrypted,
        name="alarms.heartbeat.url",
        danger="by which anybody on the way could go on in the branch's name",
    ),
    feed_is_named,
    targets_fit,
    partial(unlike, table=TARGETS, leaf="branch"),
)
"""In the order in which problems are reported."""
