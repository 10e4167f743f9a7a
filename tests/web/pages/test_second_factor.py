"""A second factor on the pages: set up, asked for, reset, and where it has to be there first."""

from __future__ import annotations

import re

import pyotp
from starlette.testclient import TestClient

from doorctl.accounts.account import FRESH_MS
from tests.web.pages.doorstep import NAME, NEW, RIGHT, Doorstep

START, FACTOR = "/sign-in", "/me/factor"


def key_on(page: str) -> str:
    """Return the key that a page shows."""
    found = re.search(r'name="secret" value="(\w{32})"', page)
    assert found is not None
    return found[1]


def code(step: Doorstep, key: str, steps: int = 0) -> str:
    """Return what an app shows, so many steps from now."""
    return pyotp.TOTP(key).at(step.memory.clock.wall, counter_offset=steps)


def enrolled(step: Doorstep) -> tuple[TestClient, str, list[str]]:
    """Set it up; return the browser, the key and the recovery codes."""
    client = step.signed_in()
    key = key_on(client.post(FACTOR, data={"begin": ""}).text)
    done = client.post(FACTOR, data={"secret": key, "code": code(step, key)})
    assert done.status_code == 200
    codes = re.findall(r"<li><code>([a-z2-7-]{29})</code>", done.text)
    step.memory.clock.advance(60)
    return client, key, codes


def test_it_is_set_up_on_ones_own_page() -> None:
    """A picture, the key as text, one code; then ten recovery codes, once, in no cache."""
    step = Doorstep()
    client = step.signed_in()
    before = client.cookies["doorctl"]
    assert "Sæt login i to trin op" in client.get("/me").text
    page = client.post(FACTOR, data={"begin": ""})
    key = key_on(page.text)

    assert "<svg" in page.text
    assert " ".join(key[at : at + 4] for at in range(0, 32, 4)) in page.text
    wrong = client.post(FACTOR, data={"secret": key, "code": "000000"})
    assert wrong.status_code == 422
    assert key_on(wrong.text) == key
    assert "Koden er ikke den, appen viser nu." in wrong.text
    done = client.post(FACTOR, data={"secret": key, "code": code(step, key)})
    assert len(re.findall(r"<li><code>", done.text)) == 10
    assert key not in done.text
    assert {one.headers["cache-control"] for one in (page, done)} == {"no-store"}
    assert client.cookies["doorctl"] != before
    assert "Sæt det op igen" in client.get("/me").text


def test_who_signed_in_long_ago_signs_in_again_first() -> None:
    """Else whoever finds a browser open would make it theirs."""
    step = Doorstep()
    client = step.signed_in()
    step.memory.clock.advance(FRESH_MS / 1000)

    assert (
        client.post(FACTOR, data={"begin": ""}).headers["location"]
        == "/sign-in?done=again&next=/me"
    )


def test_the_sign_in_asks_for_the_code() -> None:
    """Of those who have one; the field is there once anybody does, and says nothing of whom."""
    step = Doorstep()
    step.add("kaj")
    assert 'name="code"' not in step.browser().get(START).text
    _, key, codes = enrolled(step)
    client = step.browser()
    assert 'name="code"' in client.get(START).text

    for typed in ("", "000000"):
        form = {"name": NAME, "password": RIGHT, "code": typed}
        answer = client.post(START, data=form)
        assert answer.status_code == 403
        assert "Forkert navn, adgangskode eller kode." in answer.text
    for typed in (code(step, key), codes[0]):
        form = {"name": NAME, "password": RIGHT, "code": typed}
        assert client.post(START, data=form).status_code == 303
        assert client.post(START, data=form).status_code == 403
    assert client.post(START, data={"name": "kaj", "password": RIGHT}).status_code == 303


def test_while_the_clock_is_in_doubt_the_pages_say_what_counts() -> None:
    """A recovery code; and nothing is set up by a guess."""
    step = Doorstep()
    _, key, codes = enrolled(step)
    step.memory.clock.reboot("boot-2")
    step.memory.clock.vouched = False
    client = step.browser()

    assert "Brug en nødkode." in client.get(START).text
    form = {"name": NAME, "password": RIGHT}
    assert client.post(START, data=form | {"code": code(step, key)}).status_code == 403
    assert client.post(START, data=form | {"code": codes[0]}).status_code == 303
    told = "Bibliotekets ur er usikkert, så login i to trin kan ikke sættes op lige nu."
    assert told in client.get("/me").text
    answer = client.post(FACTOR, data={"begin": ""})
    assert answer.status_code == 422
    assert told in answer.text


def test_a_new_password_asks_for_the_code_too() -> None:
    """The field is there, and without it nothing is changed."""
    step = Doorstep()
    client, key, _ = enrolled(step)
    form = {"old": RIGHT, "new": NEW, "again": NEW}
    answer = client.post("/me", data=form)

    assert answer.status_code == 422
    assert "Den nuværende adgangskode eller koden er forkert." in answer.text
    assert 'name="code"' in answer.text
    done = client.post("/me", data=form | {"code": code(step, key)})
    assert done.headers["location"] == "/me?done=changed"


def test_where_it_is_required_it_is_set_up_first() -> None:
    """Whatever is asked for leads there; after a password of somebody else's, and by no way round.

    While the clock is in doubt nobody is kept from their work by it.
    """
    step = Doorstep(required=True)
    step.add("kaj", must_change=True)
    client = step.signed_in("kaj")
    assert client.post(FACTOR, data={"begin": ""}).headers["location"] == "/me"
    client.post("/me", data={"old": RIGHT, "new": NEW, "again": NEW})

    assert client.get("/log").headers["location"] == "/me"
    assert client.post("/me/everywhere").headers["location"] == "/me"
    assert "Sæt først login i to trin op." in client.get("/me").text
    key = key_on(client.post(FACTOR, data={"begin": ""}).text)
    client.post(FACTOR, data={"secret": key, "code": code(step, key)})
    assert client.get("/log").status_code == 200
    step.memory.clock.vouched = False
    step.memory.clock.reboot("boot-2")
    assert step.signed_in().get("/log").status_code == 200
