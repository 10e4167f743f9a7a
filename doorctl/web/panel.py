"""The screen at the door: a page that fills it, its events, and its keys.

The page holds the state in words, not in scripts: the server renders each screen and the browser
puts it in. Without JavaScript it asks again every two seconds, and the keys are a form.
"""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from doorctl.access import panel, panel_hours
from doorctl.access.calendar import DAY_MINUTES
from doorctl.access.panel import Keys, Kind, PanelState, PanelView
from doorctl.access.panel_hours import Opens
from doorctl.access.pin_pad import CLEAR, ENTER
from doorctl.config import Config
from doorctl.core.errors import DoorctlError, InputError
from doorctl.core.language import Language, Languages
from doorctl.rpc.panel import PanelOverSocket
from doorctl.web.forms import BLANK, read_form
from doorctl.web.headers import SCREEN
from doorctl.web.rendering import Templates
from doorctl.web.streams import EventStream
from doorctl.web.words import WEEKDAYS, Words

# The screen's text for each state: a headline, a few lines, a picture.
#
# The screen never shows why a patron was refused, because others can read it: after a proved PIN
# it shows a code and a telephone number, before it one sentence for all.


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen, to be seen and spoken: a few words, and whole sentences below them.

    `picture` is the name of a file ``static/panel_<name>.svg``; `call` is the sentence on whom to
    call with which code, whose numbers are seen large, and `desk` when staff are there. `beside` is
    a refusal's headline in English, where that is not the language.
    """

    headline: str
    lines: tuple[str, ...]
    picture: str
    call: str = ""
    desk: str = ""
    beside: str = ""

    @property
    def spoken(self) -> str:
        """All of it as one text for a voice."""
        said = (f"{self.headline}.", *self.lines, self.call, self.desk)
        return " ".join(sentence for sentence in said if sentence)


@dataclass(frozen=True, slots=True)
class Speaker:
    """Writes every screen in one language.

    `phone` is the branch's number, empty for none; `keypad` says that digits are typed on the
    screen, `reached` that the last alarm left the house by some way, or is about to.
    """

    words: Words
    phone: str = ""
    keypad: bool = False
    reached: bool = True

    def screen(self, state: PanelState | None) -> Screen:
        """Return the screen of a state; None where the door does not answer."""
        if state is None:
            state = PanelState(Kind.OUT_OF_ORDER, code=panel.OURS)
        headline, lines, picture = SCREENS[state.kind](self, state, self.words.say)
        called = state.kind in {Kind.REFUSED, Kind.OUT_OF_ORDER} and state.code != panel.CARD_FIRST
        # The keys of the catalogues are English.
        english = SCREENS[state.kind](self, state, lambda text, **_: text)[0]
        beside = english if called and english != headline else ""
        call, desk = self._call(state.code) if called else "", _desk(self, state.staffed)
        call = self._danger() if state.kind in {Kind.HELP, Kind.CALLED} else call
        told = tuple(line for line in lines if line)
        return Screen(headline, told, picture, call, desk, beside)

    def lost(self) -> Screen:
        """Return the screen that the page shows by itself when it has lost the server."""
        say = self.words.say
        if self.keypad:
            return self.screen(None)
        works = say("The door works all the same: scan your card and type your PIN.")
        return Screen(say("The screen is taking a break"), (works,), "wait")

    def number(self) -> str:
        """Return the telephone number, which is read as two if it breaks over two lines."""
        return self.phone.replace(" ", "\N{NO-BREAK SPACE}")

    def _call(self, code: int) -> str:
        if not self.phone:
            return self.words.say("Contact the library and say code {code}.", code=code)
        return self.words.say(
            "Call {phone} and say code {code}. We will help you.", phone=self.number(), code=code
        )

    def _danger(self) -> str:
        say, phone = self.words.say, self.number()
        library = say("Call the library: {phone}.", phone=phone) if phone else ""
        return f"{say('In danger, call 112.')} {library}".rstrip()


_Parts = tuple[str, tuple[str, ...], str]
_Say = Callable[..., str]


def _idle(by: Speaker, state: PanelState, say: _Say) -> _Parts:
    how = say("Then type your PIN.")
    return say("Scan your card"), (how, _today(by, state), _by_code(by, state)), "card"


def _closing(by: Speaker, state: PanelState, say: _Say) -> _Parts:
    how = say("Scan your card to come in.") if state.entry else _no_entry(by)
    return _closes(by, state) or say("Closing soon"), (how,), "clock"


def _closed(by: Speaker, state: PanelState, say: _Say) -> _Parts:
    if not state.entry:
        return say("Closing soon"), (_no_entry(by), _closes(by, state)), "clock"
    opens = "" if state.opens is None else _opens(by, state.opens)
    return say("The library is closed"), (opens, _by_code(by, state)), "moon"


def _staffed(by: Speaker, state: PanelState, say: _Say) -> _Parts:
    return say("Come in"), (say("Staff are here to help you."), _today(by, state)), "staff"


def _pin(by: Speaker, state: PanelState, say: _Say) -> _Parts:
    if state.keys is Keys.CODE or not state.wanted:
        first = say("Do you have a card? Scan it first.")
        return say("Type your code"), (say("Then press #.") if not by.keypad else "", first), "keys"
    return say("Type your PIN"), (), "keys"


def _welcome(_by: Speaker, state: PanelState, say: _Say) -> _Parts:
    unlocked = "" if state.locks_s is None else say("The door is unlocked: go in now.")
    letter = say("We have a message for you: ask at the desk for code {code}.", code=state.code)
    told = letter if state.code and not state.wrong else ""
    return say("Welcome"), (unlocked, _company(state, say), told), "door"


def _company(state: PanelState, say: _Say) -> str:
    most = state.companions
    if state.wrong:
        return say("That number does not count here. Press 0 to {most}.", most=most)
    if most == 1:
        return say("Does anybody come with you? Press 1, else 0.")
    return say("How many come with you? Press 1 to {most}, or 0.", most=most) if most else ""


def _refused(by: Speaker, state: PanelState, say: _Say) -> _Parts:
    if state.code == panel.CARD_FIRST:
        return say("Scan the card first"), (say("Then type your PIN."), _by_code(by, state)), "card"
    if state.code == panel.NOT_PROVED:
        # The same for all, so a patron who has to wait must not read in it to try again at once.
        again = say("Scan the card again. After three errors, wait a few minutes.")
        coded = state.keys is Keys.CODE
        fit = say("Card, PIN or code did not match") if coded else say("Card and PIN did not match")
        return fit, (again,), "again"
    if state.code == panel.UNREADABLE:
        return say("The card could not be read"), (say("Turn it and try again."),), "turn"
    if state.code == panel.OURS:
        return say("We are sorry"), (say("The fault is ours. Try again in a moment."),), "repair"
    if not by.phone:
        return say("The door does not open"), (), "no"
    return say("The door does not open. Call us"), (), "no"


def _called(by: Speaker, _state: PanelState, say: _Say) -> _Parts:
    if by.reached:
        seen = say("It may take a while until somebody sees the message.")
        return say("We are telling the library"), (seen,), "phone"
    return say("The message did not get through"), (say("Please call yourself."),), "phone"


SCREENS: Mapping[Kind, Callable[[Speaker, PanelState, _Say], _Parts]] = {
    Kind.IDLE: _idle,
    Kind.CLOSING: _closing,
    Kind.CLOSED: _closed,
    Kind.STAFFED: _staffed,
    Kind.OUT_OF_ORDER: lambda _by, _state, say: (
        say("Out of order"),
        (say("We are sorry."),),
        "repair",
    ),
    Kind.CARD_READ: _pin,
    Kind.TYPING: _pin,
    Kind.WORKING: lambda _by, _state, say: (say("One moment"), (), "wait"),
    Kind.WELCOME: _welcome,
    Kind.REFUSED: _refused,
    Kind.HELP: lambda _by, _state, say: (
        say("Call for help?"),
        (say("The library gets a message."),),
        "phone",
    ),
    Kind.CALLED: _called,
}
"""The function for each kind of screen; empty lines of it are left out."""


def _by_code(by: Speaker, state: PanelState) -> str:
    told = by.words.say("Have you been given a code? Type it and press OK.")
    return told if state.keys is Keys.CODE else ""


def _no_entry(by: Speaker) -> str:
    return by.words.say("Nobody new comes in before closing.")


def _closes(by: Speaker, state: PanelState) -> str:
    if state.minutes is None:
        return ""
    return by.words.count("Closing in {n} minute", "Closing in {n} minutes", state.minutes)


def _today(by: Speaker, state: PanelState) -> str:
    say, hours = by.words.say, state.hours
    if not hours:
        return ""
    if hours == ((0, DAY_MINUTES),):
        return say("Open day and night")
    spans = (by.words.hours_of_day(*span) for span in hours)
    return say("Open today {hours}", hours=", ".join(spans))


def _opens(by: Speaker, opens: Opens) -> str:
    say, time = by.words.say, by.words.time_of_day(opens.minute)
    if opens.days == 0:
        return say("Opens again today at {time}", time=time)
    if opens.days == 1:
        return say("Opens again tomorrow at {time}", time=time)
    day = say(WEEKDAYS[opens.weekday])
    if opens.days < panel_hours.WEEK_DAYS:
        return say("Opens again on {day} at {time}", day=day, time=time)
    return say(
        "Opens again in {days} days, on {day} at {time}", days=opens.days, day=day, time=time
    )


def _desk(by: Speaker, staffed: panel_hours.Staffed | None) -> str:
    if staffed is None:
        return ""
    say, hours = by.words.say, by.words.hours_of_day(staffed.starts, staffed.ends)
    if staffed.days == 0:
        return say("Staff are here today {hours}.", hours=hours)
    if staffed.days == 1:
        return say("Staff are here tomorrow {hours}.", hours=hours)
    return say("Staff are here on {day} {hours}.", day=say(WEEKDAYS[staffed.weekday]), hours=hours)


# Who may see the screen's page, and who may press its keys: a screen of this machine.
#
# A key that is pressed here goes to the door. So it has to come from a loopback address, from a
# page of ours, and not through a proxy: a proxy, on this machine too, must leave ``/panel`` out,
# for not all of them say that they are one.

PASSED_ON: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""The headers by which a proxy shows itself, if it does."""

SAME: Final = "same-origin"


def is_here(request: Request) -> bool:
    """Tell whether a request comes from this machine and names this machine as its host.

    The host's name keeps out pages whose own name was made to lead here (DNS rebinding).
    """
    if request.client is None or not _is_loopback(request.client.host):
        return False
    if any(name in request.headers for name in PASSED_ON):
        return False
    host = _split(request.headers.get("host", ""))
    return host == "localhost" or _is_loopback(host or "")


def is_own_page(request: Request) -> bool:
    """Tell whether a page of ours sent a request; one without an origin was not."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != SAME:
        return False
    origin = request.headers.get("origin")
    # A form of ours says "null", for our pages forbid browsers to name the page they are from.
    if origin in {None, "null"}:
        return site == SAME
    return origin == f"{request.scope['scheme']}://{request.headers.get('host', '')}"


def _is_loopback(host: str) -> bool:
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _split(netloc: str) -> str | None:
    try:
        return urlsplit(f"//{netloc}").hostname
    except ValueError:
        return None


# All pages share one look at the door: a thread waits for news and sends it to the event loop. It
# runs only while a page is open, and a while longer, so a branch without a screen never polls its
# door.

FIRST_LOOK_S: Final = 2.0
"""Longest wait of a page for the first view; a door that hangs is out of order."""

RETRY_S: Final = 1.0
"""Time between two requests to a door that does not answer."""

STOP_LOOK_S: Final = 1.0
"""How often the thread checks whether its event loop is being ended."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The last view; `state` is None where the door does not answer.

    `number` changes with it; 0 where there was no look in time.
    """

    number: int = 0
    state: PanelState | None = None

    @property
    def attempt(self) -> int:
        """The number of the attempt that is shown; 0 for none."""
        return 0 if self.state is None else self.state.attempt


@dataclass(eq=False)
class Watch:
    """Watches what the door shows; belongs to the event loop.

    Any thread or signal handler may call `stop`. One thread at a time sends requests to `door`;
    while it does, `running` is true.
    """

    door: PanelOverSocket

    def __post_init__(self) -> None:
        self._seen: Seen | None = None
        self._number = 0
        self._news: set[asyncio.Event] = set()
        self._watchers = 0
        self._looked_at = False
        self.running = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = threading.Event()

    @property
    def ending(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._ending.is_set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep watching while the block runs."""
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1

    async def now(self) -> Seen:
        """Return the view as it is now."""
        return await self.after(0, FIRST_LOOK_S)

    async def after(self, number: int, limit_s: float) -> Seen:
        """Return the view once its number is not `number`; the same view after `limit_s`."""
        self._look()
        news = asyncio.Event()
        self._news.add(news)
        try:
            async with asyncio.timeout(limit_s):
                while not self.ending and (self._seen is None or self._seen.number == number):
                    await news.wait()
                    news.clear()
        except TimeoutError:
            pass
        finally:
            self._news.discard(news)
        return self._seen or Seen()

    def stop(self) -> None:
        """Stop watching; every page that waits gets its answer at once."""
        self._ending.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _look(self) -> None:
        self._looked_at = True
        self._loop = asyncio.get_running_loop()
        if self.running or self.ending:
            return
        self.running = True
        # A view from before the pause is old.
        self._seen = None
        threading.Thread(
            target=self._run, args=(self._loop,), name="panel-watch", daemon=True
        ).start()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        view, wanted = None, True
        while wanted and not self.ending:
            view = self._ask(0 if view is None else view.seq)
            wanted = self._heard_by(loop, None if view is None else view.state)
            if view is None:
                self._ending.wait(RETRY_S)

    def _ask(self, after: int) -> PanelView | None:
        try:
            return self.door.look(after)
        except DoorctlError:
            return None

    def _heard_by(self, loop: asyncio.AbstractEventLoop, state: PanelState | None) -> bool:
        wanted: Future[bool] = Future()
        try:
            loop.call_soon_threadsafe(lambda: wanted.set_result(self._heard(state)))
        except RuntimeError:
            # A loop that is closed takes nothing, and nobody looks any more.
            self.running = False
            return False
        while not self.ending:
            with suppress(TimeoutError):
                return wanted.result(STOP_LOOK_S)
        return False

    def _heard(self, state: PanelState | None) -> bool:
        if self._seen is None or state != self._seen.state:
            self._number += 1
            self._seen = Seen(self._number, state)
            self._tell()
        self.running = self._watchers > 0 or self._looked_at
        self._looked_at = False
        return self.running

    def _tell(self) -> None:
        for news in self._news:
            news.set()


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

    def _event(self, seen: Seen, language: Language) -> str:
        shown = self._shown(seen, language)
        event = {name: shown[name] for name in EVENT}
        event["html"] = self.templates.render("panel_screen.html", shown)
        return f"event: screen\ndata: {msgspec.json.encode(event).decode()}\n\n"

    def _shown(self, seen: Seen, language: Language) -> dict[str, Any]:
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


def _is_done(seen: Seen, since: str | None) -> bool:
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
