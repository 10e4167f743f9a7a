"""What clients of other machines share: what may be sent, limits, TLS, why no answer came."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import stat
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future, wait
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypeVar

import msgspec

from doorctl.core.errors import KeyFileError
from doorctl.core.identity import owner_of
from doorctl.core.masked import Identifier, Masked, Pin

_SENDABLE = re.compile(r"[!-{}~]+")


def is_sendable(value: str) -> bool:
    """Tell whether a value is visible ASCII, at least one character, without SIP2's ``|``.

    Nothing in it can then be read as something else.
    """
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


def read_password(path: Path, longest_bytes: int = LONGEST_PASSWORD_BYTES) -> Masked[str]:
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
            written = os.read(descriptor, longest_bytes + 2)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise KeyFileError(f"{path} can't be read: {error.strerror}") from error
    if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH:
        raise KeyFileError(f"{path} can be read by everybody; run `chmod 600 {path}`")
    line = written.rstrip(b"\r\n").decode("latin-1")
    if not is_sendable(line) or len(line) > longest_bytes:
        raise KeyFileError(
            f"{path} does not hold a password: give one line of at most {longest_bytes} "
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

MOST_LEFT = 8
"""Talks of one client that may hang on beyond their limit; a name lookup ends in a minute or so."""


class Talks:
    """One total time limit over each talk with another machine. Thread-safe.

    A socket's own time-out is for each read, so a server that sends a byte now and then would keep
    it waiting for ever, and a name lookup has none. So each talk has a thread of its own, and one
    that can't be ended is left behind. While :data:`MOST_LEFT` are, no more are begun.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._left: set[Thread] = set()

    def within(self, limit_s: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return or raise what `work` does, on an event loop of its own.

        Raises TimeoutError: the limit was reached and `work` was cancelled; or too many hang.
        """

        async def limited() -> T:
            async with asyncio.timeout(limit_s):
                return await work()

        return self._awaited(limit_s + GRACE_S, lambda: asyncio.run(limited()))

    def within_or_cut(self, limit_s: float, work: Callable[[], T], cut: Callable[[], object]) -> T:
        """Return or raise what `work` does, which blocks; `cut` ends it from this thread.

        Raises TimeoutError: the limit was reached, or too many hang.
        """
        try:
            return self._awaited(limit_s, work)
        except TimeoutError:
            cut()
            raise

    def _awaited(self, limit_s: float, work: Callable[[], T]) -> T:
        result: Future[T] = Future()

        def run() -> None:
            try:
                result.set_result(work())
            except BaseException as error:  # noqa: BLE001 - the caller's
                result.set_exception(error)

        thread = Thread(target=run, name="asking", daemon=True)
        with self._guard:
            self._left = {left for left in self._left if left.is_alive()}
            if len(self._left) >= MOST_LEFT:
                raise TimeoutError
        thread.start()
        if not wait([result], limit_s).done:
            with self._guard:
                self._left.add(thread)
            raise TimeoutError
        return result.result()


CONNECT_SHARE = 0.8
"""httpx2 closes a connection whose TLS took too long, and forgets one that is cancelled amid it."""


def waits(
    limit_s: float, silence_s: float | None = None, connect_s: float | None = None
) -> tuple[float, float | None, float | None, None]:
    """Return httpx2's own time-outs (connect, read, write, pool) of a talk with a total limit."""
    wanted = (CONNECT_SHARE * limit_s, connect_s or silence_s or limit_s)
    return min(wanted), silence_s, silence_s, None


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
