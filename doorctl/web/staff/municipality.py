"""Signing in by the municipality's identity provider: there, and back with a proof."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from doorctl.accounts.sessions import Token
from doorctl.errors import IdentityProviderError, InputError, SignInRefusedError
from doorctl.web.pages.addresses import own_path, sign_in_at
from doorctl.web.pages.aside import Turns
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.staff.entrance import session_of, signed_in

PAGE: Final = "/sign-in/municipality"
BACK: Final = f"{PAGE}/back"

BEGUN_S: Final = 600
"""So long somebody may take to sign in there."""

TOLD_EVERY_S: Final = 60.0
"""One line in the journal in so long, whatever strangers ask."""

ELSEWHERE: Final = frozenset({"cross-site", "same-site"})
"""What a browser says of a link that stood on somebody else's page."""

STOPPED: Final = "the municipality did not sign you in, or you stopped there"
UNSURE: Final = "the municipality's sign-in can't be reached, or can't be believed; try again later"


class Municipality(Protocol):
    """The identity provider, and the sign-ins that are under way. Thread-safe."""

    def begin_oidc(self, back: str, session: Token | None, address: str) -> tuple[str, Token]:
        """Return where to send the browser, and what it has to bring back in a cookie."""

    def wanted_oidc(self, kept: Token) -> str:
        """Return the path where whoever began wanted to go, "/" if it is over; never waits."""

    def stop_oidc(self, kept: Token) -> None:
        """Forget a sign-in that came to nothing; never waits."""

    def finish_oidc(self, kept: Token, *, state: str, code: str) -> tuple[Token, str]:
        """Sign in who came back, and end the session that there was; return token and path."""


class MunicipalityPages:
    """Send a browser to the provider and take it back.

    The way back is the one address that signs in by GET: the provider's protocol sends browsers by
    links. What it brings counts once, and only in the browser that began.

    Args:
        frame: around each page.
        provider: knows the sign-ins that are under way.
    """

    def __init__(self, frame: Frame, provider: Municipality) -> None:
        self._frame = frame
        self._provider = provider
        self._turns = Turns()
        self._told_s = float("-inf")

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return them."""
        return (self._frame.open(PAGE, self._begin), self._frame.open(BACK, self._back))

    @property
    def _cookie(self) -> str:
        return "__Host-doorctl-begun" if self._frame.house.encrypted else "doorctl-begun"

    async def _begin(self, asked: PageRequest) -> Response:
        back = own_path(asked.asked("next"))
        if asked.request.headers.get("sec-fetch-site") in ELSEWHERE:
            # Such a link brings no strict cookie, so an old session could not be ended.
            return asked.go(sign_in_at(back))
        session = session_of(self._frame, asked)
        try:
            async with self._turns.one():
                address, kept = await asked.aside(
                    self._provider.begin_oidc, back, session, asked.client
                )
        except IdentityProviderError as error:
            return self._unsure(asked, back, error)
        response = RedirectResponse(address, 303)
        # Lax: the way back is a link of another site, with which a strict cookie is not sent.
        response.set_cookie(
            self._cookie,
            kept.reveal(),
            max_age=BEGUN_S,
            httponly=True,
            samesite="lax",
            secure=self._frame.house.encrypted,
        )
        return response

    async def _back(self, asked: PageRequest) -> Response:
        response = await self._finished(asked)
        response.delete_cookie(
            self._cookie, httponly=True, samesite="lax", secure=self._frame.house.encrypted
        )
        return response

    async def _finished(self, asked: PageRequest) -> Response:
        kept = Token(asked.request.cookies.get(self._cookie, ""))
        wanted = self._provider.wanted_oidc(kept)
        if asked.asked("error"):
            self._provider.stop_oidc(kept)
            # What it says of it is not shown: anybody can write such an address.
            return _refused(asked, 403, wanted, STOPPED)
        state, code = asked.asked("state"), asked.asked("code")
        try:
            async with self._turns.one():
                token, back = await asked.aside(
                    self._provider.finish_oidc, kept, state=state, code=code
                )
        except SignInRefusedError as error:
            return _refused(asked, 403, wanted, str(error))
        except InputError as error:
            return _refused(asked, 422, wanted, str(error))
        except IdentityProviderError as error:
            return self._unsure(asked, wanted, error)
        # A page and no redirect: with one, a browser that comes from elsewhere would not yet send
        # the session's strict cookie.
        return signed_in(
            self._frame, asked.page("municipality.html", why="", back=back, address=back), token
        )

    def _unsure(self, asked: PageRequest, back: str, error: IdentityProviderError) -> Response:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s >= TOLD_EVERY_S:
            self._told_s = now_s
            self._frame.log.emit("identity_provider", why=str(error))
        return _refused(asked, 503, back, UNSURE, more=str(error))


def _refused(
    asked: PageRequest, status: int, back: str, why: str, more: str | None = None
) -> Response:
    """Return a page that says why, and leads to the other ways in and on to where one wanted."""
    context = {"why": why, "back": back, "more": more, "address": sign_in_at(back)}
    return asked.page("municipality.html", status, **context)
