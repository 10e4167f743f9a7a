"""The pages of signing in and out, here or elsewhere, and of a user's own account."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, Protocol

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.accounts.password import Password
from doorctl.accounts.roles import Permission
from doorctl.accounts.second_factor import key_uri, new_secret
from doorctl.accounts.session import Token
from doorctl.core.errors import (
    DoorctlError,
    InputError,
    SignInRefusedError,
    SignInWaitsError,
)
from doorctl.core.masked import Masked
from doorctl.web.addresses import AGAIN, ENDED, FACTOR, OWN, SIGN_IN, own_path, places, sign_in_at
from doorctl.web.forms import Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.page_pool import SignInQueue
from doorctl.web.signing_in import SigningIn
from doorctl.web.words import Words

NOT_OURS: Final = "There is no password of this branch's to change."

NO_CLOCK: Final = "The clock of the branch is in doubt, so no second factor can be set up now."

OTHER_CODE: Final = "The code is not the one that the app shows now. Check the telephone's clock."

MINUTE_S: Final = 60

IN_SECONDS_S: Final = 120
"""A shorter wait is given in seconds."""


def waits(words: Words, error: SignInWaitsError) -> str:
    """Return how long to wait, in the page's language: seconds, or minutes rounded up."""
    if error.wait_s < IN_SECONDS_S:
        return words.count(
            "Too many have failed. Wait {n} second, and try again.",
            "Too many have failed. Wait {n} seconds, and try again.",
            error.wait_s,
        )
    return words.count(
        "Too many have failed. Wait {n} minute, and try again.",
        "Too many have failed. Wait {n} minutes, and try again.",
        -(-error.wait_s // MINUTE_S),
    )


SIGN_OUT: Final = "/sign-out"

KNOWN_S: Final = 180 * 24 * 3600
"""How long a browser is known after its last sign-in."""

SAID: Final = frozenset({"out", "everywhere", ENDED, AGAIN})
"""Keys of the messages that the sign-in page shows."""


class Elsewhere(Protocol):
    """Another way to sign in, which an extra adds, with pages of its own."""

    address: str
    """Where it begins; ``?next=`` is the page that the person wants."""

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of its pages."""

    async def signed_out(self, request: PageRequest) -> Response | None:
        """Return a page that leads to the sign-out there; None where there is none."""


class Entrance:
    """Let staff in and out, by a password of the branch's; or `elsewhere`, where there is that."""

    def __init__(
        self, frame: Frame, signing_in: SigningIn, elsewhere: Elsewhere | None = None
    ) -> None:
        self._frame = frame
        self._signing_in = signing_in
        self._turns = {known: SignInQueue() for known in (True, False)}
        """A queue of strangers, and one of browsers that signed in to the account before."""
        self._elsewhere = elsewhere

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        frame, own, may = self._frame, self._own_page, Permission.SEE_NOW
        return (
            frame.open("/", self._start),
            frame.open(SIGN_IN, self._sign_in_page),
            frame.open(SIGN_IN, self._sign_in, methods=("POST",)),
            frame.open(SIGN_OUT, self._sign_out, methods=("POST",)),
            frame.guarded(OWN, own, may),
            frame.form(OWN, self._change, may, own),
            frame.form(FACTOR, self._factor, may, own, fresh=True),
            frame.form(f"{OWN}/end", self._end, may, own, fresh=True),
            frame.guarded(f"{OWN}/everywhere", self._everywhere, may, ("POST",), fresh=True),
            *(() if self._elsewhere is None else self._elsewhere.routes()),
        )

    async def _start(self, request: PageRequest) -> Response:
        if not request.signed_in:
            return request.go(SIGN_IN)
        return request.go(places(request.person.account.role)[0].path)

    async def _sign_in(self, request: PageRequest) -> Response:
        form = await request.form()
        name, signing_in, frame = form.text("name"), self._signing_in, self._frame
        shown, password = self._shown(request), Password(form.exact("password"))
        known = bool(shown) and await request.in_thread(signing_in.knows, name, shown)
        try:
            async with self._turns[known].slot(request.client):
                token = await request.in_thread(
                    signing_in.sign_in, name, password, request.client, shown, form.text("code")
                )
        except SignInRefusedError as error:
            return await self._sign_in_page(request, form, error)
        await self._end_session(request)
        response = signed_in(self._frame, request.go(own_path(form.text("next"))), token)
        cookie = await request.in_thread(signing_in.cookie, name, shown)
        response.set_cookie(frame.cookie("known"), cookie, KNOWN_S, **frame.cookies)
        return response

    def _shown(self, request: PageRequest) -> str:
        return request.http.cookies.get(self._frame.cookie("known"), "")

    async def _sign_in_page(
        self,
        request: PageRequest,
        form: Form | None = None,
        error: SignInRefusedError | None = None,
    ) -> Response:
        codes = await request.in_thread(self._signing_in.asks_codes)
        if error is not None and not isinstance(error, SignInWaitsError):
            # The page never says which part of a sign-in was wrong.
            any_of = "Wrong name, password or code."
            error = SignInRefusedError(any_of if codes else "Wrong name or password.")
        wanted = own_path(request.query("next") if form is None else form.text("next"))
        done = request.query("done")
        return _page(
            request,
            "sign_in.html",
            error,
            name="" if form is None else form.text("name"),
            codes=codes,
            tells_time=self._signing_in.tells_time,
            elsewhere="" if self._elsewhere is None else self._elsewhere.address,
            next=wanted,
            address=sign_in_at(wanted, done if error is None and done in SAID else ""),
        )

    async def _sign_out(self, request: PageRequest) -> Response:
        await self._end_session(request)
        of_provider = request.signed_in and not request.person.account.has_password
        page: Response | None = None
        if of_provider and self._elsewhere is not None:
            page = await self._elsewhere.signed_out(request)
        return signed_out(self._frame, page or request.go(f"{SIGN_IN}?done=out"))

    async def _end_session(self, request: PageRequest) -> None:
        token = session_of(self._frame, request)
        if token is not None:
            await request.in_thread(self._signing_in.sign_out, token)

    async def _end(self, request: PageRequest, form: Form) -> Response:
        await request.in_thread(self._signing_in.end, request.by, form.text("session"))
        return request.done(OWN, "ended")

    async def _own_page(
        self,
        request: PageRequest,
        _form: Form | None = None,
        error: InputError | SignInWaitsError | None = None,
    ) -> Response:
        own = session_of(self._frame, request)
        return _page(
            request,
            "me.html",
            error,
            sessions=await request.in_thread(self._signing_in.sessions, request.by),
            ago=lambda seconds: request.now - timedelta(seconds=seconds),
            here="" if own is None else own.digest.hex(),
            tells_time=self._signing_in.tells_time,
        )

    async def _factor(self, request: PageRequest, form: Form) -> Response:
        if not request.person.account.has_password or not self._signing_in.tells_time:
            raise InputError(NO_CLOCK if request.person.account.has_password else NOT_OURS)
        secret, code = new_secret(form.text("secret")), form.text("code")
        if not code:
            return self._factor_page(request, secret)
        token = Token(request.http.cookies[self._frame.cookie()])
        try:
            renewed, codes = await request.in_thread(self._signing_in.enrol, token, secret, code)
        except InputError:
            return self._factor_page(request, secret, InputError(OTHER_CODE))
        page = request.page("me_factor.html", codes=[code.reveal() for code in codes])
        return signed_in(self._frame, page, renewed)

    def _factor_page(
        self, request: PageRequest, secret: Masked[str], error: InputError | None = None
    ) -> Response:
        # Imported here to save memory: only this page needs it.
        import segno

        uri = key_uri(secret, request.by, self._frame.app.config.branch.name)
        return _page(
            request,
            "me_factor.html",
            error,
            codes=(),
            secret=secret.reveal(),
            picture=segno.make_qr(uri.reveal()).svg_inline(scale=5, light="#fff", omitsize=False),
        )

    async def _change(self, request: PageRequest, form: Form) -> Response:
        if not request.person.account.has_password:
            raise InputError(NOT_OURS)
        if form.exact("new") != form.exact("again"):
            raise InputError("The two new passwords differ.")
        try:
            token = await request.in_thread(
                self._signing_in.change_password,
                Token(request.http.cookies[self._frame.cookie()]),
                Password(form.exact("old")),
                Password(form.exact("new")),
                request.client,
                self._shown(request),
                code=form.text("code"),
            )
        except SignInWaitsError as error:
            return await self._own_page(request, form, error)
        except SignInRefusedError:
            either = "The password that you have now or the code is another one."
            factor = request.person.account.second_factor
            text = either if factor else "The password that you have now is another one."
            raise InputError(text) from None
        return signed_in(self._frame, request.done(OWN, "changed"), token)

    async def _everywhere(self, request: PageRequest) -> Response:
        await request.in_thread(self._signing_in.sign_out_everywhere, request.by)
        return signed_out(self._frame, request.go(f"{SIGN_IN}?done=everywhere"))


def session_of(frame: Frame, request: PageRequest) -> Token | None:
    """Return the session token that a browser sends, valid or not; None where it sends none."""
    token = request.http.cookies.get(frame.cookie())
    return Token(token) if token else None


def signed_in(frame: Frame, response: Response, token: Token) -> Response:
    """Add the session's cookie to a response: for this host, until the browser is closed."""
    response.set_cookie(frame.cookie(), token.reveal(), **frame.cookies)
    return response


def signed_out(frame: Frame, response: Response) -> Response:
    """Make a response delete the browser's session, and what it may have kept of pages."""
    response.delete_cookie(frame.cookie(), **frame.cookies)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def _page(
    request: PageRequest, template: str, error: DoorctlError | None, **context: Any
) -> Response:
    """Return a page that says what was refused, if anything was, and when to try again."""
    if isinstance(error, SignInWaitsError):
        status, wrong = HTTPStatus.TOO_MANY_REQUESTS, waits(request.words, error)
        response = request.page(template, status, wrong=wrong, **context)
        response.headers["Retry-After"] = str(error.wait_s)
        return response
    forbidden = HTTPStatus.FORBIDDEN if isinstance(error, SignInRefusedError) else None
    return request.page(template, forbidden, wrong=request.words.refusal(error), **context)
