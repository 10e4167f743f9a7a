"""Messages to systemd (sd_notify(3)), and the kernel's timer beside its watchdog."""

from __future__ import annotations

import ctypes
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class _SigEvent(ctypes.Structure):
    """sigevent(3type) as far as a plain signal needs it; 64 bytes on every Linux."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("padding", ctypes.c_char * 48),
    )


class _TimerSpec(ctypes.Structure):
    """itimerspec(3type)."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class KillTimer:
    """A timer of the kernel's own that ends this process by SIGKILL, even one that is stopped.

    systemd's watchdog needs systemd to be given a processor, and looks up to 0.25 s late; this
    timer needs no other process. One thread. Raises OSError: the kernel gives none.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._id = ctypes.c_void_p()
        event = _SigEvent(signo=signal.SIGKILL)
        if self._libc.timer_create(
            time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._id)
        ):
            raise OSError(ctypes.get_errno(), "no timer of the kernel's")

    def set(self, within_s: float | None) -> None:
        """End the process in so many seconds, in place of the earlier time; None for never."""
        left_ns = 0 if within_s is None else max(1, round(within_s * 1e9))
        spec = _TimerSpec(0, 0, *divmod(left_ns, 1_000_000_000))
        self._libc.timer_settime(self._id, 0, ctypes.byref(spec), None)


class SystemdSupervisor:
    """Speaks to systemd; silent without it. Never waits, never raises.

    Args:
        environment: where systemd puts ``NOTIFY_SOCKET``: a path, or a name after ``@``; and
            ``WATCHDOG_USEC`` where it restarts a unit that does not feed it. Without that nobody
            would start the door again, and no timer ends it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        # Linux spells the abstract namespace with a NUL, the environment can't.
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._timer: KillTimer | None = None
        usual = environment.get("WATCHDOG_USEC", "")
        if usual.isascii() and usual.isdigit() and int(usual):
            with suppress(OSError):
                self._timer = KillTimer()

    def ready(self) -> None:
        """Tell systemd that the daemon decides from now on."""
        self._tell(b"READY=1")

    def alive(self, within_s: float | None = None) -> None:
        """Feed the watchdog; with `within_s` the process ends unless it is fed again by then."""
        self.bound(within_s)
        self._tell(b"WATCHDOG=1")

    def bound(self, within_s: float | None) -> None:
        """End the process in so many seconds unless it is fed by then; None for never."""
        if self._timer is not None:
            self._timer.set(within_s)

    def stopping(self) -> None:
        """Tell systemd that the daemon stops on purpose; the door is locked by then."""
        self.bound(None)
        self._tell(b"STOPPING=1")

    def _tell(self, state: bytes) -> None:
        if self._address:
            with (
                suppress(OSError),
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify,
            ):
                notify.sendto(state, socket.MSG_DONTWAIT, self._address)
