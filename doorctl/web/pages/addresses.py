"""Addresses of this site: what was asked for, and where whoever asked comes back to."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request

from doorctl.web.pages.navigation import PLACES

SIGN_IN: Final = "/sign-in"
OWN: Final = "/me"
"""Where somebody changes their own password."""

FACTOR: Final = f"{OWN}/factor"
"""Where they set up a second factor."""

START: Final = "/"

LONGEST_QUERY: Final = 1000
"""Characters; a filter of the log with every reason has fewer, and what has more is left out."""

TOLD: Final = "done"
"""The parameter with which a page tells once of what a form did."""

ENDED: Final = "ended"
"""What the sign-in page tells whoever sent a form after their session had ended."""

AGAIN: Final = "again"
"""What it tells whoever wanted to change accounts or end sessions long after they signed in."""

SEEN_BY: Final = frozenset({"GET", "HEAD"})
"""Methods with which nothing is sent."""


def path_of(request: Request) -> str:
    """Return the path that was routed by; `request.url` is put together with the host's header."""
    return str(request.scope["path"])


def own_path(path: str) -> str:
    """Return a path of this site as it is, and anything else as ``/``: nobody is led elsewhere."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if safe and path.isprintable() and "\\" not in path else START


def page_of(request: Request) -> str:
    """Return the path of the page that a request belongs to: its own, or that of the form sent."""
    path = path_of(request)
    if request.method in SEEN_BY:
        return path
    pages = (*(place.path for place in PLACES), SIGN_IN, OWN)
    return next((one for one in pages if path == one or path.startswith(f"{one}/")), START)


def address_of(request: Request) -> str:
    """Return the page that a request belongs to, with what its address says besides; own.

    What was sent as a form is left out, and so is a query that is longer than any of ours.
    """
    return _with_query(request, without="")


def sign_in_first(request: Request) -> str:
    """Return the address of the sign-in that leads to the page that a request belongs to.

    What a form did before is not told again; that this one did nothing is.
    """
    told = "" if request.method in SEEN_BY else ENDED
    return sign_in_at(_with_query(request, without=TOLD), told)


def sign_in_at(back: str, told: str = "") -> str:
    """Return the address of the sign-in that leads to a page of ours.

    Args:
        back: where to go on.
        told: a key of what the sign-in page tells; empty for nothing.
    """
    tells = f"{TOLD}={told}&" if told else ""
    return f"{SIGN_IN}?{tells}next={quote(back)}"


def _with_query(request: Request, *, without: str) -> str:
    page, query = page_of(request), request.scope["query_string"].decode("latin-1")
    if request.method not in SEEN_BY or len(query) > LONGEST_QUERY:
        return own_path(page)
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != without]
    return own_path(f"{page}?{urlencode(pairs)}" if pairs else page)
