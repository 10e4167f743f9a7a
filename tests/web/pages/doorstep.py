"""The way in on a stage: the real rules of accounts over memory, a real frame, one browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.testclient import TestClient

from doorctl.accounts.account import Account, Permission, Role
from doorctl.services.accounts import SigningIn
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff.accounts import Entrance
from tests.fakes.accounts import MemoryThread
from tests.web.pages.staging import application
from tests.web.pages.staging import frame as staged

NAME, RIGHT, WRONG = "grethe", "hest batteri klamme", "gæt et ord mere"
NEW = "lampe tirsdag fjord"
COOKIE = "doorctl"


def house(signing_in: SigningIn, *, encrypted: bool = False) -> Frame:
    """Return a frame whose sessions are those of the accounts."""
    around = staged(signing_in)
    around.encrypted = encrypted
    return around


class Pages(Protocol):
    """Some pages."""

    def routes(self) -> Sequence[BaseRoute]:
        """Return them."""


def browser_of(around: Frame, *pages: Pages | tuple[BaseRoute, ...]) -> TestClient:
    """Return a browser that nobody is signed in with, before some pages."""
    every = (one if isinstance(one, tuple) else one.routes() for one in pages)
    routes = [route for some in every for route in some]
    return TestClient(
        application(routes, around),
        base_url="https://testserver" if around.encrypted else "http://testserver",
        headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html"},
        follow_redirects=False,
    )


@dataclass
class Doorstep:
    """Accounts in memory, and a door to them.

    `memory`: the accounts; one manager is among them; `encrypted`: whether browsers come by
    HTTPS; `required`: whether a second factor is.
    """

    memory: MemoryThread = field(default_factory=MemoryThread)
    encrypted: bool = False
    required: bool = False

    def __post_init__(self) -> None:
        self.signing_in = self.memory.signing_in(required=self.required)
        self.around = house(self.signing_in, encrypted=self.encrypted)
        self.add(NAME)

    def add(self, name: str, *, must_change: bool = False) -> None:
        """Add an account with the right password."""
        account = Account(name, name.title(), Role.MANAGER, must_change=must_change)
        self.memory.add(account, RIGHT)

    def browser(self) -> TestClient:
        """Return a browser before the entrance."""
        return browser_of(self.around, Entrance(self.around, self.signing_in), _Log(self.around))

    def signed_in(self, name: str = NAME) -> TestClient:
        """Return a browser in which somebody has signed in."""
        client = self.browser()
        sent = client.post("/sign-in", data={"name": name, "password": RIGHT})
        assert sent.status_code == 303
        return client


class _Log:
    """A page for those who are signed in."""

    def __init__(self, around: Frame) -> None:
        self._around = around

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return it."""

        async def page(asked: PageRequest) -> Response:
            return asked.page("refused.html")

        return (self._around.guarded("/log", page, Permission.SEE_LOG),)
