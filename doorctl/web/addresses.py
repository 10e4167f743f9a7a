"""The pages' addresses: the menu, where a request belongs, and the sign-in that leads back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request

from doorctl.accounts.roles import Permission, Role, permits


@dataclass(frozen=True, slots=True)
class Place:
    """One line of the menu: an address, its English name and the permission that it needs."""

    path: str
    name: str
    permission: Permission


PLACES: Final = (
    Place("/now", "Overview", Permission.SEE_NOW),
    Place("/log", "Door log", Permission.SEE_LOG),
    Place("/why", "Help a patron", Permission.EXPLAIN),
    Place("/bans", "Bans", Permission.SEE_BANS),
    Place("/passes", "Passes", Permission.SEE_PASSES),
    Place("/calendar", "Calendar", Permission.SEE_CALENDAR),
    Place("/statistics", "Statistics", Permission.SEE_STATISTICS),
    Place("/people", "People's rights", Permission.SUBJECT_RIGHTS),
    Place("/holds", "Incident holds", Permission.HOLD),
    Place("/audit", "Audit log", Permission.SEE_AUDIT),
    Place("/accounts", "Accounts", Permission.ACCOUNTS),
)


def places(role: Role, further: tuple[Place, ...] = ()) -> tuple[Place, ...]:
    """Return the menu of a role, with the lines that extras add."""
    return tuple(place for place in (*PLACES, *further) if permits(role, place.permission))


SIGN_IN: Final = "/sign-in"

OWN: Final = "/me"
"""Where users change their own password."""

FACTOR: Final = f"{OWN}/factor"
"""Where they set up a second factor."""

START: Final = "/"

LONGEST_QUERY: Final = 1000
"""The most characters of a query that is passed on; the longest filter of the log has fewer."""

TOLD: Final = "done"
"""The parameter with which a page reports once what a form did."""

ENDED: Final = "ended"
"""The sign-in page's message after a form was sent in a session that had ended."""

AGAIN: Final = "again"
"""Its message to users who want to change accounts or end sessions long after they signed in."""

SEEN_BY: Final = frozenset({"GET", "HEAD"})
"""Methods that send no form."""


def path_of(request: Request) -> str:
    """Return the path that was routed by; `request.url` also depends on the `Host` header."""
    return str(request.scope["path"])


def own_path(path: str) -> str:
    """Return a path of this site as it is, and ``/`` for anything else, such as another site."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if safe and path.isprintable() and "\\" not in path else START


def page_of(request: Request) -> str:
    """Return the path of the page that a request belongs to: its own, or that of the form sent."""
    path = path_of(request)
    if request.method in SEEN_BY:
        return path
    pages = (*(place.path for place in PLACES), SIGN_IN, OWN)
    return next((page for page in pages if path == page or path.startswith(f"{page}/")), START)


def address_of(request: Request, *, without: str = "") -> str:
    """Return the address, with its query, of the page that a request belongs to.

    Left out are the parameter `without`, a form's fields, and a query that is longer than any that
    our pages write.
    """
    page, query = page_of(request), request.scope["query_string"].decode("latin-1")
    if request.method not in SEEN_BY or len(query) > LONGEST_QUERY:
        return own_path(page)
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != without]
    return own_path(f"{page}?{urlencode(pairs)}" if pairs else page)


def sign_in_at(back: str, notice: str = "") -> str:
    """Return the sign-in URL that returns to the page `back`.

    `notice` is a key of the sign-in page's messages; empty for nothing.
    """
    tells = f"{TOLD}={notice}&" if notice else ""
    return f"{SIGN_IN}?{tells}next={quote(back)}"
