"""Pages on a stage of their own: the real frame, application and templates, invented sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from starlette.routing import BaseRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from doorctl.accounts.account import Account, Person
from doorctl.accounts.roles import Permission, Role
from doorctl.accounts.session import Token
from doorctl.core.errors import StoreError
from doorctl.core.language import EXTRAS, languages
from doorctl.lookup.app import App
from doorctl.privacy.audit import Action
from doorctl.store.records import AuditRecords
from doorctl.web.frame import Frame, Sessions
from doorctl.web.headers import Headed, SameOrigin
from doorctl.web.page_pool import PagePool
from doorctl.web.rendering import Templates
from doorctl.web.shared_pages import shared_routes
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.services.branches import configured

ZONE = ZoneInfo("Europe/Copenhagen")
NOW = datetime(2026, 11, 25, 19, 30, tzinfo=ZONE)
"""A Wednesday evening."""

SURE = {"sure": "yes"}
"""A button sends a form, if an empty one."""

LANGUAGES = languages()
TEMPLATES = Templates(*EXTRAS.glob("*/"))


@dataclass
class FakeSessions:
    """Whoever's token is an account's name is signed in with its role."""

    people: dict[str, Person] = field(default_factory=dict)

    def whose(self, token: Token, /, **_: bool) -> Person | None:
        """Return who it is."""
        return self.people.get(token.reveal())


@dataclass
class FakeRefused:
    """Keeps what was refused; `broken` makes it fail."""

    noted: list[tuple[str, str, Permission]] = field(default_factory=list)
    broken: bool = False

    def note(self, account: str, page: str, needs: Permission) -> None:
        """Keep a refusal."""
        if self.broken:
            raise StoreError("the record was told to fail")
        self.noted.append((account, page, needs))


def everybody() -> FakeSessions:
    """Return sessions of one account for each role, named after it."""
    return FakeSessions({role.value: person(role.value, role) for role in Role})


def person(name: str, role: Role, *, fresh: bool = True) -> Person:
    """Return who is signed in to an account."""
    return Person(Account(name, name.title(), role), fresh)


NOWHERE = App(configured(Path("/nowhere")), FakeClock(wall=NOW))
"""Of a branch whose files are not there, for pages that need none."""


def frame(
    sessions: Sessions | None = None, refused: FakeRefused | None = None, app: App = NOWHERE
) -> Frame:
    """Return a frame for a branch that speaks Danish first."""
    return Frame(
        app=app,
        languages=LANGUAGES,
        sessions=sessions or everybody(),
        refused=(refused or FakeRefused()).note,
        templates=TEMPLATES,
        pool=PagePool(),
        log=FakeEventLog(),
    )


def application(routes: Iterable[BaseRoute], around: Frame) -> ASGIApp:
    """Return an application of some pages, with what every page needs."""
    from starlette.applications import Starlette  # noqa: PLC0415 - tests of values don't load it

    app = Starlette(routes=[*shared_routes(around), *routes])
    return Headed(SameOrigin(app), encrypted=False)


def recorded(app: App) -> list[tuple[Action, str, str]]:
    """Return each audit entry's action, reason and account, oldest first."""
    with closing(AuditRecords(app.storage.branch_db)) as audit:
        return [(one.deed.action, one.deed.why, one.by) for one in audit.entries()]


def confirmed(asking: TestClient, path: str, form: Mapping[str, object]) -> str:
    """Fill in the form of a page, look at the page to check, and agree; return what it leads to."""
    check = asking.post(path, data=form).headers["location"]
    assert asking.get(check).status_code == 200
    return asking.post(check, data=SURE).headers["location"]


class Pages(Protocol):
    """Some pages."""

    def routes(self) -> Sequence[BaseRoute]:
        """Return them."""


def browser_of(around: Frame, *pages: Pages | Iterable[BaseRoute]) -> TestClient:
    """Return a browser that nobody is signed in with, and that asks as browsers of today do."""
    every = (some if isinstance(some, Iterable) else some.routes() for some in pages)
    return TestClient(
        application(chain.from_iterable(every), around),
        base_url="https://testserver" if around.encrypted else "http://testserver",
        headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html"},
        follow_redirects=False,
    )


def browser(
    make: Callable[[Frame], Pages | Iterable[BaseRoute]],
    app: App = NOWHERE,
    role: Role | None = Role.STAFF,
    language: str = "da",
    sessions: Sessions | None = None,
) -> TestClient:
    """Return a browser that is signed in.

    `make`: makes the pages in question; `role`: of who is signed in; None for nobody.
    """
    around = frame(sessions, app=app)
    client = browser_of(around, make(around))
    client.cookies.set("doorctl-language", language)
    if role is not None:
        client.cookies.set("doorctl", role.value)
    return client
