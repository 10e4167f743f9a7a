"""What clients of other machines share: what may be sent, limits, TLS, why no answer came."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import stat
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import msgspec

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


ASK_JSON = {"Accept": "application/json", "Accept-Encoding": "identity"}
"""Headers of a request; nothing that is packed is unpacked."""


async def body_of(pieces: AsyncIterator[bytes], most: int) -> bytes | None:
    """Return an answer's bytes; None where it has more than so many."""
    body = b""
    async for piece in pieces:
        body += piece
        if len(body) > most:
            return None
    return body


T = TypeVar("T")

GRACE_S = 1.0
"""How long beyond the limit the caller waits for the cancelled work to end."""


def within(limit_s: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return or raise what `work` does, on a thread and an event loop of its own.

    A socket's own time-out is for each read, so a server that sends a byte now and then would keep
    it waiting for ever, and a name lookup has none: one that hangs is left behind with its thread.

    Raises TimeoutError: the limit was reached; `work` was cancelled.
    """
    result: Future[T] = Future()

    async def limited() -> T:
        async with asyncio.timeout(limit_s):
            return await work()

    def run() -> None:
        try:
            result.set_result(asyncio.run(limited()))
        except BaseException as error:  # noqa: BLE001 - the caller's
            result.set_exception(error)

    Thread(target=run, name="asking", daemon=True).start()
    return result.result(limit_s + GRACE_S)


def read_answer(body: bytes, kind: type[T]) -> T | None:
    """Return what a body of JSON holds; None where it is none, or not of that kind."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def unreached(error: BaseException, table: str = "") -> str:
    """Return why a request got no answer, without a word of what came through the connection.

    `table` of the configuration says whom to trust; empty where none does.
    """
    failed = "it breaks off in the middle of an answer"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            see = f"; see {table}.ca_file" if table else ""
            return f"its certificate is not accepted: {cause.verify_message}{see}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS with it fails ({cause.reason or 'no reason given'})"
        if isinstance(cause, TimeoutError):
            return "it does not answer in time"
        if isinstance(cause, OSError):
            # asyncio's own words for a number are long; a failed lookup has numbers of its own.
            number = cause.errno or 0
            words = os.strerror(number) if number > 0 else cause.strerror
            failed = f"no connection ({words or type(cause).__name__})"
            if words:
                return failed
        cause = cause.__cause__ or cause.__context__
    return failed
