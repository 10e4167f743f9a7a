"""Signing in and out, and one's own password: the only pages that touch the session's cookie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.accounts import second_factor
from doorctl.accounts.account import Origin
from doorctl.accounts.passwords import Password
from doorctl.accounts.roles import Permission
from doorctl.accounts.sessions import Token
from doorctl.accounts.signing_in import SigningIn
from doorctl.errors import InputError, SignInRefusedError, SignInWaitsError
from doorctl.masked import Masked
from doorctl.web.pages.addresses import AGAIN, ENDED, FACTOR, OWN, SIGN_IN, own_path, sign_in_at
from doorctl.web.pages.aside import Turns
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.navigation import places
from doorctl.web.pages.words import Words
from doorctl.web.staff.entrance_words import REFUSED, not_taken, waits

SIGN_OUT: Final = "/sign-out"

KNOWN_S: Final = 180 * 24 * 3600
"""So long a browser is known in which nobody signs in."""

SAID: Final = frozenset({"out", "everywhere", ENDED, AGAIN})
"""Keys of what the page of signing in tells."""


@dataclass(frozen=True, slots=True)
class _Refused:
    text: str
    status: int = HTTPStatus.FORBIDDEN
    wait_s: int = 0


class Entrance:
    """Let staff in and out.

    Args:
        frame: around each page.
        signing_in: knows accounts and sessions; blocks.
        way_out: returns where a browser signs out at the municipality's identity provider, ""
            for nowhere; blocks.
    """

    def __init__(
        self, frame: Frame, signing_in: SigningIn, way_out: Callable[[], str] = lambda: ""
    ) -> None:
        self._frame = frame
        self._signing_in = signing_in
        self._way_out = way_out
        self._turns = {known: Turns() for known in (True, False)}
        """A line of strangers, and one of browsers that have signed in to the account before."""

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return them."""
        frame = self._frame
        return (
            frame.open("/", self._start),
            frame.open(SIGN_IN, self._form),
            frame.open(SIGN_IN, self._sign_in, methods=("POST",)),
            frame.open(SIGN_OUT, self._sign_out, methods=("POST",)),
            frame.guarded(OWN, self._own, Permission.SEE_NOW),
            frame.guarded(OWN, self._change, Permission.SEE_NOW, methods=("POST",)),
            frame.guarded(FACTOR, self._factor, Permission.SEE_NOW, ("POST",), fresh=True),
            frame.guarded(f"{OWN}/end", self._end, Permission.SEE_NOW, ("POST",), fresh=True),
            frame.guarded(
                f"{OWN}/everywhere", self._everywhere, Permission.SEE_NOW, ("POST",), fresh=True
            ),
        )

    async def _start(self, asked: PageRequest) -> Response:
        if not asked.signed_in:
            return asked.go(SIGN_IN)
        return asked.go(places(asked.person.role)[0].path)

    async def _form(self, asked: PageRequest) -> Response:
        return await self._sign_in_page(asked, asked.asked("next"))

    async def _sign_in(self, asked: PageRequest) -> Response:
        form = await asked.form()
        name, back = form.text("name"), form.text("next")
        shown = self._shown(asked)
        known = bool(shown) and await asked.aside(self._signing_in.knows, name, shown)
        password = Password(form.exact("password"))
        try:
            async with self._turns[known].one():
                token = await asked.aside(
                    self._signing_in.sign_in, name, password, asked.client, shown, form.text("code")
                )
        except (SignInWaitsError, SignInRefusedError) as error:
            return await self._sign_in_page(asked, back, error, name)
        await self._end_session(asked)
        response = signed_in(self._frame, asked.go(own_path(back)), token)
        return await self._remembered(asked, response, name, shown)

    def _shown(self, asked: PageRequest) -> str:
        return asked.request.cookies.get(self._frame.house.known_cookie, "")

    async def _remembered(
        self, asked: PageRequest, response: Response, name: str, shown: str
    ) -> Response:
        house = self._frame.house
        response.set_cookie(
            house.known_cookie,
            await asked.aside(self._signing_in.cookie, name, shown),
            max_age=KNOWN_S,
            httponly=True,
            samesite="strict",
            secure=house.encrypted,
        )
        return response

    async def _sign_in_page(
        self,
        asked: PageRequest,
        back: str,
        error: SignInRefusedError | SignInWaitsError | None = None,
        name: str = "",
    ) -> Response:
        codes = await asked.aside(self._signing_in.asks_codes)
        wrong = "any" if codes else "wrong"
        refused = None if error is None else _refusal(asked.words, error, wrong)
        status = HTTPStatus.OK if refused is None else refused.status
        wanted, done = own_path(back), asked.asked("done")
        told = done if refused is None and done in SAID else ""
        response = asked.page(
            "sign_in.html",
            status,
            refused=refused,
            name=name,
            codes=codes,
            tells_time=self._signing_in.tells_time,
            next=wanted,
            address=sign_in_at(wanted, told),
        )
        return _with_wait(response, refused)

    async def _sign_out(self, asked: PageRequest) -> Response:
        await self._end_session(asked)
        of_provider = asked.signed_in and asked.person.origin is Origin.PROVIDER
        leads = await asked.aside(self._way_out) if of_provider else ""
        if not leads:
            return signed_out(self._frame, asked.go(f"{SIGN_IN}?done=out"))
        # A page and no redirect: of a form's answer the policy lets none lead elsewhere.
        return signed_out(
            self._frame, asked.page("municipality.html", why="", back=leads, address="/", out=True)
        )

    async def _end_session(self, asked: PageRequest) -> None:
        token = session_of(self._frame, asked)
        if token is not None:
            await asked.aside(self._signing_in.sign_out, token)

    async def _own(self, asked: PageRequest) -> Response:
        return await self._own_page(asked)

    async def _end(self, asked: PageRequest) -> Response:
        form = await asked.form()
        await asked.aside(self._signing_in.end, asked.by, form.text("session"))
        return asked.done(OWN, "ended")

    async def _own_page(self, asked: PageRequest, refused: _Refused | None = None) -> Response:
        status = HTTPStatus.OK if refused is None else refused.status
        own = session_of(self._frame, asked)
        here = "" if own is None else own.digest.hex()
        sessions = [
            {
                "number": one.number,
                "here": one.number == here,
                "began": asked.now - timedelta(seconds=one.began_s),
                "seen": asked.now - timedelta(seconds=one.seen_s),
            }
            for one in await asked.aside(self._signing_in.sessions, asked.by)
        ]
        return _with_wait(
            asked.page(
                "me.html",
                status,
                refused=refused,
                sessions=sessions,
                tells_time=self._signing_in.tells_time,
            ),
            refused,
        )

    async def _factor(self, asked: PageRequest) -> Response:
        form, signing_in = await asked.form(), self._signing_in
        if not asked.person.has_password or not signing_in.tells_time:
            wrong = "clock" if asked.person.has_password else "elsewhere"
            return await self._own_page(asked, _wrong(asked, wrong))
        secret = second_factor.new_secret(form.text("secret"))
        if not form.text("code"):
            return self._factor_page(asked, secret)
        token = Token(asked.request.cookies[self._frame.house.session_cookie])
        try:
            new_token, codes = await asked.aside(signing_in.enrol, token, secret, form.text("code"))
        except InputError:
            return self._factor_page(asked, secret, _wrong(asked, "code"))
        shown = asked.page("me_factor.html", codes=[one.reveal() for one in codes], refused=None)
        return signed_in(self._frame, shown, new_token)

    def _factor_page(
        self, asked: PageRequest, secret: Masked[str], refused: _Refused | None = None
    ) -> Response:
        # Of all processes' memory only this page needs it.
        import segno  # noqa: PLC0415 - as said

        uri = second_factor.key_uri(secret, asked.by, self._frame.house.name)
        return asked.page(
            "me_factor.html",
            HTTPStatus.OK if refused is None else refused.status,
            codes=(),
            refused=refused,
            secret=secret.reveal(),
            picture=segno.make_qr(uri.reveal()).svg_inline(scale=5, light="#fff", omitsize=False),
        )

    async def _change(self, asked: PageRequest) -> Response:
        form = await asked.form()
        if not asked.person.has_password:
            return await self._own_page(asked, _wrong(asked, "elsewhere"))
        old, new = Password(form.exact("old")), Password(form.exact("new"))
        if form.exact("new") != form.exact("again"):
            return await self._own_page(asked, _wrong(asked, "twice"))
        token = Token(asked.request.cookies[self._frame.house.session_cookie])
        try:
            new_token = await asked.aside(
                self._signing_in.change_password,
                token,
                old,
                new,
                asked.client,
                self._shown(asked),
                code=form.text("code"),
            )
        except SignInWaitsError as error:
            return await self._own_page(asked, _refusal(asked.words, error))
        except SignInRefusedError:
            wrong = "both" if asked.person.second_factor else "old"
            return await self._own_page(asked, _wrong(asked, wrong))
        except InputError as error:
            said = not_taken(asked.words, error)
            return await self._own_page(asked, _Refused(said, HTTPStatus.UNPROCESSABLE_ENTITY))
        return signed_in(self._frame, asked.done(OWN, "changed"), new_token)

    async def _everywhere(self, asked: PageRequest) -> Response:
        await asked.aside(self._signing_in.sign_out_everywhere, asked.by)
        return signed_out(self._frame, asked.go(f"{SIGN_IN}?done=everywhere"))


def session_of(frame: Frame, asked: PageRequest) -> Token | None:
    """Return what a browser shows as its session, living or not; None for nothing."""
    token = asked.request.cookies.get(frame.house.session_cookie)
    return Token(token) if token else None


def signed_in(frame: Frame, response: Response, token: Token) -> Response:
    """Return a response that gives a browser its session: for this host, until it is closed."""
    response.set_cookie(
        frame.house.session_cookie,
        token.reveal(),
        httponly=True,
        samesite="strict",
        secure=frame.house.encrypted,
    )
    return response


def signed_out(frame: Frame, response: Response) -> Response:
    """Return a response that takes a browser's session, and what it may have kept of pages."""
    response.delete_cookie(
        frame.house.session_cookie, httponly=True, samesite="strict", secure=frame.house.encrypted
    )
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def _with_wait(response: Response, refused: _Refused | None) -> Response:
    if refused is not None and refused.wait_s:
        response.headers["Retry-After"] = str(refused.wait_s)
    return response


def _wrong(asked: PageRequest, what: str) -> _Refused:
    return _Refused(asked.words.say(REFUSED[what]), HTTPStatus.UNPROCESSABLE_ENTITY)


def _refusal(
    words: Words, error: SignInRefusedError | SignInWaitsError, wrong: str = "wrong"
) -> _Refused:
    if isinstance(error, SignInWaitsError):
        return _Refused(waits(words, error), HTTPStatus.TOO_MANY_REQUESTS, error.wait_s)
    return _Refused(words.say(REFUSED[wrong]))
