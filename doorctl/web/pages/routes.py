"""What every page leans on: the files beside them, and the choice of a language."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount

from doorctl.web.pages.addresses import own_path
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.templates import StaticPages

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
