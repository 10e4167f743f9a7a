"""The demo as a newcomer meets it: the door on a page and in the terminal, until they leave."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO
from zoneinfo import ZoneInfo

from doorctl.access.patron import SENTENCES
from doorctl.accounts.account import Account, Permission, Role
from doorctl.accounts.passwords import Password
from doorctl.cards.numbers import normalise
from doorctl.config import Config, load
from doorctl.core.errors import DeviceError, NotAnsweringError, StoreError
from doorctl.core.language import languages
from doorctl.core.masked import Masked
from doorctl.core.ports import EventLog
from doorctl.demo import tether
from doorctl.demo.door import EVER, LIMIT_S, Stage, Wires, shipped
from doorctl.demo.evening import (
    AT_ONCE,
    READABLE,
    Player,
    close,
    opened,
    printed,
    refuse_wrong_clock,
    temporary,
)
from doorctl.demo.page import (
    HOST,
    DemoPage,
    Door,
    Hands,
    Programme,
    Site,
    Window,
    bound,
    follow_screen,
    site,
)
from doorctl.demo.paper import Paper, Words
from doorctl.demo.patrons import CAST
from doorctl.ops.clock import utc_now
from doorctl.ops.logs import JsonLog
from doorctl.rpc import deeds
from doorctl.services.accounts import AccountsService
from doorctl.services.app import App, system_clock
from doorctl.services.branch import BranchThread
from doorctl.store.door_log import VisitHistory
from doorctl.web.frame import Aside, Frame, Person, Templates
from doorctl.web.frame import House as Branch
from doorctl.web.serving import listen
from doorctl.web.words import Words as Spoken

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
class House:
    """The parts of a running demo."""

    paper: Paper
    stage: Stage
    config: Config
    window: Window
    hands: Hands
    player: Player
    programme: Programme


class Visitor:
    """Lets the viewer act at the real door by typing a line at a time. One thread."""

    def __init__(self, house: House, source: BinaryIO) -> None:
        self._house = house
        self._paper = house.paper
        self._player = house.player
        self._source = source
        self._ended = False
        self._commands: dict[str, Callable[[], None]] = {
            "log": lambda: self._paper.quote(printed(house.stage, "visits", "list")),
            "pull": lambda: self._plug(is_in=False),
            "plug": lambda: self._plug(is_in=True),
            **dict.fromkeys(("spil", "play"), house.programme.play),
            **dict.fromkeys(("kort", "cards", "help", "?"), self._list_cards),
        }

    def stay(self) -> None:
        """Go on until ``quit`` or the end of the input."""
        self._paper.write()
        self._paper.rule()
        self._paper.tell(INVITATION)
        self._list_cards()
        while (typed := self._ask(CARD_PROMPT)) not in {"quit", "exit", "slut"} and not self._ended:
            try:
                self._obey(typed)
            except (NotAnsweringError, DeviceError) as err:
                self._paper.item("✗", str(err), "bad")

    def _obey(self, typed: str) -> None:
        if command := self._commands.get(typed.lower()):
            command()
        elif typed and self._house.stage.reader.is_in:
            self._swipe(typed)
        elif typed:
            self._paper.tell(UNPLUGGED)

    def _swipe(self, typed: str) -> None:
        role = next((role for role in CAST if role.first_name.lower() == typed.lower()), None)
        # Latin-1 would not hold everything that can be typed; a reader sends bytes anyway.
        data = role.swipe if role else f"{typed}\r".encode("utf-8", "surrogateescape")
        readable = bool(normalise(data.decode("utf-8", "replace")))
        pin = self._ask(PIN_PROMPT) if readable else ""
        with self._house.hands.turn() as ours:
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
        expected = (" / ".join(SENTENCES[role.expected]) for role in CAST)
        rows = zip(CAST, expected, strict=True)
        self._paper.write()
        self._paper.table(
            [head, *((role.first_name, role.number, role.pin, what) for role, what in rows)]
        )
        self._paper.write()
        for command, what in COMMANDS:
            self._paper.item(command, what)

    def _plug(self, *, is_in: bool) -> None:
        reader = self._house.stage.reader
        with self._house.hands.turn() as ours:
            if ours and is_in and not reader.is_in:
                self._house.stage.put_back(b"")
            elif ours and not is_in and reader.is_in:
                self._house.stage.pull()
        self._paper.item("stik/plug", "i / in" if reader.is_in else "ude / out")


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
            _welcome(paper, address, wanted=port)
            show(address)
            with suppress(KeyboardInterrupt):
                _stay(house, source)
        close(house.stage, paper)


def _built(directory: Path, paper: Paper, now: datetime, stack: ExitStack) -> House:
    path = shipped("demo.toml")
    window = Window(load(path, UNHURRIED).gpio, partial(_card_of, directory / "visits.db"))
    wires = stack.enter_context(closing(Wires(directory / "wires", window.pin)))
    stage = stack.enter_context(
        Stage(
            *(directory, path, UNHURRIED),
            wires=wires,
            heard=window.line,
            plugged=window.plugged,
        )
    )
    hands = Hands(stage, window)
    old_visit = opened(stage, paper, now)
    evening = Player(stage, paper, READABLE, old_visit, window.scene)
    player = Player(stage, paper, READABLE if paper.live else AT_ONCE, old_visit)
    programme = Programme(evening, hands, window)
    return House(paper, stage, load(path, stage.overrides), window, hands, player, programme)


def _open(house: House, listener: socket.socket, opening: ExitStack) -> str:
    """Start everything around the door and return the page's address."""
    opening.callback(house.programme.close)
    ended = threading.Event()
    opening.callback(ended.set)
    screen = (house.config.control.socket, house.window, ended)
    threading.Thread(target=follow_screen, args=screen, name="screen", daemon=True).start()
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
        house=Branch(
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


def _welcome(paper: Paper, address: str, *, wanted: int) -> None:
    paper.write()
    paper.rule()
    paper.write(f"  {ADDRESS.da} / {ADDRESS.en}:  {address}", "good")
    if f":{wanted}/" not in address and wanted:
        paper.tell(Words(TAKEN.da.format(port=wanted), TAKEN.en.format(port=wanted)))


def _stay(house: House, source: BinaryIO) -> None:
    Visitor(house, source).stay()
    if not source.isatty():
        house.paper.tell(SERVING)
        threading.Event().wait()


def _card_of(visits: Path, attempt: int) -> str | None:
    """Return what stands for an attempt's card in the door log; None for no card."""
    with suppress(StoreError), closing(VisitHistory(visits)) as history:
        return next(
            (visit.card for visit in history.visits(EVER) if visit.attempt == attempt), None
        )
    return None


# The real staff pages beside the demo, as a process of its own.


class StaffPages:
    """Start and stop the staff pages; the window shows their port or what is wrong. One thread."""

    def __init__(self, stage: Stage, window: Window) -> None:
        self._stage = stage
        self._window = window
        self._errors = stage.directory / "web.stderr"
        self.port = _free_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start them and return at once."""
        options = ("--set", f"web.host={HOST}", "--set", f"web.port={self.port}")
        with closing(self._errors.open("ab")) as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*self._stage.command("web", tethered=True), *options],
                stdin=tether(),
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
            )
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        listening = (self._process.stdout,)
        threading.Thread(target=self._listen, args=listening, daemon=True).start()

    def stop(self) -> None:
        """End them; idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _listen(self, stdout: IO[str]) -> None:
        with stdout:
            for line in stdout:
                if json.loads(line)["event"] == "ready":
                    self._window.change(lambda sight: replace(sight, staff_pages=self.port))
        why = _last_line(self._errors)
        self._window.change(lambda sight: replace(sight, staff_pages=0, hurdle=why))


def _free_port() -> int:
    with closing(listen(HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def _last_line(errors: Path) -> str:
    written = errors.read_text(errors="replace").strip() if errors.exists() else ""
    return written.rsplit("\n", 1)[-1].removeprefix("doorctl: ")


NAME = "demo"


def signed_in(config: Config) -> Masked[str]:
    """Make a manager's account and return the token of its session.

    Nobody ever learns the password: the browser is given the session. Works only while nothing
    else writes ``branch.db``.

    Raises:
        StoreError: it could not be stored.
    """
    app = App.of(config)
    password = Password(secrets.token_urlsafe())
    with closing(BranchThread(app)) as branch:
        branch.open()
        with closing(AccountsService(app, branch)) as accounts:
            hashed = accounts.hashed(password, NAME)
            demo = Account(NAME, "Demo", Role.MANAGER)
            accounts.change(deeds.add_account(demo, hashed), NAME)
            return accounts.signing_in.sign_in(NAME, password, HOST)
