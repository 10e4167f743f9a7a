"""A stand-in for a SIP2 server: real sockets, right answers by default, wrong ones to order."""

from __future__ import annotations

import socketserver
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.sources.http_server import running

INSTITUTION = "DK-773000"
USER, PASSWORD = "doorctl-oest", "a-password-of-a-branch"
AT = "20260302    190000"


def checked(message: bytes, sequence: bytes) -> bytes:
    """Return a message with its trailer, made apart from the code that is tested."""
    text = message + b"AY" + sequence + b"AZ"
    total = 0
    for one in text:
        total += one
    return text + f"{(0x10000 - total % 0x10000) % 0x10000:04X}".encode() + b"\r"


@dataclass
class Sip2Patron:
    """A patron of the stand-in; `more` is what else stands in the answer."""

    pin: str
    valid: str = "BLY|"
    proved: str = "CQY|"
    flags: str = " " * 14
    more: bytes = b""


def information(card: str, patron: Sip2Patron, institution: str = f"AO{INSTITUTION}|") -> bytes:
    """Return message 64, without its trailer."""
    head = f"64{patron.flags}009{AT}{'0000' * 6}{institution}AA{card}|"
    said = f"{patron.valid}{patron.proved}"
    return head.encode() + b"AENavnesen, S\xf8ren|" + said.encode() + patron.more


@dataclass
class Sip2Script:
    """Whom it knows, how it behaves, and what it was sent.

    `login`: what it answers to a right login; `line_end`: what follows the CR of each message;
    `answered`: makes the bytes that are sent from a message 64 and the sequence number asked
    with; by default right ones; `raw`: where it is set, it gets the connection's writer instead
    of a right answer to 63; `frames`: what was sent to it, without the final CR.
    """

    patrons: dict[str, Sip2Patron] = field(default_factory=dict)
    login: bytes = b"941"
    line_end: bytes = b""
    institution: str = f"AO{INSTITUTION}|"
    answered: Callable[[bytes, bytes], bytes] = checked
    raw: Callable[[Any], object] | None = None
    frames: list[bytes] = field(default_factory=list)

    def know(self, number: str, pin: str, *, resident: bool = True, lost: bool = False) -> None:
        """Register a patron, born in 1970."""
        flags = "    Y         " if lost else " " * 14
        more = b"PB19700101|PC%s|" % (b"VOKSEN" if resident else b"GAEST")
        self.patrons[number] = Sip2Patron(pin, flags=flags, more=more)

    def asked(self) -> int:
        """Return how many questions about a PIN arrived."""
        return sum(frame.startswith(b"63") for frame in self.frames)

    def answer(self, frame: bytes) -> bytes:
        """Return the bytes that answer one frame."""
        sequence = frame[-7:-6]
        if checked(frame[:-9], sequence) != frame + b"\r":
            return b"96AZFEF6\r"
        fields = {one[:2]: one[2:].decode() for one in frame[33:-9].split(b"|")}
        if frame.startswith(b"93"):
            fields = {one[:2]: one[2:].decode() for one in frame[4:-9].split(b"|")}
            right = (fields[b"CN"], fields[b"CO"]) == (USER, PASSWORD)
            return checked(self.login if right else b"940", sequence)
        card = fields[b"AA"]
        patron = self.patrons.get(card)
        if patron is None:
            # As servers do that validate nothing: no CQ at all.
            patron = Sip2Patron("", valid="BLN|", proved="")
        elif fields[b"AD"] != patron.pin:
            patron = Sip2Patron("", valid=patron.valid, proved="CQN|")
        return self.answered(information(card, patron, self.institution), sequence)


class _Handler(socketserver.StreamRequestHandler):
    script: Sip2Script
    context: ssl.SSLContext | None
    disable_nagle_algorithm = True

    def setup(self) -> None:
        if self.context is not None:
            self.request = self.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.request.close()

    def handle(self) -> None:
        buffer = b""
        while data := self.connection.recv(4096):
            buffer += data
            while b"\r" in buffer:
                frame, _, buffer = buffer.partition(b"\r")
                self.script.frames.append(frame)
                if frame.startswith(b"63") and self.script.raw is not None:
                    self.script.raw(self.wfile)
                    return
                self.wfile.write(self.script.answer(frame) + self.script.line_end)


class _QuietServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Expect clients that hang up."""


@contextmanager
def serving(script: Sip2Script, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on a port of 127.0.0.1 until the end of the block."""
    handler = type("Handler", (_Handler,), {"script": script, "context": context})
    with _QuietServer(("127.0.0.1", 0), handler) as server, running(server) as port:
        yield port
