"""The socket that connections come to, and how many of an address it takes."""

from __future__ import annotations

import socket
from collections import Counter
from typing import Any, Final

from doorctl.accounts.throttle import caller
from doorctl.core.errors import DeviceError

HERE: Final = frozenset(map(caller, ("127.0.0.1", "::1")))
"""The panel's addresses: no other machine can take their places."""

MOST_OF_ONE = 64
"""Connections of one address, or one IPv6 network of 64 bits, which may be a whole town hall's:
beyond it a connection is closed unheard, so that one machine can't keep everybody else out."""

MOST_ACCEPTED = 320
"""Connections of all addresses but this machine's, TLS or not yet; each may cost 256 KB once TLS
begins."""


class Listener(socket.socket):
    """Takes connections while there is room, and closes any other before TLS.

    A protocol learns of a connection only after the handshake, so it can't count earlier ones.
    """

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno=fileno)
        self._taken: Counter[str] = Counter()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection, whose place is free again once it is closed.

        Raises ConnectionAbortedError where it was closed: asyncio goes on to the next one.
        """
        accepted, address = super().accept()
        host = caller(address[0])
        others = sum(count for other, count in self._taken.items() if other not in HERE)
        if self._taken[host] >= MOST_OF_ONE or (host not in HERE and others >= MOST_ACCEPTED):
            accepted.close()
            raise ConnectionAbortedError
        self._taken[host] += 1
        return _Accepted(accepted.detach(), self._taken, host), address


class _Accepted(socket.socket):
    def __init__(self, fileno: int, taken: Counter[str], host: str) -> None:
        super().__init__(fileno=fileno)
        self._place: tuple[Counter[str], str] | None = taken, host

    def close(self) -> None:
        super().close()
        if self._place is not None:
            taken, host = self._place
            self._place = None
            taken[host] -= 1
            if not taken[host]:
                del taken[host]


def listen(host: str, port: int) -> Listener:
    """Return a bound socket. Raises DeviceError: the address can't be had."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = addresses[0]
        listener = Listener(socket.create_server(address, family=family).detach())
        # What it accepts inherits this, which asyncio sets on sockets of its own making only: an
        # answer's second piece would wait 40 ms for a browser's late acknowledgement (measured).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as err:
        raise DeviceError(
            f"{host} port {port} can't be listened on: {err.strerror}; see web.host and web.port"
        ) from err
    return listener
