"""The demo as a newcomer meets it: the door on a page and in the terminal, until they leave."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

from doorctl.access.patron import SENTENCES
from doorctl.accounts.account import Permission
from doorctl.cards.numbers import normalise
from doorctl.config import Config, load
from doorctl.core.errors import DeviceError, NotAnsweringError, StoreError
from doorctl.core.language import languages
from doorctl.demo.door import EVER, Stage, Wires, shipped
from doorctl.demo.evening import (
    AT_ONCE,
    READABLE,
    Doorway,
    Player,
    StagedDoor,
    close,
    opened,
    refuse_wrong_clock,
    temporary,
    told,
)
from doorctl.demo.page import HOST, DemoPage, Door, Site, bound, site
from doorctl.demo.paper import Paper
from doorctl.demo.patrons import CAST, Role
from doorctl.demo.programme import PLUGS, Hands, Programme, Screen, Window
from doorctl.demo.scenes import EVENING, Words
from doorctl.demo.staff_pages import StaffPages, signed_in
from doorctl.ops.clock import utc_now
from doorctl.ops.logs import JsonLog
from doorctl.ports import EventLog
from doorctl.services.app import system_clock
from doorctl.store.door_log import VisitHistory
from doorctl.web.frame.frame import Frame, House, Person
from doorctl.web.frame.pool import Aside
from doorctl.web.frame.templates import Templates
from doorctl.web.frame.words import Words as Spoken

INVITATION = Words(
    "Prøv døren på siden, eller her: skriv et navn eller et kortnummer fra listen, eller hvad du "
    "ellers vil lade læseren sende, og så en pinkode. Tom pinkode: gå din vej uden at taste.",
    "Try the door on the page, or here: type a name or a card number from the list, or whatever "
    "else the reader shall send, and then a PIN. Empty PIN: walk away without typing.",
)
COMMANDS = (
    ("kort | cards", "denne liste / this list"),
    ("log", "dørloggen, som personalet ser den / the door log as staff see it"),
    ("pull, plug", "læserens stik ud og i / the reader's plug out and in"),
    ("spil | play", "en aften i ti optrin / an evening in ten scenes"),
    ("quit", "slut, også med Ctrl-D / end, also by Ctrl-D"),
)
CARD_PROMPT = "kort/card> "
PIN_PROMPT = "pin (en rigtig dør viser den aldrig / a real door never shows it)> "
UNPLUGGED = Words(
    "Stikket er ude: læseren hører intet. Skriv plug.",
    "The plug is out: the reader hears nothing. Type plug.",
)
BUSY = Words(
    "Der er nogen ved døren lige nu; prøv igen.", "Somebody is at the door; try again in a moment."
)


@dataclass(frozen=True, slots=True)
class Room:
    """What the viewer can use beside the door.

    Args:
        visits: returns the door log as ``doorctl visits list`` prints it.
        turn: yields whether the door is ours for as long as it lasts: the page also acts at it.
    """

    visits: Callable[[], str]
    evening: Callable[[], object]
    turn: Callable[[], AbstractContextManager[bool]]
    is_in: Callable[[], bool]


class Visitor:
    """Lets the viewer act at the real door by typing a line at a time. One thread."""

    def __init__(
        self, door: Doorway, paper: Paper, player: Player, source: BinaryIO, room: Room
    ) -> None:
        self._door = door
        self._paper = paper
        self._player = player
        self._source = source
        self._room = room
        self._ended = False
        self._commands: dict[str, Callable[[], None]] = {
            "log": self._log,
            "spil": self._evening,
            "play": self._evening,
            "pull": self._pull,
            "plug": self._plug,
            "kort": self._list_cards,
            "cards": self._list_cards,
            "help": self._list_cards,
            "?": self._list_cards,
        }

    def stay(self) -> None:
        """Go on until ``quit`` or the end of the input."""
        self._paper.write()
        self._paper.rule()
        self._paper.tell(INVITATION)
        self._list_cards()
        while (typed := self._ask(CARD_PROMPT)) not in {"quit", "exit", "slut"} and not self._ended:
            self._obey(typed)

    def _obey(self, typed: str) -> None:
        command = self._commands.get(typed.lower())
        try:
            if command is not None:
                command()
            elif typed and self._room.is_in():
                self._swipe(typed)
            elif typed:
                self._paper.tell(UNPLUGGED)
        except (NotAnsweringError, DeviceError) as err:
            self._paper.item("✗", str(err), "bad")

    def _swipe(self, typed: str) -> None:
        role = next((role for role in CAST if role.first_name.lower() == typed.lower()), None)
        # Latin-1 would not hold everything that can be typed; a reader sends bytes anyway.
        data = role.swipe if role else f"{typed}\r".encode("utf-8", "surrogateescape")
        readable = bool(normalise(data.decode("utf-8", "replace")))
        pin = self._ask(PIN_PROMPT) if readable else ""
        with self._room.turn() as ours:
            if not ours:
                self._paper.tell(BUSY)
                return
            self._player.swipe(data, readable=readable)
            if readable:
                self._player.type(pin)
            self._player.answer()

    def _ask(self, prompt: str) -> str:
        self._paper.write(prompt, "heading", end="")
        line = self._source.readline()
        self._ended = not line
        if not line.endswith(b"\n"):
            self._paper.write()
        return line.decode("utf-8", "surrogateescape").strip()

    def _list_cards(self) -> None:
        head = ("navn/name", "kort/card", "pin", "vent/expect")
        self._paper.write()
        self._paper.table([head, *(_sample(role) for role in CAST)])
        self._paper.write()
        for command, what in COMMANDS:
            self._paper.item(command, what)

    def _log(self) -> None:
        self._paper.quote(self._room.visits())

    def _evening(self) -> None:
        self._room.evening()

    def _pull(self) -> None:
        with self._room.turn() as ours:
            if ours and self._room.is_in():
                self._door.pull()
        self._tell_plug()

    def _plug(self) -> None:
        with self._room.turn() as ours:
            if ours and not self._room.is_in():
                self._door.put_back(b"")
        self._tell_plug()

    def _tell_plug(self) -> None:
        self._paper.item("stik/plug", "i / in" if self._room.is_in() else "ude / out")


def _sample(role: Role) -> tuple[str, str, str, str]:
    danish, english = SENTENCES[role.expected]
    return role.first_name, role.number, role.pin, f"{danish} / {english}"


UNHURRIED = ("door.release_s=4.0", "keypad.digit_timeout_s=15.0", "keypad.total_timeout_s=45.0")
"""Times for a viewer who clicks: long enough to see the door open and to find the keys."""

ADDRESS = Words("Døren står her", "The door is here")
TAKEN = Words(
    "Port {port} er optaget, så den fik en anden.", "Port {port} is taken, so it got another one."
)
SERVING = Words(
    "Ingen skriver her, så siden bliver stående, til processen standses.",
    "Nobody types here, so the page stays until the process is stopped.",
)


class NobodySignsIn:
    """The demo's own page is open to everybody on this machine."""

    def person(self, _token: str) -> Person | None:
        """Return nobody."""
        return None

    look = person

    def note(self, _account: str, _page: str, _needs: Permission) -> None:
        """Keep no record: no role is ever refused."""


@dataclass(frozen=True, slots=True)
class _House:
    paper: Paper
    stage: Stage
    config: Config
    window: Window
    hands: Hands
    door: StagedDoor
    programme: Programme


def receive(paper: Paper, source: BinaryIO, port: int, show: Callable[[str], None]) -> None:
    """Open the house until the viewer leaves: by ``quit``, Ctrl-D, or Ctrl-C and other signals.

    Nothing is left behind: both processes are stopped and the directory is removed. If `source`
    is no terminal, its end does not close the house. If `port` is taken, another is used.

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
    """Return what stands for an attempt's card in the door log; None for no card."""
    with suppress(StoreError), closing(VisitHistory(visits)) as history:
        return next((one.card for one in history.visits(EVER) if one.attempt == attempt), None)
    return None
