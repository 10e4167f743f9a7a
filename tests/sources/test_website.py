"""The website asked over real HTTP: only one whole, good answer in time counts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from doorctl.access.calendar import Mode, ModeSpan
from doorctl.core.errors import InputError, WebsiteHoursError
from doorctl.sources.hours import LONGEST_ANSWER_BYTES, HoursRequest, Website
from tests.sources.website_server import WebsiteScript, item, serving

LONG_S = 30.0
SHORT_S = 0.3
"""For a website that would never answer."""

MONDAY = date(2026, 3, 2)
ASKED = HoursRequest("12", MONDAY, MONDAY + timedelta(days=14), "DK-773000")


@pytest.fixture
def script() -> WebsiteScript:
    """Return a website that is open on two days."""
    later = item(MONDAY + timedelta(days=1), "10:00", "18:00", "Med betjening")
    return WebsiteScript([item(MONDAY), later, item(MONDAY, branch=13)])


@pytest.fixture
def url(script: WebsiteScript) -> Iterator[str]:
    """Return where that website is."""
    with serving(script) as found:
        yield found


def why(website: Website) -> str:
    """Return why an answer counts for nothing."""
    with pytest.raises(WebsiteHoursError) as caught:
        website.opening_hours(ASKED)
    return str(caught.value)


def test_it_is_asked_for_one_branch_and_the_days_wanted(script: WebsiteScript, url: str) -> None:
    """One request, without a word about who asks but the program's name; the answer is days."""
    found = Website(f"{url}/").opening_hours(ASKED)

    assert {day: dated.spans for day, dated in found.days.items()} == {
        MONDAY: (ModeSpan(Mode.SELF_SERVICE, 480, 1320),),
        MONDAY + timedelta(days=1): (ModeSpan(Mode.STAFFED, 600, 1080),),
    }
    assert script.asked == [
        "/api/v1/opening_hours?_format=json&branch_id=12&from_date=2026-03-02&to_date=2026-03-16"
    ]
    assert {name.lower() for name in script.told[0]} == {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "user-agent",
    }
    assert script.told[0]["User-Agent"] == "doorctl"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, "has HTTP status 403"),
        (404, "there is no DPL CMS; see hours.website_url"),
        (500, "has HTTP status 500"),
        (503, "has HTTP status 503"),
        (204, "has HTTP status 204"),
    ],
)
def test_any_status_but_200_counts_for_nothing(
    script: WebsiteScript, url: str, status: int, told: str
) -> None:
    """Even with good hours below it, an error page is one."""
    script.status = status

    assert told in why(Website(url))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(script: WebsiteScript, url: str, status: int) -> None:
    """Only the address that the technician wrote down may open the door."""
    script.status = status
    script.headers["Location"] = f"{url}/api/v1/opening_hours?_format=json"

    assert "the website has moved; see hours.website_url" in why(Website(url))
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Vi er straks tilbage</html>", b"\xff\xfe[]", b"[" * 100_000, b'["\xff"]'],
)
def test_what_is_no_json_counts_for_nothing(script: WebsiteScript, url: str, body: bytes) -> None:
    """A maintenance page, another encoding or an endless nesting is no answer."""
    script.body = body

    assert "is no JSON" in why(Website(url))


@pytest.mark.parametrize("body", [b"{}", b"null", b'[{"category": 1}]'])
def test_json_that_says_nothing_of_hours_counts_for_nothing(
    script: WebsiteScript, url: str, body: bytes
) -> None:
    """What is no list of hours closes nothing and opens nothing; an empty list is one."""
    script.body = body

    assert why(Website(url)).startswith("the website's hours: ")


def test_packed_content_is_not_unpacked(script: WebsiteScript, url: str) -> None:
    """None was asked for, and a small answer could be a huge one in disguise."""
    script.body = gzip.compress(json.dumps(script.items).encode())
    script.headers["Content-Encoding"] = "gzip"

    assert "is no JSON" in why(Website(url))


def test_no_more_is_read_than_any_branch_has(script: WebsiteScript, url: str) -> None:
    """An answer without an end neither fills the memory nor is waited for."""

    def endless(writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 65_536)

    script.raw = endless

    assert f"has more than {LONGEST_ANSWER_BYTES} bytes" in why(Website(url, limit_s=LONG_S))


def test_plain_http_is_for_this_machine_only() -> None:
    """Whoever sits between could open the door."""
    with pytest.raises(InputError, match=r"https only; see hours\.website_url"):
        Website("http://bibliotek.example")


def test_no_proxy_of_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch, script: WebsiteScript, url: str
) -> None:
    """Only the configuration says whom to believe."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert Website(url).opening_hours(ASKED).days
    assert len(script.asked) == 1
