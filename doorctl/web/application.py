"""The web process's addresses as an ASGI application: pushes for machines, pages for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from doorctl.web.headers import MACHINES, Headed, SameOrigin
from doorctl.web.push_answers import FAULT, NOT_FOUND, WRONG_METHOD
from doorctl.web.tls import certified_only

Missing = Callable[[Request, int], Awaitable[Response]]


def application(
    routes: Iterable[BaseRoute], *, missing: Missing, encrypted: bool, senders_certified: bool
) -> ASGIApp:
    """Return the application; it answers 404 to an unknown address and 405 to a wrong method.

    `missing` makes the page for an unknown address; `encrypted` says whether browsers use HTTPS.
    """
    app = Starlette(
        routes=list(routes),
        exception_handlers={HTTPException: partial(_refused, missing), Exception: _faulty},
    )
    app.router.redirect_slashes = False
    inner: ASGIApp = certified_only(app) if senders_certified else app
    return Headed(SameOrigin(inner), encrypted=encrypted)


async def _refused(missing: Missing, request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - that's what it is registered for
    if not request.scope["path"].startswith(MACHINES):
        if error.status_code == NOT_FOUND.status:
            return await missing(request, NOT_FOUND.status)
        return _plain_page(error.status_code, error.headers)
    refusal = WRONG_METHOD if error.status_code == WRONG_METHOD.status else NOT_FOUND
    return refusal.answer(headers=error.headers)


async def _faulty(request: Request, _error: Exception) -> Response:
    # A bug: the traceback goes to the journal, and the caller learns no more.
    if not request.scope["path"].startswith(MACHINES):
        return _plain_page(HTTPStatus.INTERNAL_SERVER_ERROR)
    return FAULT.answer()


_SAID = {
    405: ("Det kan siden ikke", "The page can't do that"),
    500: ("Fejl i anlægget", "A fault in the system"),
}


def _plain_page(status: int, headers: object = None) -> Response:
    danish, english = _SAID.get(status, ("Det lykkedes ikke", "That did not work"))
    page = (
        f'<!DOCTYPE html><html lang="da"><meta charset="utf-8"><title>{danish}</title>'
        f'<main><h1>{danish}</h1><p lang="en">{english}</p><p><a href="/">doorctl</a></p></main>'
    )
    allowed = dict(headers) if isinstance(headers, dict) else None
    return HTMLResponse(page, status, allowed)
