"""Who may see the screen's page, and who may press its keys: a screen of this machine.

A key that is pressed here goes to the door. So it has to come from a loopback address, from one of
our pages, and not through a proxy: a proxy, on this machine too, must leave ``/panel`` out, for not
all of them say that they are one.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

PASSED_ON: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""The headers by which a proxy shows itself, if it does."""

SAME: Final = "same-origin"


def is_here(request: Request) -> bool:
    """Tell whether a request comes from this machine and names this machine as its host.

    The host's name keeps out pages whose own name was made to lead here (DNS rebinding).
    """
    if request.client is None or not _is_loopback(request.client.host):
        return False
    if any(name in request.headers for name in PASSED_ON):
        return False
    host = _split(request.headers.get("host", ""))
    return host == "localhost" or _is_loopback(host or "")


def is_own_page(request: Request) -> bool:
    """Tell whether one of our pages sent a request; without an origin none did."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != SAME:
        return False
    origin = request.headers.get("origin")
    # Our forms say "null": our pages forbid browsers to name the page they are from.
    if origin in {None, "null"}:
        return site == SAME
    return origin == f"{request.scope['scheme']}://{request.headers.get('host', '')}"


def _is_loopback(host: str) -> bool:
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _split(netloc: str) -> str | None:
    try:
        return urlsplit(f"//{netloc}").hostname
    except ValueError:
        return None
