"""Any library system asked over SIP2: Patron Information (63), over TLS or on this machine.

Each request has a connection of its own. A door asks a few times a day: most firewalls would have
dropped a connection by then, and finding out would cost the patron the whole time limit. Also, an
answer that comes too late can't be taken for the next patron's.
"""

from __future__ import annotations

import asyncio
import re

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.core.asking import trusting
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Masked
from doorctl.core.ports import Clock
from doorctl.extras.sip2 import Sip2
from doorctl.extras.sip2.frames import (
    END,
    LONGEST_FRAME_BYTES,
    Information,
    framed,
    read_information,
    unframed,
)
from doorctl.extras.sip2.meaning import meaning, read_patron
from doorctl.sources.library import Library, Progress

REQUEST_LANGUAGE, NO_SUMMARY = b"000", b" " * 10

_ANY_TRAILER = re.compile(rb"(?:AY[0-9])?(?:AZ[0-9A-Fa-f]{4})?\Z")

LOGIN, INFORMATION = 0, 1
"""Sequence numbers of a connection's two messages."""

ACCEPTED = b"941"
"""The whole answer to a login."""


class Sip2Library(Library[Sip2]):
    """Ask a SIP2 server; implements `LibrarySystem`. Thread-safe; one connection a request.

    Plain TCP is for this machine only (a tunnel's end). Another institution's answer is not
    believed, and without `lms.checksum` whatever comes on the request's own connection is. `clock`
    is for the date of a message and need not be trusted; `terminal_password` is sent as AC.
    """

    def __init__(
        self, lms: Sip2, clock: Clock, password: Masked[str], terminal_password: Masked[str]
    ) -> None:
        super().__init__(lms, password)
        self._clock, self._terminal_password = clock, terminal_password
        self._context = trusting(lms.ca_file) if self._at.encrypted else None

    async def _ask(self, progress: Progress, card: str, pin: str, row_wanted: bool) -> LibraryReply:
        reader, writer = await asyncio.open_connection(
            self._at.host, self._at.port, ssl=self._context, limit=LONGEST_FRAME_BYTES
        )
        try:
            if self._lms.user:
                await self._log_in(reader, writer)
            request = self._request(card.encode(), pin.encode())
            progress.sent = True
            message = await self._exchange(reader, writer, request, INFORMATION)
        finally:
            # A polite end of TLS would wait for the other side.
            writer.transport.abort()
        information = self._believed(read_information(message))
        answer = meaning(information)
        if answer is None:
            raise LibrarySystemError("it does not say whether the card is valid", spent=True)
        wanted = row_wanted and answer is LibraryAnswer.YES
        return read_patron(information, self._lms) if wanted else LibraryReply(answer)

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Nothing in message 93 is encrypted.
        account = (self._lms.user, self._password.reveal())
        request = b"9300" + b"CN%b|CO%b|" % tuple(map(str.encode, account))
        if await self._exchange(reader, writer, request, LOGIN) != ACCEPTED:
            why = "it does not accept doorctl's account; see lms.user and lms.password_file"
            raise LibrarySystemError(why, spent=False)

    def _request(self, card: bytes, pin: bytes) -> bytes:
        """Return message 63."""
        at = self._clock.moment().local.strftime("%Y%m%d    %H%M%S").encode()
        terminal = self._terminal_password.reveal().encode()
        fields = b"AO%b|AA%b|AC%b|AD%b|" % (self._lms.agency.encode(), card, terminal, pin)
        return b"63" + REQUEST_LANGUAGE + at + NO_SUMMARY + fields

    def _believed(self, information: Information | None) -> Information:
        if information is None:
            raise LibrarySystemError("its answer is no whole message 64", spent=True)
        # It may name another of the patron's numbers than the one asked about; FBS puts LN: before.
        if not (information.first(b"AA") or b"").strip():
            raise LibrarySystemError("it does not say about whom it answers", spent=True)
        if (information.first(b"AO") or b"").strip() != self._lms.agency.encode():
            raise LibrarySystemError("another institution answers; see lms.agency", spent=True)
        return information

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        message: bytes,
        sequence: int,
    ) -> bytes:
        writer.write(framed(message, sequence if self._lms.checksum else None))
        await writer.drain()
        frame = b""
        while not frame:
            # Some servers end a message with CR LF, so a line feed may stand before the next one.
            frame = (await reader.readuntil(END)).strip(b"\r\n")
        # Without checksums a trailer, if there is one, proves nothing.
        bare = _ANY_TRAILER.sub(b"", frame, count=1)
        answer = unframed(frame, sequence) if self._lms.checksum else bare
        if answer is None:
            why = (
                "its answer has no right checksum; turn on error detection at the SIP2 server, "
                "or see lms.checksum"
            )
            raise LibrarySystemError(why, spent=True)
        return answer
