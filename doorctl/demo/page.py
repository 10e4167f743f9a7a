"""The virtual door on a page: what can be seen and done at it, the evening on demand, the forms."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from starlette.applications import Starlette
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from doorctl.access.panel import Kind, PanelState
from doorctl.access.patron import SENTENCES, Reason
from doorctl.config import Gpio
from doorctl.core.errors import DeviceError, DoorctlError, InputError
from doorctl.core.language import DANISH
from doorctl.core.masked import Masked
from doorctl.demo.door import Line, Plug, Stage
from doorctl.demo.evening import (
    EVENING,
    WORN_STRIPE,
    Player,
    Scene,
    as_written,
)
from doorctl.demo.patrons import CAST, Role
from doorctl.rpc.door import PanelOverSocket
from doorctl.web.answers import Headed, SameOrigin
from doorctl.web.frame import Frame, PageRequest, Templates, shared_routes
from doorctl.web.panel import Speaker
from doorctl.web.serving import Server, listen
from doorctl.web.words import Words

# All that the drawn door shows comes from the real one: pins, log lines, screen, door log.

MOST_VISITS = 12
MOST_LINES = 30


@dataclass(frozen=True, slots=True)
class Seen:
    """One attempt, as staff see it; `card` is the pseudonym in the door log, None for no card."""

    at: datetime
    reason: Reason
    attempt: int
    card: str | None


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that can be seen at one moment; visits and lines have the newest first.

    Args:
        lit: which of green, red, buzzer and relay are on.
        beeps: how often the buzzer has sounded; most beeps are shorter than a look.
        screen: what the screen at the door shows; None while the door does not say.
        plugs: which of reader and keypad are plugged in.
        scene: the one that is played; None outside an evening.
        staff_pages: port of the staff pages; 0 while they are not there, and `hurdle` says why.
    """

    lit: frozenset[str] = frozenset()
    beeps: int = 0
    screen: PanelState | None = None
    plugs: frozenset[str] = frozenset()
    scene: Scene | None = None
    visits: tuple[Seen, ...] = ()
    lines: tuple[str, ...] = ()
    staff_pages: int = 0
    hurdle: str = ""


class Window:
    """Holds the sight of this moment and tells its watchers of each change. Thread-safe.

    `card_of` returns the pseudonym of an attempt's card in the door log.
    """

    def __init__(self, gpio: Gpio, card_of: Callable[[int], str | None]) -> None:
        names = {
            gpio.green_pin: "green",
            gpio.red_pin: "red",
            gpio.buzzer_pin: "buzzer",
            gpio.relay_pin: "relay",
        }
        self._names = MappingProxyType({f"GPIO{pin}": name for pin, name in names.items()})
        self._card_of = card_of
        self._lock = threading.Lock()
        self._changed: set[Callable[[], None]] = set()
        self._sight = Sight()

    @property
    def sight(self) -> Sight:
        """What can be seen now."""
        return self._sight

    @contextmanager
    def watched(self, changed: Callable[[], None]) -> Iterator[None]:
        """Call `changed` at each change for as long as this lasts, from any thread."""
        with self._lock:
            self._changed.add(changed)
        try:
            yield
        finally:
            with self._lock:
                self._changed.discard(changed)

    def wake(self) -> None:
        """Call all watchers, though nothing has changed."""
        with self._lock:
            watchers = tuple(self._changed)
        for changed in watchers:
            changed()

    def change(self, step: Callable[[Sight], Sight]) -> None:
        """Replace the sight by what `step` makes of it."""
        with self._lock:
            before, self._sight = self._sight, step(self._sight)
        if before != self._sight:
            self.wake()

    def pin(self, name: str, high: bool) -> None:
        """Note that the door has set a pin."""
        if what := self._names.get(name):
            self.change(lambda sight: _driven(sight, what, high))

    def dark(self) -> None:
        """Note that the door's process has ended: the kernel releases its pins, and all is off."""
        self.change(lambda sight: replace(sight, lit=frozenset()))

    def line(self, line: Line) -> None:
        """Note a log line of the door."""
        decided = line["event"] == "decision"
        seen = (self._visit(line),) if decided else ()
        self.change(
            lambda sight: replace(
                sight,
                lines=(as_written(line), *sight.lines)[:MOST_LINES],
                visits=(*seen, *sight.visits)[:MOST_VISITS],
            )
        )

    def plugged(self, what: str, is_in: bool) -> None:
        """Note whether the reader or the keypad is plugged in."""
        self.change(
            lambda sight: replace(
                sight, plugs=sight.plugs | {what} if is_in else sight.plugs - {what}
            )
        )

    def screen(self, state: PanelState | None) -> None:
        """Note what the screen at the door shows."""
        self.change(lambda sight: replace(sight, screen=state))

    def scene(self, scene: Scene | None) -> None:
        """Note which scene is played."""
        self.change(lambda sight: replace(sight, scene=scene))

    def _visit(self, line: Line) -> Seen:
        attempt = line["attempt"]
        at = datetime.fromisoformat(line["at"])
        return Seen(at, Reason(line["reason"]), attempt, self._card_of(attempt))


def _driven(sight: Sight, what: str, high: bool) -> Sight:
    if high == (what in sight.lit):
        return sight
    lit = sight.lit | {what} if high else sight.lit - {what}
    return replace(sight, lit=lit, beeps=sight.beeps + (high and what == "buzzer"))


PROMPT_LIMIT_S = 5.0
"""Longest wait for the door to ask for a PIN."""

KEY_S = 0.25
"""Between two keys that the demo types: visible, and as fast as people type."""

DEAD_S = 2.0
"""How long a killed door stays dead, as in its unit: to be seen."""

PLUGS = ("reader", "keypad")
KEYS = frozenset("0123456789#*")


class Deed(Enum):
    """How an act at the door ended; the values are the page's own names of a notice."""

    DONE = "done"
    BUSY = "busy"
    UNPLUGGED = "unplugged"
    NOT_ASKED = "not_asked"


class Hands:
    """Acts at the door. Thread-safe; an act during another one is refused, not queued."""

    def __init__(self, stage: Stage, window: Window) -> None:
        self._stage = stage
        self._window = window
        self._turn = threading.Lock()

    def take(self) -> bool:
        """Take the door if it is free and return whether it was; never wait. `give` it back."""
        return self._turn.acquire(blocking=False)

    def give(self) -> None:
        """Let others at the door; from any thread."""
        self._turn.release()

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Take the door for the block if it is free, and yield whether it was; never wait."""
        ours = self.take()
        try:
            yield ours
        finally:
            if ours:
                self.give()

    def swipe(self, data: bytes) -> Deed:
        """Pull a card through the reader."""
        return self._alone(lambda: self._send(self._stage.reader, data))

    def swipe_and_type(self, role: Role) -> Deed:
        """Pull a card through the reader and type its PIN once the door asks for it."""
        return self._alone(lambda: self._swipe_and_type(role))

    def press(self, key: str) -> Deed:
        """Press one of :data:`KEYS`."""
        return self._alone(lambda: self._send(self._stage.keypad, key.encode()))

    def plug(self, what: str, *, is_in: bool) -> Deed:
        """Pull the reader's or the keypad's plug, or put it in; no change if it is so already."""
        return self._alone(lambda: self._move(what, is_in=is_in))

    def kill(self) -> Deed:
        """Kill the door's process and start it again, as systemd would; return when it is ready.

        Raises:
            NotAnsweringError: the door does not start again.
        """
        return self._alone(self._kill)

    def plug_in(self) -> None:
        """Plug in all that is out; only for the caller who has the turn."""
        for what in PLUGS:
            self._move(what, is_in=True)

    def _alone(self, act: Callable[[], Deed]) -> Deed:
        with self.turn() as ours:
            return act() if ours else Deed.BUSY

    def _swipe_and_type(self, role: Role) -> Deed:
        before = _attempt(self._window.sight)
        done = self._send(self._stage.reader, role.swipe)
        if done is Deed.DONE and not self._wants_pin(before):
            return Deed.NOT_ASKED
        for key in role.pin if done is Deed.DONE else "":
            done = self._send(self._stage.keypad, key.encode())
            threading.Event().wait(KEY_S)
        return done

    def _kill(self) -> Deed:
        self._stage.cut()
        self._window.dark()
        threading.Event().wait(DEAD_S)
        self._stage.start_door()
        return Deed.DONE

    def _move(self, what: str, *, is_in: bool) -> Deed:
        plug = self._stage.reader if what == "reader" else self._stage.keypad
        if is_in and not plug.is_in:
            plug.put_in()
        elif not is_in:
            plug.pull()
        return Deed.DONE

    def _send(self, plug: Plug, data: bytes) -> Deed:
        if not plug.is_in:
            return Deed.UNPLUGGED
        plug.send(data)
        return Deed.DONE

    def _wants_pin(self, before: int) -> bool:
        """Return whether the door asks for the PIN of a later attempt; wait for it."""
        news = threading.Event()
        with self._window.watched(news.set):
            for _ in range(round(PROMPT_LIMIT_S / KEY_S)):
                screen = self._window.sight.screen
                if screen is not None and screen.attempt > before and screen.kind is Kind.CARD_READ:
                    return True
                news.wait(KEY_S)
                news.clear()
        return False


def _attempt(sight: Sight) -> int:
    return 0 if sight.screen is None else sight.screen.attempt


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
        if not self._hands.take():
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
            self._window.scene(None)
            self._hands.give()


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
        window.screen(state)


# What is seen goes to browsers as events; what they send comes as forms.

BEAT_S = 10.0
"""Longest silence; then a browser notices that its server is gone."""

MOST_PAGES = 16
"""Pages that may listen at a time; a viewer has one or two."""

Shown = Callable[[Sight, Words], Mapping[str, str]]
"""Returns the changing parts of the page as HTML, by the id of the element that they fill."""


class Events:
    """Sends pages what changes. Belongs to the event loop, except :meth:`end`."""

    def __init__(self, window: Window, shown: Shown) -> None:
        self._window = window
        self._shown = shown
        self._pages = 0
        self._ended = False

    def answer(self, words: Words) -> Response:
        """Return a stream of events in one language."""
        if self._pages >= MOST_PAGES:
            return PlainTextResponse("Too many pages are open.", 503, {"Retry-After": "5"})
        return StreamingResponse(
            self._stream(words),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    def end(self) -> None:
        """End all streams, so that the server can end; from any thread."""
        self._ended = True
        self._window.wake()

    async def _stream(self, words: Words) -> AsyncIterator[str]:
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        known: dict[str, object] = {}
        self._pages += 1
        try:
            with self._window.watched(lambda: _wake(loop, news)):
                yield "retry: 1000\n\n"
                while not self._ended:
                    yield self._event(words, known)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(news.wait(), BEAT_S)
                    news.clear()
        finally:
            self._pages -= 1

    def _event(self, words: Words, known: dict[str, object]) -> str:
        sight = self._window.sight
        state = {"lit": sorted(sight.lit), "beeps": sight.beeps, "plugs": sorted(sight.plugs)}
        now = {"state": state, **self._shown(sight, words)}
        fresh = {name: value for name, value in now.items() if known.get(name) != value}
        known.update(fresh)
        return f"event: sight\ndata: {json.dumps(fresh, ensure_ascii=False)}\n\n"


def _wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    # A closed loop has no listeners left.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(news.set)


HOST: Final = "127.0.0.1"

PAD: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#")
"""The keys, row by row."""

WORN: Final = "worn_stripe"

ABOUT: Mapping[str, str] = MappingProxyType(
    {
        "granted": "Lives in the municipality and may come in",
        "not_resident": "Lives in the next municipality",
        "stolen": "The card has been reported stolen",
        "debt_only": "Owes a fee, but may use the reading room",
        "under_age": "9 years old: too young to come alone",
        "unknown_card": "A card that nobody knows",
    }
)
"""The special trait of each of the cast, in English; catalogues hold the other languages."""

NOTICES: Mapping[Deed, str] = MappingProxyType(
    {
        Deed.BUSY: "Somebody is at the door already. Wait a moment, or stop the evening.",
        Deed.UNPLUGGED: "The plug is out, so the door hears nothing. Put it in again.",
        Deed.NOT_ASKED: "The door did not ask for a PIN. Look at its screen.",
    }
)

REFUSED_DEED: Final = 409


@dataclass(frozen=True, slots=True)
class Door:
    """What the page shows and moves.

    `token` signs the browser in at the staff pages; None for no account.
    """

    hands: Hands
    window: Window
    programme: Programme
    token: Masked[str] | None = None


class DemoPage:
    """The page, its forms and its events; belongs to the event loop.

    `templates` has the parts that change.
    """

    def __init__(self, frame: Frame, templates: Templates, door: Door) -> None:
        self.frame = frame
        self._templates = templates
        self._door = door
        self.events = Events(door.window, self._parts)

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
            self.frame.open("/events", self._stream),
            *(self._form(path, deed) for path, deed in forms.items()),
        )

    async def _page(self, request: PageRequest) -> Response:
        if request.http.url.hostname != HOST:
            # The session's cookie belongs to this name, and so do the addresses of the staff pages.
            return RedirectResponse(str(request.http.url.replace(hostname=HOST)))
        notices = {deed.value: request.words.say(notice) for deed, notice in NOTICES.items()}
        response = request.page(
            "demo.html",
            sight=self._door.window.sight,
            parts=self._parts(self._door.window.sight, request.words),
            cast=[(role, ABOUT[role.name]) for role in CAST],
            pad=PAD,
            worn=WORN,
            notices=notices,
        )
        if self._door.token is not None:
            # A cookie has no port: the staff pages of the same host get it too.
            name = self.frame.house.session_cookie
            response.set_cookie(name, self._door.token.reveal(), httponly=True, samesite="strict")
        return response

    async def _stream(self, request: PageRequest) -> Response:
        return self.events.answer(request.words)

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
            return await request.aside(self._door.hands.swipe, WORN_STRIPE)
        role = _role(name)
        if form.text("type"):
            return await request.aside(self._door.hands.swipe_and_type, role)
        return await request.aside(self._door.hands.swipe, role.swipe)

    async def _key(self, request: PageRequest) -> Deed:
        key = (await request.form()).text("key")
        if key not in KEYS:
            raise InputError("the keypad has no such key")
        return await request.aside(self._door.hands.press, key)

    async def _plug(self, request: PageRequest) -> Deed:
        form = await request.form()
        what, state = form.text("line"), form.text("state")
        if what not in PLUGS or state not in {"in", "out"}:
            raise InputError("there is no such plug")
        hands = self._door.hands
        return await request.aside(hands.plug, what, is_in=state == "in")

    async def _kill(self, request: PageRequest) -> Deed:
        return await request.aside(self._door.hands.kill)

    async def _evening(self, request: PageRequest) -> Deed:
        if (await request.form()).text("stop"):
            self._door.programme.stop()
            return Deed.DONE
        return await request.aside(self._door.programme.begin)

    def _parts(self, sight: Sight, words: Words) -> dict[str, str]:
        """Return the parts that change, each by the id of its element."""
        context = {
            "_": words.say,
            "words": words,
            "sight": sight,
            "danish": words.language.code == DANISH,
            "sentences": SENTENCES,
            "screen": Speaker(words, self.frame.house.phone).screen(sight.screen),
            "host": HOST,
        }
        names = ("screen", "states", "story", "visits", "lines", "staff", "plugs")
        return {
            name: self._templates.render(f"demo_{name}.html", context).strip() for name in names
        }


def _role(name: str) -> Role:
    for role in CAST:
        if role.name == name:
            return role
    raise InputError("nobody in the list has that card")


HOSTS = (HOST, "localhost")
"""Host names for a browser on this machine; any other name was made to point here."""

HEAD_LIMIT_S = 30.0
START_LIMIT_S = 30.0


def site(page: DemoPage) -> ASGIApp:
    """Return the application around the page, with the headers of every page."""
    app = Starlette(routes=[*shared_routes(page.frame), *page.routes()])
    app.router.redirect_slashes = False
    return Headed(
        TrustedHostMiddleware(SameOrigin(app), HOSTS, www_redirect=False), encrypted=False
    )


def bound(port: int) -> socket.socket:
    """Return a socket on the port, or on a free port if that is taken."""
    with suppress(DeviceError):
        return listen(HOST, port)
    return listen(HOST, 0)


class Site:
    """Serves the application from a thread of its own. Its methods are for one thread.

    The events of `page` have to end before the server; `listener` is bound, and closed at the end.
    """

    def __init__(self, app: ASGIApp, page: DemoPage, listener: socket.socket) -> None:
        self._listener = listener
        self._ready = threading.Event()
        self._server = Server(
            app,
            None,
            head_s=HEAD_LIMIT_S,
            when_ready=self._ready.set,
            when_stopping=page.events.end,
            alive=lambda: None,
        )
        # A daemon thread: if the terminal's side fails, it ends with the process.
        self._thread = threading.Thread(target=self._run, name="site", daemon=True)

    def start(self) -> None:
        """Begin to serve.

        Raises:
            DeviceError: the server does not start.
        """
        self._thread.start()
        if not self._ready.wait(START_LIMIT_S):
            raise DeviceError("the page can't be served")

    def stop(self) -> None:
        """End the streams and the server, and wait for the server."""
        self._server.stop()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve([self._listener]))
