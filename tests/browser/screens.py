"""Two pages beside the house's: the screen at the door in every state, and the virtual door."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from starlette.types import ASGIApp

from doorctl.config.tables import Tls
from doorctl.core.language import languages
from doorctl.web.listener import listen
from doorctl.web.serving import Server
from doorctl.web.tls import PLAIN
from tests.browser.visitor import VIEWS, View, Visitor, Visitors
from tests.fakes.panel import AT_FIRST
from tests.fakes.waiting import LIMIT_S
from tests.web.panel.screens import SHOWING, STATES
from tests.web.panel.screens import Stage as PanelStage


@contextmanager
def serving(app: ASGIApp, when_stopping: Callable[[], None], tls: Tls = PLAIN) -> Iterator[str]:
    """Yield the address of an application, served from a thread as the web process serves."""
    ready = threading.Event()
    server = Server(
        app,
        tls=tls,
        head_s=LIMIT_S,
        when_ready=ready.set,
        when_stopping=when_stopping,
        alive=lambda: None,
    )
    with closing(listen("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        try:
            assert ready.wait(LIMIT_S)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.stop()
            thread.join(LIMIT_S)
    assert not thread.is_alive()


__all__ = ["PANELS", "STATES", "demo", "panel_of"]

PANELS = (
    View("800x480", 800, height=480, touch=True),
    View("480x800", 480, height=800, touch=True),
)
"""A small touch screen, lying and standing."""


@contextmanager
def panel_of(
    visitors: Visitors, view: View = VIEWS[0], language: str = "da", dropped: Path | None = None
) -> Iterator[tuple[Visitor, Callable[[str], None]]]:
    """Yield somebody at the screen, and what shows one of :data:`STATES` there.

    `view`: how large the screen is; `dropped`: a directory of further catalogues.
    """
    with ExitStack() as stack:
        stage = PanelStage(SHOWING, languages(more=dropped or Path()))
        address = stack.enter_context(serving(stage.app, stage.panel.stop))
        visitor = stack.enter_context(visitors.visitor(None, view, language, address))

        visitor.go(f"/panel?lang={language}&since={AT_FIRST.attempt}")

        def show(name: str) -> None:
            # After another attempt the page would go back to its own language.
            visitor.page.evaluate("document.querySelector('.said').className += ' before'")
            stage.door.show(replace(STATES[name], attempt=AT_FIRST.attempt))
            kind = STATES[name].kind.value
            visitor.page.locator(f"body[data-kind={kind}] .said:not(.before)").wait_for()

        yield visitor, show


@contextmanager
def demo() -> Iterator[str]:
    """Yield where the virtual door is, which stands until the block ends."""
    command = [sys.executable, "-m", "doorctl", "demo", "--port", "0"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout is not None
    try:
        said = iter(process.stdout.readline, "")
        found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in said)
        yield next(match.group() for match in found if match)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
