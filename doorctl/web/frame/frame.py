"""The frame around every page: sign-in, permission, language and error pages.

A page is a function of a :class:`PageRequest` that returns a response; it never sees a cookie.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from http import HTTPStatus
from typing import Any, Final, ParamSpec, Protocol, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from doorctl.accounts.account import Origin, Permission, Role, permits
from doorctl.core.errors import DoorctlError, InputError, NotRunningError, StuckError
from doorctl.core.language import ENGLISH, Languages
from doorctl.ports import EventLog
from doorctl.web.frame.forms import Form, read_form
from doorctl.web.frame.pool import Aside
from doorctl.web.frame.templates import StaticPages, Templates
from doorctl.web.frame.words import Words


@dataclass(frozen=True, slots=True)
class Place:
    """One line of the menu: an address and its English name; often used ones come first."""

    path: str
    name: str
    permission: Permission


PLACES: Final = (
    Place("/now", "Now", Permission.SEE_NOW),
    Place("/log", "Door log", Permission.SEE_LOG),
    Place("/why", "Why refused?", Permission.EXPLAIN),
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
"""Characters; a filter of the log with every reason has fewer, and what has more is left out."""

TOLD: Final = "done"
"""The parameter with which a page reports once what a form did."""

ENDED: Final = "ended"
"""The sign-in page's message after a form was sent in a session that had ended."""

AGAIN: Final = "again"
"""Its message to users who want to change accounts or end sessions long after they signed in."""

SEEN_BY: Final = frozenset({"GET", "HEAD"})
"""Methods with which nothing is sent."""


def path_of(request: Request) -> str:
    """Return the path that was routed by; `request.url` is put together with the host's header."""
    return str(request.scope["path"])


def own_path(path: str) -> str:
    """Return a path of this site as it is, and anything else as ``/``: no link leads elsewhere."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if safe and path.isprintable() and "\\" not in path else START


def page_of(request: Request) -> str:
    """Return the path of the page that a request belongs to: its own, or that of the form sent."""
    path = path_of(request)
    if request.method in SEEN_BY:
        return path
    pages = (*(place.path for place in PLACES), SIGN_IN, OWN)
    return next((one for one in pages if path == one or path.startswith(f"{one}/")), START)


def address_of(request: Request) -> str:
    """Return the own address, with its query, of the page that a request belongs to.

    What was sent as a form is left out, and so is a query that is longer than any of ours.
    """
    return _with_query(request, without="")


def sign_in_first(request: Request) -> str:
    """Return the address of the sign-in that leads to the page that a request belongs to.

    The result of an earlier form is not reported again; that this form did nothing is.
    """
    told = "" if request.method in SEEN_BY else ENDED
    return sign_in_at(_with_query(request, without=TOLD), told)


def sign_in_at(back: str, told: str = "") -> str:
    """Return the address of the sign-in that leads on to a page of ours, `back`.

    `told` is a key of the sign-in page's messages; empty for nothing.
    """
    tells = f"{TOLD}={told}&" if told else ""
    return f"{SIGN_IN}?{tells}next={quote(back)}"


def _with_query(request: Request, *, without: str) -> str:
    page, query = page_of(request), request.scope["query_string"].decode("latin-1")
    if request.method not in SEEN_BY or len(query) > LONGEST_QUERY:
        return own_path(page)
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != without]
    return own_path(f"{page}?{urlencode(pairs)}" if pairs else page)


@dataclass(frozen=True, slots=True)
class Person:
    """A signed-in user; `account` is the name on the audit log, `origin` says who checks the user.

    Args:
        must_change: somebody else chose the password, so it is changed before anything else.
        fresh: whether they signed in so lately that they may change accounts or end sessions.
        second_factor: whether they need a code beside the password.
        must_enrol: they have none and need one, so it is set up before anything else.
    """

    account: str
    role: Role
    must_change: bool = False
    origin: Origin = Origin.LOCAL
    fresh: bool = False
    second_factor: bool = False
    must_enrol: bool = False

    @property
    def has_password(self) -> bool:
        """Whether there is a password of ours, which they may change."""
        return self.origin is Origin.LOCAL


class Sessions(Protocol):
    """The open sessions, by token. Thread-safe; may wait for a disk; raises StoreError."""

    def person(self, token: str) -> Person | None:
        """Return who signed in with a token; None where the session is over."""

    def look(self, token: str) -> Person | None:
        """As `person`, but for a page that asks by itself: it keeps no session alive."""


class Refused(Protocol):
    """Records that a role was refused. Thread-safe; may wait for a disk."""

    def note(self, account: str, page: str, needs: Permission) -> None:
        """Record it, by the route's own path; raises StoreError."""


@dataclass(frozen=True, slots=True)
class House:
    """What every page says of the branch, and how browsers reach it.

    `phone` is for refused patrons and may be empty; `now` returns the branch's local time.

    Args:
        signs_in_elsewhere: whether the municipality's identity provider is asked.
        pseudonym_key: of this start of the web process alone, so nobody can ask for it later.
    """

    name: str
    phone: str
    words_of: Callable[[str | None], Words]
    now: Callable[[], datetime]
    encrypted: bool
    signs_in_elsewhere: bool = False
    pseudonym_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def session_cookie(self) -> str:
        """The name of the session's cookie: a browser ties the prefixed one to this host."""
        return "__Host-doorctl" if self.encrypted else "doorctl"

    @property
    def language_cookie(self) -> str:
        """The name of the cookie that keeps the language."""
        return f"{self.session_cookie}-language"

    @property
    def known_cookie(self) -> str:
        """The name of the cookie of a browser that has signed in before."""
        return f"{self.session_cookie}-known"


P = ParamSpec("P")
ResultT = TypeVar("ResultT")

NOT_TOLD: Final = "the branch can't do that now; try again later, or ask the technician"
"""A stranger's answer for a fault: where files are and which disk fails is not their concern."""

RETRY_S: Final = "30"
"""After so many seconds what was stuck has ended, one way or the other."""

BY_ITSELF: Final = "hx-request"
"""A header of the requests that our pages make without a user's action."""

STREAM: Final = "text/event-stream"
"""The type that a stream accepts; `log.js` asks for it to learn whether a stream would begin."""


class PageRequest:
    """One request for a page, signed in or not; belongs to the event loop.

    `request` is Starlette's.
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
        """Whether there is a signed-in user."""
        return self._person is not None

    def may(self, permission: Permission) -> bool:
        """Tell whether the user has a permission."""
        return self._person is not None and permits(self._person.role, permission)

    @property
    def path(self) -> str:
        """The requested path, whatever the request says of the host."""
        return path_of(self.request)

    @property
    def in_english(self) -> Words:
        """The words of the pages as they are written."""
        return self._frame.house.words_of(ENGLISH)

    @property
    def client(self) -> str:
        """The client's address; empty where there is none."""
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
        """The key of one day's pseudonyms; see `House.pseudonym_key`."""
        return self._frame.house.pseudonym_key

    def asked(self, name: str) -> str:
        """Return a parameter of the address without blanks around it; empty where absent."""
        return self.request.query_params.get(name, "").strip()

    async def aside(
        self, job: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> ResultT:
        """Run a job that may wait for a disk or another process; return its result."""
        return await self._frame.aside.run(job, *args, **kwargs)

    async def form(self) -> Form:
        """Return the form that was sent; raises InputError."""
        return await read_form(self.request)

    def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """Return a page from a file in `templates/`, which names things from `context`.

        Every template has besides: `_` and `n_` (texts), `words`, `house`, `person`, `may`, `here`
        (the path), `address` (where to see it in another language), `places` (the menu), `done` (a
        key that :meth:`done` was given, or "").
        """
        return HTMLResponse(self._frame.rendered(template, self, context), status)

    def done(self, path: str, what: str) -> Response:
        """Return the answer to a form that did something: go to `path`, a page that reports it.

        `what` is a key of that page's own table of messages.
        """
        return RedirectResponse(f"{path}?done={quote(what)}", HTTPStatus.SEE_OTHER)

    def go(self, path: str) -> Response:
        """Return the answer that sends a browser to another page of ours."""
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)


Page = Callable[[PageRequest], Awaitable[Response]]


class Frame:
    """Makes routes of pages.

    `refused` records what a role was refused, `aside` has the threads for jobs that wait, and `log`
    gets unexpected errors.
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
        """Return the route of a page for users with a permission; others sign in first.

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
        """Return the page for an address that is none of ours, or a method that it doesn't take."""

        async def page(asked: PageRequest) -> Response:
            return asked.page("missing.html", status)

        return await self._answer(request, page, None)

    def words(self, request: Request) -> Words:
        """Return the words in the language of a request."""
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
                    # It is refused, whether that can be recorded or not.
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
    """Tell whether the page asks by itself; that must not keep a session alive.

    A browser alone begins a broken stream again, for as long as the page is open.
    """
    of_page = BY_ITSELF in request.headers or request.headers.get("accept") == STREAM
    return of_page and request.method in {"GET", "HEAD"}


def _failed(asked: PageRequest, error: DoorctlError) -> Response:
    status = 503
    # Strangers get nothing about files and faults.
    is_theirs = asked.signed_in or isinstance(error, InputError | StuckError)
    shown = error if is_theirs else InputError(NOT_TOLD)
    said, english = asked.words.refusal(shown), asked.in_english.refusal(shown)
    if isinstance(error, InputError):
        # What an address names is not there; a mistake in a form can be mended.
        named = asked.request.method in SEEN_BY and asked.request.path_params
        status = HTTPStatus.NOT_FOUND if named else HTTPStatus.UNPROCESSABLE_ENTITY
    stuck, silent = isinstance(error, StuckError), isinstance(error, NotRunningError)
    response = asked.page(
        "failed.html",
        status,
        why=said,
        foreign=said == english and asked.words.language.code != ENGLISH,
        stuck=stuck,
        silent=silent,
        back=page_of(asked.request),
    )
    if stuck:
        response.headers["Retry-After"] = RETRY_S
    return response


A_YEAR_S: Final = 365 * 24 * 3600


def shared_routes(frame: Frame) -> tuple[BaseRoute, ...]:
    """Return the routes of static files and of the choice of a language."""

    async def language(asked: PageRequest) -> Response:
        form = await asked.form()
        response = asked.go(own_path(form.text("next")))
        code = form.text("language")
        if code in frame.languages.known:
            response.set_cookie(
                frame.house.language_cookie,
                code,
                max_age=A_YEAR_S,
                httponly=True,
                samesite="strict",
                secure=frame.house.encrypted,
            )
        return response

    return (
        Mount("/static", StaticPages(), name="static"),
        frame.open("/language", language, methods=("POST",)),
    )
