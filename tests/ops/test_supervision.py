"""What systemd hears, on a real datagram socket."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doorctl.ops.supervision import SystemdSupervisor
from doorctl.ports import Supervisor
from tests.fakes.supervisor import FakeSupervisor


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """Be systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(address)
        notify.settimeout(5)
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


def test_the_watchdog_bites_sooner_while_it_is_told_so(tmp_path: Path) -> None:
    """A limit shortens the unit's own, never lengthens it, never is 0, and is taken back."""
    address, spelled = by_path(tmp_path)
    with listening(address) as notify:
        supervisor = SystemdSupervisor({"NOTIFY_SOCKET": spelled, "WATCHDOG_USEC": "3000000"})
        for within_s in (5.0, 0.7, 0.7, 0.0, None, None):
            supervisor.alive(within_s)

        heard = [notify.recv(100) for _ in range(6)]
    assert heard == [
        b"WATCHDOG=1",
        b"WATCHDOG=1\nWATCHDOG_USEC=700000",
        b"WATCHDOG=1",
        b"WATCHDOG=1\nWATCHDOG_USEC=1",
        b"WATCHDOG=1\nWATCHDOG_USEC=3000000",
        b"WATCHDOG=1",
    ]


@pytest.mark.parametrize("usual", ["", "0", "soon", "-1", "²"])
def test_where_there_is_no_watchdog_none_is_made(tmp_path: Path, usual: str) -> None:
    """Without ``WatchdogSec=`` a limit must not bring one about."""
    address, spelled = by_path(tmp_path)
    with listening(address) as notify:
        supervisor = SystemdSupervisor({"NOTIFY_SOCKET": spelled, "WATCHDOG_USEC": usual})
        supervisor.alive(0.5)

        assert notify.recv(100) == b"WATCHDOG=1"


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


def test_the_fake_remembers_in_order() -> None:
    """Tests of the loop can ask whether it fed the watchdog, and when it said ready."""
    fake = FakeSupervisor()
    supervisor: Supervisor = fake
    supervisor.ready()
    supervisor.alive()
    supervisor.stopping()

    assert fake.told == ["ready", "alive", "stopping"]
