"""A branch whose web process is asked over NATS, by the sender's own end."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2

from doorctl.extras.fleet.bodies import Bodies
from doorctl.extras.fleet.branch import NatsBranch
from doorctl.extras.fleet.connection import Link, SharedConnection
from doorctl.sources.branches import Reply, Request
from doorctl.store.signing_keys import create_signing_key, read_public_keys
from doorctl.sync.exchange import question_signed
from tests.extras.fleet.nats_server import NatsServer
from tests.fakes.waiting import LIMIT_S
from tests.web.branch import Branch


def answers_key(directory: Path) -> Path:
    """Make the key that a branch signs its replies with; its public half lies beside it."""
    create_signing_key(directory / "answers.key", directory / "answers.pub")
    return directory / "answers.key"


class NatsFed(Branch):
    """A branch that listens at a server; all that a test asks of it goes that way."""

    def __init__(self, directory: Path, server: NatsServer, *overrides: str) -> None:
        key = answers_key(directory)
        self.server = server
        settings = f'web.nats.servers=["{server.url}"]', f"web.nats.signing_key_file={key}"
        super().__init__(directory, *settings, *overrides)

    def start(self) -> None:
        """Start the web process and wait until it listens there."""
        super().start()
        self.wait_for("nats", state="connected")

    def reached(self) -> NatsBranch:
        """Return it as its sender asks it."""
        (public,) = read_public_keys([self.directory / "answers.pub"])
        link = Link((self.server.url,), None)
        return NatsBranch("demo", SharedConnection(link), public, Bodies(), question=self.question)

    @property
    def question(self) -> str:
        """By what a sender is known."""
        return question_signed("demo", self.key)

    def ask(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Ask over NATS, as a sender that signs its question."""
        content = request.get("content", b"")
        whole = content if isinstance(content, bytes) else b"".join(content)
        asked = Request(method, path, BytesIO(whole), {"Authorization": self.question})
        reply = self.reached().replied(asked, LIMIT_S, LIMIT_S)
        assert isinstance(reply, Reply), reply
        later = {"Retry-After": reply.retry_after} if reply.retry_after else {}
        return httpx2.Response(reply.status, headers=later, content=reply.body)
