"""Builds the pages of the web process: the frame around them, and each with its service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from starlette.routing import BaseRoute

from doorctl.config import Config
from doorctl.core.errors import StoreError
from doorctl.core.language import languages
from doorctl.core.ports import EventLog
from doorctl.extras.extra import PageParts, SignInParts, folders, used
from doorctl.lookup.app import App
from doorctl.rpc.panel import PanelOverSocket
from doorctl.services.statistics import statistics
from doorctl.web.addresses import Place
from doorctl.web.alarms import StandingAlarms
from doorctl.web.branch_thread import BranchThread
from doorctl.web.frame import Frame
from doorctl.web.page_pool import PagePool
from doorctl.web.panel import Panel
from doorctl.web.refusals import Refusals
from doorctl.web.rendering import Templates
from doorctl.web.screen import offered, opened_with
from doorctl.web.shared_pages import shared_routes
from doorctl.web.signing_in import SigningIn
from doorctl.web.staff.accounts import accounts_pages
from doorctl.web.staff.audit import audit_pages
from doorctl.web.staff.bans import BansPages
from doorctl.web.staff.calendar import CalendarPages
from doorctl.web.staff.entrance import Elsewhere, Entrance
from doorctl.web.staff.holds import hold_pages
from doorctl.web.staff.log import log_pages
from doorctl.web.staff.log_events import LogEvents
from doorctl.web.staff.now import now_pages
from doorctl.web.staff.passes import PassesPages
from doorctl.web.staff.people import people_pages
from doorctl.web.staff.statistics import Kept, statistics_pages
from doorctl.web.staff.why import why_pages
from doorctl.web.watching import WatchingPages


@dataclass(frozen=True, slots=True)
class Pages:
    """Every page, and what they have in common."""

    routes: tuple[BaseRoute, ...]
    frame: Frame
    panel: Panel
    events: LogEvents
    kept: Kept

    def warm_up(self) -> None:
        """Make ready what a first visitor would wait for."""
        self.frame.templates.compile_all()
        # Adding up years takes half a second; on the same heap that is given back afterwards.
        with suppress(StoreError):
            statistics(self.frame.app, None, None, self.kept)

    def stop(self) -> None:
        """End the streams, so that the server can end; from any thread."""
        self.panel.stop()
        self.events.stop()


def pages(
    app: App, log: EventLog, branch: BranchThread, alarms: StandingAlarms, stack: ExitStack
) -> Pages:
    """Return every page of a branch. Raises ConfigError: a catalogue can't be used."""
    config, clock = app.config, app.clock
    signing_in = SigningIn(app, branch)
    stack.callback(signing_in.close)
    frame = _frame(app, log, signing_in, branch, stack)
    panel = Panel(
        PanelOverSocket(config.control.socket),
        config,
        offered(frame.languages, config.panel.languages),
        frame.templates,
        secret=opened_with(config, clock.boot_time().boot_id) if config.keys_on_screen else "",
        reaches=alarms.reach,
    )
    kept, events = Kept(), LogEvents(frame)
    routes = (
        *shared_routes(frame),
        *Entrance(frame, signing_in, _elsewhere(SignInParts(frame, signing_in))).routes(),
        *now_pages(frame, alarms),
        *log_pages(frame),
        *events.routes(),
        *why_pages(frame),
        *BansPages(frame).routes(),
        *PassesPages(frame).routes(),
        *CalendarPages(frame).routes(),
        *statistics_pages(frame, kept),
        *people_pages(frame),
        *hold_pages(frame),
        *audit_pages(frame),
        *accounts_pages(frame),
        *panel.routes(),
        *WatchingPages(app, frame.pool).routes(),
        *further_pages(PageParts(app, frame, alarms, stack)),
    )
    return Pages(routes, frame, panel, events, kept)


def _frame(
    app: App, log: EventLog, signing_in: SigningIn, branch: BranchThread, stack: ExitStack
) -> Frame:
    config = app.config
    pool = PagePool()
    stack.callback(pool.close)
    return Frame(
        app=app,
        languages=languages(config.branch.language, config.web.catalogues),
        sessions=signing_in,
        refused=Refusals(branch, app.clock).note,
        templates=Templates(*folders(config)),
        pool=pool,
        log=log,
        encrypted=encrypted(config),
        further=tuple(further_places(config)),
    )


def encrypted(config: Config) -> bool:
    """Tell whether browsers reach the pages by HTTPS: ours, or that of a proxy in front."""
    return config.web.tls.wanted or config.web.allow_plain


def _elsewhere(parts: SignInParts) -> Elsewhere | None:
    ways = (extra.elsewhere for extra in used(parts.frame.app.config))
    return next((way(parts) for way in ways if way is not None), None)


def further_places(config: Config) -> Iterator[Place]:
    """Yield the lines of the menu that extras add."""
    for extra in used(config):
        if extra.places is not None:
            yield from extra.places(config)


def further_pages(parts: PageParts) -> Iterator[BaseRoute]:
    """Yield the pages of extras."""
    for extra in used(parts.app.config):
        if extra.pages is not None:
            yield from extra.pages(parts)
