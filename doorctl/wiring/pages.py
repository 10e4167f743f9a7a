"""Builds the pages of the web process: the frame around them, and each with its service."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from threading import Lock
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from starlette.routing import BaseRoute

from doorctl.accounts.account import Account, Permission, Refusals, Session, Token
from doorctl.accounts.signing_in import SigningIn
from doorctl.config import Config
from doorctl.core.errors import ConfigError, Problem
from doorctl.core.language import Languages, languages
from doorctl.core.ports import Clock, EventLog
from doorctl.privacy.audit import Action, Deed
from doorctl.rpc.door import PanelOverSocket
from doorctl.services.accounts import AccountsService
from doorctl.services.alarms import StandingAlarms
from doorctl.services.app import App
from doorctl.services.branch import BranchThread, WebsAudit
from doorctl.services.numbers import DoorsNumbers
from doorctl.services.visits import DoorLog
from doorctl.store.connection import create_private
from doorctl.web.app import Missing
from doorctl.web.frame.frame import Frame, House, Person, shared_routes
from doorctl.web.frame.pool import Aside
from doorctl.web.frame.templates import Templates
from doorctl.web.frame.words import Words
from doorctl.web.panel import PAGE, Panel, Showing
from doorctl.web.staff.accounts import AccountsPages, Entrance, MunicipalityPages
from doorctl.web.staff.calendar import CalendarPages
from doorctl.web.staff.log import LogPages
from doorctl.web.staff.log_events import LogEvents
from doorctl.web.staff.now import NowPages
from doorctl.web.staff.records import AuditPages, HoldPages, PeoplePages
from doorctl.web.staff.rights import BansPages, PassesPages
from doorctl.web.staff.statistics import StatisticsPages
from doorctl.web.staff.why import WhyPages

SCREEN: Final = "screen.html"
"""In `storage.directory`: the page that the screen's browser starts with, where it has keys."""

_PAGE = (
    '<!DOCTYPE html><title>doorctl</title><form method="post" action="{}">'
    '<input type="hidden" name="key" value="{}"><button>doorctl</button></form>'
    "<script>document.forms[0].submit()</script>\n"
)
"""It sends the secret as a form: an address stands in a history, and may stand in a log."""

_WRITTEN = re.compile(r'(https?://[^"?]+)(?:\?key=|".* value=")([\w-]+)"')


def panel_page(config: Config, languages: Languages, templates: Templates) -> Panel:
    """Return the screen's page; call its `stop` before the server's, for it ends the streams.

    Raises:
        ConfigError: a language that is offered has no catalogue.
    """
    branch, panel = config.branch, config.panel
    showing = Showing(
        branch=branch.name,
        phone=branch.phone,
        zone=ZoneInfo(branch.time_zone),
        keypad=panel.keypad and not config.keypad.port,
        elsewhere=panel.elsewhere,
        speech=panel.speech,
        idle_s=panel.idle_s,
    )
    door = PanelOverSocket(config.control.socket)
    secret = opened_with(config) if showing.keypad else ""
    spoken = offered(languages, panel.languages)
    return Panel(door, showing, spoken, templates, secret=secret)


def opened_with(config: Config) -> str:
    """Return the secret that opens the screen, from the file that its browser starts with.

    Everybody on this machine can read an address on a command line. The file stays, so that a web
    process that starts again finds the screen as it was; delete it to have another secret made.
    """
    path = config.storage.directory / SCREEN
    scheme = "https" if config.web.tls.wanted else "http"
    address = f"{scheme}://127.0.0.1:{config.web.port}{PAGE}"
    secret, written = secrets.token_urlsafe(16), ""
    with suppress(OSError, UnicodeDecodeError):
        written = path.read_text(encoding="ascii")
    earlier = _WRITTEN.search(written)
    if earlier is not None and earlier[1] == address:
        secret = earlier[2]
    page = _PAGE.format(address, secret)
    if written == page:
        return secret
    # On a disk that is full the screen has no keys until it is not, and all else goes on.
    with suppress(OSError):
        path.unlink(missing_ok=True)
        create_private(path, page.encode())
    return secret


def offered(languages: Languages, codes: tuple[str, ...]) -> Languages:
    """Return the languages to choose from on the screen: the branch's own, then those of `codes`.

    Raises:
        ConfigError: one of them has no catalogue.
    """
    if not codes:
        return languages
    if missing := [code for code in codes if code not in languages.known]:
        there = ", ".join(languages.known)
        what = f"there is no catalogue for {', '.join(missing)}; there are {there}"
        raise ConfigError("the configuration", [Problem("panel.languages", what)])
    own = languages.first
    known = {code: languages.known[code] for code in (own.code, *codes)}
    return Languages(MappingProxyType(known))


class RefusalsOnRecord:
    """Puts refused pages on the audit log; implements `doorctl.web.frame.frame.Refused`.

    Thread-safe.
    """

    def __init__(self, branch: BranchThread, clock: Clock) -> None:
        self._audit = WebsAudit(branch)
        self._clock = clock
        self._refusals = Refusals()
        self._lock = Lock()

    def note(self, account: str, page: str, needs: Permission) -> None:
        """Put on record that an account lacks what a page needs, unless it has had many refusals.

        `page` is the route as the code has it, without what stood in the address.

        Raises:
            StoreError: it could not be written.
        """
        with self._lock:
            left_out = self._refusals.due(account, self._clock.monotonic_s())
        if left_out is None:
            return
        details: dict[str, int | str] = {"page": page, "needs": needs.value}
        if left_out:
            details["left_out"] = left_out
        self._audit.note(Deed(Action.PAGE_REFUSED, details=details), account)


@dataclass(frozen=True, slots=True)
class Pages:
    """Every page; `missing` makes the page of an unknown address.

    Args:
        compile: compiles the remaining templates, for later visitors.
        stop: ends the streams, so that the server can end; from any thread.
    """

    routes: tuple[BaseRoute, ...]
    missing: Missing
    compile: Callable[[], None]
    stop: Callable[[], None]


def pages(
    config: Config,
    clock: Clock,
    log: EventLog,
    *,
    branch: BranchThread,
    alarms: StandingAlarms,
    stack: ExitStack,
) -> Pages:
    """Return every page of a branch.

    Raises:
        ConfigError: a catalogue can't be used.
    """
    spoken = languages(config.branch.language, config.web.catalogues)
    templates = Templates()
    aside = Aside()
    stack.callback(aside.close)
    app, numbers = App(config, clock), DoorsNumbers(config.control.socket)
    accounts = AccountsService(app, branch)
    stack.callback(accounts.close)
    frame = Frame(
        house=_house(config, clock, spoken, elsewhere=accounts.has_provider),
        languages=spoken,
        sessions=SignedIn(accounts.signing_in),
        refused=RefusalsOnRecord(branch, clock),
        templates=templates,
        aside=aside,
        log=log,
    )
    panel = panel_page(config, spoken, templates)
    door_log = DoorLog(app, numbers)
    events = LogEvents(frame, door_log, frame.sessions.look)
    routes = (
        *shared_routes(frame),
        *Entrance(frame, accounts.signing_in, accounts.way_out).routes(),
        *NowPages(frame, app, alarms).routes(),
        *LogPages(frame, door_log).routes(),
        *events.routes(),
        *WhyPages(frame, app, numbers).routes(),
        *BansPages(frame, app, numbers).routes(),
        *PassesPages(frame, app, numbers).routes(),
        *CalendarPages(frame, app).routes(),
        *StatisticsPages(frame, app).routes(),
        *PeoplePages(frame, app, numbers).routes(),
        *HoldPages(frame, app).routes(),
        *AuditPages(frame, app).routes(),
        *AccountsPages(frame, accounts).routes(),
        *(MunicipalityPages(frame, accounts).routes() if accounts.has_provider else ()),
        *panel.routes(),
    )

    def stop() -> None:
        panel.stop()
        events.stop()

    return Pages(routes, frame.missing, templates.compile_all, stop)


def encrypted(config: Config) -> bool:
    """Tell whether browsers reach the pages by HTTPS: ours, or that of a proxy in front."""
    return config.web.tls.wanted or config.web.allow_plain


class SignedIn:
    """Finds the session of a request; implements `Sessions`. Thread-safe."""

    def __init__(self, signing_in: SigningIn) -> None:
        self._signing_in = signing_in

    def person(self, token: str) -> Person | None:
        """Return the person who signed in with a token; None where the session is over."""
        return self._person(self._signing_in.whose(Token(token)))

    def look(self, token: str) -> Person | None:
        """As `person`, without keeping the session alive."""
        return self._person(self._signing_in.whose(Token(token), does=False))

    def _person(self, signed_in: tuple[Account, Session] | None) -> Person | None:
        if signed_in is None:
            return None
        account, session = signed_in
        fresh = self._signing_in.fresh(session)
        return Person(
            account.name,
            account.role,
            account.must_change,
            account.origin,
            fresh,
            account.second_factor,
            self._signing_in.must_enrol(account),
        )


def _house(config: Config, clock: Clock, spoken: Languages, *, elsewhere: bool) -> House:
    zone = ZoneInfo(config.branch.time_zone)
    return House(
        name=config.branch.name,
        phone=config.branch.phone,
        words_of=lambda code: Words(spoken.chosen(code), zone),
        now=lambda: clock.moment().local,
        encrypted=encrypted(config),
        signs_in_elsewhere=elsewhere,
    )
