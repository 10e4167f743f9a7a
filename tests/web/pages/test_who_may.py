"""Who may do what on which page: each address, for each role."""

from __future__ import annotations

import re
from itertools import product

import pytest
from httpx2 import Response
from starlette.routing import BaseRoute, Route

from doorctl.accounts.roles import Permission, Role, permits
from doorctl.lookup.app import App
from doorctl.web.addresses import places
from doorctl.web.alarms import StandingAlarms
from doorctl.web.frame import Frame
from doorctl.web.staff.accounts import accounts_pages
from doorctl.web.staff.audit import audit_pages
from doorctl.web.staff.bans import BansPages
from doorctl.web.staff.calendar import CalendarPages
from doorctl.web.staff.holds import hold_pages
from doorctl.web.staff.log import log_pages
from doorctl.web.staff.log_events import LogEvents
from doorctl.web.staff.now import now_pages
from doorctl.web.staff.passes import PassesPages
from doorctl.web.staff.people import people_pages
from doorctl.web.staff.statistics import statistics_pages
from doorctl.web.staff.why import why_pages
from tests.web.pages.staging import FakeRefused, browser_of, everybody, frame, recorded

WHO = {
    "SEE_NOW": ["GET /now"],
    "OPEN_ONCE": ["POST /now/open"],
    "SET_MODE": [f"POST /now/{do}" for do in ("clock", "lift", "lock", "mode", "mode/end")],
    "ACKNOWLEDGE": ["POST /now/acknowledge"],
    "SEE_LOG": ["GET /log", "GET /log/attempt", "GET /log/events"],
    "SEARCH_LOG": ["POST /log/search"],
    "REVEAL": ["GET /log/reveal", "POST /log/reveal"],
    "EXPORT_LOG": ["POST /log/export"],
    "EXPLAIN": ["GET /why", "POST /why", "POST /why/unlock"],
    "SEE_BANS": ["GET /bans", "GET /bans/{number}/letter"],
    "CHANGE_BANS": [
        *("POST /bans", "GET /bans/check/{token}", "POST /bans/check/{token}"),
        *("GET /bans/{number}", "POST /bans/{number}/lift"),
    ],
    "SEE_PASSES": ["GET /passes"],
    "CHANGE_PASSES": [
        *("POST /passes", "GET /passes/check/{token}", "POST /passes/check/{token}"),
        *("GET /passes/slip/{token}", "GET /passes/{number}", "POST /passes/{number}/revoke"),
    ],
    "SEE_CALENDAR": ["GET /calendar", "GET /calendar/poster"],
    "CHANGE_CALENDAR": [
        *("GET /calendar/{day}", "POST /calendar", "GET /calendar/week", "POST /calendar/week"),
        *("GET /calendar/week/{token}", "POST /calendar/week/{token}"),
    ],
    "SEE_STATISTICS": ["GET /statistics", "GET /statistics.csv"],
    "SUBJECT_RIGHTS": [
        "GET /people",
        *(
            f"POST /people/{do}"
            for do in ("find", "export", "restrict", "unrestrict", "object", "decide", "erase")
        ),
    ],
    "HOLD": ["GET /holds", "POST /holds", "GET /holds/{number}", "POST /holds/{number}/lift"],
    "SEE_AUDIT": ["GET /audit", "POST /audit/verify", "POST /audit/export"],
    "ACCOUNTS": [
        *("GET /accounts", "POST /accounts", "POST /accounts/password"),
        "POST /accounts/{change}",
    ],
}


@pytest.fixture
def routes(app: App, alarms: StandingAlarms) -> tuple[Frame, FakeRefused, list[Route]]:
    """The pages of staff; no stream goes on."""
    refused = FakeRefused()
    around = frame(everybody(), refused, app)
    events = LogEvents(around)
    events.stop()
    pages = (events, BansPages(around), PassesPages(around), CalendarPages(around))
    found: list[BaseRoute] = [route for page in pages for route in page.routes()]
    others = (log_pages, why_pages, statistics_pages, people_pages, hold_pages, audit_pages)
    found += [route for page in (*others, accounts_pages) for route in page(around)]
    # Last: whoever acknowledges here owns branch.db, and what others change would wait for it.
    found += now_pages(around, alarms)
    return around, refused, [route for route in found if isinstance(route, Route)]


def test_each_address_is_for_those_who_may(
    app: App, routes: tuple[Frame, FakeRefused, list[Route]]
) -> None:
    """Others are refused, whatever they send, and it does nothing; each role sees its own pages."""
    around, refused, found = routes
    known = {f"{method} {path}" for paths in WHO.values() for method, path in map(str.split, paths)}
    assert known == {f"{one} {r.path}" for r in found for one in r.methods or () if one != "HEAD"}
    client = browser_of(around, found)
    filled = {"number": "1", "day": "2026-12-24", "change": "disable", "token": "t"}
    expected = []
    for role, (needs, addresses) in product(Role, WHO.items()):
        client.cookies.set("doorctl", role.value)
        for method, path in map(str.split, addresses):
            if not permits(role, Permission[needs]):
                answer = client.request(method, path.format(**filled), data={"name": "kaj"})
                assert answer.status_code == 403, (role, path)
                expected.append((role.value, path, Permission[needs]))
    assert (recorded(app), refused.noted) == ([], expected)
    for role, (needs, addresses) in product(Role, WHO.items()):
        client.cookies.set("doorctl", role.value)
        for method, path in map(str.split, addresses):
            if method == "GET" and permits(role, Permission[needs]):
                assert client.get(path.format(**filled)).status_code != 403, (role, path)


OFFERED = re.compile(
    r'<(?:form method="(post|get)" action|a [^>]*href)="(/[^"?#]*)'
    r"(?=[^>]*>(?:(?!</form>).)*<(?:button|/a>))",
    re.DOTALL,
)
"""A link, or a form that has a button."""


def needed(method: str, path: str) -> set[Permission]:
    """Return what an address may need; one that is everybody's needs nothing."""
    return {
        Permission[needs]
        for needs, addresses in WHO.items()
        for address in addresses
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", address), f"{method} {path}")
    }


@pytest.mark.parametrize("role", Role, ids=lambda role: role.value)
def test_the_menu_of_a_role(routes: tuple[Frame, FakeRefused, list[Route]], role: Role) -> None:
    """It leads to all that the role has a place for, and marks the place where somebody is.

    Neither there nor on the pages is a link or a form with a button that the role may not use.

    Bug (screenshots): the page of bans marked no place of the menu.
    """
    around, _, found = routes
    client = browser_of(around, found)
    client.cookies.set("doorctl", role.value)
    own = [place.path for place in places(role)]
    for path in own:
        answer = client.get(path)
        shown = answer.text.partition('<nav class="top-menu"')[2].partition("</nav>")[0]
        assert answer.status_code == 200, path
        assert re.findall('href="([^"]+)"', shown) == own, path
        assert re.findall('href="([^"]+)" aria-current="page"', shown) == [path], path
        for method, offered in OFFERED.findall(answer.text):
            needs = needed(method.upper() or "GET", offered)
            assert not needs or any(permits(role, one) for one in needs), (path, offered)


ENGLISH = re.compile(r"\b(the|that|this|with|not|there|choose|write|or|of)\b", re.IGNORECASE)
"""Words of nearly every English sentence, and of no Danish one."""

UNSEEN = re.compile(
    r'<(\w+)[^>]*\blang="en".*?</\1>|<(script|style|code|pre)\b.*?</\2>|<[^>]*>', re.DOTALL
)

FILLED = re.compile(r'name="([a-z_0-9-]+)"')

POSTER = "/calendar/poster"
"""For everybody who stands at the door, so in both languages."""

ROUTED = {"number": "99", "day": "2026-12-24", "change": "disable", "token": "x"}


@pytest.mark.parametrize("role", [Role.MANAGER, Role.DPO], ids=lambda role: role.value)
def test_no_english_stands_on_a_danish_page(
    routes: tuple[Frame, FakeRefused, list[Route]], role: Role
) -> None:
    """Every page of the two roles that see them all, and each error of its forms, is Danish."""
    around, _, found = routes
    client = browser_of(around, found)
    client.cookies.set("doorctl", role.value)
    client.follow_redirects = True
    english: list[tuple[str, str]] = []

    def look(page: str, answer: Response) -> None:
        # What is folded away for the technician is in English; a mistake in a form is not theirs.
        html = answer.text if answer.is_server_error else answer.text.replace('lang="en"', "")
        said = re.sub(r"\s+", " ", UNSEEN.sub("|", html)).replace("English", "")
        english.extend((page, one.strip()) for one in said.split("|") if ENGLISH.search(one))

    names: set[str] = set()
    for route in found:
        if "GET" in (route.methods or ()):
            for query in (
                "",
                *(f"?{key}=x" for key in ("day", "since", "from", "attempt", "page")),
            ):
                answer = client.get(route.path.format(**ROUTED) + query)
                if "html" in answer.headers["content-type"] and route.path != POSTER:
                    look(route.path + query, answer)
                    names |= set(FILLED.findall(answer.text))
    for route, typed in product(found, ("", "x", "2020-02-30") if role is Role.MANAGER else ("x",)):
        if "POST" in (route.methods or ()):
            answer = client.post(route.path.format(**ROUTED), data=dict.fromkeys(names, typed))
            look(f"{route.path} {typed}", answer)
    assert english == []
