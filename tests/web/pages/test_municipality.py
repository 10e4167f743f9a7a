"""Signing in by the municipality, as a browser does: there, and back, against a real provider.

Bug (attack review): an identity provider that hangs held every thread that pages need.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest
from starlette.testclient import TestClient

from doorctl.core.errors import IdentityProviderError
from doorctl.extras.oidc import BACK, Oidc
from doorctl.extras.oidc import MUNICIPALITY as PAGE
from doorctl.extras.oidc.pages import Municipality
from doorctl.extras.oidc.signing_in import ProviderSigningIn
from doorctl.lookup.app import App
from doorctl.services.accounts import every_account
from doorctl.web.branch_thread import BranchThread
from doorctl.web.page_pool import THREADS
from doorctl.web.signing_in import SigningIn
from doorctl.web.staff.entrance import Entrance
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.waiting import LIMIT_S
from tests.services.branches import initialised
from tests.sources.oidc_server import CLIENT, REDIRECT, SECRET, OidcScript, serving
from tests.web.pages.doorstep import NEW, RIGHT, house
from tests.web.pages.staging import browser_of

BEGUN = "doorctl-begun"


@dataclass
class Town:
    """A provider, and a branch that asks it."""

    script: OidcScript
    app: App
    accounts: SigningIn
    provided: ProviderSigningIn
    clock: FakeClock
    log: FakeEventLog = field(default_factory=FakeEventLog)

    def browser(self, *, encrypted: bool = False) -> TestClient:
        """Return a browser before the entrance."""
        around = house(self.accounts, encrypted=encrypted)
        around.app = self.app
        around.log = self.log
        elsewhere = Municipality(around, self.provided)
        return browser_of(around, Entrance(around, self.accounts, elsewhere))

    def way_back(self, client: TestClient, wanted: str = "/") -> dict[str, str]:
        """Send a browser there and let its owner sign in; return what it comes back with."""
        begun = client.get(PAGE, params={"next": wanted})
        state, code = self.script.browse(begun.headers["location"])
        return {"state": state, "code": code}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A provider on loopback that vouches for one member of staff."""
    script, clock, secret = OidcScript(), FakeClock(), tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    with ExitStack() as stack:
        issuer = stack.enter_context(serving(script))
        config = initialised(
            tmp_path,
            f"signin.oidc.issuer={issuer}",
            f"signin.oidc.client_id={CLIENT}",
            f"signin.oidc.client_secret_file={secret}",
            f"signin.oidc.redirect_url={REDIRECT}",
            'signin.oidc.roles=["staff=dør-personale"]',
        )
        app = App(config, clock)
        branch = stack.enter_context(closing(BranchThread(app)))
        accounts = stack.enter_context(closing(SigningIn(app, branch)))
        (oidc,) = config.all_of(Oidc)
        yield Town(script, app, accounts, ProviderSigningIn(oidc, accounts, clock), clock)


def test_there_and_back(town: Town) -> None:
    """The way back is a page, so that the next request is our own and brings the strict cookie."""
    client = town.browser()
    begun = client.get(PAGE, headers={"Sec-Fetch-Site": "none"})
    state, code = town.script.browse(begun.headers["location"])
    came = {"Sec-Fetch-Site": "cross-site"}
    answer = client.get(BACK, params={"state": state, "code": code}, headers=came)

    assert begun.status_code == 303
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/">' in answer.text
    assert '<a href="/">' in answer.text
    assert code not in answer.text
    assert client.get("/").headers["location"] == "/now"
    assert client.get("/me").status_code == 200


def test_cookies_of_the_way(town: Town) -> None:
    """What is kept meanwhile is a token of ours for ten minutes, and gone afterwards."""
    client = town.browser(encrypted=True)
    begun = client.get(PAGE)
    kept = begun.headers["set-cookie"].lower()
    state, code = town.script.browse(begun.headers["location"])
    back = client.get(BACK, params={"state": state, "code": code}).headers.get_list("set-cookie")

    assert kept.startswith("__host-doorctl-begun=")
    assert {"httponly", "secure", "samesite=lax", "path=/", "max-age=600"} <= set(kept.split("; "))
    assert state.lower() not in kept
    session, ended = sorted(back)
    assert session.startswith("__Host-doorctl-begun=")
    assert "Max-Age=0" in session
    assert ended.startswith("__Host-doorctl=")
    assert "samesite=strict" in ended.lower()


def test_one_comes_back_to_where_one_wanted(town: Town) -> None:
    """The path waits here: the provider is told nothing of it, nor the browser on its way."""
    client = town.browser()
    form = client.get("/sign-in", params={"next": "/log?day=2026-11-25"}).text
    (link,) = re.findall(rf'href="({PAGE}[^"]*)"', form)
    begun = client.get(link)
    state, code = town.script.browse(begun.headers["location"])
    answer = client.get(BACK, params={"state": state, "code": code, "next": "/bans"})

    assert "log" not in begun.headers["location"] + begun.headers["set-cookie"]
    assert 'content="0; url=/log?day=2026-11-25"' in answer.text
    assert '<a href="/log?day=2026-11-25">' in answer.text
    assert "/bans" not in answer.text
    away = client.get(BACK, params=town.way_back(client, "//evil.example")).text
    assert 'content="0; url=/"' in away
    assert "evil" not in away


def test_the_session_that_the_browser_had_ends(town: Town) -> None:
    """Another sign-in in the same browser leaves no second one behind, whoever's it was.

    Bug (security list): another sign-in by the municipality left the old session behind.
    """
    client = town.browser()
    client.get(BACK, params=town.way_back(client))
    before = client.cookies["doorctl"]
    came = town.way_back(client)
    # The way back is another site's link, with which no browser sends the strict cookie.
    del client.cookies["doorctl"]
    assert client.get(BACK, params=came).status_code == 200

    copy = town.browser()
    copy.cookies.set("doorctl", before)
    assert copy.get("/me").status_code == 303
    assert client.get("/me").status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_link_begins_no_sign_in(town: Town, site: str) -> None:
    """It comes without the strict cookie of a session that would have to end; the page asks."""
    answer = town.browser().get(PAGE, params={"next": "/log"}, headers={"Sec-Fetch-Site": site})

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/log")
    assert "set-cookie" not in answer.headers


def refused(client: TestClient, came: dict[str, str], status: int) -> str:
    """Come back in vain; return the page, which signs nobody in."""
    answer = client.get(BACK, params=came)
    assert answer.status_code == status
    assert "doorctl" not in client.cookies
    assert client.get("/").headers["location"] == "/sign-in"
    return answer.text


def test_a_link_of_somebody_else_signs_nobody_in(town: Town) -> None:
    """Another browser's state and code are worth nothing here, so nobody acts as somebody else."""
    mine, theirs = town.browser(), town.browser()
    came = town.way_back(theirs)

    assert "Dette login er ikke begyndt her" in refused(mine, came, 422)
    mine.get(PAGE)
    assert "Dette login er ikke begyndt her" in refused(mine, came, 422)


def test_it_counts_once_and_not_for_long(town: Town) -> None:
    """Neither the back button nor a night later signs in again."""
    first, late = town.browser(), town.browser()
    came = town.way_back(first)
    kept = first.cookies[BEGUN]
    assert first.get(BACK, params=came).status_code == 200
    again = town.browser()
    again.cookies.set(BEGUN, kept)
    refused(again, came, 422)

    came = town.way_back(late)
    town.clock.advance(601)
    refused(late, came, 422)


def test_who_stops_there(town: Town) -> None:
    """What the address says of it is not shown, for anybody can write it; nothing goes on by it."""
    client = town.browser()
    came = town.way_back(client)
    kept = client.cookies[BEGUN]
    error = {"error": "access_denied", "error_description": "ring til 12345678 <b>nu</b>"}
    page = refused(client, error, 403)

    assert "eller du stoppede undervejs" in page
    assert "ring til" not in page
    assert BEGUN not in client.cookies
    client.cookies.set(BEGUN, kept)
    refused(client, came, 422)


WANTED = "/holds?around=2026-11-25T21:30"
OTHER_WAY = '<a href="/sign-in?next=/holds%3Faround%3D2026-11-25T21%3A30">'


def test_a_provider_that_cannot_be_believed_stands_in_the_journal(town: Town) -> None:
    """With why, and once a minute: whoever asks again and again fills no log."""
    client = town.browser()
    for claims in ({"aud": "another"}, {"nonce": "another"}):
        town.script.claims = dict(claims)
        refused(client, town.way_back(client), 503)

    why = "its token does not say what it should (aud)"
    assert town.log.lines == [{"event": "identity_provider", "why": why}]


@pytest.mark.parametrize(
    ("groups", "came", "status", "told"),
    [
        (["andre"], {}, 403, "Din kommunale konto har ikke adgang her."),
        (["dør-personale"], {"state": "x"}, 422, "Dette login er ikke begyndt her"),
        (["dør-personale"], {"error": "access_denied"}, 403, "eller du stoppede undervejs"),
    ],
)
def test_who_is_refused_still_gets_where_they_wanted(
    town: Town, groups: list[str], came: dict[str, str], *, status: int, told: str
) -> None:
    """The other way in leads there too; whom the provider vouches for needs a role here."""
    town.script.claims = {"groups": groups}
    client = town.browser()
    page = refused(client, town.way_back(client, WANTED) | came, status)

    assert told in page
    assert OTHER_WAY in page
    assert every_account(town.app) == ()


def test_a_provider_that_is_down(town: Town) -> None:
    """The page says so, and offers the branch's own accounts: at the start, and on the way back."""
    client = town.browser()
    came = town.way_back(client, WANTED)
    town.script.replies = {"/realm/.well-known/openid-configuration": (503, b"")}

    for page in (refused(client, came, 503), client.get(PAGE, params={"next": WANTED}).text):
        assert "Kommunens login kan ikke nås" in page
        assert OTHER_WAY in page
    assert client.get(PAGE).status_code == 503


def test_a_language_is_chosen_after_the_way_back(town: Town) -> None:
    """The way back counts once, so the choice leads on from it: to the page, or to signing in."""
    client = town.browser()
    begun = client.get(BACK, params=town.way_back(client, WANTED)).text
    stranger = town.browser()
    refusal = refused(stranger, town.way_back(stranger, WANTED) | {"error": "x"}, 403)

    assert f'name="next" value="{WANTED}"' in begun
    assert 'name="next" value="/sign-in?next=/holds%3Faround%3D2026-11-25T21%3A30"' in refusal


def test_the_municipalitys_password_is_changed_there(town: Town) -> None:
    """No form is offered that could not work; one that is sent all the same is told so."""
    client, told = town.browser(), "Din adgangskode er kommunens; skift den der."
    client.get(BACK, params=town.way_back(client))
    page = client.get("/me").text
    sent = client.post("/me", data={"old": RIGHT, "new": NEW, "again": NEW})

    assert told in page
    assert 'action="/me"' not in page
    assert 'action="/me/everywhere"' in page
    assert sent.status_code == 422
    assert told in sent.text
    assert "Du har ingen adgangskode på" in sent.text


def test_who_signs_out_here_may_sign_out_there(town: Town) -> None:
    """By a page that leads there, where the provider says how; here they are signed out anyway."""
    client = town.browser()
    client.get(BACK, params=town.way_back(client))
    town.script.document = {"end_session_endpoint": "https://login.example/out"}
    answer = client.post("/sign-out")

    assert answer.status_code == 200
    leads = f"https://login.example/out?client_id={CLIENT}"
    assert f'content="0; url={leads}"' in answer.text
    assert "Log også af hos kommunen" in answer.text
    assert "doorctl" not in client.cookies
    client.get(BACK, params=town.way_back(client))
    town.script.replies["/realm/.well-known/openid-configuration"] = (500, b"")
    assert client.post("/sign-out").headers["location"] == "/sign-in?done=out"
    assert "doorctl" not in client.cookies


def test_who_is_signed_in_and_signs_in_again_is_asked_again_there(town: Town) -> None:
    """Else the provider's own session would change accounts for whoever finds the desk empty."""
    client = town.browser()
    assert "prompt" not in client.get(PAGE).headers["location"]
    client.get(BACK, params=town.way_back(client))
    assert "prompt=login" in client.get(PAGE).headers["location"]


CROWD = 3 * THREADS


def test_strangers_take_no_threads_from_staff(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait for a provider that hangs, who is signed in gets their page at once."""
    let_go = Event()

    def hang(*_asked: object) -> None:
        let_go.wait(LIMIT_S)
        raise IdentityProviderError("it said nothing")

    with town.browser() as client, ThreadPoolExecutor(CROWD + 1) as crowd:
        client.get(BACK, params=town.way_back(client))
        monkeypatch.setattr(town.provided, "begin", hang)
        waiting = [crowd.submit(client.get, PAGE) for _ in range(CROWD)]
        try:
            assert crowd.submit(client.get, "/me").result(LIMIT_S / 2).status_code == 200
        finally:
            let_go.set()
        assert {one.result(LIMIT_S).status_code for one in waiting} == {503}
