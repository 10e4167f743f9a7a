"""A process's threads, its memory, its word to systemd; and what its machine lacks."""

from __future__ import annotations

import ctypes
import gc
import os
import queue
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Generic, TypeVar

from doorctl.core.errors import NotAnsweringError, StoreError
from doorctl.core.ports import EventLog
from doorctl.ops.clock import TimeSources, text_of

PostedT = TypeVar("PostedT")
ResultT = TypeVar("ResultT")


class WorkerThread(Generic[PostedT]):
    """Do jobs in order on one thread, so that a database connection can belong to it.

    `post` gets what a job returns, unless that is None; `failed` an exception of a job: a bug, or
    a dying machine.
    """

    def __init__(
        self, post: Callable[[PostedT], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._post = post
        self._failed = failed
        self._jobs: queue.SimpleQueue[Callable[[], PostedT | None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, job: Callable[[], PostedT | None]) -> None:
        """Queue a job. Thread-safe, never blocks."""
        self._jobs.put(job)

    def call(self, job: Callable[[], ResultT], *, timeout_s: float) -> ResultT:
        """Do a job in its turn and return its result, or raise its error.

        Thread-safe; not for the worker itself, nor for the controller's loop, which it would hold.
        Raises NotAnsweringError: it was not done in time; it is done later all the same.
        """
        done: Future[ResultT] = Future()

        def fulfil() -> None:
            try:
                done.set_result(job())
            except BaseException as err:  # noqa: BLE001 - raised again where it was asked for
                done.set_exception(err)

        self.submit(fulfil)
        if not wait([done], timeout_s).done:
            raise NotAnsweringError("the disk is busy; try again in a minute")
        return done.result()

    def backlog(self) -> int:
        """Return about how many jobs wait. Thread-safe."""
        return self._jobs.qsize()

    def stop(self, timeout_s: float) -> bool:
        """Finish the queued jobs and end; return whether it ended in time."""
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                posted = job()
            except BaseException as err:  # noqa: BLE001 - handed over whole, to be raised there
                self._failed(err)
                return
            if posted is not None:
                self._post(posted)


AFTER_FAILURE_S = 60.0
"""A turn that fails by a bug of ours fails again at once: no use in filling the log."""

STOP_S = 2.0
"""Longest wait at the end for a turn under way, such as a deletion or a question to the website.

A deletion's commit is whole or not at all.
"""


class Turns:
    """Calls `turn` at once, then after each pause and at each `wake`, until it is stopped.

    A pause is monotonic, so setting the clock changes nothing. `turn` reads the clock itself and
    may take its time; where it returns False nothing is left, and only a `wake` brings the next
    one. An exception ends that turn only and goes to `failed`; the next then comes after
    `after_failure_s`, None for the usual pause.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], bool | None],
        pause_s: float,
        failed: Callable[[Exception], None],
        after_failure_s: float | None = None,
    ) -> None:
        self._turn = turn
        self._pause_s = pause_s
        self._failed = failed
        self._after_failure_s = pause_s if after_failure_s is None else after_failure_s
        self._woken = threading.Event()
        self._stopping = False
        # A turn may hang in a name lookup, and must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin; call once."""
        self._thread.start()

    def wake(self) -> None:
        """Have a turn now, or right after the one under way. Thread-safe, never blocks."""
        self._woken.set()

    @contextmanager
    def going(self, close: Callable[[], None]) -> Iterator[None]:
        """Begin, and stop at the end of the block; then `close` what the turns use."""
        self.start()
        try:
            yield
        finally:
            # While a turn hangs its connection is in use; it ends with the process.
            if self.stop():
                close()

    def stop(self, timeout_s: float = STOP_S) -> bool:
        """Begin no other turn; return whether the present one ended in time. Idempotent."""
        self._stopping = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stopping:
            pause_s: float | None = self._pause_s
            try:
                if self._turn() is False:
                    pause_s = None
            except Exception as error:  # noqa: BLE001 - one bad turn must not end all of them
                pause_s = self._after_failure_s
                # An error while the process ends, such as a closed database, is not a fault.
                if not self._stopping:
                    self._failed(error)
            self._woken.wait(pause_s)
            self._woken.clear()


def regular(
    name: str,
    turn: Callable[[], None],
    pause_s: float,
    log: EventLog,
    after_failure_s: float = AFTER_FAILURE_S,
) -> Turns:
    """Return turns whose failures are logged as ``rounds_failing``."""

    def failed(error: Exception) -> None:
        # The text of a mistake of ours may quote anything; its kind says enough.
        log.emit("alarm", kind="rounds_failing", why=f"{name}: {type(error).__name__}")

    return Turns(name, turn, pause_s, failed, after_failure_s)


# Messages to systemd, by sd_notify(3)'s protocol, and the kernel's timer beside its watchdog.


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


# How the processes keep their memory small and their answers prompt.

M_MMAP_THRESHOLD = -3
"""glibc's number for "blocks of this size and more are given back at once" (malloc.h)."""

M_ARENA_MAX = -8
"""glibc's number for "at most so many heaps": a thread that gets one keeps what it needed."""

LARGE_BLOCK_BYTES = 4 * 1024 * 1024
"""Less than Argon2's 19 MiB, more than anything else that the door asks for."""


def _of_glibc(name: str, *numbers: int) -> None:
    """Call a function that another C library may lack."""
    if (found := getattr(ctypes.CDLL(None), name, None)) is not None:
        found(*numbers)


def return_large_blocks() -> None:
    """Have the C library give Argon2's memory back after each swipe.

    glibc keeps it once it has seen such a block come and go: 19 MB more resident
    (measured). A C library without ``mallopt`` does as it likes.
    """
    _of_glibc("mallopt", M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def share_one_heap() -> None:
    """Have all threads take their memory from one heap, as early as can be.

    A dozen threads that hardly work would each keep a heap of their own: 3 MB of web, and 1.3 MB
    of a door that has purged a month's visits (measured).
    """
    _of_glibc("mallopt", M_ARENA_MAX, 1)


def spare_the_collector() -> None:
    """Collect now, and exempt all that is alive from later collections: some 40 000 objects.

    A full collection over them takes 15 to 40 ms (measured), and nothing keeps one from coming
    while a patron stands at the door. Memory that the imports have freed is given back: 0.5 MB.
    Call it again once many of these objects are gone.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    _of_glibc("malloc_trim", 0)


# This machine's disk, power supply and own safety.

LEAST_FREE_BYTES = 200 * 1024 * 1024
"""Room to load a register of 100 000 beside the old register, and for a purge."""

HWMON = Path("/sys/class/hwmon")


def disk_low(directory: Path) -> str | None:
    """Return how little room the disk of `directory` has; None where it is enough. OSError."""
    free = shutil.disk_usage(directory).free
    if free >= LEAST_FREE_BYTES:
        return None
    return f"{free // 1_048_576} MiB are free where {directory} lies"


def undervoltage(hwmon: Path = HWMON) -> str | None:
    """Return that a Raspberry Pi's supply is too weak; None where it isn't, or on other machines.

    The kernel's driver ``rpi_volt`` sets ``in0_lcrit_alarm`` below 4.63 V.
    """
    for name in hwmon.glob("*/name"):
        if text_of(name) == "rpi_volt":
            low = text_of(name.parent / "in0_lcrit_alarm") == "1"
            return "the supply falls below 4.63 V" if low else None
    return None


PROBE = bytes(4096)
"""One page, as much as SQLite's smallest write."""


class DataDisk:
    """The disk of the databases' directory. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def free_bytes(self) -> int:
        """Return the free bytes without the part that ext4 keeps for root."""
        try:
            return shutil.disk_usage(self._directory).free
        except OSError as err:
            raise StoreError(f"{self._directory} can't be asked: {err.strerror}") from err

    def prove_writable(self) -> None:
        """Write a page to a file without a name and wait until the medium has it.

        A file without a name (Linux's ``O_TMPFILE``) is gone whenever the process is.
        """
        try:
            with tempfile.TemporaryFile(dir=self._directory, buffering=0) as probe:
                probe.write(PROBE)
                os.fsync(probe.fileno())
        except OSError as err:
            raise StoreError(f"{self._directory} can't be written: {err.strerror}") from err


NOT_BEGUN = "upgrade-not-begun"
"""The file beside ``releases`` in which the package says which release was not tried, and why."""


def upgrade_not_begun(release: Path = Path(sys.prefix)) -> str | None:
    """Return which release of the package's was not even tried, and why; None where none was not.

    `release` is the one that runs, or the link to it. OSError: the file can't be read.
    """
    try:
        return (release.resolve().parents[1] / NOT_BEGUN).read_text("utf-8", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


# Each check returns what is missing, None where all is well, and looks below `root`, so that a
# test can lay out another machine.

ROOT = Path("/")
FEEDS = ("*.ndjson", "*.csv")


def device_of(directory: Path) -> str:
    """Return the number of the device that a directory lies on, as ``/sys/dev/block`` names it."""
    number = directory.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def unencrypted(device: str, root: Path = ROOT) -> str | None:
    """Look for dm-crypt below a device, at any depth."""
    if _encrypted(root / "sys/dev/block" / device):
        return None
    return "The disk is not encrypted: whoever takes it has the key and the register."


def _encrypted(device: Path) -> bool:
    return text_of(device / "dm/uuid").startswith("CRYPT-") or any(
        map(_encrypted, device.glob("slaves/*"))
    )


def core_dumps(root: Path = ROOT) -> str | None:
    """Check where the memory of a crashed process is stored."""
    if text_of(root / "proc/sys/kernel/core_pattern") in {"", "|/bin/false"}:
        return None
    return "A command that crashes may leave its memory on the disk; the units leave none."


def swap(root: Path = ROOT) -> str | None:
    """Check whether memory is written to a disk; zram stays in memory."""
    used = [line.split()[0] for line in text_of(root / "proc/swaps").splitlines()[1:]]
    disks = [name for name in used if not name.startswith("/dev/zram")]
    return f"Memory may be swapped to {', '.join(disks)}." if disks else None


def clear_feeds(directories: Iterable[Path]) -> str | None:
    """Look for exports of patrons in the places where they are loaded from."""
    feeds = {path for place in directories for name in FEEDS for path in place.glob(name)}
    if not feeds:
        return None
    names = ", ".join(repr(str(path)) for path in sorted(feeds))
    return f"CPR numbers and PINs may stand in clear in {names}."


def unsigned_time(root: Path = ROOT) -> str | None:
    """Look for a server with NTS in chrony's configuration."""
    texts = map(text_of, (root / "etc/chrony").rglob("*.*"))
    if any(" nts" in line.partition("#")[0] for text in texts for line in text.splitlines()):
        return None
    return "The time is taken unsigned: whoever answers on the network sets it."


def battery_clock(root: Path = ROOT) -> str | None:
    """Check the battery clock; without a battery it says a time before there was a doorctl."""
    if any(TimeSources(rtc=rtc).battery() for rtc in (root / "sys/class/rtc").glob("*")):
        return None
    return "No battery clock keeps the time while the power is off."


def watchdog(root: Path = ROOT) -> str | None:
    """Check whether the board's own watchdog is fed."""
    states = (root / "sys/class/watchdog").glob("*/state")
    if any(text_of(path) == "active" for path in states):
        return None
    return "No watchdog resets this machine when it hangs."
