"""An application of this process, served to a real browser."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from starlette.types import ASGIApp

from doorctl.config.tables import Tls
from doorctl.web.serving import PLAIN, Server, listen

START_LIMIT_S = 30.0


@contextmanager
def serving(app: ASGIApp, when_stopping: Callable[[], None], tls: Tls = PLAIN) -> Iterator[str]:
    """Yield the address of an application, served from a thread as the web process serves."""
    ready = threading.Event()
    server = Server(
        app,
        tls=tls,
        head_s=START_LIMIT_S,
        when_ready=ready.set,
        when_stopping=when_stopping,
        alive=lambda: None,
    )
    with closing(listen("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        try:
            assert ready.wait(START_LIMIT_S)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.stop()
            thread.join(START_LIMIT_S)
    assert not thread.is_alive()
