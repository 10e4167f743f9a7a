"""What the stand-ins of Koha and FOLIO share: sessions, answers to order, what they were asked."""

from __future__ import annotations

import json
import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Generic, TypeVar

from tests.sources.http_server import Raw, Request, answering

USER, PASSWORD = "doorctl-oest", "a-password-of-a-branch"

Reply = tuple[int, object] | tuple[int, object, Mapping[str, str]]

PatronT = TypeVar("PatronT")


@dataclass
class ApiScript(ABC, Generic[PatronT]):
    """Whom it knows, how it behaves, and what it was asked.

    `session_uses`: calls after which a session runs out; `raw`: by a call's name, what is written
    instead of an answer; it gets the socket's writer; `replies`: by the same name, what is said
    instead of the right answer.
    """

    patrons: dict[str, PatronT] = field(default_factory=dict)
    session_uses: int = 1_000_000
    raw: dict[str, Callable[[Any], object]] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    sessions: dict[str, int] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    @abstractmethod
    def name_of(self, path: str) -> str:
        """Return a call's name."""

    @abstractmethod
    def answer(self, request: Request) -> Reply:
        """Return the right answer."""

    def begin_session(self) -> str:
        """Return a new session's key."""
        session = secrets.token_hex(8)
        self.sessions[session] = self.session_uses
        return session

    def is_signed_in(self, session: str) -> bool:
        """Tell whether a session counts still, and use it once."""
        left = self.sessions.get(session, 0)
        self.sessions[session] = left - 1
        return left > 0

    def calls(self) -> list[str]:
        """Return the name of each request, in order."""
        return [self.name_of(request.path) for request in self.requests]


@contextmanager
def serving(script: ApiScript[Any], context: SSLContext | None = None) -> Iterator[str]:
    """Serve on loopback until the end of the block; yields what ``lms.url`` would be."""

    def answer(request: Request) -> tuple[int, dict[str, str], bytes] | Raw:
        name = script.name_of(request.path)
        with script.guard:
            script.requests.append(request)
            raw = script.raw.get(name)
            if raw is not None:
                return raw
            status, content, *more = script.replies.get(name) or script.answer(request)
        written = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"Content-Type": "application/json", "Location": request.path}
        for each in more:
            assert isinstance(each, Mapping)
            headers |= each
        return status, headers, written

    with answering(answer, context) as port:
        yield f"{'http' if context is None else 'https'}://127.0.0.1:{port}"
