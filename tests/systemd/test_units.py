"""The units: what systemd thinks of them, and that they hold what the code relies on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from doorctl.cli.sync import TRY_AGAIN
from doorctl.core.alarms import KINDS
from doorctl.devices.line_thread import STOP_S
from doorctl.doord.chores import FREED_GRACE_S, KEPT_GRACE_S
from doorctl.doord.controller import TURN_LIMIT_S
from doorctl.notices.mail import TOTAL_S
from doorctl.ops.logs import CLOSE_S
from tests.install.pages import all_blocks

SYSTEMD = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(SYSTEMD.glob("*.service"))
TIMERS = sorted(SYSTEMD.glob("*.timer"))

DROP_INS = [block.text for block in all_blocks() if block.text.startswith("[Service]\n")]
"""What a page says to lay over a unit."""

EXPOSED_TENTHS = {
    "doorctl-door.service": 5,
    "doorctl-web.service": 10,
    "doorctl-alarm@.service": 11,
    "doorctl-backup.service": 25,
    "doorctl-sync.service": 11,
    "doorctl-sync-full.service": 11,
    "doorctl-sync-failed@.service": 11,
    "doorctl-upgrade.service": 21,
}
"""The most that each may be, in tenths of systemd's scale (0 is safe, 100 is all open)."""


LOCKING_S = 0.55
"""What killing and `ExecStopPost=` may take; an emulated Pi needs more now and then (tests/pi)."""

WORKER_STOP_S = 10.0
"""As the composition root has it."""

CONTROL_STOP_S = 0.2


def text_of(unit: str) -> str:
    """Return a unit's file."""
    return (SYSTEMD / unit).read_text(encoding="utf-8")


def values(name: str, unit: str = "doorctl-door.service") -> list[str]:
    """Return every value of a setting, in order."""
    return re.findall(rf"^{name}=(.*)$", text_of(unit), re.MULTILINE)


def seconds(name: str) -> float:
    """Return the value in seconds of a setting of the door's."""
    (value,) = values(name)
    assert value.endswith("s")
    return float(value.removesuffix("s"))


def tool(name: str) -> str:
    """Return where a tool is; without it skip, but fail in CI."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"CI has to have {name}")
        pytest.skip(f"this machine has no {name}")
    return found


def told(*command: str | Path) -> tuple[int, str]:
    """Run a command; return its exit code and all that it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_no_service_is_left_out() -> None:
    """A new one has to say how exposed it may be."""
    assert {one.name for one in SERVICES} == set(EXPOSED_TENTHS)


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_is_no_more_exposed_than_it_must_be(unit: Path) -> None:
    """``systemd-analyze security`` gives at most the figure above."""
    code, text = told(
        tool("systemd-analyze"),
        "security",
        "--offline=true",
        "--no-pager",
        f"--threshold={EXPOSED_TENTHS[unit.name]}",
        unit,
    )

    assert code == 0, text


def test_systemd_understands_each_unit(tmp_path: Path) -> None:
    """No setting is unknown or malformed, and no dependency is missing."""
    units = [made_whole(tmp_path, unit) for unit in (*SERVICES, *TIMERS)]
    assert told(tool("systemd-analyze"), "verify", *units) == (0, "")


def made_whole(directory: Path, unit: Path) -> Path:
    """Make all units as they would be installed; return the one that is meant."""
    # Units that name each other are verified together.
    for one in (*SERVICES, *TIMERS):
        text = one.read_text(encoding="utf-8")
        text = text.replace("/opt/doorctl/current/bin/doorctl", tool("env"))
        (directory / one.name.replace("@.", "@web_failed.")).write_text(text, encoding="utf-8")
    return directory / unit.name.replace("@.", "@web_failed.")


@pytest.mark.parametrize("drop_in", DROP_INS)
@pytest.mark.parametrize("name", ["doorctl-door.service", "doorctl-web.service"])
def test_what_the_readme_lays_over_a_unit_is_understood(
    tmp_path: Path, name: str, drop_in: str
) -> None:
    """Whoever copies a drop-in from there has one that works, as it stands."""
    unit = made_whole(tmp_path, SYSTEMD / name)
    laid_over = tmp_path / f"{name}.d" / "override.conf"
    laid_over.parent.mkdir()
    laid_over.write_text(drop_in, encoding="utf-8")

    assert told(tool("systemd-analyze"), "verify", unit) == (0, "")


def test_the_readme_names_a_secret_as_the_unit_does() -> None:
    """Its drop-ins for secrets take lines of the unit's as they are."""
    lines = re.findall("^LoadCredential=.*$", "".join(DROP_INS), re.MULTILINE)
    unit = text_of("doorctl-web.service")

    assert [line for line in lines if f"# {line}\n" not in unit] == []
    assert len(lines) == 1


def test_web_starts_after_the_door() -> None:
    """Both restarted at once after a new key, web asks a door that is ready which one is in use.

    Bug (the emulated guest): web asked before the door answered, took the register's old key for
    the one in use, and after `doorctl pair finish --replace` every push was refused.
    """
    (after,) = values("After", "doorctl-web.service")

    assert "doorctl-door.service" in after.split()


def test_each_timer_has_its_service() -> None:
    """A timer without one would be silent for ever."""
    assert all(timer.with_suffix(".service") in SERVICES for timer in TIMERS)


def test_users_of_the_units_are_made() -> None:
    """Each user and group that a unit names is a line of a sysusers file, or Debian's own."""
    made = {"dialout"}
    for file in SYSTEMD.glob("*sysusers.conf"):
        made |= set(re.findall(r"^[ug]\s+(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE))
    kinds = "(?:User|Group|SupplementaryGroups)"
    wanted = {
        name for unit in SERVICES for line in values(kinds, unit.name) for name in line.split()
    }

    assert wanted == made


def test_udev_understands_the_rules() -> None:
    """Each line is a rule; that a group is made by another file is no fault."""
    rules = SYSTEMD / "doorctl.udev.rules"
    _code, text = told(tool("udevadm"), "verify", "--no-summary", rules)
    faults = [line for line in text.splitlines() if "Unknown group 'gpio'" not in line]

    assert [line for line in faults if "rules check failed" not in line] == []


@pytest.mark.parametrize("kind", ["tmpfiles", "sysusers"])
def test_systemd_understands_the_files(tmp_path: Path, kind: str) -> None:
    """Each file is taken by its own tool, in a root directory of the test's own."""
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).write_text("root:x:0:\n" if name == "group" else "")
    for file in (*SYSTEMD.glob("*sysusers.conf"), *SYSTEMD.glob(f"*{kind}.conf")):
        own = "sysusers" if "sysusers" in file.name else kind
        more = ("--create",) if own == "tmpfiles" else ()
        code, text = told(tool(f"systemd-{own}"), f"--root={tmp_path}", *more, file)

        assert code == 0, text


def test_what_opens_the_screen_is_gone_at_a_boot_and_not_before(tmp_path: Path) -> None:
    """So that no browser begins with the secret of the boot before, while web has made no other."""
    screen = tmp_path / "var" / "lib" / "doorctl" / "screen.html"
    screen.parent.mkdir(parents=True)
    screen.touch()
    rules = SYSTEMD / "doorctl.tmpfiles.conf"
    remove = (tool("systemd-tmpfiles"), f"--root={tmp_path}", "--remove")
    there = [(told(*remove, *boot, rules), screen.exists())[1] for boot in ((), ("--boot",))]

    assert there == [True, False]


# What the door's unit holds for its process.


def test_the_key_is_read_where_systemd_puts_it() -> None:
    """The daemon's user can't read root's key: it is told the path of its credential."""
    (start,) = values("ExecStart")
    (credential,) = values("LoadCredential")
    name, _, source = credential.partition(":")

    assert values("User") == ["doorctl-door"]
    assert f"--set secrets.installation_key_file=${{CREDENTIALS_DIRECTORY}}/{name}" in start
    assert source == "/etc/doorctl/installation.key"


def test_the_readers_key_has_its_line_in_the_doors_unit_alone() -> None:
    """Whoever writes the configuration by hand takes a ``#`` off; web never sees that key."""
    line = "# LoadCredential=reader.key:/etc/doorctl/reader.key\n"

    assert line in text_of("doorctl-door.service")
    assert "reader.key" not in "".join(
        text_of(unit.name) for unit in SERVICES if unit.name != "doorctl-door.service"
    )


def said_after_a_stop(
    line: str, directory: Path, codes: dict[str, int], result: str = "success"
) -> list[str]:
    """Run what systemd runs after a stop; return what was asked of programs that only say it.

    `line`: of ``ExecStopPost=``; `directory`: stands for the runtime directory and for those of the
    programs; `codes`: each program's exit code.
    """
    for name, code in codes.items():
        program = directory / name
        program.write_text(f'#!/bin/sh\necho "{name} $@"\nexit {code}\n')
        program.chmod(0o755)
    script = line.partition("/bin/sh -c '")[2].removesuffix("'").replace("$$", "$")
    for place in ("/run/doorctl/", "/opt/doorctl/current/bin/"):
        script = script.replace(place, f"{directory}/")
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"PATH": f"{directory}:/usr/bin:/bin", "SERVICE_RESULT": result},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


LOCKED = "gpioset -t 0 -c /dev/gpiochip0 17=0"


@pytest.mark.parametrize(
    ("word", "gpioset", "asked"),
    [
        ("/dev/gpiochip0 17 0\n", 0, [LOCKED]),
        (None, 0, ["doorctl relay-off"]),
        ("", 0, ["doorctl relay-off"]),
        ("/dev/gpiochip0 17 0\n", 1, [LOCKED, "doorctl relay-off"]),
    ],
    ids=["word", "none", "half", "fails"],
)
def test_locking_after_a_stop_needs_no_python(
    tmp_path: Path, word: str | None, gpioset: int, asked: list[str]
) -> None:
    """With the daemon's word a small program of Debian's switches the relay off, and no other.

    No word, half a word, or no such program: our own command does it, by the configuration.
    """
    if word is not None:
        (tmp_path / "relay").write_text(word)
    line, _alarm = values("ExecStopPost")

    assert said_after_a_stop(line, tmp_path, {"gpioset": gpioset, "doorctl": 0}) == asked


def test_locking_is_no_business_of_roots() -> None:
    """Outside the unit's rooms for speed, but as the daemon's user and with the pins' group."""
    line, _alarm = values("ExecStopPost")

    assert line.startswith(
        "+/usr/bin/setpriv --reuid doorctl-door --regid doorctl --groups gpio --no-new-privs "
    )
    assert "gpio" in values("SupplementaryGroups")[0].split()


def test_the_watchdog_is_fed_in_time() -> None:
    """A loop that works feeds it many times before it bites: a healthy door is not killed.

    A frozen cgroup takes no other signal than its, and a traceback is not worth an open door.
    """
    assert 5 * TURN_LIMIT_S < seconds("WatchdogSec") <= 10 * TURN_LIMIT_S
    assert values("WatchdogSignal") == ["SIGKILL"]


def test_a_loop_that_stops_before_it_locks_leaves_time_to_lock() -> None:
    """A release may be a second overdue; where the pin is kept, systemd still has to lock in it."""
    assert KEPT_GRACE_S + LOCKING_S <= 1.0
    assert FREED_GRACE_S < 1.0


def test_a_stop_has_the_time_that_it_may_take() -> None:
    """Both lines, the worker, the control socket and the log: systemd waits longer than they."""
    needed = 2 * STOP_S + WORKER_STOP_S + CONTROL_STOP_S + CLOSE_S

    assert seconds("TimeoutStopSec") > needed


def test_the_clock_can_neither_be_set_nor_asked() -> None:
    """Others vouch, such as timesyncd by its file; a refused question is answered, not fatal."""
    assert values("ProtectClock") == ["yes"]
    assert values("SystemCallErrorNumber") == ["EPERM"]
    assert values("CapabilityBoundingSet") == [""]


def test_every_kind_of_device_is_allowed() -> None:
    """Pins, USB lines and both kinds of UART that a Pi has."""
    kinds = ("gpiochip", "ttyUSB", "ttyACM", "ttyAMA", "ttyS")

    assert {f"char-{kind} rw" for kind in kinds} <= {*values("DeviceAllow")}


def test_a_scanner_that_types_is_read_and_never_written_to() -> None:
    """Its node is the group's, which reads it; grabbing needs no more."""
    assert "char-input r" in values("DeviceAllow")
    assert "input" in values("SupplementaryGroups")[0].split()


def test_each_secret_has_its_line() -> None:
    """Whoever fills in mail, webhook, library system, sign-in or TLS only takes a ``#`` off.

    Bug (robustness review): web's unit had no lines for the library system's secrets.
    """
    lines = re.findall(
        r"^# LoadCredential=(\S+):/etc/doorctl/(\S+)$", text_of("doorctl-web.service"), re.MULTILINE
    )

    assert all(name == file for name, file in lines)
    assert {name for name, _ in lines} == {
        *("web.key", "mail.password", "webhook.secret"),
        *("lms.password", "terminal.password", "oidc.secret"),
    }


# The units that tell of another one's end.


@pytest.mark.parametrize("process", ["web", "door"])
@pytest.mark.parametrize("result", ["success", "exit-code", "watchdog"])
def test_an_end_is_told_unless_it_was_wanted(tmp_path: Path, result: str, process: str) -> None:
    """A shell reads the line as systemd gives it on: a stop on purpose is no alarm.

    The unit's name says which alarm it is, and the command knows that one.
    """
    line = values("ExecStopPost", f"doorctl-{process}.service")[-1]
    alarm = f"systemctl start --no-block doorctl-alarm@{process}_failed.service"
    started = [] if result == "success" else [alarm]

    assert line.startswith("-+/bin/sh -c ")
    assert said_after_a_stop(line, tmp_path, {"systemctl": 0}, result) == started
    assert f"{process}_failed" in KINDS
    assert values("ExecStart", "doorctl-alarm@.service") == [
        "/opt/doorctl/current/bin/doorctl alarm send %i"
    ]


TELLING = ("doorctl-alarm@.service", "doorctl-sync-failed@.service")


@pytest.mark.parametrize("unit", TELLING)
def test_what_fails_again_and_again_is_told_once_an_hour(unit: str) -> None:
    """Web is started again every 5 s; whoever is on duty is not called that often.

    A mail server that hangs to its limit leaves the webhook its own time.
    """
    assert values("StartLimitIntervalSec", unit) == ["1h"]
    assert values("StartLimitBurst", unit) == ["1"]
    (limit,) = values("TimeoutStartSec", unit)
    assert int(limit.removesuffix("min")) * 60 > 2 * TOTAL_S


def test_the_nightly_push_tries_again_what_passes_by_itself() -> None:
    """Another run that is at work; after a refused row or branch it would fail five times an hour.

    Bug (fixed in 0.3): after any failure it ran again.
    """
    assert values("Restart", "doorctl-sync-full.service") == ["on-abnormal"]
    assert values("RestartForceExitStatus", "doorctl-sync-full.service") == [str(TRY_AGAIN)]


@pytest.mark.parametrize("name", ["doorctl-sync.service", "doorctl-sync-full.service"])
def test_a_senders_failure_is_told(name: str) -> None:
    """Its own unit tells what a run that was killed can't, by the sender's file and user."""
    assert values("OnFailure", name) == ["doorctl-sync-failed@%N.service"]
    (command,) = values("ExecStart", TELLING[1])
    assert command.endswith("doorctl sync tell-failure --config /etc/doorctl/sync.toml")
    assert values("User", TELLING[1]) == ["doorctl-sync"]
