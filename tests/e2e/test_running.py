"""Bugs that were found.

Bug (stranger's review): SIGHUP ended the door with the relay on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from doorctl.doord.controller import STALL_LIMIT_S
from tests.e2e.door import UNHEARD_S, Door, refusal
from tests.e2e.people import ENTITLED
from tests.fakes.waiting import until


def test_second_daemon(door: Door) -> None:
    """A second daemon on the same storage is refused with one line; the first one goes on."""
    door.start()

    done = door.call("run")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "another doorctl process" in done.stderr
    assert "ready" not in done.stdout
    assert json.loads(door.call("status", "--json").stdout)["pid"] == door.pid
    door.let_in(ENTITLED)


def test_without_key(door: Door) -> None:
    """Without its key the daemon does not start: one line that names the file."""
    (door.directory / "installation.key").unlink()

    assert "installation.key" in refusal(door, "run")


def test_wrong_key(door: Door) -> None:
    """With another key the daemon starts, alarms, and lets nobody in."""
    (door.directory / "installation.key").write_bytes(bytes(range(32)))
    door.start()

    assert [alarm["kind"] for alarm in door.said("alarm")] == ["patron_cache_failing"]
    door.reader.send(ENTITLED.swipe)
    assert door.wait_for("decision")["reason"] == "fault"
    assert door.edges(door.pid) == []


def test_lgpio_without_a_pi(door: Door) -> None:
    """Nothing falls back to mock pins: without a GPIO chip the daemon says so and ends."""
    if Path("/dev/gpiochip0").exists():
        pytest.skip("this machine has GPIO pins")

    for word in ("run", "relay-off"):
        done = door.call(word, "--set", "gpio.factory=lgpio")
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("doorctl: ")


def test_status_running(door: Door) -> None:
    """`status` tells of the daemon and of the databases, for scripts with ``--json``."""
    ready = door.start()
    assert ready["cards"] == 13
    assert "patrons" not in ready
    door.let_in(ENTITLED)

    done = door.call("status", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    age = found.pop("cache_age_s")
    assert 0 <= age < 3600
    assert found.pop("audit_head")
    assert found.pop("alarms") == []
    assert found.pop("backup_age_s") is None
    assert list(found.pop("good_until")) == ["installation_key"]
    assert found == {
        "running": True,
        "deciding": True,
        "reader": "connected",
        "keypad": "connected",
        "released": False,
        "door": "locked",
        "inside": None,
        "inside_low": None,
        "inside_high": None,
        "clock": "trusted",
        "clock_in_doubt": None,
        "clock_doubt": "none",
        "clock_unconfirmed": None,
        "waits_for_witness": False,
        "pid": ready["pid"],
        "version": ready["version"],
        "release": ready["version"],
        "package": None,
        "web_age_s": None,
        "epoch": 1,
        "patrons": 13,
        "problem": None,
    }


def test_status_for_people(door: Door) -> None:
    """In sentences, also without a daemon: no word of Python, no empty value, no key.

    Bug (review of the pages): it printed `running True`, `keypad -` and `cache_age_s 102`.
    """
    stopped = door.call("status").stdout
    door.start()
    running = door.call("status").stdout

    assert "The register holds 13 cards, from push 1, " in stopped
    assert "The door is locked.\nThe card reader is connected.\nThe keypad is connected." in running
    assert "No alarm stands." in running
    for line in (*stopped.splitlines(), *running.splitlines()):
        assert re.search(r"\b(True|False|None)\b|\b[a-z]+_[a-z_]+\b| -$", line) is None, line
        assert line.endswith(".")


def test_status_tells_scripts_that_something_stands(door: Door) -> None:
    """A door that decides without its register is neither well nor down: exit 3."""
    door.start()
    (door.directory / "patrons.db").rename(door.directory / "gone.db")

    done = door.call("status", "--json")

    assert done.returncode == 3
    assert json.loads(done.stdout)["problem"] is not None
    assert "something stands" in done.stderr


def test_no_stdout(door: Door) -> None:
    """A daemon that is started without a stdout opens the door; no database takes its place."""
    door.reader.put_in()
    door.keypad.put_in()
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *door.command("run")]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            until(lambda: json.loads(door.call("status", "--json").stdout)["running"])
            stdout = Path(f"/proc/{process.pid}/fd/1").readlink()
            door.swipe(ENTITLED.swipe)
            door.press(ENTITLED.pin)
            until(lambda: door.levels(pid=process.pid) == [1, 0])
        finally:
            process.terminate()

    assert (process.returncode, str(stdout)) == (0, os.devnull)


def test_a_frozen_door_ends_soon_after_its_release(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stopped it, the kernel kills it soon after the release, for nobody feeds it."""
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    door.configured("door.release_s=1").start()
    door.visit(ENTITLED)
    os.kill(door.pid, signal.SIGSTOP)

    assert door.exit_code() == -signal.SIGKILL


@pytest.mark.parametrize("wrong", ["door.release_s=99", "xyzzy.x=1"])
def test_relay_off_with_a_wrong_configuration(wrong: str, door: Door) -> None:
    """The relay is switched off by its pin alone, without a key and without a right rest."""
    (door.directory / "installation.key").unlink()
    before = door.processes()

    done = door.call("relay-off", "--set", wrong, "--set", f"storage.directory={door.directory}/x")

    assert (done.returncode, done.stderr) == (0, "")
    (pid,) = door.processes() - before
    assert [drive.level for drive in door.drives(pid)][-1] == 0


def test_relay_off_with_a_wrong_pin(door: Door) -> None:
    """Where the pin itself is wrong nothing is driven: one line says so."""
    before = door.processes()

    assert "gpio.relay_pin" in refusal(door, "relay-off", "--set", "gpio.relay_pin=99")
    assert door.processes() == before


def test_status_not_running(door: Door) -> None:
    """Without a daemon it exits 1 and still tells of the cache."""
    done = door.call("status", "--json")

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    found = json.loads(done.stdout)
    assert (found["running"], found["patrons"]) == (False, 13)


def test_check(door: Door) -> None:
    """A monitoring system is told by one line: not running, well, and stopped."""

    def checked() -> tuple[int, str]:
        done = door.call("check")
        assert (done.stderr, done.stdout.count("\n")) == ("", 1)
        return done.returncode, done.stdout.partition(" - ")[0]

    assert checked() == (2, "DOORCTL CRITICAL")
    door.start()
    assert checked() == (0, "DOORCTL OK")
    os.kill(door.pid, signal.SIGSTOP)
    try:
        assert checked() == (2, "DOORCTL CRITICAL")
    finally:
        os.kill(door.pid, signal.SIGCONT)


def test_status_stuck(door: Door) -> None:
    """A daemon that hangs is not taken for one that is not there: its database stays its own."""
    door.start()
    os.kill(door.pid, 19)
    try:
        said = refusal(door.configured(), "patrons", "unlock", ENTITLED.number)
        time.sleep(STALL_LIMIT_S)
    finally:
        os.kill(door.pid, 18)

    assert "does not answer" in said
    door.wait_for("alarm", kind="stalled")
    time.sleep(2 * UNHEARD_S)  # until what may have been swiped meanwhile is not taken any more
    door.let_in(ENTITLED)


def test_what_the_door_did_by_itself_is_on_record(door: Door) -> None:
    """A start, a stop and a kill are told apart; a reader that was away comes back."""
    door.start()
    door.pull()
    door.put_back(b"")
    door.stop()
    door.start()
    door.cut()
    door.start()
    door.stop()

    kept = [
        (kind, why)
        for kind, why in door.query("SELECT kind, why FROM events ORDER BY number")
        if kind in {"started", "restarted", "stopped", "reader"}
    ]
    assert kept == [
        ("started", ""),
        *(("reader", state) for state in ("connected", "lost", "connected")),
        *(("stopped", ""), ("started", ""), ("restarted", ""), ("stopped", "")),
    ]


def test_makes_what_is_needed(bare: Door) -> None:
    """After `init` alone the daemon starts and refuses everybody."""
    assert bare.call("init").returncode == 0
    bare.start()

    assert bare.visit(ENTITLED)["reason"] == "unknown_card"


def test_files_are_private(door: Door) -> None:
    """Nobody but doorctl's own user can read what it makes, the control socket included.

    `check.sock` is for all: it answers how the door is and nothing else.
    """
    door.start()
    door.visit(ENTITLED)

    made = [path for path in door.directory.iterdir() if not path.is_symlink()]
    readable = {path.name for path in made if path.stat().st_mode & 0o077}
    assert {"door.sock", "visits.db", "patrons.db", "installation.key"} <= {p.name for p in made}
    assert readable == {"door.stderr", "check.sock"}  # the first is the test's own file


@pytest.mark.parametrize("there", ["installation.key", "patrons.db", "visits.db", "branch.db"])
def test_overwrites_nothing(there: str, bare: Door) -> None:
    """If a database is there, or a key that is none, it makes no other and touches nothing."""
    (bare.directory / there).write_bytes(b"something")
    before = digest(bare.directory)

    assert there in refusal(bare, "init")

    assert digest(bare.directory) == before


def test_keeps_the_key_of_another_branch(bare: Door, door: Door) -> None:
    """A second branch shares the key, so that the same sealed rows can be found there."""
    key = bare.directory / "installation.key"
    shared = door.directory / "installation.key"
    key.write_bytes(shared.read_bytes())
    key.chmod(0o600)

    done = bare.call("init")

    assert (done.returncode, done.stderr) == (0, "")
    made = [f"made {bare.directory / name}" for name in ("patrons.db", "visits.db", "branch.db")]
    assert done.stdout.splitlines()[:4] == [f"kept {key}", *made]
    assert key.read_bytes() == shared.read_bytes()
    bare.start()
    assert bare.visit(ENTITLED)["reason"] == "unknown_card"


@pytest.mark.parametrize("limit", [0, 32, 8192, 32_000])
def test_can_be_repeated_after_a_failure(bare: Door, limit: int) -> None:
    """On a disk that is full after so many bytes a file nothing is left of what it made."""
    command = ["prlimit", f"--fsize={limit}", *bare.command("init")]
    # Coverage would want to write its own file there, and say on stderr that it can't.
    uncovered = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=uncovered)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    made = [path for path in bare.directory.iterdir() if path.suffix != ".lock"]
    assert made == []

    assert bare.call("init").returncode == 0


def test_no_other_process_reads_bytecode_that_a_full_disk_cut_off(
    bare: Door, tmp_path: Path
) -> None:
    """Python keeps what it wrote in part, and whoever imports that ends by an EOFError.

    Bug (outside look): a process that a test starts on a full disk cut off the bytecode that CI
    shares: by Python 3.11 every later one ends with an EOFError (the harness's own mistake).
    """
    command = ["prlimit", "--fsize=32", *bare.command("init")]
    writing = {key: value for key, value in os.environ.items() if "DONTWRITE" not in key}
    bytecode = {"PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode")}
    subprocess.run(command, capture_output=True, check=False, env=writing | bytecode)

    assert not (tmp_path / "bytecode").exists()


def test_a_failure_does_not_look_like_bans_that_were_lost(bare: Door) -> None:
    """Where branch.db is the one that can't be made, not even its lock is left alone."""
    in_the_way = bare.directory / "branch.db-wal"
    in_the_way.mkdir()

    assert "branch.db" in refusal(bare, "init")

    left = {path.name for path in bare.directory.iterdir()}
    assert left == {in_the_way.name}
    in_the_way.rmdir()
    assert bare.call("init").returncode == 0


def digest(directory: Path) -> dict[str, str]:
    """Return the hash of each file, by its name."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
