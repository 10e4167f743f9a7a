"""Builds the pages of the web process: the frame around them, and each on its own desk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from starlette.routing import BaseRoute

from doorctl.accounts.account import Account
from doorctl.accounts.sessions import Session, Token
from doorctl.accounts.signing_in import SigningIn
from doorctl.bootstrap.accounts import accounts_desk
from doorctl.bootstrap.branch import BranchDesk
from doorctl.bootstrap.desks import desks
from doorctl.bootstrap.panel_page import panel_page
from doorctl.bootstrap.refusals import RefusalsOnRecord
from doorctl.config import Config
from doorctl.ports import Clock, EventLog
from doorctl.web.app import Missing
from doorctl.web.pages.aside import Aside
from doorctl.web.pages.frame import Frame
from doorctl.web.pages.house import House, Person
from doorctl.web.pages.language import Languages, languages
from doorctl.web.pages.routes import shared_routes
from doorctl.web.pages.templates import Templates
from doorctl.web.pages.words import Words
from doorctl.web.staff.accounts import AccountsPages
from doorctl.web.staff.audit import AuditPages
from doorctl.web.staff.bans import BansPages
from doorctl.web.staff.calendar import CalendarPages
from doorctl.web.staff.entrance import Entrance
from doorctl.web.staff.holds import HoldPages
from doorctl.web.staff.log import LogPages
from doorctl.web.staff.log_events import LogEvents
from doorctl.web.staff.municipality import MunicipalityPages
from doorctl.web.staff.now import NowPages
from doorctl.web.staff.passes import PassesPages
from doorctl.web.staff.people import PeoplePages
from doorctl.web.staff.statistics import StatisticsPages
from doorctl.web.staff.why import WhyPages
from doorctl.web.standing import AlarmDesk


@dataclass(frozen=True, slots=True)
class Pages:
    """Every page.

    Args:
        routes: their addresses.
        missing: makes the page of an address that is none.
        compile: compiles what is not yet, for those who come later.
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
    branch: BranchDesk,
    alarms: AlarmDesk,
    stack: ExitStack,
) -> Pages:
    """Return every page of a branch.

    Args:
        config: the whole configuration.
        clock: any.
        log: takes alarms.
        branch: owns ``branch.db``.
        alarms: those that stand.
        stack: closes what they use.

    Raises:
        ConfigError: a catalogue can't be used.
    """
    spoken = languages(config.branch.language, config.web.catalogues)
    templates = Templates()
    aside = Aside()
    stack.callback(aside.close)
    accounts = accounts_desk(config, clock, branch)
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
    stands_on = desks(config, clock)
    events = LogEvents(frame, stands_on.log, frame.sessions.look)
    routes = (
        *shared_routes(frame),
        *Entrance(frame, accounts.signing_in, accounts.way_out).routes(),
        *NowPages(frame, stands_on.now, alarms).routes(),
        *LogPages(frame, stands_on.log).routes(),
        *events.routes(),
        *WhyPages(frame, stands_on.explain).routes(),
        *BansPages(frame, stands_on.bans).routes(),
        *PassesPages(frame, stands_on.passes).routes(),
        *CalendarPages(frame, stands_on.calendar).routes(),
        *StatisticsPages(frame, stands_on.statistics).routes(),
        *PeoplePages(frame, stands_on.subject).routes(),
        *HoldPages(frame, stands_on.holds).routes(),
        *AuditPages(frame, stands_on.audit).routes(),
        *AccountsPages(frame, accounts).routes(),
        *(MunicipalityPages(frame, accounts).routes() if accounts.has_provider else ()),
        *panel.routes(),
    )

    def stop() -> None:
        panel.stop()
        events.stop()

    return Pages(routes, frame.missing, templates.compile_all, stop)


def encrypted(config: Config) -> bool:
    """Tell whether browsers reach the pages by HTTPS: ours, or of something in front of it."""
    return config.web.tls.wanted or config.web.allow_plain


class SignedIn:
    """Whose session a request belongs to; implements `Sessions`. Thread-safe."""

    def __init__(self, signing_in: SigningIn) -> None:
        self._signing_in = signing_in

    def person(self, token: str) -> Person | None:
        """Return who signed in with a token; None where the session is over."""
        return self._person(self._signing_in.whose(Token(token)))

    def look(self, token: str) -> Person | None:
        """As `person`, without keeping the session alive."""
        return self._person(self._signing_in.whose(Token(token), does=False))

    def _person(self, found: tuple[Account, Session] | None) -> Person | None:
        if found is None:
            return None
        account, session = found
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
