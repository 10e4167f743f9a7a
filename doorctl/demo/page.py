"""The page of the virtual door: reader, keypad and lamps drawn, cards to click, the log beside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from doorctl.access.reasons import SENTENCES
from doorctl.demo.hands import KEYS, PLUGS, Deed, Hands
from doorctl.demo.page_events import Events
from doorctl.demo.patrons import CAST, Role
from doorctl.demo.programme import Programme
from doorctl.demo.scenes import EVENING, WORN_STRIPE
from doorctl.demo.sight import Sight, Window
from doorctl.errors import InputError
from doorctl.masked import Masked
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.language import DANISH
from doorctl.web.pages.templates import Templates
from doorctl.web.pages.words import Words
from doorctl.web.panel_words import Speaker

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
"""What is special about each of the cast, in English; catalogues hold the rest."""

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
    """What the page stands on.

    Args:
        hands: act at the door.
        window: what is to be seen of it.
        programme: plays the evening.
        token: signs the browser in at the staff pages; None for no account.
    """

    hands: Hands
    window: Window
    programme: Programme
    token: Masked[str] | None = None


class DemoPage:
    """The page, its forms and its events; belongs to the event loop.

    Args:
        frame: makes routes.
        templates: of the parts that change.
        door: what it shows and moves.
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
            # The session's cookie is this name's, and so are the addresses of the staff pages.
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
            # A cookie knows no port: the staff pages of the same host are sent it too.
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
        """Return what changes, by the id of the element that holds it."""
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
