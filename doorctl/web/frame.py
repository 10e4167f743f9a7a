"""The frame around every page: forms, templates, sign-in, permission, language and error pages.

A page is a function of a :class:`PageRequest` that returns a response; it never sees a cookie.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar
from urllib.parse import parse_qsl, quote, urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from doorctl.accounts.account import Person
from doorctl.accounts.roles import Permission, Role, permits
from doorctl.accounts.session import Token
from doorctl.accounts.throttle import caller
from doorctl.core.errors import (
    DoorctlError,
    InputError,
    NotAnsweringError,
    NotRunningError,
    StuckError,
)
from doorctl.core.language import ENGLISH, Languages
from doorctl.core.ports import EventLog
from doorctl.core.texts import SHORT_TEXT
from doorctl.lookup.app import App
from doorctl.web.controller import filled
from doorctl.web.words import MODES, WEEKDAYS, Words

# Forms that browsers send: how they are read, within limits of size and time.

MOST_FORM_BYTES: Final = 32 * 1024
MOST_FIELDS: Final = 200
FORM_LIMIT_S: Final = 10.0
"""Longest wait for a form's bytes."""

URL_ENCODED: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form. `repr` hides their values, which may be card numbers or passwords."""

    fields: Mapping[str, tuple[str, ...]]

    def __repr__(self) -> str:
        return f"Form({', '.join(self.fields)})"

    def text(self, name: str) -> str:
        """Return a field without the blanks around it; empty where it was not sent."""
        return self.exact(name).strip()

    def exact(self, name: str) -> str:
        """Return a field as it was typed, such as a password."""
        return self.fields.get(name, ("",))[0]

    def ticked(self, name: str) -> bool:
        """Tell whether a box was ticked."""
        return name in self.fields

    def every(self, name: str) -> tuple[str, ...]:
        """Return each value of a field that may be chosen more than once."""
        return self.fields.get(name, ())


BLANK: Final = Form(MappingProxyType({}))


async def read_form(
    request: Request, most_bytes: int = MOST_FORM_BYTES, limit_s: float = FORM_LIMIT_S
) -> Form:
    """Read the form of a request, and wipe its bytes.

    Raises InputError: it is too long, too slow, or no form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != URL_ENCODED:
        raise InputError("that is no form; send it as application/x-www-form-urlencoded")
    body = bytearray()
    try:
        async with asyncio.timeout(limit_s):
            async for chunk in request.stream():
                if len(body) + len(chunk) > most_bytes:
                    raise InputError(f"the form is longer than {most_bytes} bytes")
                body += chunk
        return parsed(body)
    except (TimeoutError, ClientDisconnect):
        # A client that has hung up gets no answer, and is no fault of ours with a traceback.
        raise InputError("the form did not come in time; send it again") from None
    finally:
        body[:] = bytes(len(body))


def parsed(body: bytes | bytearray) -> Form:
    """Return the form in a body. Raises InputError: it is no form."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise InputError("the form can't be read") from None
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        fields[name] = (*fields.get(name, ()), value.replace("\0", ""))
    return Form(fields)


# Threads for work that waits for a disk or another process, and the order of their use.

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

THREADS: Final = 4
"""Threads for staff, who are few; each costs memory while it works."""

MOST_WAITING: Final = 32
"""The most pages that wait for a thread; the next ones are refused for now."""

MOST_AT_ONCE: Final = 1
"""The most threads for requests before sign-in; the others are for staff."""

MOST_IN_LINE: Final = 64
"""How many more wait; then the one least entitled to a place is refused for now."""

MOST_SERVED: Final = 4096
"""The most addresses whose last turn is remembered."""


@dataclass(eq=False, slots=True)
class _Waiting:
    host: str
    came: int
    turn: asyncio.Future[None]


class Turns:
    """A queue of requests before sign-in; belongs to the event loop.

    So many slow requests of strangers take no thread from users who are signed in. An address that
    never had a turn comes first, then the one whose last turn is longest ago. So whoever asks
    without end, from however many addresses, waits behind everybody else. Where the queue is full
    the last in that order is refused: of one address's requests, the newest.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._busy = self._came = self._turns = 0
        self._last: OrderedDict[str, int] = OrderedDict()

    @asynccontextmanager
    async def one(self, address: str = "") -> AsyncIterator[None]:
        """Wait for a turn, and keep it while the block runs.

        Raises StuckError: too many wait already.
        """
        await self._come(caller(address))
        try:
            yield
        finally:
            self._end()

    async def _come(self, host: str) -> None:
        if self._busy < MOST_AT_ONCE:
            self._begin(host)
            return
        self._came += 1
        own = _Waiting(host, self._came, asyncio.get_running_loop().create_future())
        self._waiting.append(own)
        if len(self._waiting) > MOST_IN_LINE:
            last = max(self._waiting, key=self._place)
            self._waiting.remove(last)
            last.turn.set_exception(StuckError("too many sign in at once; try again in a moment"))
        try:
            await own.turn
        except asyncio.CancelledError:
            if own in self._waiting:
                self._waiting.remove(own)
            elif not own.turn.cancelled():
                self._end()
            raise

    def _place(self, waiting: _Waiting) -> tuple[int, int, int]:
        """Return what puts one behind others: its address's last turn, and its address's others."""
        before = sum(
            other.host == waiting.host and other.came < waiting.came for other in self._waiting
        )
        return self._last.get(waiting.host, 0), before, waiting.came

    def _begin(self, host: str) -> None:
        self._busy += 1
        self._turns += 1
        self._last[host] = self._turns
        self._last.move_to_end(host)
        if len(self._last) > MOST_SERVED:
            self._last.popitem(last=False)

    def _end(self) -> None:
        self._busy -= 1
        there = [waiting for waiting in self._waiting if not waiting.turn.done()]
        if there:
            first = min(there, key=self._place)
            self._waiting.remove(first)
            self._begin(first.host)
            first.turn.set_result(None)


class Aside:
    """A few threads; :meth:`run` belongs to the event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "pages")
        self._waiting = 0

    async def run(self, job: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        """Run a job that may block; return its result or raise its error.

        Raises StuckError: too many wait already.
        """
        if self._waiting >= MOST_WAITING:
            raise StuckError("too many pages are asked for at once; try again in a moment")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, lambda: job(*args, **kwargs))
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads once their jobs are done."""
        self._threads.shutdown(cancel_futures=True)


# Templates, whose values are escaped, and the static files that come with doorctl.

WEB: Final = Path(__file__).parent
STATIC: Final = WEB / "static"

A_DAY: Final = "public, max-age=86400"
FOR_EVER: Final = "public, max-age=31536000, immutable"


class Templates:
    """The pages' templates; each is compiled once and kept."""

    def __init__(self, directory: Path = WEB / "templates") -> None:
        self._environment = Environment(
            loader=FileSystemLoader(directory),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["static"] = static_address
        self._environment.globals["once"] = partial(secrets.token_urlsafe, 9)

    def compile_all(self) -> None:
        """Compile the templates of a branch, so that no page waits 0.1 s for it later.

        The compiler's memory can be given back then: 2.3 MB (measured). On any thread.
        """
        for name in self._environment.list_templates(
            filter_func=lambda name: not name.startswith("demo")
        ):
            self._environment.get_template(name)

    def render(self, name: str, context: dict[str, Any]) -> str:
        """Return a page; a name that is missing from `context` is an error of ours."""
        page = self._environment.get_template(name).render(context)
        # Macros and rows hold each other: what waits for the collector takes 3 MB (measured).
        gc.collect(1)
        return page


@cache
def static_address(name: str) -> str:
    """Return the address of a file of `static/`; it changes with the file."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:8]
    return f"/static/{name}?v={digest}"


class StaticPages(StaticFiles):
    """The files of `static/`; an answer to a :func:`static_address` may be kept for ever."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file."""
        response = await super().get_response(path, scope)
        versioned = scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = FOR_EVER if versioned else A_DAY
        if response.media_type == "image/svg+xml":
            response.headers["Content-Type"] = f"{response.media_type}; charset=utf-8"
        return response


@dataclass(frozen=True, slots=True)
class Place:
    """One line of the menu: an address, its English name and the permission that it needs."""

    path: str
    name: str
    permission: Permission


PLACES: Final = (
    Place("/now", "Overview", Permission.SEE_NOW),
    Place("/log", "Door log", Permission.SEE_LOG),
    Place("/why", "Help a patron", Permission.EXPLAIN),
    Place("/bans", "Bans", Permission.SEE_BANS),
    Place("/passes", "Passes", Permission.SEE_PASSES),
    Place("/calendar", "Calendar", Permission.SEE_CALENDAR),
    Place("/statistics", "Statistics", Permission.SEE_STATISTICS),
    Place("/people", "People's rights", Permission.SUBJECT_RIGHTS),
    Place("/holds", "Incident holds", Permission.HOLD),
    Place("/audit", "Audit log", Permission.SEE_AUDIT),
    Place("/accounts", "Accounts", Permission.ACCOUNTS),
)


def places(role: Role) -> tuple[Place, ...]:
    """Return the menu of a role."""
    return tuple(place for place in PLACES if permits(role, place.permission))


SIGN_IN: Final = "/sign-in"
OWN: Final = "/me"
"""Where users change their own password."""

FACTOR: Final = f"{OWN}/factor"
"""Where they set up a second factor."""

START: Final = "/"

LONGEST_QUERY: Final = 1000
"""The most characters of a query that is passed on; the longest filter of the log has fewer."""

TOLD: Final = "done"
"""The parameter with which a page reports once what a form did."""

ENDED: Final = "ended"
"""The sign-in page's message after a form was sent in a session that had ended."""

AGAIN: Final = "again"
"""Its message to users who want to change accounts or end sessions long after they signed in."""

SEEN_BY: Final = frozenset({"GET", "HEAD"})
"""Methods that send no form."""


def path_of(request: Request) -> str:
    """Return the path that was routed by; `request.url` also depends on the `Host` header."""
    return str(request.scope["path"])


def own_path(path: str) -> str:
    """Return a path of this site as it is, and ``/`` for anything else, such as another site."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if safe and path.isprintable() and "\\" not in path else START


def page_of(request: Request) -> str:
    """Return the path of the page that a request belongs to: its own, or that of the form sent."""
    path = path_of(request)
    if request.method in SEEN_BY:
        return path
    pages = (*(place.path for place in PLACES), SIGN_IN, OWN)
    return next((page for page in pages if path == page or path.startswith(f"{page}/")), START)


def address_of(request: Request, *, without: str = "") -> str:
    """Return the address, with its query, of the page that a request belongs to.

    A parameter is left out, and so are a form's fields, and a query that is longer than any of
    ours.
    """
    page, query = page_of(request), request.scope["query_string"].decode("latin-1")
    if request.method not in SEEN_BY or len(query) > LONGEST_QUERY:
        return own_path(page)
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != without]
    return own_path(f"{page}?{urlencode(pairs)}" if pairs else page)


def sign_in_at(back: str, notice: str = "") -> str:
    """Return the address of the sign-in that leads on to a page of ours, `back`.

    `notice` is a key of the sign-in page's messages; empty for nothing.
    """
    tells = f"{TOLD}={notice}&" if notice else ""
    return f"{SIGN_IN}?{tells}next={quote(back)}"


class Sessions(Protocol):
    """The open sessions, by token. Thread-safe; may wait for a disk; raises StoreError."""

    def whose(self, token: Token, /, *, does: bool = True) -> Person | None:
        """Return who is signed in; None for nobody. With `does` the session is kept alive."""


NOT_TOLD: Final = "the branch can't do that now; try again later, or ask the technician"
"""The answer to a fault for users who are not signed in: it names no file and no disk."""

RETRY_S: Final = "30"
"""Seconds after which a job that is stuck has ended."""

BY_ITSELF: Final = "hx-request"
"""A header of the requests that our pages make without a user's action."""

STREAM: Final = "text/event-stream"
"""The type that a stream accepts; `log.js` asks for it to learn whether a stream would begin."""


class PageRequest:
    """One request for a page, signed in or not; belongs to the event loop.

    `http` is Starlette's.
    """

    def __init__(self, frame: Frame, request: Request, words: Words, person: Person | None) -> None:
        self.frame = frame
        self._person = person
        self.http = request
        self.words = words

    @property
    def by(self) -> str:
        """The account, for the audit log.

        Raises RuntimeError: nobody is signed in; a page that reads this must be guarded.
        """
        return self.person.account.name

    @property
    def person(self) -> Person:
        """The signed-in user; as :attr:`by`."""
        if self._person is None:
            raise RuntimeError("a page that needs an account is open to everybody")
        return self._person

    @property
    def app(self) -> App:
        """What services are given: the signed-in user acts; as :attr:`by`."""
        return self.frame.app.acting(self.by)

    @property
    def signed_in(self) -> bool:
        """Whether there is a signed-in user."""
        return self._person is not None

    def may(self, permission: Permission) -> bool:
        """Tell whether the user has a permission."""
        return self._person is not None and permits(self._person.account.role, permission)

    @property
    def path(self) -> str:
        """The requested path; see :func:`path_of`."""
        return path_of(self.http)

    @property
    def client(self) -> str:
        """The client's address; empty where there is none."""
        return "" if self.http.client is None else self.http.client.host

    @property
    def now(self) -> datetime:
        """The branch's local time, by a clock that may be wrong."""
        return self.frame.app.clock.moment().local

    @property
    def today(self) -> date:
        """The branch's local date; as :attr:`now`."""
        return self.now.date()

    def query(self, name: str) -> str:
        """Return a parameter of the address without blanks around it; empty where absent."""
        return self.http.query_params.get(name, "").strip()

    @property
    def queried(self) -> Form:
        """The address's parameters, as a form has its fields; the last of a name counts first."""
        query = self.http.query_params
        return Form({name: tuple(query.getlist(name)[::-1]) for name in query})

    async def aside(
        self, job: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> ResultT:
        """Run a job that may wait for a disk or another process; return its result."""
        return await self.frame.aside.run(job, *args, **kwargs)

    async def do(
        self, service: Callable[Concatenate[App, P], ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> ResultT:
        """Have a service do a thing for the signed-in user, as :meth:`aside`."""
        return await self.aside(service, self.app, *args, **kwargs)

    async def form(self) -> Form:
        """Return the form that was sent; raises InputError."""
        return await read_form(self.http)

    def page(self, template: str, status: int | None = None, **context: Any) -> Response:
        """Return a page from a file in `templates/`, which names things from `context`.

        Without a `status` it is 422 where something is `wrong`, else 200.

        Every template also has: `_` and `n_` (texts), `words`, `branch`, `person`, `may`, `here`
        (the path), `call_it` (a sentence), `address` (where to see it in another language),
        `places` (the menu), `done` (a key that :meth:`done` was given, or ""), `today`, and the
        names of `modes` and `weekdays`;
        a short text has at most `longest` characters.
        """
        usual = HTTPStatus.UNPROCESSABLE_ENTITY if context.get("wrong") else HTTPStatus.OK
        person = self._person
        shared = {
            "_": self.words.say,
            "n_": self.words.count,
            "words": self.words,
            "languages": self.frame.languages,
            "branch": self.frame.app.config.branch,
            "person": person,
            "may": lambda name: self.may(Permission[name]),
            "here": self.path,
            "address": address_of(self.http),
            "call_it": self.words.call_it(self.frame.app.config.branch.it_phone),
            "places": () if person is None else places(person.account.role),
            "done": self.http.query_params.get(TOLD, ""),
            "today": self.today,
            "modes": MODES,
            "weekdays": WEEKDAYS,
            "longest": SHORT_TEXT,
        }
        page = self.frame.templates.render(template, shared | context)
        return HTMLResponse(page, status or usual)

    def file(self, name: str, content: str | bytes, kind: str) -> Response:
        """Return a file of a media type, to be saved under a name."""
        named = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type=kind, headers=named)

    def done(self, path: str, what: str) -> Response:
        """Return the answer to a form that did something: go to `path`, a page that reports it.

        `what` is a key of that page's own table of messages.
        """
        return RedirectResponse(f"{path}?done={quote(what)}", HTTPStatus.SEE_OTHER)

    def go(self, path: str) -> Response:
        """Return the answer that sends a browser to another page of ours."""
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)


Page = Callable[[PageRequest], Awaitable[Response]]
Take = Callable[[PageRequest, Form], Awaitable[Response]]
Again = Callable[[PageRequest, Form, InputError], Awaitable[Response]]


@dataclass(eq=False)
class Frame:
    """Makes routes of pages.

    Services are given `app`. `refused` records that an account lacks what a page, a route's path,
    needs; it may wait for a disk and raise StoreError. `aside` runs jobs that wait, and `log` gets
    unexpected errors. `encrypted` says whether browsers come by HTTPS; with `follows_browser` a
    browser's language counts until another is chosen. The key of pseudonyms is of this start of the
    web process alone, so nobody can ask for it later.
    """

    app: App
    languages: Languages
    sessions: Sessions
    refused: Callable[[str, str, Permission], None]
    templates: Templates
    aside: Aside
    log: EventLog
    encrypted: bool = False
    follows_browser: bool = False
    pseudonym_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def __post_init__(self) -> None:
        self._zone = ZoneInfo(self.app.config.branch.time_zone)

    def cookie(self, *what: str) -> str:
        """Return the name of the session's cookie, or another's: a prefix ties it to this host."""
        return "-".join(("__Host-doorctl" if self.encrypted else "doorctl", *what))

    @property
    def cookies(self) -> dict[str, Any]:
        """How every cookie is set: no script reads it, and no other site sends it."""
        return {"httponly": True, "samesite": "strict", "secure": self.encrypted}

    def words_of(self, code: str | None) -> Words:
        """Return the words of a language by its code; the branch's own where it is not known."""
        return Words(self.languages.chosen(code), self._zone)

    def guarded(
        self,
        path: str,
        page: Page,
        permission: Permission,
        methods: Iterable[str] = ("GET",),
        *,
        fresh: bool = False,
    ) -> Route:
        """Return the route of a page for users with a permission; others sign in first.

        With `fresh` users who signed in long ago sign in again.
        """

        async def just_signed_in(request: PageRequest) -> Response:
            if fresh and not request.person.fresh:
                return request.go(sign_in_at(page_of(request.http), AGAIN))
            return await page(request)

        answer = partial(self._answer, page=just_signed_in, guard=(path, permission))
        return Route(path, answer, methods=list(methods))

    def form(
        self, path: str, take: Take, permission: Permission, again: Again, *, fresh: bool = False
    ) -> Route:
        """Return the route of a form: `take` does it, `again` shows it with what is wrong in it."""

        async def page(request: PageRequest) -> Response:
            form = await request.form()
            try:
                return await take(request, form)
            except InputError as error:
                return await again(request, form, error)

        return self.guarded(path, page, permission, ("POST",), fresh=fresh)

    def open(self, path: str, page: Page, methods: Iterable[str] = ("GET",)) -> Route:
        """Return the route of a page for everybody."""
        return Route(path, partial(self._answer, page=page), methods=list(methods))

    async def missing(self, request: Request, status: int) -> Response:
        """Return the page for an unknown address or a wrong method."""

        async def page(page_request: PageRequest) -> Response:
            return page_request.page("missing.html", status)

        return await self._answer(request, page)

    def words(self, request: Request) -> Words:
        """Return the words in the language of a request."""
        code = request.cookies.get(self.cookie("language"))
        if code is None and self.follows_browser:
            code = self.languages.wanted(request.headers.get("accept-language", ""))
        return self.words_of(code)

    async def _answer(
        self, request: Request, page: Page, guard: tuple[str, Permission] | None = None
    ) -> Response:
        page_request = PageRequest(self, request, self.words(request), None)
        try:
            person = await self.person(request)
            page_request = PageRequest(self, request, self.words(request), person)
            if guard is not None:
                if person is None:
                    return self._sign_in_first(request)
                account = person.account
                own = {OWN} if account.must_change else {OWN, FACTOR}
                if (account.must_change or person.must_enrol) and page_request.path not in own:
                    return page_request.go(OWN)
                if not permits(account.role, guard[1]):
                    # It is refused, whether that can be recorded or not.
                    with suppress(DoorctlError):
                        await self.aside.run(self.refused, account.name, *guard)
                    return page_request.page("refused.html", 403)
            return await page(page_request)
        except DoorctlError as error:
            return _failed(page_request, error)

    async def person(self, request: Request) -> Person | None:
        """Return who is signed in by a request's cookie; None for nobody."""
        token = request.cookies.get(self.cookie())
        if not token:
            return None
        does = not _asks_by_itself(request)
        return await self.aside.run(self.sessions.whose, Token(token), does=does)

    def _sign_in_first(self, request: Request) -> Response:
        wants = request.headers.get("accept", "")
        # The page will not report an earlier form again, and this one did nothing.
        notice = "" if request.method in SEEN_BY else ENDED
        leads = sign_in_at(address_of(request, without=TOLD), notice)
        if BY_ITSELF in request.headers:
            # A redirect would be followed by the script, and the form end up inside of the page.
            headers = {"HX-Redirect": leads}
            return Response(status_code=HTTPStatus.UNAUTHORIZED, headers=headers)
        if "text/html" not in wants and wants not in {"", "*/*"}:
            return PlainTextResponse("Sign in first.", HTTPStatus.UNAUTHORIZED)
        return RedirectResponse(leads, HTTPStatus.SEE_OTHER)


def _asks_by_itself(request: Request) -> bool:
    """Tell whether a page sent a request without its user: that must not keep a session alive.

    A browser begins a broken stream again by itself, for as long as the page is open.
    """
    of_page = BY_ITSELF in request.headers or request.headers.get("accept") == STREAM
    return of_page and request.method in {"GET", "HEAD"}


def _failed(request: PageRequest, error: DoorctlError) -> Response:
    status = 503
    # Strangers get nothing about files and faults.
    is_theirs = request.signed_in or isinstance(error, InputError | StuckError)
    shown = error if is_theirs else InputError(NOT_TOLD)
    why, english = request.words.refusal(shown), request.frame.words_of(ENGLISH).refusal(shown)
    if isinstance(error, InputError):
        # What an address names is not there; a mistake in a form can be mended.
        named = request.http.method in SEEN_BY and request.http.path_params
        status = HTTPStatus.NOT_FOUND if named else HTTPStatus.UNPROCESSABLE_ENTITY
    stuck, silent = isinstance(error, StuckError), isinstance(error, NotRunningError)
    unsure = isinstance(error, NotAnsweringError)
    response = request.page(
        "failed.html",
        status,
        why=why,
        foreign=why == english and request.words.language.code != ENGLISH,
        stuck=stuck,
        silent=silent,
        unsure=unsure,
        back=page_of(request.http),
    )
    if stuck:
        response.headers["Retry-After"] = RETRY_S
    return response


A_YEAR_S: Final = 365 * 24 * 3600

HANDBOOK: Final = WEB.parent / "handbook"
"""A folder for each language; ``python -m tests.docs.diagrams`` makes the pages of its texts."""


def handbook(language: str, name: str) -> tuple[str, str] | None:
    """Return title and HTML of a page of the handbook, in English where there is no other.

    None: there is no such page. May wait for a disk.
    """
    for folder in (HANDBOOK / language, HANDBOOK / ENGLISH) if name.isalpha() else ():
        with suppress(OSError):
            title, _, text = (folder / f"{name}.html").read_text("utf-8").partition("\n")
            return title, text
    return None


def shared_routes(frame: Frame) -> tuple[BaseRoute, ...]:
    """Return the routes of static files, of the handbook and of the choice of a language."""

    async def help_page(request: PageRequest) -> Response:
        name = request.http.path_params.get("page", "index")
        page = await request.aside(handbook, request.words.language.code, name)
        if page is None:
            return request.page("missing.html", HTTPStatus.NOT_FOUND)
        text = filled(page[1], request.words, frame.app.config)
        return request.page("help.html", name=name, heading=page[0], text=text)

    async def language(request: PageRequest) -> Response:
        form = await request.form()
        response = request.go(own_path(form.text("next")))
        code = form.text("language")
        if code in frame.languages.known:
            response.set_cookie(frame.cookie("language"), code, A_YEAR_S, **frame.cookies)
        return response

    return (
        Mount("/static", StaticPages(), name="static"),
        frame.open("/help", help_page),
        frame.open("/help/{page}", help_page),
        frame.open("/language", language, methods=("POST",)),
    )
