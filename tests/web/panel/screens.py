"""One state for each thing that the screen says, and the page over a door that is none."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Self

from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from doorctl.access.panel import OURS, Keys, Kind, PanelState
from doorctl.access.panel_hours import Opens, Staffed
from doorctl.config import Config, load
from doorctl.config.shipped import shipped
from doorctl.core.language import Languages, languages
from doorctl.web.headers import Headed, SameOrigin
from doorctl.web.panel import Panel
from doorctl.web.rendering import StaticPages, Templates
from tests.fakes.panel import FakePanelDoor

PHONE = "12 34 56 78"
LOADED = load(
    shipped("demo.toml"),
    ["branch.name=Prøvebiblioteket", f"branch.phone={PHONE}", "door.release_s=5", "keypad.port="],
    {},
)


def showing(*, keypad: bool = True, help_button: bool = True, elsewhere: bool = False) -> Config:
    """Return a branch whose screen has a voice, and keys and a button for help where wanted."""
    panel = replace(LOADED.panel, keypad=keypad, help_button=help_button, elsewhere=elsewhere)
    return replace(LOADED, panel=replace(panel, speech=True))


SHOWING = showing()
TODAY = ((420, 1320),)
IDLE = PanelState(Kind.IDLE, 4, hours=TODAY)
FAR_S = 1e9
"""A release that ends long after a test."""

STATES: MappingProxyType[str, PanelState] = MappingProxyType(
    {
        "idle": IDLE,
        "idle with codes": PanelState(Kind.IDLE, 4, keys=Keys.CODE, hours=TODAY),
        "idle day and night": PanelState(Kind.IDLE, hours=((0, 1440),)),
        "idle, hours unknown": PanelState(Kind.IDLE),
        "closing": PanelState(Kind.CLOSING, 4, minutes=12),
        "closing in a minute": PanelState(Kind.CLOSING, 4, minutes=1, entry=False),
        "no entry": PanelState(Kind.CLOSING, 4, entry=False),
        "told no entry": PanelState(Kind.CLOSED, 4, minutes=9, entry=False),
        "opens today": PanelState(Kind.CLOSED, opens=Opens(0, 3, 420)),
        "opens tomorrow": PanelState(Kind.CLOSED, opens=Opens(1, 4, 420)),
        "opens on Monday": PanelState(Kind.CLOSED, opens=Opens(4, 0, 600)),
        "opens in days": PanelState(Kind.CLOSED, keys=Keys.CODE, opens=Opens(9, 5, 600)),
        "closed": PanelState(Kind.CLOSED),
        "staffed": PanelState(Kind.STAFFED, hours=TODAY),
        "out of order": PanelState(Kind.OUT_OF_ORDER, code=OURS),
        "card read": PanelState(Kind.CARD_READ, 5, 0, 4, Keys.PIN),
        "card read, own keypad": PanelState(Kind.CARD_READ, 5, 0, 4),
        "typing": PanelState(Kind.TYPING, 5, 2, 4, Keys.PIN),
        "typing a code": PanelState(Kind.TYPING, 5, 5, keys=Keys.CODE),
        "typing a code, own keypad": PanelState(Kind.TYPING, 5, 5),
        "working": PanelState(Kind.WORKING, 5),
        "welcome": PanelState(Kind.WELCOME, 5, locks_s=FAR_S),
        "welcome, locked": PanelState(Kind.WELCOME, 5),
        "welcome with a message": PanelState(Kind.WELCOME, 5, code=6),
        "welcome all": PanelState(
            Kind.WELCOME, 5, keys=Keys.COMPANIONS, companions=4, locks_s=FAR_S
        ),
        "welcome wrong": PanelState(
            Kind.WELCOME, 5, keys=Keys.COMPANIONS, companions=9, wrong=True, code=6, locks_s=FAR_S
        ),
        "welcome both": PanelState(
            Kind.WELCOME, 5, keys=Keys.COMPANIONS, companions=1, locks_s=FAR_S
        ),
        "no code": PanelState(Kind.REFUSED, 5, keys=Keys.CODE),
        **{f"refused {code}": PanelState(Kind.REFUSED, 5, code=code) for code in range(1, 4)},
        **{
            f"refused {code}": PanelState(
                Kind.REFUSED, 5, code=code, staffed=Staffed(0, 1, 600, 900)
            )
            for code in range(4, 7)
        },
        "staff tomorrow": PanelState(Kind.REFUSED, 5, code=5, staffed=Staffed(1, 2, 600, 900)),
        "staff on Sunday": PanelState(
            Kind.REFUSED, 5, keys=Keys.CODE, code=4, staffed=Staffed(3, 6, 600, 900)
        ),
        "no staff": PanelState(Kind.REFUSED, 5, code=4),
        "help": PanelState(Kind.HELP, 5),
        "called": PanelState(Kind.CALLED, 5),
        "called, codes": PanelState(Kind.CALLED, 5, keys=Keys.CODE),
        "refused 1, codes": PanelState(Kind.REFUSED, 5, keys=Keys.CODE, code=1),
        "refused before": replace(IDLE, again=True),
        "refused before, codes": replace(IDLE, keys=Keys.CODE, again=True),
        "closed, refused before": PanelState(
            Kind.CLOSED, opens=Opens(9, 5, 600), keys=Keys.CODE, again=True
        ),
    }
)


@dataclass
class Stage:
    """The page as it is served, over a door that a test moves.

    `beat_s`: longest silence on a stream; `secret`: what a screen has to have been opened with;
    `reached`: whether the branch's alarms leave the house.
    """

    config: Config = SHOWING
    languages: Languages = field(default_factory=languages)
    beat_s: float = 15.0
    secret: str = ""
    reached: bool = True

    def __post_init__(self) -> None:
        self.door = FakePanelDoor(longest_s=0.05)
        self._stack = ExitStack()
        self.panel = Panel(
            self.door, self.config, self.languages, Templates(), self.beat_s,
            secret=self.secret, reaches=lambda: self.reached,
        )  # fmt: skip

    @property
    def app(self) -> ASGIApp:
        """The page, its files, and what surrounds every page."""
        static = Mount("/static", StaticPages(), name="static")
        return Headed(SameOrigin(Starlette(routes=[static, *self.panel.routes()])), encrypted=False)

    def __enter__(self) -> Self:
        # One event loop for all requests, as in a server.
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._stack.callback(self.panel.stop)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def browser(self, host: str = "127.0.0.1", at: str = "127.0.0.1:8080") -> TestClient:
        """Return a browser at an address, that asks for a host."""
        client = TestClient(
            self.app,
            base_url=f"http://{at}",
            client=(host, 50000),
            headers={"Sec-Fetch-Site": "same-origin"},
            follow_redirects=False,
        )
        client.portal = self._portal
        return client
