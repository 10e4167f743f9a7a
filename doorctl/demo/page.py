"""The demo's page in a browser: the drawn door, its buttons, and its stream of events."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute

from doorctl.access.patron import SENTENCES
from doorctl.core.errors import (
    DeviceError,
    InputError,
)
from doorctl.core.language import DANISH
from doorctl.core.masked import Masked
from doorctl.demo.hands import KEYS, PLUGS, ActResult
from doorctl.demo.house import House
from doorctl.demo.patrons import CAST
from doorctl.demo.scenes import WORN_STRIPE
from doorctl.demo.window import Sight
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.headers import Headed, SameOrigin
from doorctl.web.panel_words import Speaker
from doorctl.web.rendering import Templates
from doorctl.web.serving import Server
from doorctl.web.shared_pages import shared_routes
from doorctl.web.words import Words

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

NOTICES: Mapping[ActResult, str] = {
    ActResult.BUSY: "Somebody is at the door already. Wait a moment, or stop the evening.",
    ActResult.UNPLUGGED: "The plug is out, so the door hears nothing. Put it in again.",
    ActResult.NOT_ASKED: "The door did not ask for a PIN. Look at its screen.",
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
        forms: Mapping[str, Callable[[PageRequest], Awaitable[ActResult]]] = {
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

    def _form(self, path: str, act: Callable[[PageRequest], Awaitable[ActResult]]) -> BaseRoute:
        async def answer(request: PageRequest) -> Response:
            deed = await act(request)
            scripted = "text/html" not in request.http.headers.get("accept", "")
            if scripted and deed is ActResult.DONE:
                return Response(status_code=204)
            if scripted:
                return PlainTextResponse(request.words.say(NOTICES[deed]), REFUSED_DEED)
            return request.go("/") if deed is ActResult.DONE else request.done("/", deed.value)

        return self.frame.open(path, answer, methods=("POST",))

    async def _swipe(self, request: PageRequest) -> ActResult:
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

    async def _key(self, request: PageRequest) -> ActResult:
        key = (await request.form()).text("key")
        if key not in KEYS:
            raise InputError("the keypad has no such key")
        return await request.in_thread(self._house.hands.press, key)

    async def _plug(self, request: PageRequest) -> ActResult:
        form = await request.form()
        what, state = form.text("line"), form.text("state")
        if what not in PLUGS or state not in {"in", "out"}:
            raise InputError("there is no such plug")
        hands = self._house.hands
        return await request.in_thread(hands.plug, what, is_in=state == "in")

    async def _kill(self, request: PageRequest) -> ActResult:
        return await request.in_thread(self._house.hands.kill)

    async def _evening(self, request: PageRequest) -> ActResult:
        if (await request.form()).text("stop"):
            self._house.programme.stop()
            return ActResult.DONE
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
