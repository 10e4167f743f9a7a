"""Every page, who sees it, and what must be seen there: the walk that the tests of pages take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from doorctl.accounts.roles import Role
from doorctl.web.addresses import PLACES, places


@dataclass(frozen=True, slots=True)
class Stop:
    """One page of the walk.

    `role`: of who goes there; None for whoever is not signed in; `seen`: a selector of what the
    page is for.
    """

    path: str
    role: Role | None
    seen: str = "main h1"
    status: int = 200

    def __str__(self) -> str:
        """Name it, for a test's name and a picture's."""
        name = self.path.strip("/").partition("?")[0].replace("/", "-") or "start"
        return f"{name}-{self.role.value}" if self.role else name


SEEN: Final = MappingProxyType(
    {
        "/now": "form[action='/now/open'], .cards",
        "/log": "#rows tr",
        "/why": "main form input",
        "/bans": "main table tbody tr",
        "/passes": "main table tbody tr",
        "/calendar": "#month td",
        "/statistics": "main svg[role=img]",
        "/people": "main form input",
        "/holds": "main form input:not([type=hidden])",
        "/audit": "main table tbody tr",
        "/accounts": "main table tbody tr",
    }
)
"""What each line of the menu leads to; a new line without one fails."""

TOMORROW: Final = (datetime.now().astimezone() + timedelta(days=1)).date()

EXPORT_PAGES: Final = (
    *("alma", "evergreen", "fbs", "folio", "koha", "rero", "sierra", "sirsidynix", "spreadsheet"),
)
"""Pages of the handbook about one library system each: one screen long."""

BESIDE: Final = (
    Stop("/sign-in", None, "input[type=password]"),
    Stop("/log/attempt?attempt=4000", Role.MANAGER, "#attempt .log-acts a"),
    Stop("/me", Role.STAFF, "form[action='/me']"),
    Stop(f"/calendar/{TOMORROW}", Role.MANAGER, "input[name=note]"),
    Stop("/calendar/poster", Role.STAFF, "main table th"),
    Stop("/bans/1/letter", Role.MANAGER),
    Stop("/bans", Role.VIEWER, "main h1", 403),
    Stop("/no-such-page", Role.STAFF, "main h1", 404),
    Stop("/panel", None, "#screen h1"),
    Stop("/help", None, "main ul a"),
    *(
        Stop(f"/help/{name}", None, "main nav a")
        for name in ("dpo", "electrician", "incidents", "librarian", "technician", "threats")
    ),
    *(Stop(f"/help/{name}", None, "main ol li code") for name in EXPORT_PAGES),
)
"""Pages that no menu leads to, and two refusals."""


def first_to(path: str) -> Role:
    """Return who walks to a place: the one with the most to see there."""
    order = (Role.MANAGER, Role.DPO, *Role)
    seeing: Iterator[Role] = (role for role in order if path in {one.path for one in places(role)})
    return next(seeing)


def menu() -> Iterator[Stop]:
    """Yield a stop for each line of the menu."""
    for place in PLACES:
        yield Stop(place.path, first_to(place.path), SEEN[place.path])


STOPS: Final = (*menu(), *BESIDE)
"""Each page once."""

WALKS: Final = MappingProxyType(
    {
        role: [one for one in STOPS if one.role is role]
        for role in dict.fromkeys(one.role for one in STOPS)
    }
)
"""Each page once, by who goes there: a window costs more than a page."""
