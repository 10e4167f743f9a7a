"""The way in on a stage: the real rules of accounts over memory, a real frame, one browser."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.responses import Response
from starlette.testclient import TestClient

from doorctl.accounts.account import Account
from doorctl.accounts.roles import Permission, Role
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.signing_in import SigningIn
from doorctl.web.staff.entrance import Entrance
from tests.fakes.accounts import MemoryThread
from tests.web.pages.staging import browser_of
from tests.web.pages.staging import frame as staged

NAME, RIGHT, WRONG = "grethe", "hest batteri klamme", "gæt et ord mere"
NEW = "lampe tirsdag fjord"
COOKIE = "doorctl"


def house(signing_in: SigningIn, *, encrypted: bool = False) -> Frame:
    """Return a frame whose sessions are those of the accounts."""
    around = staged(signing_in)
    around.encrypted = encrypted
    return around


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
        around = self.around
        log = around.guarded("/log", _log, Permission.SEE_LOG)
        return browser_of(around, Entrance(around, self.signing_in), (log,))

    def signed_in(self, name: str = NAME) -> TestClient:
        """Return a browser in which somebody has signed in."""
        client = self.browser()
        sent = client.post("/sign-in", data={"name": name, "password": RIGHT})
        assert sent.status_code == 303
        return client


async def _log(asked: PageRequest) -> Response:
    return asked.page("refused.html")
