"""What the clients share: cards and PINs in the clear, TLS, passwords, reasons of failures."""

from __future__ import annotations

import os
import re
import ssl
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from doorctl.core.errors import KeyFileError
from doorctl.core.identity import owner_of
from doorctl.core.masked import Identifier, Masked, Pin

# A card or a PIN is sent only if nothing in it can be read as something else.

_SENDABLE = re.compile(r"[!-{}~]+")


def is_sendable(value: str) -> bool:
    """Tell whether a value is visible ASCII, at least one character, without SIP2's ``|``."""
    return _SENDABLE.fullmatch(value) is not None


def spelt(identifier: Identifier, pin: Pin) -> tuple[str, str] | None:
    """Return a card's number and its PIN in the clear; None if no card or keypad can send them.

    An empty PIN gives None too: some SIP2 servers accept it for every card.
    """
    _, _, number = identifier.reveal().partition(":")
    digits = pin.reveal()
    return (number, digits) if is_sendable(number) and is_sendable(digits) else None


LONGEST_PASSWORD_BYTES = 256


def trusting(ca_file: Path) -> ssl.SSLContext:
    """Return a context that checks the certificate and the name in it.

    `ca_file` holds the authority in PEM; empty for the system's own.

    Raises KeyFileError: the file can't be read or used.
    """
    try:
        return ssl.create_default_context(cafile=None if ca_file == Path() else ca_file)
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{ca_file} holds no certificate authority in PEM") from error


def read_password(path: Path) -> Masked[str]:
    """Return the one line of a password file, without its line end.

    Raises KeyFileError: the file is missing, everybody may read it, or it does not hold one line of
    visible ASCII without ``|``; says what to do and quotes nothing of the file.
    """
    try:
        # Without O_NONBLOCK a named pipe in its place would hold the start for ever.
        with owner_of(path.parent):
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            written = os.read(descriptor, LONGEST_PASSWORD_BYTES + 2)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise KeyFileError(f"{path} can't be read: {error.strerror}") from error
    if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH:
        raise KeyFileError(f"{path} can be read by everybody; run `chmod 600 {path}`")
    line = written.rstrip(b"\r\n").decode("latin-1")
    if not is_sendable(line) or len(line) > LONGEST_PASSWORD_BYTES:
        raise KeyFileError(
            f"{path} does not hold a password: give one line of at most {LONGEST_PASSWORD_BYTES} "
            "visible ASCII characters without |"
        )
    return Masked(line)


async def body_of(pieces: AsyncIterator[bytes], most: int) -> bytes | None:
    """Return an answer's bytes; None where it has more than so many."""
    body = b""
    async for piece in pieces:
        body += piece
        if len(body) > most:
            return None
    return body


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def unreached(error: BaseException, table: str = "lms") -> str:
    """Return why a connection failed or broke off, without a word of what came through it.

    `table` of the configuration says whom to trust.
    """
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message
            return f"its certificate is not accepted: {why}; see {table}.ca_file"
        if isinstance(cause, ssl.SSLError):
            return f"TLS with it fails ({cause.reason or 'no reason given'})"
        if isinstance(cause, OSError) and cause.strerror:
            return f"no connection ({cause.strerror})"
    return f"no connection ({type(error).__name__})"
