"""The frame around every page: sign-in, permission, language and error pages.

A page is a function of a :class:`PageRequest` that returns a response; it never sees a cookie.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Concatenate, Final, Protocol
from urllib.parse import quote
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from doorctl.accounts.account import Person
from doorctl.accounts.roles import Permission, permits
from doorctl.accounts.session import Token
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
from doorctl.web.addresses import (
    AGAIN,
    ENDED,
    FACTOR,
    OWN,
    SEEN_BY,
    TOLD,
    Place,
    address_of,
    page_of,
    path_of,
    places,
    sign_in_at,
)
from doorctl.web.forms import Form, read_form
from doorctl.web.page_pool import P, PagePool, ResultT
from doorctl.web.rendering import Templates
from doorctl.web.streams import STREAM
from doorctl.web.words import MODES, WEEKDAYS, Words


class Sessions(Protocol):
    """The open sessions, by token. Thread-safe; may wait for a disk; raises StoreError."""

    def whose(self, token: Token, /, *, does: bool = True) -> Person | None:
        """Return the signed-in user, or None. With `does` the session is kept alive."""


NOT_TOLD: Final = "the branch can't do that now; try again later, or ask the technician"
"""The answer to a fault for users who are not signed in: it names no file and no disk."""

RETRY_S: Final = "30"
"""Seconds after which a job that is stuck has ended."""

BY_ITSELF: Final = "hx-request"
"""A header of the requests that our pages make without a user's action."""


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

        Raises RuntimeError without a signed-in user: a page that reads this must be guarded.
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

    async def in_thread(
        self, job: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> ResultT:
        """Run a job that may wait for a disk or another process; return its result."""
        return await self.frame.pool.run(job, *args, **kwargs)

    async def call(
        self, service: Callable[Concatenate[App, P], ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> ResultT:
        """Have a service do a thing for the signed-in user, as :meth:`in_thread`."""
        return await self.in_thread(service, self.app, *args, **kwargs)

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
            "places": () if person is None else places(person.account.role, self.frame.further),
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
        """Return the answer that sends a browser to another of our pages."""
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)


Page = Callable[[PageRequest], Awaitable[Response]]
Take = Callable[[PageRequest, Form], Awaitable[Response]]
Again = Callable[[PageRequest, Form, InputError], Awaitable[Response]]


@dataclass(eq=False)
class Frame:
    """Makes routes of pages.

    Services are given `app`. `refused` records that an account lacks what a page, a route's path,
    needs; it may wait for a disk and raise StoreError. `pool` runs jobs that wait, and `log` gets
    unexpected errors. `encrypted` says whether browsers come by HTTPS; with `follows_browser` a
    browser's language counts until another is chosen. The menu has the `further` lines too. The key
    of pseudonyms is made at each start of the web process and never stored.
    """

    app: App
    languages: Languages
    sessions: Sessions
    refused: Callable[[str, str, Permission], None]
    templates: Templates
    pool: PagePool
    log: EventLog
    encrypted: bool = False
    follows_browser: bool = False
    further: tuple[Place, ...] = ()
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
                        await self.pool.run(self.refused, account.name, *guard)
                    return page_request.page("refused.html", 403)
            return await page(page_request)
        except DoorctlError as error:
            return _failed(page_request, error)

    async def person(self, request: Request) -> Person | None:
        """Return the user whose session a request's cookie names; None without one."""
        token = request.cookies.get(self.cookie())
        if not token:
            return None
        does = not _asks_by_itself(request)
        return await self.pool.run(self.sessions.whose, Token(token), does=does)

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
