"""The table about the library's own system, which is asked where the cache can't judge a card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from doorctl.config.wording import key, shown
from doorctl.core.errors import Problem

PatronClass = Annotated[str, Meta(pattern=r"^[!-{}~]{1,32}\Z")]
Flag = Annotated[int, Meta(ge=1, le=14)]

_HOST = r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]"
_ADDRESS = rf"^(|(https?|sip2s?)://({_HOST})(:[0-9]{{1,5}})?(/[A-Za-z0-9._~-]+)*/?)\Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lms:
    """The library system, how it is reached and how long its answer counts."""

    kind: Annotated[
        Literal["", "fbs", "sip2"],
        key(
            "How the library system is asked about a card that the register can't judge: the FBS "
            "CMS API, SIP2, or not at all."
        ),
    ] = ""
    url: Annotated[
        str,
        key(
            "Where it answers: https://host/path for FBS, sip2s://host:port for SIP2 over TLS. "
            "http:// and sip2:// send card numbers and PINs in the clear, so only to this machine.",
            "sip2s://sip2.example:6002",
            'an address that begins with https://, http://, sip2s:// or sip2://, or ""',
            pattern=_ADDRESS,
        ),
    ] = ""
    agency: Annotated[
        str,
        key(
            "Whom it is asked for: the agency's ISIL in FBS, the institution (AO) in SIP2, empty "
            "only where the server has none.",
            "DK-773000",
            'at most 64 of A-Z, a-z, 0-9, ., _ and -, or ""',
            pattern=r"^[A-Za-z0-9._-]{0,64}\Z",
        ),
    ] = ""
    user: Annotated[
        str,
        key(
            "The account that doorctl logs in with; give each branch its own. A SIP2 server may do "
            "without.",
            "doorctl-oest",
            'at most 64 visible ASCII characters without |, or ""',
            pattern=r"^[!-{}~]{0,64}\Z",
        ),
    ] = ""
    password_file: Annotated[
        Path,
        key(
            "File of one line, that account's password. A leading $CREDENTIALS_DIRECTORY/ is where "
            "systemd's LoadCredential= puts it.",
            "/etc/doorctl/lms.password",
            'a path, or ""',
        ),
    ] = Path()
    terminal_password_file: Annotated[
        Path,
        key(
            "File of one line, the terminal password (AC) of SIP2. Empty: none is sent.",
            "/etc/doorctl/lms-terminal.password",
            'a path, or ""',
        ),
    ] = Path()
    ca_file: Annotated[
        Path,
        key(
            "PEM file of the authority of its certificate. Empty: the system's own authorities.",
            "/etc/doorctl/lms-ca.pem",
            'a path, or ""',
        ),
    ] = Path()
    timeout_s: Annotated[
        float,
        key(
            "Seconds that one question may take with all that belongs to it; the patron waits.",
            ge=0.2,
            le=10,
        ),
    ] = 2.0
    pause_min: Annotated[
        float,
        key(
            "Minutes that a card is not asked about again after a no: the library system locks a "
            "patron out after a few wrong PINs.",
            ge=1,
            le=1440,
        ),
    ] = 10.0
    row_days: Annotated[
        int,
        key("Days that a row counts which no push has brought.", ge=1, le=30),
    ] = 3
    pin_days: Annotated[
        int,
        key(
            "Days that a PIN is believed which was learnt so, before it is asked about again.",
            ge=1,
            le=365,
        ),
    ] = 30
    checksum: Annotated[
        bool,
        key(
            "Whether SIP2's messages carry a checksum (error detection). Without, an answer's "
            "wholeness rests on TLS alone."
        ),
    ] = True
    resident_classes: Annotated[
        tuple[PatronClass, ...],
        key(
            "Patron classes (PC) of SIP2 whose patrons live in the municipality. Empty: nobody "
            "counts as a resident by SIP2 alone.",
            ["VOKSEN", "BARN"],
            "a list of classes of 1 to 32 visible ASCII characters without |",
            max_length=64,
        ),
    ] = ()
    deny_flags: Annotated[
        tuple[Flag, ...],
        key(
            "Places, from 1, in SIP2's patron status whose flag counts as block S. Place 5 (card "
            "reported lost) is block O, 11 and 12 (fines, fees) are E, without being named here.",
            [6, 7],
            "a list of whole numbers from 1 to 14",
            max_length=14,
        ),
    ] = ()

    @property
    def wanted(self) -> bool:
        """Whether there is a library system to ask."""
        return self.kind != ""


@dataclass(frozen=True, slots=True)
class Address:
    """An `Lms.url` in its parts; `port` is None where none is written."""

    scheme: str
    host: str
    port: int | None
    path: str

    @property
    def encrypted(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in {"https", "sip2s"}


def read_address(url: str) -> Address | None:
    """Return the parts of an address that the schema accepts; None for a port beyond 65535."""
    parts = urlsplit(url)
    try:
        return Address(parts.scheme, parts.hostname or "", parts.port, parts.path.rstrip("/"))
    except ValueError:
        return None


def is_this_machine(host: str) -> bool:
    """Tell whether a host is a loopback address or ``localhost``; other names may move away."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


Values = Mapping[str, Any]

SCHEMES = MappingProxyType({"fbs": ("https", "http"), "sip2": ("sip2s", "sip2")})
SAMPLES = MappingProxyType({"fbs": "https://cms.example/rest", "sip2": "sip2s://sip2.example:6002"})
NEEDED = MappingProxyType({"fbs": ("url", "agency", "user", "password_file"), "sip2": ("url",)})
ONLY_SIP2 = ("terminal_password_file", "resident_classes", "deny_flags", "checksum")
NONE = ("", Path(), ())


def library_is_whole(values: Values) -> Iterator[Problem]:
    """All that a kind of library system needs is there; an account has its password."""
    kind = values.get("lms.kind")
    if not kind:
        return
    missing = [leaf for leaf in NEEDED[kind] if values.get(f"lms.{leaf}") in NONE]
    yield from (
        Problem(f"lms.{leaf}", f"missing beside lms.kind = {shown(kind)}; give it")
        for leaf in missing
    )
    pair = ("user", "password_file")
    for leaf, other in (pair, pair[::-1]):
        mine, its = values.get(f"lms.{leaf}"), values.get(f"lms.{other}")
        if leaf not in missing and mine in NONE and its is not None and its not in NONE:
            yield Problem(f"lms.{leaf}", f"missing beside lms.{other}; give it")


def library_address_fits(values: Values) -> Iterator[Problem]:
    """The address fits the kind; for SIP2 it has a port and no path."""
    kind, url = values.get("lms.kind"), values.get("lms.url")
    if not kind or not url:
        return
    address = read_address(url)
    if address is None or not _fits(kind, address):
        told = f"found {shown(url)}, which is no address for {kind}"
        yield Problem("lms.url", f"{told}; give one such as {shown(SAMPLES[kind])}")


def library_is_encrypted(values: Values) -> Iterator[Problem]:
    """Card numbers and PINs leave this machine encrypted only."""
    kind, url = values.get("lms.kind"), values.get("lms.url")
    if not kind or not url:
        return
    address = read_address(url)
    if address is None or address.encrypted or not _fits(kind, address):
        return
    if not is_this_machine(address.host):
        yield Problem(
            "lms.url",
            f"found {shown(url)}, which sends PINs to another machine in the clear; "
            f"give {SCHEMES[kind][0]}://",
        )
    elif values.get("lms.ca_file") not in (None, Path()):
        yield Problem("lms.ca_file", f"does nothing beside {shown(url)}; leave it out")


def library_keys_are_used(values: Values) -> Iterator[Problem]:
    """Keys that only SIP2 reads are not set for another kind, where staff would rely on them."""
    if values.get("lms.kind") != "fbs":
        return
    for leaf in ONLY_SIP2:
        written = values.get(f"lms.{leaf}")
        # A checksum that is wanted is every other system's default too.
        if written is not None and written not in (*NONE, True):
            yield Problem(f"lms.{leaf}", 'does nothing beside lms.kind = "fbs"; leave it out')


LMS_RULES: tuple[Callable[[Values], Iterator[Problem]], ...] = (
    library_is_whole,
    library_address_fits,
    library_is_encrypted,
    library_keys_are_used,
)


def _fits(kind: Any, address: Address) -> bool:
    if address.scheme not in SCHEMES[kind]:
        return False
    return kind == "fbs" or (bool(address.port) and not address.path)
