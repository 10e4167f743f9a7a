"""What systemd is told, by sd_notify(3)'s protocol: one datagram on a Unix socket."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress


class SystemdSupervisor:
    """The real Supervisor; silent where nobody listens. Never waits, never raises.

    Args:
        environment: where systemd puts ``NOTIFY_SOCKET``: a path, or a name after ``@``.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        # Linux spells the abstract namespace with a NUL, the environment can't.
        self._address = "\0" + path[1:] if path.startswith("@") else path

    def ready(self) -> None:
        """Say that the daemon decides from now on."""
        self._tell(b"READY=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._tell(b"WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the daemon is going down on purpose."""
        self._tell(b"STOPPING=1")

    def _tell(self, state: bytes) -> None:
        if not self._address:
            return
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify,
        ):
            notify.sendto(state, socket.MSG_DONTWAIT, self._address)
