"""Keys on the screen: from a page of ours on this machine to the door, and kept nowhere.

Bug (penetration test): any program of the Pi typed PIN digits on the screen's address, or took the
screen's place.

Bug (ASVS 5.0, read whole): the screen's secret stood in an address, and so in a history.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from doorctl.access.panel import AGAIN, CALL, HELP, NO_CALL, Kind, PanelState
from tests.web.panel.screens import IDLE, Stage, showing

AT_ONCE = {"Accept": "application/json"}
OWN = {"Sec-Fetch-Site": "same-origin"}
ORIGIN = "http://127.0.0.1:8080"


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A page with keys."""
    with Stage() as made:
        made.door.show(IDLE)
        yield made


OPENED = {"key": "s3cret"}
"""What `screen.html` sends."""


def sent(key: str, attempt: object = 7) -> dict[str, str]:
    """Return the form of a key."""
    return {"key": key, "attempt": str(attempt)}


@pytest.mark.parametrize("key", "0123456789#*")
def test_a_key_goes_to_the_door(stage: Stage, key: str) -> None:
    """With the attempt that the page showed; the answer says nothing."""
    answer = stage.browser().post("/panel/key", data=sent(key), headers=AT_ONCE)

    assert (answer.status_code, answer.content) == (204, b"")
    assert stage.door.pressed == [(key, 7)]


def test_without_javascript_the_page_comes_back(stage: Stage) -> None:
    """The form leads to the page in the language that was chosen; no digit is in its address.

    Its origin is "null", by our Referrer-Policy.
    """
    form = {**sent("4"), "lang": "en"}
    answer = stage.browser().post("/panel/key", data=form, headers={"Origin": "null"})

    assert answer.status_code == 303
    assert answer.headers["location"] == "/panel?lang=en&since=7"


@pytest.mark.parametrize(
    "form", [sent("a"), sent("47"), sent("4", "x"), {"key": "4"}, {"attempt": "7"}, {}]
)
def test_what_is_no_key_is_refused(stage: Stage, form: dict[str, str]) -> None:
    """The answer repeats nothing of it."""
    answer = stage.browser().post("/panel/key", data=form)

    assert (answer.status_code, answer.text) == (400, "That is no key of the screen.")
    assert stage.door.pressed == []


def test_more_than_a_key_is_not_read(stage: Stage) -> None:
    """A long body is refused before it is looked at."""
    answer = stage.browser().post("/panel/key", content=b"key=1&attempt=7&" + b"x" * 5000)

    assert answer.status_code == 400
    assert stage.door.pressed == []


@pytest.mark.parametrize(
    ("host", "at", "headers"),
    [
        ("192.0.2.7", "127.0.0.1:8080", {}),
        ("::ffff:192.0.2.7", "127.0.0.1:8080", {}),
        ("testclient", "127.0.0.1:8080", {}),
        ("127.0.0.1", "branch.example:8080", {}),
        ("127.0.0.1", "127.0.0.1.branch.example", {}),
        ("127.0.0.1", "127.0.0.1:8080", {"Host": "[::1"}),
        ("127.0.0.1", "127.0.0.1:8080", {"X-Forwarded-For": "192.0.2.7"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Forwarded": "for=192.0.2.7"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Sec-Fetch-Site": "cross-site"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Sec-Fetch-Site": "same-site"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Sec-Fetch-Site": "none"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Origin": "https://branch.example"}),
        ("127.0.0.1", "127.0.0.1:8080", {"Origin": "http://127.0.0.1:9999"}),
    ],
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_nobody_elsewhere_presses_a_key(
    host: str, at: str, headers: dict[str, str], *, elsewhere: bool
) -> None:
    """Another machine, another name, a proxy, another page: also where the page may be seen."""
    with Stage(showing(elsewhere=elsewhere)) as stage:
        answer = stage.browser(host, at).post("/panel/key", data=sent("4"), headers=headers)

    assert answer.status_code == 403
    assert stage.door.pressed == []


def test_an_older_browser_says_its_origin(stage: Stage) -> None:
    """Without Sec-Fetch-Site the origin counts; without either nobody knows where it is from."""
    browser = stage.browser()
    del browser.headers["Sec-Fetch-Site"]

    assert browser.post("/panel/key", data=sent("4")).status_code == 403
    for other in ("null", "http://127.0.0.1:9999", "https://127.0.0.1:8080"):
        answer = browser.post("/panel/key", data=sent("4"), headers={"Origin": other})
        assert answer.status_code == 403
    told = {**AT_ONCE, "Origin": ORIGIN}
    assert browser.post("/panel/key", data=sent("4"), headers=told).status_code == 204


def test_a_screen_without_keys_has_no_pad() -> None:
    """Where a keypad is wired or nothing was configured."""
    with Stage(showing(keypad=False)) as stage:
        assert 'id="pad"' not in stage.browser().get("/panel").text


@pytest.mark.parametrize("keypad", [True, False])
def test_the_message_can_be_had_again_from_the_screen_alone(*, keypad: bool) -> None:
    """By a button, also where a keypad is wired; a tablet elsewhere has none that counts."""
    with Stage(showing(keypad=keypad, elsewhere=True)) as stage:
        stage.door.show(replace(IDLE, again=True))
        page = stage.browser().get("/panel").text
        assert re.search(
            r'data-here="true".*<button form="keys" name="key" value="again">Vis igen<',
            page,
            re.DOTALL,
        )
        tablet = stage.browser("192.0.2.7", "branch.example")
        assert 'data-here="false"' in tablet.get("/panel").text
        assert tablet.post("/panel/key", data=sent(AGAIN)).status_code == 403
        assert stage.browser().post("/panel/key", data=sent(AGAIN)).status_code == 303
        stage.door.show(IDLE)
        assert look_without(stage, "Vis igen")
    assert stage.door.pressed == [(AGAIN, 7)]


@pytest.mark.parametrize("keypad", [True, False])
def test_help_is_called_from_the_screen_alone(*, keypad: bool) -> None:
    """Where the branch wants it, by forms that need no scripts; never over a door that is dead."""
    with Stage(showing(keypad=keypad, help_button=True, elsewhere=True)) as stage:
        stage.door.show(IDLE)
        page = stage.browser().get("/panel").text
        assert re.search(r'data-help="true".*name="key" value="help">Hj', page, re.DOTALL)
        tablet = stage.browser("192.0.2.7", "branch.example")
        assert tablet.post("/panel/key", data=sent(CALL)).status_code == 403
        stage.door.show(PanelState(Kind.HELP))
        assert any('value="call">Tilkald hj' in page for page in pages(stage))
        for key in (HELP, CALL, NO_CALL):
            assert stage.browser().post("/panel/key", data=sent(key)).status_code == 303
        stage.door.show(PanelState(Kind.CARD_READ, 5))
        assert look_without(stage, 'data-help="true"')
        stage.door.go_away()
        assert look_without(stage, 'data-help="true"')
    assert stage.door.pressed == [(HELP, 7), (CALL, 7), (NO_CALL, 7)]


def test_a_screen_whose_branch_wants_no_calls_has_no_button() -> None:
    """As it is until somebody chooses it."""
    with Stage(showing(help_button=False)) as stage:
        assert 'id="help"' not in stage.browser().get("/panel").text


def look_without(stage: Stage, text: str) -> bool:
    """Tell whether a text goes from the page, which hears of a state a moment after the door."""
    return any(text not in page for page in pages(stage))


def pages(stage: Stage) -> Iterator[str]:
    """Fetch the page until what was looked for is there, 500 times at most."""
    return (stage.browser().get("/panel").text for _ in range(500))


def test_a_door_that_is_gone_says_nothing_of_the_key(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """503, and neither the answer nor any log line has the digit."""
    stage.door.go_away()
    with caplog.at_level(logging.DEBUG):
        answer = stage.browser().post("/panel/key", data=sent("8", 13))

    assert (answer.status_code, answer.text) == (503, "The door does not answer.")
    assert "key=8" not in caplog.text


def test_only_the_screen_at_the_door_presses_a_key() -> None:
    """Whatever else runs on this machine sees nothing and types nothing, without the secret."""
    with Stage(secret="s3cret") as stage:
        other, screen = stage.browser(), stage.browser()
        for shown in ("", "?key=", "?key=s3cret"):
            assert other.get(f"/panel{shown}").status_code == 403
        for key in ("", "other", "s3cre\u00f8", "s3cret" * 99):
            assert other.post("/panel", data={"key": key}).status_code == 403
        assert stage.browser("192.0.2.7").post("/panel", data=OPENED).status_code == 403
        other.cookies.set("doorctl-panel", "other")
        assert other.get("/panel/events").status_code == 403
        assert other.post("/panel/key", data=sent("4"), headers=AT_ONCE).status_code == 403
        assert stage.door.pressed == []

        of_a_file = {"Sec-Fetch-Site": "cross-site", "Origin": "null"}
        opened = screen.post("/panel", data=OPENED, headers=of_a_file)
        assert opened.status_code == 200
        assert '<meta http-equiv="refresh" content="0;url=/panel">' in opened.text
        assert "s3cret" not in opened.text
        cookie = set(opened.headers["set-cookie"].lower().split("; "))
        assert {"doorctl-panel=s3cret", "httponly", "path=/", "samesite=strict"} <= cookie
        assert "set-cookie" not in screen.get("/panel").headers
        assert screen.post("/panel/key", data=sent("4"), headers=AT_ONCE).status_code == 204
    assert stage.door.pressed == [("4", 7)]


def test_over_https_the_screens_cookie_belongs_to_this_host() -> None:
    """By the prefix no other host can have set it."""
    with Stage(secret="s3cret") as stage:
        screen = stage.browser()
        screen.base_url = "https://127.0.0.1:8080"
        opened = screen.post("/panel", data=OPENED)
        cookie = opened.headers["set-cookie"].lower().split("; ")

        assert cookie[0] == "__host-doorctl-panel=s3cret"
        assert {"secure", "path=/", "httponly", "samesite=strict"} <= set(cookie)
        assert screen.post("/panel/key", data=sent("4"), headers=AT_ONCE).status_code == 204


def test_a_screen_elsewhere_needs_no_secret() -> None:
    """It has no keys; and it is given none that somebody else could press keys with."""
    with Stage(showing(elsewhere=True), secret="s3cret") as stage:
        tablet = stage.browser("192.0.2.7", "branch.example")

        assert tablet.get("/panel").status_code == 200
        answer = tablet.post("/panel", data=OPENED)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
