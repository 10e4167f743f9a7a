"""The screen at the door: a page that fills it, its events, and its keys.

The page holds the state in words, not in scripts: the server renders each screen and the browser
puts it in. Without JavaScript it asks again every two seconds, and the keys are a form.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from doorctl.access import panel
from doorctl.access.panel import Keys, Kind, PanelState
from doorctl.access.pin_pad import CLEAR, ENTER
from doorctl.config import Config
from doorctl.core.errors import DoorctlError, InputError
from doorctl.core.language import Language, Languages
from doorctl.rpc.panel import PanelOverSocket
from doorctl.web.forms import BLANK, read_form
from doorctl.web.headers import SCREEN
from doorctl.web.panel_access import is_here, is_own_page
from doorctl.web.panel_watch import NumberedView, Watch
from doorctl.web.panel_words import Speaker
from doorctl.web.rendering import Templates
from doorctl.web.streams import EventStream
from doorctl.web.words import Words

PAGE: Final = SCREEN
EVENTS: Final = "/panel/events"
KEY: Final = "/panel/key"

COOKIE: Final = "doorctl-panel"
"""The proof that a browser on this machine was opened with the secret."""

BEAT_S: Final = 15.0
"""Longest silence on a stream of events; after a longer one a page has lost the server."""

CALLED_S: Final = 2.0
"""How often it is looked whether a call for help could be sent."""

MOST_CLIENTS: Final = 8
"""Screens that may listen at a time; a branch has one or two."""

MOST_ELSEWHERE: Final = 4
"""Screens of other machines at a time: the screen at the door always has a place."""

MOST_KEY_BYTES: Final = 96
KEY_LIMIT_S: Final = 5.0

DIGITS: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "9", CLEAR, "0", ENTER)
"""The keys as they stand on the pad, row by row."""


@dataclass(eq=False)
class Panel:
    """The screen's addresses; belongs to the event loop, except `stop`.

    The first of `languages` is the branch's own. `beat_s` is the longest silence on a stream. A
    screen on this machine must have been opened with `secret`, unless that is empty. `reaches`
    tells whether an alarm leaves the house.
    """

    door: PanelOverSocket
    config: Config
    languages: Languages
    templates: Templates
    beat_s: float = BEAT_S
    secret: str = ""
    reaches: Callable[[], bool] = lambda: True

    def __post_init__(self) -> None:
        self._watch = Watch(self.door)
        self._clients: Counter[str] = Counter()

    def routes(self) -> list[Route]:
        """Return the addresses."""
        return [
            Route(PAGE, self._page, methods=["GET"]),
            Route(PAGE, self._open, methods=["POST"]),
            Route(EVENTS, self._events, methods=["GET"]),
            Route(KEY, self._key, methods=["POST"]),
        ]

    @property
    def watching(self) -> bool:
        """Whether the door is watched: it is while a page is open, and a while longer."""
        return self._watch.running

    def stop(self) -> None:
        """End the streams, so that the server can end; from any thread, also a signal handler."""
        self._watch.stop()

    async def _page(self, request: Request) -> Response:
        if not self._may_see(request):
            return _not_here()
        seen = await self._watch.now()
        query = request.query_params
        language = self.languages.chosen(query.get("lang"))
        if _is_done(seen, query.get("since")):
            language = self.languages.first
        shown = self._shown(seen, language)
        since = query.get("since") or str(seen.attempt)
        chosen = language is not self.languages.first
        page = self.templates.render(
            "panel.html",
            {
                **shown,
                "again": _address(language, since) if chosen else PAGE,
                "choices": [
                    (known, _address(known, seen.attempt))
                    for known in self.languages.known.values()
                ],
                "chosen": chosen,
                "here": self._is_screen(request),
                "events": f"{EVENTS}?{urlencode({'lang': language.code})}",
                "branch": self.config.branch.name,
                "keypad": self.config.keys_on_screen,
                "panel": self.config.panel,
                "lost": self._speaker(language).lost(),
                "digits": DIGITS,
            },
        )
        return HTMLResponse(page)

    async def _open(self, request: Request) -> Response:
        sent = BLANK
        with suppress(InputError):
            sent = await read_form(request, MOST_KEY_BYTES, KEY_LIMIT_S)
        if not self.secret or not is_here(request) or not self._is_secret(sent.exact("key")):
            return _not_here()
        # A page and no redirect: with one, a file's form would not yet bring the strict cookie.
        response = HTMLResponse(f'<meta http-equiv="refresh" content="0;url={PAGE}">')
        response.set_cookie(
            _cookie(request), self.secret, httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    async def _events(self, request: Request) -> Response:
        if not self._may_see(request):
            return _not_here()
        most = MOST_CLIENTS if is_here(request) else MOST_ELSEWHERE
        if self._watch.ending or self._clients.total() >= most:
            return PlainTextResponse(
                "Too many screens are listening.", 503, headers={"Retry-After": "5"}
            )
        language = self.languages.chosen(request.query_params.get("lang"))
        return EventStream(self._stream(language), self._clients)

    async def _stream(self, language: Language) -> AsyncGenerator[str, None]:
        with self._watch.watching():
            seen = await self._watch.now()
            yield self._event(seen, language)
            shown = seen.number, self.reaches()
            while not self._watch.ending:
                before, called = shown, seen.state is not None and seen.state.kind is Kind.CALLED
                limit_s = min(CALLED_S, self.beat_s) if called else self.beat_s
                seen = await self._watch.after(seen.number, limit_s)
                shown = seen.number, self.reaches()
                yield self._event(seen, language) if shown != before else BEAT

    def _event(self, seen: NumberedView, language: Language) -> str:
        shown = self._shown(seen, language)
        event = {name: shown[name] for name in EVENT}
        event["html"] = self.templates.render("panel_screen.html", shown)
        return f"event: screen\ndata: {msgspec.json.encode(event).decode()}\n\n"

    def _shown(self, seen: NumberedView, language: Language) -> dict[str, Any]:
        state, speaker = seen.state, self._speaker(language)
        keys = Keys.NONE if state is None else state.keys
        return {
            "screen": speaker.screen(state),
            "phone": speaker.number(),
            "code": panel.OURS if state is None else state.code,
            "kind": (Kind.OUT_OF_ORDER if state is None else state.kind).value,
            "state": state,
            "keys": keys.value if self.config.keys_on_screen else Keys.NONE.value,
            "attempt": seen.attempt,
            "rest": state is None or state.kind in panel.AT_REST,
            "ring_s": self._left_s(state),
            "release_s": self.config.door.release_s,
            "companions": 0 if state is None else state.companions,
            "offer": panel.AGAIN if state is not None and state.again else "",
            "help": self.config.panel.help_button
            and state is not None
            and state.kind in panel.HELP_AT,
            "language": language,
            "say": speaker.words.say,
        }

    def _left_s(self, state: PanelState | None) -> float:
        """Return how long the door stays released; 0 where it does not."""
        if state is None or state.locks_s is None:
            return 0.0
        return max(0.0, round(state.locks_s - asyncio.get_running_loop().time(), 2))

    async def _key(self, request: Request) -> Response:
        if not self._is_screen(request) or not is_own_page(request):
            return _not_here()
        scripted = request.headers.get("accept") == "application/json"
        try:
            sent = await read_form(request, MOST_KEY_BYTES, KEY_LIMIT_S)
            key, attempt = sent.exact("key"), int(sent.exact("attempt"))
            await run_in_threadpool(self.door.press, key, attempt)
        except (InputError, ValueError):
            return PlainTextResponse("That is no key of the screen.", 400)
        except DoorctlError:
            # Which key it was is in no answer and in no log.
            return PlainTextResponse("The door does not answer.", 503)
        if scripted:
            return Response(status_code=204)
        language = self.languages.chosen(sent.exact("lang"))
        return RedirectResponse(_address(language, attempt), 303)

    def _may_see(self, request: Request) -> bool:
        return self.config.panel.elsewhere or self._is_screen(request)

    def _is_screen(self, request: Request) -> bool:
        if not is_here(request):
            return False
        return not self.secret or self._is_secret(request.cookies.get(_cookie(request), ""))

    def _is_secret(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode(), self.secret.encode())

    def _speaker(self, language: Language) -> Speaker:
        branch = self.config.branch
        words = Words(language, ZoneInfo(branch.time_zone))
        return Speaker(words, branch.phone, self.config.keys_on_screen, self.reaches())


EVENT: Final = ("kind", "keys", "attempt", "rest", "companions", "help")
"""What an event says of the screen beside its text."""

BEAT: Final = "event: beat\ndata: .\n\n"


def _is_done(seen: NumberedView, since: str | None) -> bool:
    """Tell whether the patron who chose a language has been served meanwhile."""
    at_rest = seen.state is not None and seen.state.kind in panel.AT_REST
    return at_rest and since is not None and since != str(seen.attempt)


def _address(language: Language, attempt: int | str) -> str:
    return f"{PAGE}?{urlencode({'lang': language.code, 'since': attempt})}"


def _cookie(request: Request) -> str:
    return f"__Host-{COOKIE}" if request.url.scheme == "https" else COOKIE


def _not_here() -> Response:
    why = "This page is for the screen at the door: open screen.html of storage.directory there."
    return PlainTextResponse(f"{why} See panel.elsewhere for others.", 403)
