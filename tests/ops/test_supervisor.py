"""What systemd hears, and the kernel's timer that ends a door which does not lock in time.

Bug (outside look): a process that was stopped in mid-release kept the relay on for 7.0 s of 5 on a
busy Pi, for systemd's watchdog needs a processor too; with 0.2 s of grace it also killed a healthy
door.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doorctl.ops.supervisor import SystemdSupervisor
from tests.fakes.waiting import LIMIT_S


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """Be systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(address)
        notify.settimeout(LIMIT_S)
        yield notify


def by_path(directory: Path) -> tuple[str, str]:
    """Return a socket's address and how the environment spells it."""
    return str(directory / "notify"), str(directory / "notify")


def abstract(directory: Path) -> tuple[str, str]:
    """Return an address without a file, which containers use."""
    name = f"doorctl-test-{directory}"
    return f"\0{name}", f"@{name}"


@pytest.mark.parametrize("address_in", [by_path, abstract])
def test_systemd_hears_each_state(
    tmp_path: Path, address_in: Callable[[Path], tuple[str, str]]
) -> None:
    """Each call is one datagram in sd_notify's words."""
    address, spelled = address_in(tmp_path)
    with listening(address) as notify:
        supervisor = SystemdSupervisor({"NOTIFY_SOCKET": spelled})
        supervisor.ready()
        supervisor.alive()
        supervisor.stopping()

        heard = [notify.recv(100) for _ in range(3)]
    assert heard == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


CHILD = """
import os, signal, sys, time
from doorctl.ops.supervisor import SystemdSupervisor
supervisor = SystemdSupervisor(dict(os.environ))
{deeds}
print("fed", flush=True)
{end}
"""


def fed(watchdog: str, deeds: str, end: str) -> subprocess.Popen[str]:
    """Start a process with a supervisor that does some deeds, says so and goes on to its end."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(deeds=deeds, end=end)],
        env=dict(os.environ, WATCHDOG_USEC=watchdog),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "fed\n"
    return child


def test_a_release_that_is_overdue_ends_even_a_stopped_process() -> None:
    """SIGSTOP keeps the loop from locking; the kernel ends the process in time, asking nobody."""
    began_s = time.monotonic()
    with fed("10000000", "supervisor.alive(0.5)", "os.kill(os.getpid(), signal.SIGSTOP)") as it:
        assert it.wait(timeout=LIMIT_S) == -signal.SIGKILL

    assert time.monotonic() - began_s >= 0.5


@pytest.mark.parametrize(
    "deeds",
    [
        "supervisor.alive(1.0); supervisor.alive(None)",
        "supervisor.alive(1.0); supervisor.alive(60.0)",
        "supervisor.alive(1.0); supervisor.stopping()",
        "supervisor.alive(None)",
    ],
)
def test_who_has_locked_in_time_lives(deeds: str) -> None:
    """Each feed takes the place of the one before; a stop on purpose takes its time."""
    with fed("10000000", deeds, "time.sleep(1.5)") as it:
        assert it.wait(timeout=LIMIT_S) == 0


@pytest.mark.parametrize("usual", ["", "0", "soon", "-1", "²"])
def test_nobody_is_ended_whom_nobody_starts_again(usual: str) -> None:
    """Without ``WatchdogSec=`` there is no timer: a door that was started by hand stays."""
    with fed(usual, "supervisor.alive(0.1)", "time.sleep(0.4)") as it:
        assert it.wait(timeout=LIMIT_S) == 0


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "/nowhere/notify"},
        {"NOTIFY_SOCKET": "/" + "long" * 100},
        {"NOTIFY_SOCKET": "@nobody-listens"},
    ],
)
def test_nobody_listening_is_no_error(environment: dict[str, str]) -> None:
    """Started by hand, or with a socket that is gone, the daemon runs all the same."""
    supervisor = SystemdSupervisor(environment)
    supervisor.ready()
    supervisor.alive()
    supervisor.stopping()


def test_a_listener_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    """A full socket costs a heartbeat, never the loop's time."""
    address, spelled = by_path(tmp_path)
    with listening(address) as notify:
        supervisor = SystemdSupervisor({"NOTIFY_SOCKET": spelled})
        for _ in range(5000):
            supervisor.alive()

        assert notify.recv(100) == b"WATCHDOG=1"
