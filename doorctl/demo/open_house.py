"""The demo as a newcomer meets it: the door on a page and in the terminal, until they leave."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, Final

from starlette.applications import Starlette
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute

from doorctl.access.panel import PanelState
from doorctl.access.patron import SENTENCES
from doorctl.accounts.account import Account
from doorctl.accounts.password import Password
from doorctl.accounts.roles import Role
from doorctl.accounts.session import Token
from doorctl.cards.identify import normalise
from doorctl.config import Config, load
from doorctl.core.errors import (
    DeviceError,
    DoorctlError,
    InputError,
    NotAnsweringError,
    StoreError,
)
from doorctl.core.language import DANISH, languages
from doorctl.core.masked import Masked
from doorctl.core.ports import EventLog
from doorctl.demo import tether
from doorctl.demo.door import (
    EVER,
    KEYS,
    LIMIT_S,
    PLUGS,
    Deed,
    Hands,
    Sight,
    Stage,
    Window,
    Wires,
    last_line,
    shipped,
)
from doorctl.demo.evening import (
    AT_ONCE,
    READABLE,
    Paper,
    Player,
    close,
    in_both,
    opened,
    printed,
    refuse_wrong_clock,
    temporary,
)
from doorctl.demo.patrons import CAST, EVENING, WORN_STRIPE
from doorctl.lookup.app import App
from doorctl.ops.clock import utc_now
from doorctl.ops.logs import JsonLog
from doorctl.rpc.panel import PanelOverSocket
from doorctl.services import deeds
from doorctl.services.accounts import hashed
from doorctl.store.door_log import VisitHistory
from doorctl.web.branch_thread import BranchThread
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.headers import Headed, SameOrigin
from doorctl.web.listener import listen
from doorctl.web.page_pool import PagePool
from doorctl.web.panel_words import Speaker
from doorctl.web.rendering import Templates
from doorctl.web.serving import Server
from doorctl.web.shared_pages import shared_routes
from doorctl.web.signing_in import SigningIn
from doorctl.web.words import Words


class Programme:
    """Plays the evening, once at a time. Thread-safe; nobody else is at the door meanwhile."""

    def __init__(self, player: Player, hands: Hands, window: Window) -> None:
        self._player = player
        self._hands = hands
        self._window = window
        self._enough = threading.Event()
        self._thread = threading.Thread()

    def begin(self) -> Deed:
        """Play it on a thread of its own."""
        if not self._hands.lock.acquire(blocking=False):
            return Deed.BUSY
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()
        return Deed.DONE

    def play(self) -> None:
        """Play it, and wait for its end; do nothing where somebody is at the door."""
        if self.begin() is Deed.DONE:
            self._thread.join()

    def stop(self) -> None:
        """End the evening after the present scene; do not wait."""
        self._enough.set()

    def close(self) -> None:
        """End the evening and wait for its end, while the door is still there."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join()

    def _play(self) -> None:
        try:
            self._hands.plug_in()
            self._player.play(EVENING, self._enough)
        finally:
            self._window.note(scene=None)
            self._hands.lock.release()


# The screen at the door, fetched as the web process fetches it.

RETRY_S = 0.5
"""Pause between two questions to a door that does not answer."""


def follow_screen(socket: Path, window: Window, ended: threading.Event) -> None:
    """Show the screen at the door in the window, until `ended` is set and the door answers."""
    door, after = PanelOverSocket(socket), 0
    while not ended.is_set():
        state: PanelState | None = None
        try:
            view = door.look(after)
            after, state = view.seq, view.state
        except DoorctlError:
            after = 0
            ended.wait(RETRY_S)
        window.note(screen=state)


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


COMMANDS = (
    ("kort | cards", "denne liste / this list"),
    ("log", "dørloggen, som personalet ser den / the door log as staff see it"),
    ("pull, plug", "læserens stik ud og i / the reader's plug out and in"),
    ("spil | play", "en aften i ti optrin / an evening in ten scenes"),
    ("quit", "slut, også med Ctrl-D / end, also by Ctrl-D"),
)
CARD_PROMPT = "kort/card> "
PIN_PROMPT = "pin (en rigtig dør viser den aldrig / a real door never shows it)> "


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
        self._paper.tell(
            "Try the door on the page, or here: type a name or a card number from the list, or "
            "whatever else the reader shall send, and then a PIN. Empty PIN: walk away without "
            "typing."
        )
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
            self._paper.tell("The plug is out: the reader hears nothing. Type plug.")

    def _swipe(self, typed: str) -> None:
        role = next((role for role in CAST if role.first_name.lower() == typed.lower()), None)
        # Latin-1 would not hold everything that can be typed; a reader sends bytes anyway.
        data = role.swipe if role else f"{typed}\r".encode("utf-8", "surrogateescape")
        readable = bool(normalise(data.decode("utf-8", "replace")))
        pin = self._ask(PIN_PROMPT) if readable else ""
        with self._house.hands.turn() as ours:
            if not ours:
                self._paper.tell("Somebody is at the door; try again in a moment.")
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


HOST: Final = "127.0.0.1"
HOSTS = (HOST, "localhost")
"""Host names for a browser on this machine; any other name was made to point here."""

HEAD_LIMIT_S = 30.0
START_LIMIT_S = 120.0

LOOK_S = 0.05
"""Between two looks of a page at the door: sooner than anybody sees."""

BEAT_S = 10.0
"""Longest silence of a page's events; then a browser notices that its server is gone."""

MOST_PAGES = 16
"""Pages that may listen at a time; a viewer has one or two."""

PAD: Final = tuple("123456789*0#")
"""The keys, row by row."""

WORN: Final = "worn_stripe"

ABOUT: Mapping[str, str] = {
    "granted": "Lives in the municipality and may come in",
    "not_resident": "Lives in the next municipality",
    "stolen": "The card has been reported stolen",
    "debt_only": "Owes a fee, but may use the reading room",
    "under_age": "9 years old: too young to come alone",
    "unknown_card": "A card that nobody knows",
}
"""The special trait of each of the cast."""

NOTICES: Mapping[Deed, str] = {
    Deed.BUSY: "Somebody is at the door already. Wait a moment, or stop the evening.",
    Deed.UNPLUGGED: "The plug is out, so the door hears nothing. Put it in again.",
    Deed.NOT_ASKED: "The door did not ask for a PIN. Look at its screen.",
}

REFUSED_DEED: Final = 409


class DemoPage:
    """The page, its forms and its events; belongs to the event loop, except :meth:`end`.

    `templates` has the parts that change; `token` signs the browser in at the staff pages.
    """

    def __init__(
        self, frame: Frame, templates: Templates, house: House, token: Masked[str]
    ) -> None:
        self.frame = frame
        self._templates = templates
        self._house = house
        self._token = token
        self._pages = 0
        self._ended = False

    def end(self) -> None:
        """End all streams of events, so that the server can end; from any thread."""
        self._ended = True

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the addresses."""
        forms: Mapping[str, Callable[[PageRequest], Awaitable[Deed]]] = {
            "/swipe": self._swipe,
            "/key": self._key,
            "/plug": self._plug,
            "/kill": self._kill,
            "/evening": self._evening,
        }
        return (
            self.frame.open("/", self._page),
            self.frame.open("/events", self._events),
            *(self._form(path, deed) for path, deed in forms.items()),
        )

    async def _page(self, request: PageRequest) -> Response:
        if request.http.url.hostname != HOST:
            # The session's cookie belongs to this name, and so do the addresses of the staff pages.
            return RedirectResponse(str(request.http.url.replace(hostname=HOST)))
        notices = {deed.value: request.words.say(notice) for deed, notice in NOTICES.items()}
        response = request.page(
            "demo.html",
            sight=self._house.window.sight,
            parts=self._parts(self._house.window.sight, request.words),
            cast=[(role, ABOUT[role.name]) for role in CAST],
            pad=PAD,
            worn=WORN,
            notices=notices,
        )
        # A cookie has no port: the staff pages of the same host get it too.
        name = self.frame.cookie()
        response.set_cookie(name, self._token.reveal(), httponly=True, samesite="strict")
        return response

    async def _events(self, request: PageRequest) -> Response:
        if self._pages >= MOST_PAGES:
            return PlainTextResponse("Too many pages are open.", 503, {"Retry-After": "5"})
        return StreamingResponse(
            self._stream(request.words),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    async def _stream(self, words: Words) -> AsyncIterator[str]:
        known: dict[str, object] = {}
        shown, silent_s = None, 0.0
        self._pages += 1
        try:
            yield "retry: 1000\n\n"
            while not self._ended:
                if (sight := self._house.window.sight) != shown or silent_s >= BEAT_S:
                    shown, silent_s = sight, 0.0
                    yield self._event(sight, words, known)
                await asyncio.sleep(LOOK_S)
                silent_s += LOOK_S
        finally:
            self._pages -= 1

    def _event(self, sight: Sight, words: Words, known: dict[str, object]) -> str:
        state = {"lit": sorted(sight.lit), "beeps": sight.beeps, "plugs": sorted(sight.plugs)}
        now = {"state": state, **self._parts(sight, words)}
        fresh = {name: value for name, value in now.items() if known.get(name) != value}
        known.update(fresh)
        return f"event: sight\ndata: {json.dumps(fresh, ensure_ascii=False)}\n\n"

    def _form(self, path: str, act: Callable[[PageRequest], Awaitable[Deed]]) -> BaseRoute:
        async def answer(request: PageRequest) -> Response:
            deed = await act(request)
            scripted = "text/html" not in request.http.headers.get("accept", "")
            if scripted and deed is Deed.DONE:
                return Response(status_code=204)
            if scripted:
                return PlainTextResponse(request.words.say(NOTICES[deed]), REFUSED_DEED)
            return request.go("/") if deed is Deed.DONE else request.done("/", deed.value)

        return self.frame.open(path, answer, methods=("POST",))

    async def _swipe(self, request: PageRequest) -> Deed:
        form = await request.form()
        name = form.text("card")
        if name == WORN:
            return await request.in_thread(self._house.hands.swipe, WORN_STRIPE)
        role = next((role for role in CAST if role.name == name), None)
        if role is None:
            raise InputError("nobody in the list has that card")
        if form.text("type"):
            return await request.in_thread(self._house.hands.swipe_and_type, role)
        return await request.in_thread(self._house.hands.swipe, role.swipe)

    async def _key(self, request: PageRequest) -> Deed:
        key = (await request.form()).text("key")
        if key not in KEYS:
            raise InputError("the keypad has no such key")
        return await request.in_thread(self._house.hands.press, key)

    async def _plug(self, request: PageRequest) -> Deed:
        form = await request.form()
        what, state = form.text("line"), form.text("state")
        if what not in PLUGS or state not in {"in", "out"}:
            raise InputError("there is no such plug")
        hands = self._house.hands
        return await request.in_thread(hands.plug, what, is_in=state == "in")

    async def _kill(self, request: PageRequest) -> Deed:
        return await request.in_thread(self._house.hands.kill)

    async def _evening(self, request: PageRequest) -> Deed:
        if (await request.form()).text("stop"):
            self._house.programme.stop()
            return Deed.DONE
        return await request.in_thread(self._house.programme.begin)

    def _parts(self, sight: Sight, words: Words) -> dict[str, str]:
        """Return the parts that change, each by the id of its element."""
        context = {
            "_": words.say,
            "words": words,
            "sight": sight,
            "danish": words.language.code == DANISH,
            "sentences": SENTENCES,
            "screen": Speaker(words, self.frame.app.config.branch.phone).screen(sight.screen),
            "host": HOST,
        }
        render = self._templates.render
        names = ("screen", "states", "story", "visits", "lines", "staff", "plugs")
        return {name: render(f"demo_{name}.html", context).strip() for name in names}


@contextmanager
def served(page: DemoPage, listener: socket.socket) -> Iterator[None]:
    """Serve the page from a thread of its own; DeviceError if it does not start.

    `listener` is bound, and closed at the end.
    """
    app = Starlette(routes=[*shared_routes(page.frame), *page.routes()])
    app.router.redirect_slashes = False
    ready = threading.Event()
    server = Server(
        Headed(TrustedHostMiddleware(SameOrigin(app), HOSTS, www_redirect=False), encrypted=False),
        head_s=HEAD_LIMIT_S,
        when_ready=ready.set,
        when_stopping=page.end,
        alive=lambda: None,
    )
    # A daemon thread: if the terminal's side fails, it ends with the process.
    serve = partial(asyncio.run, server.serve([listener]))
    thread = threading.Thread(target=serve, name="site", daemon=True)
    thread.start()
    if not ready.wait(START_LIMIT_S):
        raise DeviceError("the page can't be served")
    try:
        yield
    finally:
        server.stop()
        thread.join()
        listener.close()


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
