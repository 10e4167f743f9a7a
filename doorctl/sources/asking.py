"""One question, one time limit: over name lookup, connection, TLS and each byte of the answer."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import stat
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypeVar

from doorctl.core.errors import KeyFileError
from doorctl.core.identity import owner_of
from doorctl.core.masked import Identifier, Masked, Pin

T = TypeVar("T")

GRACE_S = 1.0
"""Beyond the limit the asker goes on even if what was cancelled does not end."""

CLOSE_S = 2.0
"""A name lookup that hangs can't be ended; whoever closes does not wait for it for ever."""


class TimeLimit:
    """Run a coroutine for so long and no longer. Thread-safe; questions run beside each other.

    A socket's own time-out is one of each read, so a server that sends a byte now and then would
    keep it waiting for ever, and a name lookup has none. So all runs on one event loop in a
    thread of its own, which is started by the first question.

    Args:
        limit_s: seconds for each question.
        name: the thread's.
    """

    def __init__(self, limit_s: float, name: str) -> None:
        self._limit_s = limit_s
        self._name = name
        self._starting = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return or raise what `work` does.

        Raises:
            TimeoutError: the limit was reached, or `close` was called; `work` was cancelled.
        """

        async def limited() -> T:
            async with asyncio.timeout(self._limit_s):
                return await work()

        asked = asyncio.run_coroutine_threadsafe(limited(), self._running())
        try:
            return asked.result(self._limit_s + GRACE_S)
        except CancelledError:
            raise TimeoutError from None
        finally:
            asked.cancel()

    def close(self) -> None:
        """End the thread and whatever still runs in it; idempotent."""
        with self._starting:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(CLOSE_S)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = Thread(
                    target=_serve, args=(self._loop,), name=self._name, daemon=True
                )
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


# Which cards and PINs can be sent at all: nothing in them may be read as something else.

_SENDABLE = re.compile(r"[!-{}~]+")


def is_sendable(value: str) -> bool:
    """Tell whether a value is visible ASCII, at least one, without SIP2's ``|``."""
    return _SENDABLE.fullmatch(value) is not None


def spelt(identifier: Identifier, pin: Pin) -> tuple[str, str] | None:
    """Return a card's number and its PIN in the clear, None for what no card and keypad can say.

    An empty PIN is none either: some SIP2 servers call it right for every card.
    """
    _, _, number = identifier.reveal().partition(":")
    digits = pin.reveal()
    return (number, digits) if is_sendable(number) and is_sendable(digits) else None


# How a library system is believed, which password doorctl shows it, why it can't be reached.

LONGEST_PASSWORD_BYTES = 256


def trusting(ca_file: Path) -> ssl.SSLContext:
    """Return a context that checks the certificate and the name in it.

    Args:
        ca_file: the authority in PEM; empty for the system's own.

    Raises:
        KeyFileError: it can't be read or used.
    """
    try:
        return ssl.create_default_context(cafile=None if ca_file == Path() else ca_file)
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{ca_file} holds no certificate authority in PEM") from error


def read_password(path: Path) -> Masked[str]:
    """Return the one line of a password file, without its line end.

    Raises:
        KeyFileError: it is missing, anybody may read it, or it does not hold one line of visible
            ASCII without ``|``; says what to do and nothing of what it holds.
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


def unreached(error: BaseException) -> str:
    """Return why a connection was not made or broke off, without a word of what came through it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {cause.verify_message}; see lms.ca_file"
        if isinstance(cause, ssl.SSLError):
            return f"TLS with it fails ({cause.reason or 'no reason given'})"
        if isinstance(cause, OSError) and cause.strerror:
            return f"no connection ({cause.strerror})"
        cause = cause.__cause__ or cause.__context__
    return f"no connection ({type(error).__name__})"
