"""Who has shown a certificate: senders must where there is an authority, browsers need not."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from doorctl.web.answers import UNCERTIFIED
from doorctl.web.pages.headers import MACHINES

CERTIFIED: Final = "doorctl.certified"
"""A key of the scope: whether the other end has shown a certificate that the authority issued."""


class SendersCertified:
    """An application whose addresses for machines are for those alone who show a certificate.

    Where a certificate is shown, the handshake has proved it; a bad one never comes so far.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer those who may ask."""
        if scope["path"].startswith(MACHINES) and not scope.get(CERTIFIED, False):
            await UNCERTIFIED.answer()(scope, receive, send)
            return
        await self._app(scope, receive, send)


class Shown:
    """An application on one connection, told whether a certificate was shown on it."""

    def __init__(self, app: ASGIApp, *, certified: bool) -> None:
        self._app = app
        self._certified = certified

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as the application does."""
        scope[CERTIFIED] = self._certified
        await self._app(scope, receive, send)
