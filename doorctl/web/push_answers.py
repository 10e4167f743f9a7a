"""The answers to a push: what is reported of each error, by which status."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

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

TOLD_PROBLEMS = 20
"""How many problems an answer names; the others mostly have the same reason."""

RETRY_AFTER_S = 5
"""Sent with each 503: longer than a push of changes, shorter than a coffee."""

HEADERS: Final = {"Connection": "close"}
"""A push is rare, and a connection that ends can't be kept occupied."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a refused push is reported: by an HTTP status, and by `result` in answer and log.

    `alarm` is the alarm's kind, where staff have to look at it.
    """

    status: int
    result: str
    alarm: str | None = None

    def answer(
        self, cause: BaseException | None = None, headers: Mapping[str, str] | None = None
    ) -> JSONResponse:
        """Return it as JSON: `result`, and the cause's sentence or its first problems."""
        content: dict[str, Any] = {"error": self.result}
        if isinstance(cause, ProblemsError):
            content["problems"] = [str(problem) for problem in cause.problems[:TOLD_PROBLEMS]]
        elif isinstance(cause, DoorctlError):
            content["why"] = str(cause)
        later = {"Retry-After": str(RETRY_AFTER_S)} if self in {BUSY, STOPPING} else {}
        return JSONResponse(content, self.status, {**HEADERS, **later, **(headers or {})})


BUSY = Refusal(503, "busy")

STOPPING = Refusal(503, "stopping")

FAULT = Refusal(500, "fault")

NOT_FOUND = Refusal(404, "not_found")

UNCERTIFIED = Refusal(401, "uncertified")

WRONG_METHOD = Refusal(405, "wrong_method")


class BusyError(Exception):
    """Another push is coming in, or the branch's own file can't be read now."""


REFUSALS: tuple[tuple[type[BaseException], Refusal], ...] = (
    (BusyError, BUSY),
    # Only a process that stops cancels; the sender is asked to come again.
    (asyncio.CancelledError, STOPPING),
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

REFUSED = tuple(kind for kind, _ in REFUSALS)


def refusal_of(error: BaseException) -> Refusal:
    """Return the refusal for one of :data:`REFUSED`."""
    return next(refusal for kind, refusal in REFUSALS if isinstance(error, kind))


def answer(content: Mapping[str, Any]) -> JSONResponse:
    """Return a 200."""
    return JSONResponse(dict(content), headers=HEADERS)
