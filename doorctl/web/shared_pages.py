"""Pages for everybody: static files, the handbook and the choice of a language."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount

from doorctl.core.language import ENGLISH
from doorctl.web.addresses import own_path
from doorctl.web.controller import filled
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.rendering import WEB, StaticPages

A_YEAR_S: Final = 365 * 24 * 3600

HANDBOOK: Final = WEB.parent / "handbook"
"""A folder for each language; ``python -m tests.docs.diagrams`` makes the pages of its texts."""


def handbook(language: str, name: str) -> tuple[str, str] | None:
    """Return title and HTML of a page of the handbook, in English where there is no other.

    None: there is no such page. May wait for a disk.
    """
    for folder in (HANDBOOK / language, HANDBOOK / ENGLISH) if name.isalpha() else ():
        with suppress(OSError):
            title, _, text = (folder / f"{name}.html").read_text("utf-8").partition("\n")
            return title, text
    return None


def shared_routes(frame: Frame) -> tuple[BaseRoute, ...]:
    """Return the routes of static files, of the handbook and of the choice of a language."""

    async def help_page(request: PageRequest) -> Response:
        name = request.http.path_params.get("page", "index")
        page = await request.in_thread(handbook, request.words.language.code, name)
        if page is None:
            return request.page("missing.html", HTTPStatus.NOT_FOUND)
        text = filled(page[1], request.words, frame.app.config)
        return request.page("help.html", name=name, heading=page[0], text=text)

    async def language(request: PageRequest) -> Response:
        form = await request.form()
        response = request.go(own_path(form.text("next")))
        code = form.text("language")
        if code in frame.languages.known:
            response.set_cookie(frame.cookie("language"), code, A_YEAR_S, **frame.cookies)
        return response

    return (
        Mount("/static", StaticPages(), name="static"),
        frame.open("/help", help_page),
        frame.open("/help/{page}", help_page),
        frame.open("/language", language, methods=("POST",)),
    )
