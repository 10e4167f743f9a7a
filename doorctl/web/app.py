"""The web process's addresses, as an ASGI application; every answer is JSON."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from doorctl.web.answers import FAULT, NOT_FOUND, WRONG_METHOD
from doorctl.web.pushes import Pushes


def application(pushes: Pushes) -> Starlette:
    """Return the application; what it doesn't know is 404, and 405 for the method."""
    app = Starlette(
        routes=[
            Route("/v1/patrons", pushes.snapshot, methods=["PUT"]),
            Route("/v1/patrons/changes", pushes.changes, methods=["POST"]),
            Route("/v1/patrons/epoch", pushes.epoch, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _refused, Exception: _faulty},
    )
    app.router.redirect_slashes = False
    return app


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - that's what it is registered for
    refusal = WRONG_METHOD if error.status_code == WRONG_METHOD.status else NOT_FOUND
    return refusal.answer(headers=error.headers)


async def _faulty(_request: Request, _error: Exception) -> Response:
    # A bug of ours: the traceback goes to the journal, the sender learns no more than that.
    return FAULT.answer()
