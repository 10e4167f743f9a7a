"""The demo as a newcomer meets it: the door on a page and in the terminal, until they leave."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO

from doorctl.accounts.account import Account
from doorctl.accounts.password import Password
from doorctl.accounts.roles import Role
from doorctl.accounts.session import Token
from doorctl.config import Config, load
from doorctl.config.shipped import shipped
from doorctl.core.errors import (
    DeviceError,
    StoreError,
)
from doorctl.core.language import languages
from doorctl.core.masked import Masked
from doorctl.core.ports import EventLog
from doorctl.demo import tether
from doorctl.demo.door import EVER, LIMIT_S, Stage, Wires, last_line
from doorctl.demo.evening import (
    AT_ONCE,
    READABLE,
    Player,
    close,
    opened,
    refuse_wrong_clock,
    temporary,
)
from doorctl.demo.hands import Hands
from doorctl.demo.house import House, Programme, follow_screen
from doorctl.demo.page import HOST, DemoPage, served
from doorctl.demo.paper import Paper, in_both
from doorctl.demo.visitor import Visitor
from doorctl.demo.window import Window
from doorctl.lookup.app import App
from doorctl.ops.clock import utc_now
from doorctl.ops.logs import JsonLog
from doorctl.services import deeds
from doorctl.services.accounts import hashed
from doorctl.store.door_log import VisitHistory
from doorctl.web.branch_thread import BranchThread
from doorctl.web.frame import Frame
from doorctl.web.listener import listen
from doorctl.web.page_pool import PagePool
from doorctl.web.rendering import Templates
from doorctl.web.signing_in import SigningIn

UNHURRIED = ("door.release_s=4.0", "keypad.digit_timeout_s=15.0", "keypad.total_timeout_s=45.0")
"""Times for a viewer who clicks: long enough to see the door open and to find the keys."""


class NobodySignsIn:
    """The demo's own page is open to everybody on this machine."""

    def whose(self, _token: Token, /, **_: bool) -> None:
        """Return nobody."""


def receive(paper: Paper, source: BinaryIO, port: int, show: Callable[[str], None]) -> None:
    """Open the house until the viewer leaves: by ``quit``, Ctrl-D, or Ctrl-C and other signals.

    Nothing is left behind: both processes are stopped and the directory is removed. If `source`
    is no terminal, its end does not close the house. If `port` is taken, another is used.
    DoorctlError where the demo can't be shown on this machine.
    """
    now = utc_now()
    refuse_wrong_clock(now)
    with ExitStack() as stack:
        listener = stack.enter_context(closing(_bound(port)))
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
    wires = stack.enter_context(closing(Wires(window.pin)))
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
    evening = Player(*(stage, paper, READABLE, old_visit), lambda scene: window.note(scene=scene))
    player = Player(stage, paper, AT_ONCE, old_visit)
    programme = Programme(evening, hands, window)
    return House(paper, stage, load(path, stage.overrides), window, hands, player, programme)


def _bound(port: int) -> socket.socket:
    """Return a socket on the port, or on a free port if that is taken."""
    with suppress(DeviceError):
        return listen(HOST, port)
    return listen(HOST, 0)


def _open(house: House, listener: socket.socket, opening: ExitStack) -> str:
    """Start everything around the door and return the page's address."""
    opening.callback(house.programme.close)
    ended = threading.Event()
    opening.callback(ended.set)
    screen = (house.config.control.socket, house.window, ended)
    threading.Thread(target=follow_screen, args=screen, name="screen", daemon=True).start()
    token = signed_in(house.config)
    opening.enter_context(staff_pages(house.stage, house.window))
    pool = opening.enter_context(closing(PagePool()))
    log = opening.enter_context(closing(JsonLog(sys.stderr.fileno())))
    page = DemoPage(_frame(house.config, pool, log), Templates(), house, token)
    opening.enter_context(served(page, listener))
    return f"http://{HOST}:{listener.getsockname()[1]}/"


def _frame(config: Config, pool: PagePool, log: EventLog) -> Frame:
    return Frame(
        app=App.of(config),
        languages=languages(),
        sessions=NobodySignsIn(),
        # No role is ever refused.
        refused=lambda _account, _page, _needs: None,
        templates=Templates(),
        pool=pool,
        log=log,
        follows_browser=True,
    )


def _welcome(paper: Paper, address: str, *, wanted: int) -> None:
    paper.write()
    paper.rule()
    paper.write(f"  {' / '.join(in_both('The door is here'))}:  {address}", "good")
    if f":{wanted}/" not in address and wanted:
        paper.tell("Port {port} is taken, so it got another one.", port=wanted)


def _stay(house: House, source: BinaryIO) -> None:
    Visitor(house, source).stay()
    if not source.isatty():
        house.paper.tell("Nobody types here, so the page stays until the process is stopped.")
        threading.Event().wait()


def _card_of(visits: Path, attempt: int) -> str | None:
    """Return what stands for an attempt's card in the door log; None for no card."""
    with suppress(StoreError), closing(VisitHistory(visits)) as history:
        return next(
            (visit.card for visit in history.visits(EVER) if visit.attempt == attempt), None
        )
    return None


@contextmanager
def staff_pages(stage: Stage, window: Window) -> Iterator[None]:
    """Run the real staff pages beside the demo; the window shows their port or what is wrong."""
    with closing(listen(HOST, 0)) as listener:
        port = int(listener.getsockname()[1])
    errors = stage.directory / "web.stderr"
    options = ("--set", f"web.host={HOST}", "--set", f"web.port={port}")
    with closing(errors.open("ab")) as file:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*stage.command("web", tethered=True), *options],
            stdin=tether(),
            stdout=subprocess.PIPE,
            stderr=file,
            encoding="utf-8",
        )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    following = (process.stdout, errors, port, window)
    threading.Thread(target=_follow_staff_pages, args=following, daemon=True).start()
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _follow_staff_pages(stdout: IO[str], errors: Path, port: int, window: Window) -> None:
    with stdout:
        for line in stdout:
            if json.loads(line)["event"] == "ready":
                window.note(staff_pages=port)
    window.note(staff_pages=0, hurdle=last_line(errors.read_text(errors="replace")))


NAME = "demo"


def signed_in(config: Config) -> Masked[str]:
    """Make a manager's account and return the token of its session; StoreError if it can't be.

    Nobody ever learns the password. Works only while nothing else writes ``branch.db``.
    """
    app = App.of(config)
    password = Password(secrets.token_urlsafe())
    with closing(BranchThread(app)) as branch:
        branch.open()
        demo = Account(NAME, "Demo", Role.MANAGER)
        branch.change(deeds.add_account(demo, hashed(password, NAME)), NAME)
        with closing(SigningIn(app, branch)) as signing_in:
            return signing_in.sign_in(NAME, password, HOST)
