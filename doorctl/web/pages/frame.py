"""The frame around every page: who asks, may they, in which language, and how a fault is told.

A page is a function of a :class:`PageRequest` that returns a response; it never sees a cookie.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import date, datetime
from http import HTTPStatus
from typing import Any, Final, ParamSpec, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from doorctl.accounts.roles import Permission, permits
from doorctl.errors import DoorctlError, InputError, NotRunningError, StuckError
from doorctl.ports import EventLog
from doorctl.web.pages.addresses import (
    AGAIN,
    FACTOR,
    OWN,
    SEEN_BY,
    address_of,
    page_of,
    path_of,
    sign_in_at,
    sign_in_first,
)
from doorctl.web.pages.aside import Aside
from doorctl.web.pages.forms import Form, read_form
from doorctl.web.pages.house import House, Person, Refused, Sessions
from doorctl.web.pages.language import ENGLISH, Languages
from doorctl.web.pages.navigation import places
from doorctl.web.pages.templates import Templates
from doorctl.web.pages.words import Words

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

NOT_TOLD: Final = "the branch can't do that now; try again later, or ask the technician"
"""What a stranger is told of a fault: where files are and which disk fails is not their concern."""

RETRY_S: Final = "30"
"""After so many seconds what was stuck has ended, one way or the other."""

BY_ITSELF: Final = "hx-request"
"""A header of what a page of ours asks without anybody doing anything."""

STREAM: Final = "text/event-stream"
"""What a stream accepts, and what `log.js` asks for in order to learn whether one would begin."""


class PageRequest:
    """One request for a page, by somebody or nobody; belongs to the event loop.

    Attributes:
        request: Starlette's.
        words: how the language in question says things.
    """

    def __init__(self, frame: Frame, request: Request, words: Words, person: Person | None) -> None:
        self._frame = frame
        self._person = person
        self.request = request
        self.words = words

    @property
    def by(self) -> str:
        """The account, for the audit log.

        Raises:
            RuntimeError: nobody is signed in: a page that asks must be guarded.
        """
        return self.person.account

    @property
    def person(self) -> Person:
        """Who is signed in; as :attr:`by`."""
        if self._person is None:
            raise RuntimeError("a page that needs an account is open to everybody")
        return self._person

    @property
    def signed_in(self) -> bool:
        """Whether anybody is."""
        return self._person is not None

    def may(self, permission: Permission) -> bool:
        """Tell whether who asks may do something."""
        return self._person is not None and permits(self._person.role, permission)

    @property
    def path(self) -> str:
        """The path that was asked for, whatever the request says of the host."""
        return path_of(self.request)

    @property
    def client(self) -> str:
        """The address that asks; empty where there is none."""
        return "" if self.request.client is None else self.request.client.host

    @property
    def now(self) -> datetime:
        """The branch's local time; trusted as far as its clock is."""
        return self._frame.house.now()

    @property
    def today(self) -> date:
        """The branch's local date; as :attr:`now`."""
        return self.now.date()

    @property
    def pseudonym_key(self) -> bytes:
        """What pseudonyms of one day are made with; see `House.pseudonym_key`."""
        return self._frame.house.pseudonym_key

    def asked(self, name: str) -> str:
        """Return a parameter of the address without blanks around it; empty where absent."""
        return self.request.query_params.get(name, "").strip()

    def told(self, error: DoorctlError) -> str:
        """Return what an error says; of files and faults nothing where nobody is signed in."""
        is_theirs = self.signed_in or isinstance(error, InputError | StuckError)
        return str(error) if is_theirs else NOT_TOLD

    async def aside(
        self, job: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> ResultT:
        """Return what a job returns that may wait for a disk or another process."""
        return await self._frame.aside.run(job, *args, **kwargs)

    async def form(self) -> Form:
        """Return the form that was sent; raises InputError."""
        return await read_form(self.request)

    def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """Return a page.

        Args:
            template: its file in `templates/`.
            status: of HTTP.
            context: what the template names, beside what every one has: `_` and `n_` (texts),
                `words`, `house`, `person`, `may`, `here` (the path), `address` (where to
                see it in another language), `places` (the menu), `done` (a key that
                :meth:`done` was given, or "").
        """
        return HTMLResponse(self._frame.rendered(template, self, context), status)

    def fragment(self, template: str, **context: Any) -> str:
        """Return a part of a page as text; as :meth:`page`."""
        return self._frame.rendered(template, self, context)

    def done(self, path: str, what: str) -> Response:
        """Return the answer to a form that did something: go to a page, which tells of it.

        Args:
            path: the page's.
            what: a key of the page's own table of what has been done.
        """
        return RedirectResponse(f"{path}?done={quote(what)}", HTTPStatus.SEE_OTHER)

    def go(self, path: str) -> Response:
        """Return the answer that sends a browser to another page of ours."""
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)


Page = Callable[[PageRequest], Awaitable[Response]]


class Frame:
    """Makes routes of pages.

    Args:
        house: the branch.
        languages: what can be spoken.
        sessions: knows who is signed in.
        refused: keeps a record of what a role was refused.
        templates: the pages' own.
        aside: threads for what waits.
        log: hears of what nobody expected.
    """

    def __init__(
        self,
        *,
        house: House,
        languages: Languages,
        sessions: Sessions,
        refused: Refused,
        templates: Templates,
        aside: Aside,
        log: EventLog,
    ) -> None:
        self.house = house
        self.languages = languages
        self.aside = aside
        self.sessions = sessions
        self._refused = refused
        self._templates = templates
        self.log = log

    def guarded(
        self,
        path: str,
        page: Page,
        permission: Permission,
        methods: Iterable[str] = ("GET",),
        *,
        fresh: bool = False,
    ) -> Route:
        """Return the route of a page for those who may do something; others sign in first.

        With `fresh` so do those who signed in long ago.
        """

        async def just_signed_in(asked: PageRequest) -> Response:
            if fresh and not asked.person.fresh:
                return asked.go(sign_in_at(page_of(asked.request), AGAIN))
            return await page(asked)

        async def answer(request: Request) -> Response:
            return await self._answer(request, just_signed_in, (path, permission))

        return Route(path, answer, methods=list(methods))

    def open(self, path: str, page: Page, methods: Iterable[str] = ("GET",)) -> Route:
        """Return the route of a page for everybody."""

        async def answer(request: Request) -> Response:
            return await self._answer(request, page, None)

        return Route(path, answer, methods=list(methods))

    async def missing(self, request: Request, status: int) -> Response:
        """Return what is told at an address that is none of ours, or is not asked so."""

        async def page(asked: PageRequest) -> Response:
            return asked.page("missing.html", status)

        return await self._answer(request, page, None)

    def words(self, request: Request) -> Words:
        """Return how things are said to whoever asks."""
        return self.house.words_of(request.cookies.get(self.house.language_cookie))

    def rendered(self, template: str, asked: PageRequest, context: dict[str, Any]) -> str:
        """Return the text of a page; see :meth:`PageRequest.page`."""
        person = asked._person  # noqa: SLF001 - the frame made it
        shared = {
            "_": asked.words.say,
            "n_": asked.words.count,
            "words": asked.words,
            "languages": self.languages,
            "house": self.house,
            "person": person,
            "may": lambda name: asked.may(Permission[name]),
            "here": asked.path,
            "address": address_of(asked.request),
            "places": () if person is None else places(person.role),
            "done": asked.request.query_params.get("done", ""),
        }
        return self._templates.render(template, shared | context)

    async def _answer(
        self, request: Request, page: Page, guard: tuple[str, Permission] | None
    ) -> Response:
        asked = PageRequest(self, request, self.words(request), None)
        try:
            person = await self.person(request)
            asked = PageRequest(self, request, self.words(request), person)
            if guard is not None:
                if person is None:
                    return self._sign_in_first(request)
                own = {OWN} if person.must_change else {OWN, FACTOR}
                if (person.must_change or person.must_enrol) and asked.path not in own:
                    return asked.go(OWN)
                if not permits(person.role, guard[1]):
                    # Refused it is, whether that can be written down or not.
                    with suppress(DoorctlError):
                        await self.aside.run(self._refused.note, person.account, *guard)
                    return asked.page("refused.html", 403)
            return await page(asked)
        except DoorctlError as error:
            return _failed(asked, error)

    async def person(self, request: Request) -> Person | None:
        """Return who is signed in by a request's cookie; None for nobody."""
        token = request.cookies.get(self.house.session_cookie)
        if not token:
            return None
        whose = self.sessions.look if _asks_by_itself(request) else self.sessions.person
        return await self.aside.run(whose, token)

    def _sign_in_first(self, request: Request) -> Response:
        wants, leads = request.headers.get("accept", ""), sign_in_first(request)
        if BY_ITSELF in request.headers:
            # A redirect would be followed by the script, and the form end up inside of the page.
            headers = {"HX-Redirect": leads}
            return Response(status_code=HTTPStatus.UNAUTHORIZED, headers=headers)
        if "text/html" not in wants and wants not in {"", "*/*"}:
            return PlainTextResponse("Sign in first.", HTTPStatus.UNAUTHORIZED)
        return RedirectResponse(leads, HTTPStatus.SEE_OTHER)


def _asks_by_itself(request: Request) -> bool:
    """Tell whether a page asks, which would keep a session alive with nobody before it.

    A stream that broke is begun again by the browser alone, for as long as the page is open.
    """
    of_page = BY_ITSELF in request.headers or request.headers.get("accept") == STREAM
    return of_page and request.method in {"GET", "HEAD"}


def _failed(asked: PageRequest, error: DoorctlError) -> Response:
    told, status = asked.told(error), 503
    if isinstance(error, InputError):
        # What an address names is not there; what a form says can be mended.
        named = asked.request.method in SEEN_BY and asked.request.path_params
        status = HTTPStatus.NOT_FOUND if named else HTTPStatus.UNPROCESSABLE_ENTITY
    said = asked.words.say(told)
    stuck, silent = isinstance(error, StuckError), isinstance(error, NotRunningError)
    response = asked.page(
        "failed.html",
        status,
        why=said,
        foreign=said == told and asked.words.language.code != ENGLISH,
        stuck=stuck,
        silent=silent,
        back=page_of(asked.request),
    )
    if stuck:
        response.headers["Retry-After"] = RETRY_S
    return response
