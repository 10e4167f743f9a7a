"""What systemd is told, by sd_notify(3)'s protocol: one datagram on a Unix socket."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress


class SystemdSupervisor:
    """The real Supervisor; silent where nobody listens. Never waits, never raises.

    Args:
        environment: where systemd puts ``NOTIFY_SOCKET``: a path, or a name after ``@``; and
            ``WATCHDOG_USEC``, the unit's ``WatchdogSec=`` in microseconds.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        # Linux spells the abstract namespace with a NUL, the environment can't.
        self._address = "\0" + path[1:] if path.startswith("@") else path
        usual = environment.get("WATCHDOG_USEC", "")
        self._usual_us = int(usual) if usual.isascii() and usual.isdigit() else 0
        self._told_us = self._usual_us

    def ready(self) -> None:
        """Say that the daemon decides from now on."""
        self._tell(b"READY=1")

    def alive(self, within_s: float | None = None) -> None:
        """Feed the watchdog; with `within_s` it bites after so many seconds, if that is sooner."""
        limit_us = self._usual_us
        if within_s is not None:
            # 0 would switch it off.
            limit_us = min(limit_us, max(1, round(within_s * 1_000_000)))
        if limit_us == self._told_us:
            self._tell(b"WATCHDOG=1")
        elif self._tell(b"WATCHDOG=1\nWATCHDOG_USEC=%d" % limit_us):
            self._told_us = limit_us

    def stopping(self) -> None:
        """Say that the daemon is going down on purpose."""
        self._tell(b"STOPPING=1")

    def _tell(self, state: bytes) -> bool:
        if self._address:
            with (
                suppress(OSError),
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify,
            ):
                notify.sendto(state, socket.MSG_DONTWAIT, self._address)
                return True
        return False
