"""The demo as a newcomer meets it: the door on a page and in the terminal, until they leave."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

from doorctl.accounts.roles import Permission
from doorctl.bootstrap.rules import system_clock
from doorctl.config import Config, load
from doorctl.demo.account import signed_in
from doorctl.demo.evening import (
    StagedDoor,
    close,
    opened,
    refuse_wrong_clock,
    temporary,
    told,
)
from doorctl.demo.hands import PLUGS, Hands
from doorctl.demo.page import HOST, DemoPage, Door
from doorctl.demo.paper import Paper
from doorctl.demo.play import AT_ONCE, READABLE, Player
from doorctl.demo.programme import Programme
from doorctl.demo.scenes import EVENING, Words
from doorctl.demo.screen import Screen
from doorctl.demo.sight import Window
from doorctl.demo.site import Site, bound, site
from doorctl.demo.staff_pages import StaffPages
from doorctl.demo.stage import EVER, Stage, shipped
from doorctl.demo.typed import Room, Visitor
from doorctl.demo.wires import Wires
from doorctl.errors import StoreError
from doorctl.ops.clock import utc_now
from doorctl.ops.logs import JsonLog
from doorctl.ports import EventLog
from doorctl.store.visits_reader import VisitHistory
from doorctl.web.pages.aside import Aside
from doorctl.web.pages.frame import Frame
from doorctl.web.pages.house import House, Person
from doorctl.web.pages.language import languages
from doorctl.web.pages.templates import Templates
from doorctl.web.pages.words import Words as Spoken

UNHURRIED = ("door.release_s=4.0", "keypad.digit_timeout_s=15.0", "keypad.total_timeout_s=45.0")
"""Times for somebody who clicks: long enough to see the door open and to look for the keys."""

ADDRESS = Words("Døren står her", "The door is here")
TAKEN = Words(
    "Port {port} er optaget, så den fik en anden.", "Port {port} is taken, so it got another one."
)
SERVING = Words(
    "Ingen skriver her, så siden bliver stående, til processen standses.",
    "Nobody types here, so the page stays until the process is stopped.",
)


class NobodySignsIn:
    """The demo's own page is for everybody who is on this machine."""

    def person(self, _token: str) -> Person | None:
        """Return nobody."""
        return None

    look = person

    def note(self, _account: str, _page: str, _needs: Permission) -> None:
        """Keep no record: nobody has a role that could be refused."""


@dataclass(frozen=True, slots=True)
class _House:
    """What stands while it is open."""

    paper: Paper
    stage: Stage
    config: Config
    window: Window
    hands: Hands
    door: StagedDoor
    programme: Programme


def receive(paper: Paper, source: BinaryIO, port: int, show: Callable[[str], None]) -> None:
    """Open the house until the viewer leaves: by ``quit``, Ctrl-D, or Ctrl-C and other signals.

    Nothing is left behind: both processes are stopped and the directory is removed.

    Args:
        paper: where it is told.
        source: what the viewer types; where that is no terminal its end is no farewell.
        port: of the page; another one where it is taken.
        show: shows an address in a browser, if there is one.

    Raises:
        DoorctlError: the demo can't be shown on this machine.
    """
    now = utc_now()
    refuse_wrong_clock(now)
    with ExitStack() as stack:
        listener = stack.enter_context(closing(bound(port)))
        directory = stack.enter_context(temporary())
        house = _built(directory, paper, now, stack)
        with ExitStack() as opening:
            address = _open(house, listener, opening)
            _welcome(paper, address, asked=port)
            show(address)
            with suppress(KeyboardInterrupt):
                _stay(house, source)
        close(house.stage, paper)


def _built(directory: Path, paper: Paper, now: datetime, stack: ExitStack) -> _House:
    path = shipped("demo.toml")
    window = Window(load(path, UNHURRIED).gpio, partial(_card_of, directory / "visits.db"))
    wires = stack.enter_context(closing(Wires(directory / "wires", window.pin)))
    stage = stack.enter_context(Stage(directory, path, UNHURRIED, wires=wires, heard=window.line))
    hands = Hands(stage, window)
    door = opened(stage, paper, now, window.plugged)
    for what in PLUGS:
        window.plugged(what, is_in=True)
    programme = Programme(door, paper, READABLE, hands, window)
    config = load(path, stage.overrides)
    return _House(paper, stage, config, window, hands, door, programme)


def _open(house: _House, listener: socket.socket, opening: ExitStack) -> str:
    """Start everything around the door and return the page's address."""
    opening.callback(house.programme.close)
    screen = Screen(house.config.control.socket, house.window)
    opening.callback(screen.stop)
    screen.start()
    account = signed_in(house.config)
    staff_pages = StaffPages(house.stage, house.window)
    opening.callback(staff_pages.stop)
    staff_pages.start()
    door = Door(house.hands, house.window, house.programme, account)
    aside = opening.enter_context(closing(Aside()))
    log = opening.enter_context(closing(JsonLog(sys.stderr.fileno())))
    page = DemoPage(_frame(house.config, aside, log), Templates(), door)
    served = Site(site(page), page, listener)
    served.start()
    opening.callback(served.stop)
    return f"http://{HOST}:{listener.getsockname()[1]}/"


def _frame(config: Config, aside: Aside, log: EventLog) -> Frame:
    zone, known = ZoneInfo(config.branch.time_zone), languages()
    clock = system_clock(config)
    nobody = NobodySignsIn()
    return Frame(
        house=House(
            name=config.branch.name,
            phone=config.branch.phone,
            words_of=lambda code: Spoken(known.chosen(code), zone),
            now=lambda: clock.moment().local,
            encrypted=False,
        ),
        languages=known,
        sessions=nobody,
        refused=nobody,
        templates=Templates(),
        aside=aside,
        log=log,
    )


def _welcome(paper: Paper, address: str, *, asked: int) -> None:
    paper.write()
    paper.rule()
    paper.write(f"  {ADDRESS.da} / {ADDRESS.en}:  {address}", "good")
    if f":{asked}/" not in address and asked:
        paper.tell(Words(TAKEN.da.format(port=asked), TAKEN.en.format(port=asked)))


def _stay(house: _House, source: BinaryIO) -> None:
    paper = house.paper
    pace = READABLE if paper.live else AT_ONCE
    room = Room(
        visits=lambda: told(house.stage, "visits", "list"),
        evening=lambda: house.programme.play(EVENING),
        turn=house.hands.turn,
        is_in=lambda: house.stage.reader.is_in,
    )
    Visitor(house.door, paper, Player(house.door, paper, pace), source, room).stay()
    if not source.isatty():
        paper.tell(SERVING)
        threading.Event().wait()


def _card_of(visits: Path, attempt: int) -> str | None:
    """Return what stands for an attempt's card in the door log; None where nothing does."""
    with suppress(StoreError), closing(VisitHistory(visits)) as history:
        return next((one.card for one in history.visits(EVER) if one.attempt == attempt), None)
    return None
