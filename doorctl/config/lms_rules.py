"""What must hold between the keys of ``[lms]``, where a library system is wanted at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from doorctl.config.lms import Address, is_this_machine, read_address
from doorctl.config.wording import shown
from doorctl.errors import Problem

Values = Mapping[str, Any]

SCHEMES = MappingProxyType({"fbs": ("https", "http"), "sip2": ("sip2s", "sip2")})
SAMPLES = MappingProxyType({"fbs": "https://cms.example/rest", "sip2": "sip2s://sip2.example:6002"})
NEEDED = MappingProxyType({"fbs": ("url", "agency", "user", "password_file"), "sip2": ("url",)})
ONLY_SIP2 = ("terminal_password_file", "resident_classes", "deny_flags", "checksum")
NONE = ("", Path(), ())


def library_is_whole(values: Values) -> Iterator[Problem]:
    """What a kind of library system needs is there; an account has its password."""
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
    """The address is one of the kind; for SIP2 it has a port and no path."""
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
    """What only SIP2 reads stands beside no other kind, where somebody would rely on it."""
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
