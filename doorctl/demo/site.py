"""The demo's own web server: one page, on this machine only, beside the terminal."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress

from starlette.applications import Starlette
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from doorctl.demo.page import HOST, DemoPage
from doorctl.errors import DeviceError
from doorctl.web.pages.headers import Headed, SameOrigin
from doorctl.web.pages.routes import shared_routes
from doorctl.web.serving import Server, listen

HOSTS = (HOST, "localhost")
"""What a browser on this machine may call it; any other name was made to lead here."""

HEAD_LIMIT_S = 30.0
START_LIMIT_S = 30.0


def site(page: DemoPage) -> ASGIApp:
    """Return the application around the page, with the headers of every page."""
    app = Starlette(routes=[*shared_routes(page.frame), *page.routes()])
    app.router.redirect_slashes = False
    return Headed(
        TrustedHostMiddleware(SameOrigin(app), HOSTS, www_redirect=False), encrypted=False
    )


def bound(port: int) -> socket.socket:
    """Return a socket on the port, or on a free one where it is taken."""
    with suppress(DeviceError):
        return listen(HOST, port)
    return listen(HOST, 0)


class Site:
    """Serves from a thread. One thread calls it.

    Args:
        app: what is served.
        page: whose events have to end first.
        listener: bound; closed at the end.
    """

    def __init__(self, app: ASGIApp, page: DemoPage, listener: socket.socket) -> None:
        self._listener = listener
        self._ready = threading.Event()
        self._server = Server(
            app,
            None,
            head_s=HEAD_LIMIT_S,
            when_ready=self._ready.set,
            when_stopping=page.events.end,
            alive=lambda: None,
        )
        # A daemon: where the terminal's side fails, this one ends with the process.
        self._thread = threading.Thread(target=self._run, name="site", daemon=True)

    def start(self) -> None:
        """Answer from now on.

        Raises:
            DeviceError: it does not come up.
        """
        self._thread.start()
        if not self._ready.wait(START_LIMIT_S):
            raise DeviceError("the page can't be served")

    def stop(self) -> None:
        """End the streams and the server, and wait for it."""
        self._server.stop()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve([self._listener]))
