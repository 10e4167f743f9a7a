"""What happens to a Pi, and what its relay does meanwhile, seen from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.install.sender import LOADED, PIN
from tests.pi.guest import Guest, until
from tests.pi.monitor import Pulse, Watch

RELEASE_S = 5.0
"""As tests/pi/answers.toml has it."""

LIMIT_S = RELEASE_S + 1.0
SLACK_S = 0.15
"""How much earlier or later than due a pulse that nothing disturbs may end, under emulation."""

OPENS_S = 30.0
"""An emulated Pi that is busy is slow; that it opens is what counts."""

WATCHED_S = RELEASE_S + 12.0
REPLUGS = 100
SWIPE_EACH = 10
BACK_S = 2.0
"""Until the door has opened a reader that was put back: what is pulled next was in use."""

LONG_AGO = "1999-01-01 00:00:00"

READER = "/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_reader-if00-port0"


@dataclass(frozen=True, slots=True)
class Result:
    """One row.

    `kernel`: whether it ``keeps`` or ``frees`` the outputs of a process that is gone; `seen`: what
    came of it, with its figure; `limit`: what it must be; `ok`: whether it is.
    """

    scenario: str
    kernel: str
    seen: str
    limit: str
    ok: bool

    def cells(self) -> tuple[str, ...]:
        """Return the row as text."""
        return (self.scenario, self.kernel, self.seen, self.limit, "ok" if self.ok else "FAIL")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens while the strike is released.

    Args:
        name: for the table.
        command: what root runs; ``PID`` stands for the door's process.
        after_s: seconds after the relay went on.
        mended: what root runs afterwards, so that the door works again.
    """

    name: str
    command: str
    after_s: float
    mended: str = "true"


PYTHON = "/opt/doorctl/current/bin/python3"

FAULTS = (
    Fault("SIGKILL in mid-pulse", "kill -KILL PID", 1.0),
    Fault("SIGSTOP as the pulse begins", "kill -STOP PID", 0.1),
    Fault("SIGSTOP as the pulse ends", "kill -STOP PID", RELEASE_S - 0.4),
    Fault(
        "the kernel is out of memory in mid-pulse",
        "echo 1000 > /proc/PID/oom_score_adj; echo f > /proc/sysrq-trigger",
        1.0,
    ),
    Fault(
        "systemctl stop in mid-pulse",
        "systemctl stop doorctl-door",
        1.0,
        "systemctl start --no-block doorctl-door",
    ),
    Fault(
        "SIGKILL in mid-pulse, and no Python starts",
        f"mv {PYTHON} {PYTHON}.gone; kill -KILL PID",
        1.0,
        f"mv {PYTHON}.gone {PYTHON}",
    ),
)


def booting(guest: Guest, kernel: str, again: str = "") -> Iterator[Result]:
    """Watch it boot, without a network and by a clock that nobody vouches for."""
    shell_s = guest.wait_for_shell()
    guest.wait_for_unit()
    ready_s = time.monotonic() - guest.booted_s
    seen = f"{_counted(guest.watch, guest.booted_s)}; shell {shell_s:.0f} s, ready {ready_s:.0f} s"
    calm = not guest.watch.pulses_since(guest.booted_s)
    yield Result(f"boot{again}, from the first moment", kernel, seen, "no pulse", calm)
    networks = guest.run("ls /sys/class/net").split()
    yield Result(
        "no network at boot",
        kernel,
        f"ready with {' '.join(networks)}",
        "ready",
        networks == ["lo"],
    )


def booting_again(guest: Guest, kernel: str) -> Iterator[Result]:
    """The same after a power cut in mid-pulse."""
    yield from booting(guest, kernel, " after a power cut in mid-pulse")


def wrong_clock(guest: Guest, kernel: str) -> Iterator[Result]:
    """Let somebody come while the clock is wrong, and again once it is right."""
    guest.run(f"date -u -s '{LONG_AGO}'")
    began_s = time.monotonic()
    come(guest)
    until("a decision", lambda: bool(guest.decisions()), OPENS_S, apart_s=0.5)
    reason = guest.decisions()[-1]["reason"]
    none = not guest.watch.pulses_since(began_s)
    yield Result(
        "clock of 1999, nobody vouches",
        kernel,
        reason,
        "clock_untrusted, no pulse",
        none and reason == "clock_untrusted",
    )
    pid = guest.main_pid()
    guest.trust_the_clock()
    seen = f"{'opens' if opens(guest) else 'stays shut'}{_restarted(guest, pid)}"
    yield Result("the clock is set", kernel, seen, "opens", seen == "opens")
    settle(guest)


def visits(guest: Guest, kernel: str, times: int = 5) -> Iterator[Result]:
    """Let somebody in some times, and time the pulses."""
    guest.trust_the_clock()
    lengths = []
    for _ in range(times):
        pulse = let_in(guest)
        time.sleep(RELEASE_S + 1.5)
        lengths.append(length_s(guest, pulse))
    seen = f"{len(lengths)} pulses, {min(lengths):.2f}-{max(lengths):.2f} s"
    due = all(abs(one - RELEASE_S) < SLACK_S for one in lengths)
    yield Result("card and PIN", kernel, seen, f"{RELEASE_S:.1f} s", due)


def faults(guest: Guest, kernel: str) -> Iterator[Result]:
    """Do each of :data:`FAULTS` while the strike is released."""
    guest.trust_the_clock()
    for fault in FAULTS:
        pid = guest.main_pid()
        pulse = let_in(guest)
        time.sleep(max(0.0, pulse.start_s + fault.after_s - time.monotonic()))
        guest.start(fault.command.replace("PID", str(pid)))()
        time.sleep(max(0.0, pulse.start_s + WATCHED_S - time.monotonic()))
        on_s = length_s(guest, pulse)
        guest.run(fault.mended)
        guest.wait_for_unit()
        again = len(guest.watch.pulses_since(pulse.start_s)) - 1
        works = opens(guest)
        settle(guest)
        seen = f"on for {on_s:.2f} s" + (f", {again} more pulses" if again else "")
        seen += "" if works else ", then does not open"
        yield Result(
            fault.name, kernel, seen, f"{LIMIT_S:.1f} s", on_s <= LIMIT_S and not again and works
        )


def replugging(guest: Guest, kernel: str) -> Iterator[Result]:
    """Pull the reader and put it back again and again; let somebody in now and then."""
    guest.trust_the_clock()
    where = f"$(readlink -f /sys/class/tty/$(basename $(readlink -f {READER}))/device/../..)"
    device = guest.run(f"echo {where}")
    opened = began = 0
    for turn in range(1, REPLUGS + 1):
        guest.run(
            f"echo 0 > {device}/authorized; while [ -e {READER} ]; do sleep 0.05; done;"
            f"echo 1 > {device}/authorized; while [ ! -e {READER} ]; do sleep 0.05; done"
        )
        time.sleep(BACK_S)
        if turn % SWIPE_EACH == 0:
            began += 1
            opened += opens(guest)
            settle(guest)
    told = guest.run(
        "journalctl -b -u doorctl-door -o cat | grep '\"reader\"' | grep -c '\"lost\"'"
    )
    pid = guest.run("systemctl show -P NRestarts doorctl-door")
    seen = f"{told} times lost, {opened} of {began} swipes open, {pid} restarts since the boot"
    yield Result(
        f"reader pulled and put back {REPLUGS} times", kernel, seen, "all open", opened == began
    )


def web(guest: Guest, kernel: str) -> Iterator[Result]:
    """Start the other process, time it, and look whether both run as their units have them."""
    began_s = time.monotonic()
    guest.run("systemctl start --no-block doorctl-web")
    guest.wait_for_unit("doorctl-web")
    seen = f"ready after {time.monotonic() - began_s:.0f} s"
    yield Result("doorctl-web started", kernel, seen, "ready", True)
    users = [
        guest.run(f"stat -c %U /proc/{guest.main_pid(unit)}")
        for unit in ("doorctl-door", "doorctl-web")
    ]
    own = users == ["doorctl-door", "doorctl-web"]
    yield Result("users of door and web", kernel, " ".join(users), "their own", own)
    status = guest.run("doorctl status >/dev/null 2>&1; echo $?")
    # 3: it decides, and something stands; no self-test has run here.
    yield Result("doorctl status", kernel, f"exit {status}", "0 or 3", status in {"0", "3"})


def in_mid_pulse(guest: Guest, kernel: str) -> Iterator[Result]:
    """Let somebody in and return while the strike is still released, for the power to be cut."""
    guest.trust_the_clock()
    pulse = let_in(guest)
    time.sleep(1.0)
    on_s = length_s(guest, pulse)
    yield Result("the power is cut", kernel, f"on for {on_s:.2f} s", "on", guest.watch.high)


def after_power_cut(guest: Guest, kernel: str) -> Iterator[Result]:
    """Look at what a power cut in mid-pulse has left, on the second boot."""
    sound = guest.run(
        "for file in /var/lib/doorctl*/*.db; do"
        " sqlite3 -readonly $file 'PRAGMA integrity_check'; done"
    )
    yield Result(
        "databases after the power cut",
        kernel,
        " ".join(sorted(set(sound.split()))),
        "ok",
        set(sound.split()) == {"ok"},
    )
    guest.trust_the_clock()
    yield Result("card and PIN after the power cut", kernel, "opens", "opens", opens(guest))


Coming = Callable[[Guest], None]
"""How somebody with a card comes."""


def come(guest: Guest) -> None:
    """Swipe the card and type its PIN."""
    guest.reader.sendall(f"{LOADED}\r".encode())
    time.sleep(0.8)
    for digit in PIN:
        guest.keypad.sendall(digit.encode())
        time.sleep(0.1)


def let_in(guest: Guest, coming: Coming = come) -> Pulse:
    """Swipe, type, and return the pulse once it has begun; TimeoutError where none does."""
    began_s = time.monotonic()
    coming(guest)
    until("the relay to go on", lambda: bool(guest.watch.pulses_since(began_s)), OPENS_S)
    return guest.watch.pulses_since(began_s)[0]


def opens(guest: Guest, coming: Coming = come) -> bool:
    """Let somebody in, and tell whether the door opened."""
    try:
        let_in(guest, coming)
    except TimeoutError:
        return False
    return True


def settle(guest: Guest) -> None:
    """Wait until the relay is off, and a little longer."""
    until("the relay to go off", lambda: not guest.watch.high, OPENS_S)
    time.sleep(0.5)


def length_s(guest: Guest, pulse: Pulse) -> float:
    """Return how long a pulse was in the end, or is by now."""
    found = guest.watch.pulses_since(pulse.start_s)[0]
    return found.length_s(time.monotonic())


def _restarted(guest: Guest, pid: int) -> str:
    return "" if guest.main_pid() == pid else ", by a new process"


def _counted(watch: Watch, since_s: float) -> str:
    return f"{len(watch.pulses_since(since_s))} pulses"
