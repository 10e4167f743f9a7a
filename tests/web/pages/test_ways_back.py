"""Where somebody comes back to: after signing in, and after choosing a language."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

import doorctl.web
from doorctl.web.frame import LONGEST_QUERY, page_of
from tests.services.branches import initialised
from tests.web.addresses import addresses
from tests.web.pages.doorstep import NAME, RIGHT, WRONG, Doorstep

WEB = Path(doorctl.web.__file__).parent
SENT_BY_GET = re.compile(r'<form method="get".*?</form>', re.DOTALL)
NAMED = re.compile(r'\bname="(\w+)"|\b(?:field|choice)\("(\w+)"')

CHOICE = re.compile(r'action="/language".*?name="next" value="([^"]*)"', re.DOTALL)

HARMLESS = {
    *("day", "month", "span", "from", "to", "since", "until", "around"),
    *("outcome", "reason", "by", "action"),
    *("attempt", "before", "page", "preset"),
    *("account", "next", "done", "error", "state", "code"),
}
"""Days and times, choices from lists, numbers of our own; who of staff; and the way itself."""


def wanted(location: str) -> str:
    """Return where a sign-in page is told to lead to."""
    assert urlsplit(location).path == "/sign-in"
    return parse_qs(urlsplit(location).query)["next"][0]


@pytest.mark.parametrize(
    "address",
    [
        "/log",
        "/log?attempt=5",
        "/log?day=2026-11-25&outcome=refused&reason=ok&reason=banned",
        "/log?from=&to=21%3A30",
        "/log?reason=%C3%B8+%26+%25",
    ],
)
def test_one_comes_back_to_what_one_asked_for(address: str) -> None:
    """The attempt, the days and the filter too, not the page alone."""
    client = Doorstep().browser()
    location = client.get(address).headers["location"]
    form = {"name": NAME, "password": RIGHT, "next": wanted(location)}

    assert wanted(location) == address
    assert client.post("/sign-in", data=form).headers["location"] == address


def test_what_a_form_did_is_not_told_again() -> None:
    """Whoever loads such a page again and has to sign in has added nothing a second time."""
    location = Doorstep().browser().get("/log?done=added&day=2026-11-25").headers["location"]

    assert wanted(location) == "/log?day=2026-11-25"


@pytest.mark.parametrize(
    "query", ["x=" + "9" * LONGEST_QUERY, "done=x", "", "%00", "next=//evil.example"]
)
def test_no_query_leads_elsewhere(query: str) -> None:
    """Whatever stands in it, one comes back to the page; what is longer than any is left out."""
    back = wanted(Doorstep().browser().get(f"/log?{query}").headers["location"])

    assert urlsplit(back)[:3] == ("", "", "/log")
    assert len(back) < LONGEST_QUERY


def test_a_page_that_asks_by_itself_leads_back_too() -> None:
    """The script goes to sign in, and comes back to the same filter."""
    headers = {"HX-Request": "true"}
    answer = Doorstep().browser().get("/log?day=2026-11-25", headers=headers)

    assert wanted(answer.headers["hx-redirect"]) == "/log?day=2026-11-25"


def test_no_address_holds_a_patrons_number_or_name() -> None:
    """What is asked for by address goes on to the sign-in page; cards and names go by POST."""
    code = "".join(path.read_text("utf-8") for path in (WEB / "staff").glob("*.py"))
    pages = "".join(path.read_text("utf-8") for path in (WEB / "templates").glob("*.html"))
    by_address = set(re.findall(r'\brequest\.quer(?:y\(|ied, )"(\w+)"', code))
    for form in SENT_BY_GET.findall(pages):
        by_address |= {one or other for one, other in NAMED.findall(form)}

    assert {"attempt", "around", "reason", "account"} <= by_address
    assert by_address <= HARMLESS


def in_english(client: TestClient, page: str) -> str:
    """Choose English on a page; return what it leads to, which is there."""
    (found,) = CHOICE.findall(page)
    form = {"language": "en", "next": unescape(found)}
    location = client.post("/language", data=form).headers["location"]
    shown = client.get(location)
    assert shown.status_code == 200
    assert '<html lang="en">' in shown.text
    return location


@pytest.mark.parametrize(
    "address",
    ["/log?day=2026-11-25&reason=ok", "/log", "/sign-in?done=out&next=/bans", "/me?done=changed"],
)
def test_a_language_is_chosen_without_losing_the_page(address: str) -> None:
    """It is the same page with the same filter, the same way on and the same news.

    Bug (every page compared before and after a change): a language chosen on the door log led
    to the start: the page's own `address` hid the frame's.
    """
    client = Doorstep().signed_in()

    assert in_english(client, client.get(address).text) == address


def test_a_language_is_chosen_on_what_a_form_led_to() -> None:
    """The page of the form is shown: the form's own address can't be, and it is not sent twice."""
    step = Doorstep()
    inside, outside = step.signed_in(), step.browser()
    own = inside.post("/me", data={"old": WRONG, "new": "x", "again": "x"})
    entrance = outside.post("/sign-in", data={"name": NAME, "password": WRONG, "next": "/log?a=b"})

    assert (own.status_code, in_english(inside, own.text)) == (422, "/me")
    assert entrance.status_code == 403
    assert in_english(outside, entrance.text) == "/sign-in?next=/log%3Fa%3Db"


def test_every_form_stands_on_a_page(tmp_path: Path) -> None:
    """Whatever address a form is sent to, there is a page to come back to."""
    known = set(addresses(initialised(tmp_path)))
    sent = [path for method, path in known if method == "POST" and "/panel" not in path]
    pages = {path: page_of(request("POST", path)) for path in sent}

    assert pages["/bans/{number}/lift"] == "/bans"
    assert pages["/me/everywhere"] == "/me"
    assert pages["/log/reveal"] == "/log"
    assert {page for page in pages.values() if ("GET", page) not in known} == set()


def request(method: str, path: str) -> Request:
    """Return a request."""
    return Request({"type": "http", "method": method, "path": path, "query_string": b"a=b"})
