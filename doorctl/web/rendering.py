"""Templates, whose values are escaped, and the static files that come with doorctl."""

from __future__ import annotations

import gc
import hashlib
import secrets
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

WEB: Final = Path(__file__).parent

STATIC: Final = WEB / "static"

A_DAY: Final = "public, max-age=86400"

FOR_EVER: Final = "public, max-age=31536000, immutable"


class Templates:
    """The pages' templates; each is compiled once and kept. Extras bring theirs in `further`."""

    def __init__(self, *further: Path, directory: Path = WEB / "templates") -> None:
        self._environment = _environment(directory, *further)

    def compile_all(self) -> None:
        """Compile the templates of a branch, so that no page waits 0.1 s for it later.

        The compiler's memory can be given back then: 2.3 MB (measured). On any thread.
        """
        for name in self._environment.list_templates(
            filter_func=lambda name: name.endswith(".html") and not name.startswith("demo")
        ):
            self._environment.get_template(name)

    def render(self, name: str, context: dict[str, Any]) -> str:
        """Return a page; a name that is missing from `context` is a bug."""
        page = self._environment.get_template(name).render(context)
        # Macros and rows hold each other: what waits for the collector takes 3 MB (measured).
        gc.collect(1)
        return page


@cache
def _environment(*folders: Path) -> Environment:
    """Return what compiles the templates of these folders and keeps them; a process has one."""
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = static_address
    environment.globals["once"] = partial(secrets.token_urlsafe, 9)
    return environment


@cache
def static_address(name: str) -> str:
    """Return the address of a file of `static/`; it changes with the file."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:8]
    return f"/static/{name}?v={digest}"


class StaticPages(StaticFiles):
    """The files of `static/`; an answer to a :func:`static_address` may be kept for ever."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file."""
        response = await super().get_response(path, scope)
        versioned = scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = FOR_EVER if versioned else A_DAY
        if response.media_type == "image/svg+xml":
            response.headers["Content-Type"] = f"{response.media_type}; charset=utf-8"
        return response
