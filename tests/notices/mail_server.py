"""A real mail server in a thread, for messages that leave the house."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.fakes.waiting import LIMIT_S, until
from tests.sources.http_server import free_port

DROP_S = 0.05
READ_BYTES = 65_536

USER, PASSWORD = "doorctl", "a-Password~1"


@dataclass
class Mailroom:
    """What the mail server took, and how it behaves.

    `answer`: to each message's end, such as ``250 OK`` or ``451 try again``; `refused`:
    addresses that it does not take; `envelopes`: sender and recipients of each message.
    """

    answer: str = "250 OK"
    refused: tuple[str, ...] = ()
    envelopes: list[tuple[str | None, list[str]]] = field(default_factory=list)
    messages: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """Take a recipient, or not."""
        if address in self.refused:
            return f"550 nobody called {address} here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take a message."""
        if self.answer.startswith("250"):
            content = envelope.original_content or b""
            self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
            self.raw.append(content)
            message = BytesParser(policy=default).parsebytes(content)
            assert isinstance(message, EmailMessage)
            self.messages.append(message)
        return self.answer


@contextmanager
def mail_server(
    room: Mailroom,
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    account: bool = False,
) -> Iterator[int]:
    """Serve on a port of 127.0.0.1 until the end of the block."""

    def known(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        right = isinstance(data, LoginPassword) and (
            (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        )
        return AuthResult(success=right, handled=False)

    options: dict[str, Any] = {"ssl_context": tls}
    if starttls is not None:
        options |= {"tls_context": starttls, "require_starttls": True}
    if account:
        options |= {
            "authenticator": known,
            "auth_required": True,
            "auth_require_tls": starttls is not None,
        }
    controller = Controller(
        room, hostname="127.0.0.1", port=free_port(), ready_timeout=LIMIT_S, **options
    )
    controller.start()
    try:
        yield controller.port
    finally:
        # Python 3.11's own wait for them returns at once, and one amid its TLS would be left open.
        until(lambda: not getattr(controller.server, "_active_count", 0))
        controller.stop()
        # A connection that was left open fails the test that left it, and no later one.
        gc.collect()


@contextmanager
def speaking(said: bytes, *, hold: threading.Event | None = None) -> Iterator[int]:
    """Serve a port whose every caller hears some bytes; then it is held, or cut off."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ending = threading.Event()
        thread = threading.Thread(target=_speak, args=(listener, said, hold, ending))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ending.set()
            thread.join()


@contextmanager
def dripping(
    first: bytes, again: bytes, replies: Sequence[bytes] = ()
) -> Iterator[tuple[int, threading.Event]]:
    """Serve a port whose caller hears something at once, and then a little now and then.

    Between the two each of `replies` is said once the caller has said something.

    Yields:
        The port, and what is set if the caller was still there after :data:`LIMIT_S`.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ending, outlasted = threading.Event(), threading.Event()

        def drip() -> None:
            with suppress(OSError), listener.accept()[0] as line:
                line.sendall(first)
                for reply in replies:
                    line.recv(READ_BYTES)
                    line.sendall(reply)
                for _ in range(round(LIMIT_S / DROP_S)):
                    line.sendall(again)
                    if ending.wait(DROP_S):
                        return
                outlasted.set()

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield listener.getsockname()[1], outlasted
        finally:
            ending.set()
            with suppress(OSError):
                # Where no caller came.
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _speak(
    listener: socket.socket, said: bytes, hold: threading.Event | None, ending: threading.Event
) -> None:
    listener.settimeout(0.05)
    while not ending.is_set():
        try:
            line, _ = listener.accept()
        except TimeoutError:
            continue
        with line:
            line.sendall(said)
            if hold is not None:
                while not ending.is_set() and not hold.wait(0.05):
                    pass
