"""A process's threads and its word to systemd, on the real ones; and what its machine lacks.

Bug (outside look): a process that was stopped in mid-release kept the relay on for 7.0 s of 5 on a
busy Pi, for systemd's watchdog needs a processor too; with 0.2 s of grace it also killed a healthy
door.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from doorctl.core.errors import NotAnsweringError, StoreError
from doorctl.ops import process
from doorctl.ops.clock import BUILD_FLOOR
from doorctl.ops.process import (
    LEAST_FREE_BYTES,
    NOT_BEGUN,
    DataDisk,
    SystemdSupervisor,
    Turns,
    WorkerThread,
    disk_low,
    regular,
    undervoltage,
    upgrade_not_begun,
)
from tests.fakes.event_log import FakeEventLog, Field
from tests.fakes.waiting import LIMIT_S


@dataclass
class Workshop:
    """A worker and what came out of it."""

    posted: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    failed: queue.SimpleQueue[BaseException] = field(default_factory=queue.SimpleQueue)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.worker: WorkerThread[str] = WorkerThread(self.posted.put, self.failed.put)

    def hold(self) -> None:
        """Have the worker wait at the gate."""
        self.worker.submit(self._wait)

    def _wait(self) -> None:
        self.gate.wait(LIMIT_S)


class JobBrokeError(Exception):
    """What a job raises."""


def broken_job() -> str:
    """Raise."""
    raise JobBrokeError


@pytest.fixture
def shop() -> Iterator[Workshop]:
    """A workshop whose worker has begun."""
    shop = Workshop()
    shop.worker.start()
    yield shop
    shop.gate.set()
    assert shop.worker.stop(LIMIT_S)


def test_jobs_are_done_in_order_and_what_they_return_is_posted(shop: Workshop) -> None:
    """One after the other; what returns nothing posts nothing."""
    for number in range(100):
        shop.worker.submit(lambda number=number: None if number % 2 else str(number))  # type: ignore[misc]

    posted = [shop.posted.get(timeout=LIMIT_S) for _ in range(50)]
    assert posted == [str(number) for number in range(0, 100, 2)]


def test_all_jobs_run_on_one_thread_that_is_not_the_callers(shop: Workshop) -> None:
    """A database connection can belong to it."""
    threads = {shop.worker.call(threading.get_ident, timeout_s=LIMIT_S) for _ in range(10)}

    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_call_waits_for_its_turn_and_returns_the_result(shop: Workshop) -> None:
    """What was submitted before is done before; the result is not posted."""
    done: list[int] = []
    shop.worker.submit(lambda: done.append(1))

    assert shop.worker.call(lambda: [*done, 2], timeout_s=LIMIT_S) == [1, 2]
    assert shop.posted.empty()


@pytest.mark.parametrize("raised", [JobBrokeError, TimeoutError, SystemExit])
def test_a_call_raises_what_its_job_raised(shop: Workshop, raised: type[BaseException]) -> None:
    """Where it was asked for, whatever it is; the worker goes on."""

    def job() -> None:
        raise raised

    with pytest.raises(raised):
        shop.worker.call(job, timeout_s=LIMIT_S)
    assert shop.worker.call(lambda: "well", timeout_s=LIMIT_S) == "well"
    assert shop.failed.empty()


def test_a_call_that_takes_too_long_is_told_what_to_do(shop: Workshop) -> None:
    """It does not wait for ever; the job is done later all the same."""
    shop.hold()
    done = threading.Event()
    with pytest.raises(NotAnsweringError, match="try again"):
        shop.worker.call(done.set, timeout_s=0.01)
    assert not done.is_set()
    shop.gate.set()

    assert done.wait(LIMIT_S)


def test_the_backlog_is_what_waits(shop: Workshop) -> None:
    """Not the job that is being done."""
    shop.hold()
    for _ in range(3):
        shop.worker.submit(lambda: None)
    assert shop.worker.backlog() in {3, 4}
    shop.gate.set()
    shop.worker.call(lambda: None, timeout_s=LIMIT_S)

    assert shop.worker.backlog() == 0


def test_an_exception_of_a_job_is_handed_over_and_ends_the_thread() -> None:
    """The very object, so that its traceback is not lost; nothing is done after it."""
    shop = Workshop()
    shop.worker.submit(broken_job)
    shop.worker.submit(lambda: "after")
    shop.worker.start()

    assert isinstance(shop.failed.get(timeout=LIMIT_S), JobBrokeError)
    assert shop.worker.stop(LIMIT_S)
    assert shop.posted.empty()


def test_stop_finishes_what_is_queued() -> None:
    """An outcome that is not on disk yet is not lost by a SIGTERM."""
    shop = Workshop()
    shop.hold()
    for number in range(3):
        shop.worker.submit(lambda number=number: str(number))  # type: ignore[misc]
    shop.worker.start()
    shop.gate.set()

    assert shop.worker.stop(LIMIT_S)
    assert [shop.posted.get_nowait() for _ in range(3)] == ["0", "1", "2"]


def test_stop_does_not_wait_for_ever() -> None:
    """It tells that the thread is still busy."""
    shop = Workshop()
    shop.hold()
    shop.worker.start()

    assert not shop.worker.stop(0.01)
    shop.gate.set()
    assert shop.worker.stop(LIMIT_S)


# Turns.


@contextmanager
def started(turns: Turns) -> Iterator[Turns]:
    """Go the rounds for the length of a test."""
    turns.start()
    try:
        yield turns
    finally:
        assert turns.stop(LIMIT_S)


class Failures:
    """A log that can be waited for."""

    def __init__(self) -> None:
        self.told: queue.SimpleQueue[object] = queue.SimpleQueue()

    def emit(self, event: str, **fields: Field) -> None:
        """Keep one line."""
        self.told.put((event, fields["kind"], fields["why"]))


@pytest.fixture
def done() -> queue.SimpleQueue[str]:
    """No turn yet."""
    return queue.SimpleQueue()


def noted(done: queue.SimpleQueue[str]) -> Callable[[], None]:
    """Return a turn that tells on which thread it is."""
    return lambda: done.put(threading.current_thread().name)


def test_the_first_turn_is_at_the_start(done: queue.SimpleQueue[str]) -> None:
    """However long the pauses are, and on the thread's own name."""
    with started(regular("hours", noted(done), 3600.0, FakeEventLog())):
        assert done.get(timeout=LIMIT_S) == "hours"


def test_one_turn_follows_another(done: queue.SimpleQueue[str]) -> None:
    """After each pause there is another."""
    with started(regular("hours", noted(done), 0.01, FakeEventLog())):
        for _ in range(3):
            done.get(timeout=LIMIT_S)


def test_a_turn_that_fails_is_told_and_not_the_last() -> None:
    """A mistake of ours ends one turn; the next comes after a longer pause."""
    failures = Failures()

    def turn() -> None:
        raise LookupError("a mistake")

    with started(regular("hours", turn, 3600.0, failures, after_failure_s=0.01)):
        for _ in range(3):
            line = failures.told.get(timeout=LIMIT_S)
            assert line == ("alarm", "rounds_failing", "hours: LookupError")


def test_after_the_stop_there_is_no_turn(done: queue.SimpleQueue[str]) -> None:
    """Stopping ends a pause at once, and again does nothing."""
    turns = regular("hours", noted(done), 3600.0, FakeEventLog())
    with started(turns):
        done.get(timeout=LIMIT_S)

    assert turns.stop(0.0)
    assert done.empty()


def test_a_turn_that_hangs_keeps_nobody_from_ending() -> None:
    """Whoever stops waits for so long; what breaks afterwards is nobody's fault."""
    failures = Failures()
    begun, over = threading.Event(), threading.Event()

    def turn() -> None:
        begun.set()
        over.wait(LIMIT_S)
        raise OSError("the database is closed")

    with started(regular("hours", turn, 0.01, failures)) as turns:
        assert begun.wait(LIMIT_S)
        assert not turns.stop(0.01)
        over.set()

    assert failures.told.empty()


def test_a_wake_never_waits_and_brings_a_turn_where_nothing_is_left() -> None:
    """While a mail server lets one wait, others are heard; a thousand wakes are one turn."""
    gate, done = threading.Event(), queue.SimpleQueue[bool]()

    def turn() -> bool:
        done.put(gate.wait(LIMIT_S))
        return False

    with started(Turns("alarms", turn, 0.01, print)) as turns:
        for _ in range(1000):
            turns.wake()
        gate.set()
        for _ in range(2):
            assert done.get(timeout=LIMIT_S)
        with pytest.raises(queue.Empty):
            done.get(timeout=0.2)
        turns.wake()
        assert done.get(timeout=LIMIT_S)


def test_what_was_never_started_can_be_stopped(done: queue.SimpleQueue[str]) -> None:
    """An error in between leaves nothing that hangs."""
    assert regular("hours", noted(done), 3600.0, FakeEventLog()).stop()
    assert done.empty()


# What systemd hears.


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
from doorctl.ops.process import SystemdSupervisor
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


# The machine: its supply, its disk, its own safety.


def sensor(hwmon: Path, number: int, name: str, low: str | None) -> None:
    """Make one as the kernel shows it."""
    directory = hwmon / f"hwmon{number}"
    directory.mkdir()
    (directory / "name").write_text(f"{name}\n")
    if low is not None:
        (directory / "in0_lcrit_alarm").write_text(f"{low}\n")


@pytest.mark.parametrize(("low", "told"), [("1", True), ("0", False), (None, False)])
def test_a_supply_that_is_too_weak_is_told(tmp_path: Path, low: str | None, *, told: bool) -> None:
    """By the Pi's own sensor alone; one that can't be read says nothing."""
    sensor(tmp_path, 0, "cpu_thermal", "1")
    sensor(tmp_path, 1, "rpi_volt", low)

    assert (undervoltage(tmp_path) is not None) is told


def test_a_machine_without_that_sensor_says_nothing(tmp_path: Path) -> None:
    """Nor does one whose folder is missing."""
    sensor(tmp_path, 0, "cpu_thermal", "1")

    assert undervoltage(tmp_path) is None
    assert undervoltage(tmp_path / "none") is None


def test_a_disk_is_low_by_what_is_free_on_it(tmp_path: Path) -> None:
    """A file system that is nearly full by itself is told with how much is left."""
    assert disk_low(tmp_path) is None
    with pytest.raises(OSError, match="none"):
        disk_low(tmp_path / "none")
    # The kernel's own small file system: it has no room at all.
    assert LEAST_FREE_BYTES > 0
    assert (disk_low(Path("/proc")) or "").startswith("0 MiB are free where /proc lies")


# The disk of the databases.


def test_a_release_that_was_not_tried_is_told_as_the_package_says_it(tmp_path: Path) -> None:
    """Beside the releases; where there are none, as in a checkout, nothing is told."""
    release, link = tmp_path / "releases/1", tmp_path / "current"
    release.mkdir(parents=True)
    link.symlink_to("releases/1")
    assert upgrade_not_begun(release) is None
    (tmp_path / NOT_BEGUN).write_text("release 2: no system bus\n", encoding="utf-8")
    assert upgrade_not_begun(release) == upgrade_not_begun(link) == "release 2: no system bus"
    assert upgrade_not_begun(tmp_path / NOT_BEGUN / "a/b") is None
    assert upgrade_not_begun() is None


def test_the_proof_leaves_nothing(tmp_path: Path) -> None:
    """A thousand self-tests leave no file, and neither does one that was killed half-way."""
    disk = DataDisk(tmp_path)
    assert disk.free_bytes() > 0
    disk.prove_writable()

    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_gone_is_our_error(tmp_path: Path) -> None:
    """The self-test makes a finding of it."""
    disk = DataDisk(tmp_path / "missing")
    with pytest.raises(StoreError):
        disk.free_bytes()
    with pytest.raises(StoreError):
        disk.prove_writable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_is_not_ours_is_our_error(tmp_path: Path) -> None:
    """It can be asked and not written: two findings, of which one fails."""
    tmp_path.chmod(0o500)
    disk = DataDisk(tmp_path)

    assert disk.free_bytes() > 0
    with pytest.raises(StoreError, match="can't be written"):
        disk.prove_writable()


def test_what_can_never_be_written_is_our_error() -> None:
    """Not even root makes a file in ``/proc``."""
    with pytest.raises(StoreError, match="can't be written"):
        DataDisk(Path("/proc")).prove_writable()


# What a machine's own safety lacks, on machines laid out in a directory.


def laid(root: Path, name: str, text: str) -> None:
    """Lay out a file of a machine."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def test_a_machine_that_lacks_everything_and_one_that_lacks_nothing(tmp_path: Path) -> None:
    """Each sentence stands where it is needed, and nowhere else; what can't be read is lacking."""
    bad, good = tmp_path / "bad", tmp_path / "good"
    laid(bad, "proc/swaps", "Filename Type Size\n/var/swap file 99\n/dev/zram0 partition 9")
    laid(good, "proc/swaps", "Filename Type Size\n/dev/zram0 partition 99")
    laid(bad, "proc/sys/kernel/core_pattern", "core")
    laid(good, "proc/sys/kernel/core_pattern", "|/bin/false")
    laid(bad, "etc/chrony/chrony.conf", "pool 2.debian.pool.ntp.org iburst # no nts")
    laid(good, "etc/chrony/sources.d/nts.sources", "server nts.netnod.se iburst nts")
    laid(bad, "sys/class/rtc/rtc0/since_epoch", "12")
    laid(good, "sys/class/rtc/rtc0/since_epoch", str(int(BUILD_FLOOR.timestamp()) + 1))
    laid(bad, "sys/class/watchdog/watchdog0/state", "inactive")
    laid(good, "sys/class/watchdog/watchdog0/state", "active")

    checks = (
        process.swap,
        process.core_dumps,
        process.unsigned_time,
        process.battery_clock,
        process.watchdog,
    )
    assert [check(good) for check in checks] == [None] * len(checks)
    assert all(check(bad) for check in checks)
    assert "/var/swap" in str(process.swap(bad))
    assert "zram" not in str(process.swap(bad))


@pytest.mark.parametrize(
    ("uuid", "safe"), [("CRYPT-LUKS2-0a1b-root", True), ("LVM-0a1b", False), (None, False)]
)
def test_a_disk_is_encrypted_at_any_depth(tmp_path: Path, uuid: str | None, safe: bool) -> None:
    """A volume on an encrypted device is; a bare partition, or one that nobody knows, is not."""
    laid(tmp_path, "sys/dev/block/253:1/dm/uuid", "LVM-top")
    if uuid is not None:
        laid(tmp_path, "sys/dev/block/253:1/slaves/dm-0/dm/uuid", uuid)

    assert (process.unencrypted("253:1", tmp_path) is None) is safe
    assert process.unencrypted("0:99", tmp_path) is not None


def test_a_feed_that_was_left(tmp_path: Path) -> None:
    """It is named, so that it can be shredded."""
    assert process.clear_feeds([tmp_path]) is None
    laid(tmp_path, "patrons.ndjson", "{}")
    assert "patrons.ndjson" in str(process.clear_feeds([tmp_path]))
