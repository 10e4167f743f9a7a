"""What changes at the door, on its way to the page: server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

from starlette.responses import PlainTextResponse, Response, StreamingResponse

from doorctl.demo.sight import Sight, Window
from doorctl.web.pages.words import Words

BEAT_S = 10.0
"""Longest silence; a browser whose server is gone notices that it is."""

MOST_PAGES = 16
"""Pages that may listen at a time; a viewer has one or two."""

Shown = Callable[[Sight, Words], Mapping[str, str]]
"""Returns the changing parts of the page as HTML, by the id of the element that they fill."""


class Events:
    """Tells pages what changes. Belongs to the event loop, except :meth:`end`.

    Args:
        window: what is to be seen.
        shown: how it is shown.
    """

    def __init__(self, window: Window, shown: Shown) -> None:
        self._window = window
        self._shown = shown
        self._pages = 0
        self._ended = False

    def answer(self, words: Words) -> Response:
        """Return a stream of events in one language."""
        if self._pages >= MOST_PAGES:
            return PlainTextResponse("Too many pages are open.", 503, {"Retry-After": "5"})
        return StreamingResponse(
            self._stream(words),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    def end(self) -> None:
        """End all streams, so that the server can; from any thread."""
        self._ended = True
        self._window.wake()

    async def _stream(self, words: Words) -> AsyncIterator[str]:
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        known: dict[str, object] = {}
        self._pages += 1
        try:
            with self._window.watched(lambda: _wake(loop, news)):
                yield "retry: 1000\n\n"
                while not self._ended:
                    yield self._event(words, known)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(news.wait(), BEAT_S)
                    news.clear()
        finally:
            self._pages -= 1

    def _event(self, words: Words, known: dict[str, object]) -> str:
        sight = self._window.sight
        state = {"lit": sorted(sight.lit), "beeps": sight.beeps, "plugs": sorted(sight.plugs)}
        now = {"state": state, **self._shown(sight, words)}
        fresh = {name: value for name, value in now.items() if known.get(name) != value}
        known.update(fresh)
        return f"event: sight\ndata: {json.dumps(fresh, ensure_ascii=False)}\n\n"


def _wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    # A loop that is closed has nobody left to tell.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(news.set)
