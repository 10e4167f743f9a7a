"""The pages by which a browser is sent to the identity provider, and taken back."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from doorctl.accounts.session import Token
from doorctl.core.errors import IdentityProviderError, InputError, SignInRefusedError
from doorctl.extras.oidc import BACK, MUNICIPALITY
from doorctl.extras.oidc.signing_in import ProviderSigningIn
from doorctl.web.addresses import own_path, sign_in_at
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.page_pool import SignInQueue
from doorctl.web.staff.entrance import session_of, signed_in

BEGUN_S: Final = 600
"""Longest time that a sign-in at the provider may take."""

TOLD_EVERY_S: Final = 60.0
"""The journal gets at most one line in this time, however often strangers ask."""

ELSEWHERE: Final = frozenset({"cross-site", "same-site"})
"""The values of `Sec-Fetch-Site` for a link on another site's page."""

STOPPED: Final = "the municipality did not sign you in, or you stopped there"
UNSURE: Final = "the municipality's sign-in can't be reached, or can't be believed; try again later"


class Municipality:
    """Sends a browser to the provider, and takes it back; implements `Elsewhere`.

    The way back is the only address that signs in by GET, because the provider sends browsers back
    by a link. Its code counts once, and only in the browser that began.
    """

    address = MUNICIPALITY

    def __init__(self, frame: Frame, signing_in: ProviderSigningIn) -> None:
        self._frame = frame
        self._signing_in = signing_in
        self._leaving = SignInQueue()
        # A link of another site leads back, with which no browser sends a strict cookie.
        self._lax_cookies = frame.cookies | {"samesite": "lax"}
        self._logged_s = float("-inf")

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        return (
            self._frame.open(MUNICIPALITY, self._begin),
            self._frame.open(BACK, self._back),
        )

    async def signed_out(self, request: PageRequest) -> Response | None:
        """Return a page that leads to the sign-out there; None where there is none."""
        site = await request.in_thread(self._signing_in.way_out)
        if not site:
            return None
        # A page and no redirect: the policy lets no form's answer redirect to another site.
        return request.page("municipality.html", why="", back=site, address="/", out=True)

    async def _begin(self, request: PageRequest) -> Response:
        back = own_path(request.query("next"))
        if request.http.headers.get("sec-fetch-site") in ELSEWHERE:
            # Such a link brings no strict cookie, so an old session could not be ended.
            return request.go(sign_in_at(back))
        session = session_of(self._frame, request)
        try:
            async with self._leaving.slot(request.client):
                address, kept = await request.in_thread(self._signing_in.begin, back, session)
        except IdentityProviderError as error:
            return self._unsure(request, back, error)
        response = RedirectResponse(address, 303)
        response.set_cookie(
            self._frame.cookie("begun"), kept.reveal(), BEGUN_S, **self._lax_cookies
        )
        return response

    async def _back(self, request: PageRequest) -> Response:
        response = await self._finished(request)
        response.delete_cookie(self._frame.cookie("begun"), **self._lax_cookies)
        return response

    async def _finished(self, request: PageRequest) -> Response:
        kept = Token(request.http.cookies.get(self._frame.cookie("begun"), ""))
        wanted = self._signing_in.wanted(kept)
        if request.query("error"):
            self._signing_in.stop(kept)
            # The provider's text is not shown: anybody can write such an address.
            return _refused(request, 403, wanted, STOPPED)
        state, code = request.query("state"), request.query("code")
        finish = self._signing_in.finish
        try:
            async with self._leaving.slot(request.client):
                token, back = await request.in_thread(finish, kept, state=state, code=code)
        except (SignInRefusedError, InputError) as error:
            status = 422 if isinstance(error, InputError) else 403
            return _refused(request, status, wanted, str(error))
        except IdentityProviderError as error:
            return self._unsure(request, wanted, error)
        # A page and no redirect: with one, a browser that comes from elsewhere would not yet send
        # the session's strict cookie.
        return signed_in(
            self._frame, request.page("municipality.html", why="", back=back, address=back), token
        )

    def _unsure(self, request: PageRequest, back: str, error: IdentityProviderError) -> Response:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._logged_s >= TOLD_EVERY_S:
            self._logged_s = now_s
            self._frame.log.emit("identity_provider", why=str(error))
        return _refused(request, 503, back, UNSURE, more=str(error))


def _refused(
    request: PageRequest, status: int, back: str, why: str, more: str | None = None
) -> Response:
    """Return a page that says why, with links to the other ways to sign in."""
    context = {"why": why, "back": back, "more": more, "address": sign_in_at(back)}
    return request.page("municipality.html", status, **context)
