"""How each end of a push is reported in HTTP, in the log and by an alarm: one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from doorctl.core.errors import (
    DoorctlError,
    ProblemsError,
    PushConflictError,
    PushGuardedError,
    PushInvalidError,
    PushOutOfOrderError,
    PushTooLargeError,
    PushUnsignedError,
    RowsClashError,
    StoreError,
)
from doorctl.web.frame.headers import MACHINES

TOLD_PROBLEMS = 20
"""How many problems an answer names; the others mostly have the same reason."""

RETRY_AFTER_S = 5
"""Sent with each 503: longer than a push of changes, shorter than a coffee."""

HEADERS: Final = {
    "Cache-Control": "no-store",
    # A push is rare, and a connection that ends is one that nobody can hold on to.
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a refused push is reported: by an HTTP status, and by `result` in answer and log.

    `alarm` is the alarm's kind, where staff have to look at it.
    """

    status: int
    result: str
    alarm: str | None = None

    def answer(
        self, cause: Exception | None = None, headers: Mapping[str, str] | None = None
    ) -> JSONResponse:
        """Return it as JSON: `result`, and the cause's sentence or its first problems."""
        content: dict[str, Any] = {"error": self.result}
        if isinstance(cause, ProblemsError):
            content["problems"] = [str(problem) for problem in cause.problems[:TOLD_PROBLEMS]]
        elif isinstance(cause, DoorctlError):
            content["why"] = str(cause)
        later = (
            {"Retry-After": str(RETRY_AFTER_S)}
            if self.status == HTTPStatus.SERVICE_UNAVAILABLE
            else {}
        )
        return JSONResponse(content, self.status, {**HEADERS, **later, **(headers or {})})


BUSY = Refusal(503, "busy")
STOPPING = Refusal(503, "stopping")
FAULT = Refusal(500, "fault")
NOT_FOUND = Refusal(404, "not_found")
UNCERTIFIED = Refusal(401, "uncertified")
WRONG_METHOD = Refusal(405, "wrong_method")

REFUSALS: tuple[tuple[type[Exception], Refusal], ...] = (
    (PushUnsignedError, Refusal(401, "unsigned")),
    (PushConflictError, Refusal(409, "conflict", "push_conflict")),
    (PushOutOfOrderError, Refusal(409, "out_of_order")),
    (PushTooLargeError, Refusal(413, "too_large")),
    (PushGuardedError, Refusal(422, "guarded", "push_guarded")),
    (PushInvalidError, Refusal(422, "invalid")),
    (TimeoutError, Refusal(408, "too_slow")),
    (ClientDisconnect, Refusal(400, "cut_off")),
    (RowsClashError, Refusal(422, "invalid")),
    (StoreError, Refusal(500, "failed", "patron_cache_failing")),
)
"""The refusal of each error; the first match counts."""

REFUSED: tuple[type[Exception], ...] = tuple(kind for kind, _ in REFUSALS)


def refusal_of(error: Exception) -> Refusal:
    """Return the refusal for one of :data:`REFUSED`."""
    return next(refusal for kind, refusal in REFUSALS if isinstance(error, kind))


def answer(content: Mapping[str, Any]) -> JSONResponse:
    """Return a 200."""
    return JSONResponse(dict(content), headers=HEADERS)


# Senders must show a certificate where there is an authority, browsers need not.

CERTIFIED: Final = "doorctl.certified"
"""A key of the scope: whether the other end has shown a certificate that the authority issued."""


class SendersCertified:
    """An application that serves its machine addresses only to senders with a certificate.

    The TLS handshake checks a certificate that is shown, and ends where it is bad.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse a sender without a certificate."""
        if scope["path"].startswith(MACHINES) and not scope.get(CERTIFIED, False):
            await UNCERTIFIED.answer()(scope, receive, send)
            return
        await self._app(scope, receive, send)


class Shown:
    """An application on one connection; its scope says whether a certificate was shown there."""

    def __init__(self, app: ASGIApp, *, certified: bool) -> None:
        self._app = app
        self._certified = certified

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as the application does."""
        scope[CERTIFIED] = self._certified
        await self._app(scope, receive, send)
