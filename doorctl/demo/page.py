"""The page of the virtual door: reader, keypad and lamps drawn, cards to click, the log beside."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from starlette.applications import Starlette
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from doorctl.access.patron import SENTENCES
from doorctl.core.errors import DeviceError, InputError
from doorctl.core.language import DANISH
from doorctl.core.masked import Masked
from doorctl.demo.patrons import CAST, Role
from doorctl.demo.programme import KEYS, PLUGS, Deed, Hands, Programme, Sight, Window
from doorctl.demo.scenes import EVENING, WORN_STRIPE
from doorctl.web.frame.frame import Frame, PageRequest, shared_routes
from doorctl.web.frame.headers import Headed, SameOrigin
from doorctl.web.frame.templates import Templates
from doorctl.web.frame.words import Words
from doorctl.web.panel_words import Speaker
from doorctl.web.serving import Server, listen

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

    async def _page(self, asked: PageRequest) -> Response:
        if asked.request.url.hostname != HOST:
            # The session's cookie belongs to this name, and so do the addresses of the staff pages.
            return RedirectResponse(str(asked.request.url.replace(hostname=HOST)))
        notices = {deed.value: asked.words.say(said) for deed, said in NOTICES.items()}
        response = asked.page(
            "demo.html",
            sight=self._door.window.sight,
            parts=self._parts(self._door.window.sight, asked.words),
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

    async def _stream(self, asked: PageRequest) -> Response:
        return self.events.answer(asked.words)

    def _form(self, path: str, act: Callable[[PageRequest], Awaitable[Deed]]) -> BaseRoute:
        async def answer(asked: PageRequest) -> Response:
            deed = await act(asked)
            scripted = "text/html" not in asked.request.headers.get("accept", "")
            if scripted and deed is Deed.DONE:
                return Response(status_code=204)
            if scripted:
                return PlainTextResponse(asked.words.say(NOTICES[deed]), REFUSED_DEED)
            return asked.go("/") if deed is Deed.DONE else asked.done("/", deed.value)

        return self.frame.open(path, answer, methods=("POST",))

    async def _swipe(self, asked: PageRequest) -> Deed:
        form = await asked.form()
        name = form.text("card")
        if name == WORN:
            return await asked.aside(self._door.hands.swipe, WORN_STRIPE)
        role = _role(name)
        if form.text("type"):
            return await asked.aside(self._door.hands.swipe_and_type, role)
        return await asked.aside(self._door.hands.swipe, role.swipe)

    async def _key(self, asked: PageRequest) -> Deed:
        key = (await asked.form()).text("key")
        if key not in KEYS:
            raise InputError("the keypad has no such key")
        return await asked.aside(self._door.hands.press, key)

    async def _plug(self, asked: PageRequest) -> Deed:
        form = await asked.form()
        what, state = form.text("line"), form.text("state")
        if what not in PLUGS or state not in {"in", "out"}:
            raise InputError("there is no such plug")
        hands = self._door.hands
        return await asked.aside(hands.plug, what, is_in=state == "in")

    async def _kill(self, asked: PageRequest) -> Deed:
        return await asked.aside(self._door.hands.kill)

    async def _evening(self, asked: PageRequest) -> Deed:
        if (await asked.form()).text("stop"):
            self._door.programme.stop()
            return Deed.DONE
        return await asked.aside(self._door.programme.begin, EVENING)

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
