"""Callers of a socket that every user of this machine may ask: one thread, which none holds."""

from __future__ import annotations

import selectors
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from time import perf_counter

BACKLOG = 128
"""Connections that may wait to be taken; beyond it the kernel refuses them at once."""

SAY_S = 0.5
"""A caller that has not asked by then is hung up on; no other caller waits for it."""

OF_A_USER, OF_ALL = 16, 64
"""Unanswered callers at most. ``PrivateUsers=`` shows the door all users but root as a single one,
so monitoring shares its number with silent callers: one place a user would let them push it out."""

AT_ONCE = 8
"""Taken in a turn; then those that have asked are answered. Fewer than a user's places, so that
no caller loses its place before it could ask."""

STOP_S = 0.2
"""Between two looks whether to stop, and the rest where no descriptor is free."""

_PEER = struct.Struct("3i")
"""``struct ucred`` of ``SO_PEERCRED``: process, effective user and group who connected; unix(7)."""


@dataclass(eq=False, slots=True)
class _Caller:
    line: socket.socket
    user: int
    ends_s: float
    said: bytes = b""


class Callers:
    """Take callers and answer each that has asked; one thread.

    The silent ones wait beside the others, each user's for their own place: the one that has waited
    longest goes where a further one comes.

    Args:
        listener: a bound socket that listens.
        answer: a line and the number of the user who asks -> the whole answer; must not raise.
        failed: called with the kind of an error in doorctl.
        most_bytes: longest question.
        say_s: how long a caller may take to say it.
    """

    def __init__(
        self,
        listener: socket.socket,
        answer: Callable[[bytes, int], bytes],
        failed: Callable[[str], None],
        most_bytes: int,
        say_s: float = SAY_S,
    ) -> None:
        self._listener, self._answer, self._failed = listener, answer, failed
        self._most_bytes, self._say_s = most_bytes, say_s
        self._waiting: dict[socket.socket, _Caller] = {}
        self._stopping, self._stopped = Event(), Event()

    def serve(self) -> None:
        """Serve until :meth:`stop`."""
        self._listener.setblocking(False)
        try:
            with selectors.DefaultSelector() as self._selector:
                self._selector.register(self._listener, selectors.EVENT_READ)
                while not self._stopping.is_set():
                    self._turn()
                for caller in [*self._waiting.values()]:
                    self._hang_up(caller)
        finally:
            self._stopped.set()

    def stop(self) -> None:
        """Stop serving, from another thread; return once it is over."""
        self._stopping.set()
        self._stopped.wait()

    def _turn(self) -> None:
        ready = {key.fileobj for key, _ in self._selector.select(self._pause_s())}
        for caller in [*self._waiting.values()]:
            if caller.line in ready:
                self._hear(caller)
        if self._listener in ready:
            for caller in self._taken():
                self._make_room(caller.user)
                self._waiting[caller.line] = caller
                self._selector.register(caller.line, selectors.EVENT_READ)
                self._hear(caller)
        now_s = perf_counter()
        for caller in [*self._waiting.values()]:
            if caller.ends_s <= now_s:
                self._hang_up(caller)

    def _pause_s(self) -> float:
        ends_s = min((each.ends_s for each in self._waiting.values()), default=None)
        return STOP_S if ends_s is None else min(STOP_S, max(0.0, ends_s - perf_counter()))

    def _taken(self) -> Iterator[_Caller]:
        for _ in range(AT_ONCE):
            try:
                line, _ = self._listener.accept()
                line.setblocking(False)
                about = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
            except BlockingIOError:
                return
            except OSError as err:
                # Such as no free descriptor; the caller stays where it is, and would wake us again.
                self._failed(type(err).__name__)
                self._stopping.wait(STOP_S)
                return
            yield _Caller(line, _PEER.unpack(about)[1], perf_counter() + self._say_s)

    def _make_room(self, user: int) -> None:
        own = [each for each in self._waiting.values() if each.user == user]
        all_of_them = [*self._waiting.values()]
        for callers, most in ((own, OF_A_USER), (all_of_them, OF_ALL)):
            if len(callers) >= most and callers[0].line in self._waiting:
                self._hang_up(callers[0])

    def _hear(self, caller: _Caller) -> None:
        try:
            said = caller.line.recv(self._most_bytes - len(caller.said))
        except BlockingIOError:
            return
        except OSError:
            self._hang_up(caller)
            return
        caller.said += said
        if said and b"\n" not in caller.said and len(caller.said) < self._most_bytes:
            return
        with suppress(OSError):
            # A caller that does not read loses what is longer than its connection holds.
            caller.line.send(self._answer(caller.said.partition(b"\n")[0], caller.user))
        self._hang_up(caller)

    def _hang_up(self, caller: _Caller) -> None:
        del self._waiting[caller.line]
        self._selector.unregister(caller.line)
        caller.line.close()
