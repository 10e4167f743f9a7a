"""The screen at a real door: what it shows through the socket, and keys on it that open."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from httpx2 import Client

from doorctl.access.panel import Kind, PanelState
from doorctl.core.errors import InputError
from doorctl.rpc.client import ask
from doorctl.rpc.messages import Line
from doorctl.rpc.panel import PanelOverSocket
from tests.e2e.conftest import Doors
from tests.e2e.door import Door, web
from tests.e2e.people import ENTITLED
from tests.fakes.waiting import LIMIT_S, until
from tests.sources.http_server import free_port

ON_SCREEN = ("keypad.port=", "panel.keypad=true")
HELP_BUTTON = (
    "panel.help_button=true",
    "alarms.email.host=127.0.0.1",
    "alarms.email.sender=door@branch.example",
    'alarms.email.to=["desk@branch.example"]',
)
CALLS = "SELECT kind, why, by FROM events WHERE kind = 'help_called'"
BRIEF = "panel.message_s=2"


class Looker:
    """Somebody who looks at the screen without missing anything between two looks."""

    def __init__(self, door: Door) -> None:
        self._socket = door.directory / "door.sock"
        self.door = PanelOverSocket(self._socket)
        self.view = self.door.look(0)

    def until(self, *kinds: Kind) -> PanelState:
        """Look until one of these stands; return it."""
        while self.view.state.kind not in kinds:
            self.view = self.door.look(self.view.seq)
        return self.view.state

    def press(self, key: str, attempt: int) -> None:
        """Press a key, and wait longer than the page would: a machine that is busy is slow."""
        question = Line("key", {"key": key, "attempt": attempt})
        ask(self._socket, question, timeout_s=LIMIT_S)


@contextmanager
def looked_at(doors: Doors, *overrides: str) -> Iterator[tuple[Door, Looker]]:
    """Start a door whose screen has keys; somebody looks once nobody is at it."""
    door = doors.started(*ON_SCREEN, *overrides)
    looker = Looker(door)
    looker.until(Kind.IDLE)
    yield door, looker


def test_a_call_for_help_is_an_alarm_and_stands_in_the_door_log(doors: Doors) -> None:
    """One for each call, of nobody; where the branch wants no button, no such key is taken."""
    with looked_at(doors, *HELP_BUTTON) as (door, looker):
        for key, kind in (("help", Kind.HELP), ("call", Kind.CALLED)):
            looker.press(key, looker.view.state.attempt)
            looker.until(kind)
        looker.press("help", looker.view.state.attempt)
        door.wait_for("alarm", kind="help_called")
        until(lambda: door.query(CALLS) == [("help_called", "", "")])
    with looked_at(doors) as (_, looker), pytest.raises(InputError):
        looker.door.press("help", looker.view.state.attempt)


def test_a_screen_that_hangs_delays_nobody(doors: Doors) -> None:
    """Everybody who may wait at the socket does; the door opens all the same."""
    door = doors.started()
    looker = Looker(door)
    looker.until(Kind.IDLE)
    with ExitStack() as stack:
        for _ in range(20):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.connect(str(door.directory / "door.sock"))
            waiting.sendall(b'{"ask":"panel","about":{"after":%d}}\n' % looker.view.seq)
        assert door.visit(ENTITLED)["reason"] == "ok"


@contextmanager
def page(door: Door) -> Iterator[tuple[Client, subprocess.Popen[bytes]]]:
    """Run the real web process of a door's branch; return a browser at it, and the process."""
    port = free_port()
    address, own = f"http://127.0.0.1:{port}", {"Sec-Fetch-Site": "same-origin"}
    with (
        web([*door.command("web"), "--set", f"web.port={port}"]) as process,
        Client(base_url=address, headers=own, timeout=LIMIT_S) as browser,
    ):
        screen = (door.directory / "screen.html").read_text(encoding="ascii")
        key = screen.partition('name="key" value="')[2].partition('"')[0]
        opened = browser.post("/panel", data={"key": key}, follow_redirects=True)
        assert opened.status_code == 200
        yield browser, process


def test_the_page_opens_the_door_and_no_digit_is_kept(doors: Doors) -> None:
    """Pressed on the page of the web process, the PIN opens; it stands in no log line."""
    with looked_at(doors, BRIEF) as (door, looker), page(door) as (browser, _):
        door.reader.send(ENTITLED.swipe)
        attempt = looker.until(Kind.CARD_READ).attempt
        for key in ENTITLED.pin:
            sent = browser.post("/panel/key", data={"key": key, "attempt": str(attempt)})
            assert sent.status_code == 303
        assert door.wait_for("decision", attempt=attempt)["reason"] == "ok"
        looker.until(Kind.WELCOME)
        assert "Velkommen" in browser.get("/panel").text
        looker.until(Kind.IDLE)
        assert door.levels() == [1, 0]

    # Process numbers and times may hold any digits.
    told = [line for line in door.lines if line["event"] not in {"ready", "relay"}]
    assert ENTITLED.pin not in str(told)


def test_a_screen_that_listens_keeps_no_process_from_ending(doors: Doors) -> None:
    """It hears what is shown, and the stream comes to its own end when the web process does.

    Bug (end-to-end test): screens that listened kept the web process from ending cleanly.
    """
    with (
        looked_at(doors) as (door, _),
        page(door) as (browser, process),
        browser.stream("GET", "/panel/events") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == "event: screen"
        assert '"kind":"idle"' in next(lines)
        process.terminate()
        assert list(lines)[-1] == ""
        assert process.wait(LIMIT_S) == 0
