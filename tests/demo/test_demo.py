"""The demo as a newcomer starts it: real processes, real pseudo-terminals, real files."""

import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest

from doorctl.core.errors import DeviceError
from doorctl.demo.evening import in_both, refuse_wrong_clock, visible
from doorctl.demo.patrons import CAST, EVENING
from tests.e2e.door import LEASH

LIMIT_S = 120

SCREENLESS = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""What a terminal is sent beside the text."""


def start(tmp: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    """Start the demo with a temporary directory of its own."""
    return subprocess.Popen(
        [*LEASH, sys.executable, "-m", "doorctl", "demo", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "TMPDIR": str(tmp), "TERM": "xterm", **environment},
    )


def read_until(stream: IO[str], wanted: str) -> str:
    """Read what is written up to and with a text; all of it if the text never comes."""
    seen = ""
    while not seen.endswith(wanted) and (character := stream.read(1)):
        seen += character
    return seen


def limited(process: subprocess.Popen[Any]) -> threading.Timer:
    """Kill the demo should it hang, so that the test fails and does not wait."""
    timer = threading.Timer(LIMIT_S, process.kill)
    timer.start()
    return timer


def assert_nothing_is_left(tmp: Path, output: str) -> None:
    """The directory is deleted and the door's process, whose ready line has its number, is gone."""
    assert list(tmp.iterdir()) == []
    [pid] = re.findall(r'"pid":(\d+)', output)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@dataclass
class Ended:
    """A demo that has ended."""

    code: int
    output: str
    errors: str
    tmp: Path


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """``doorctl demo --once`` into a pipe."""
    tmp = tmp_path_factory.mktemp("once")
    process = start(tmp, "--once", LANG="C.UTF-8")
    output, errors = process.communicate(timeout=LIMIT_S)
    return Ended(process.returncode, output, errors, tmp)


def test_once_every_scene_ends_as_expected(once: Ended) -> None:
    """Exit code 0, every heading in order, one check mark each, the summary counts them."""
    found = [once.output.find(f"{scene.at}  {in_both(scene.title)[0]}") for scene in EVENING]

    assert (once.code, once.errors) == (0, "")
    assert -1 not in found
    assert found == sorted(found)
    assert once.output.count("✓") == len(EVENING)
    assert "10 of 10 scenes ended as expected" in once.output


def test_once_shows_no_number_but_the_casts(once: Ended) -> None:
    """No key and no one of the thousand is printed."""
    rest = once.output
    for role in CAST:
        rest = rest.replace(visible(role.swipe), "").replace(role.number, "")

    assert re.findall(r"[0-9]{7,}|[0-9a-f]{16,}", rest.replace("Z", "")) == []


def test_once_leaves_nothing_behind(once: Ended) -> None:
    """No directory and no process."""
    assert_nothing_is_left(once.tmp, once.output)


def test_the_viewer_swipes_by_typing(tmp_path: Path) -> None:
    """In a terminal: a name, a number, a stripe, help, the plug, the log and Ctrl-C, in ASCII."""
    master, slave = os.openpty()
    process = subprocess.Popen(
        # With a session of its own, whose terminal this is: Ctrl-C reaches it as it does a user's.
        ["setsid", "--ctty", *LEASH, sys.executable, "-m", "doorctl", "demo", "--port=0"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TMPDIR": str(tmp_path), "TERM": "xterm", "LANG": "C", **SCREENLESS},
    )
    os.close(slave)
    timer = limited(process)
    everything: list[str] = []

    def typed(line: str, until: str = "kort/card> ") -> str:
        os.write(master, line.encode())
        seen = CONTROLS.sub("", read_until(output, until))
        everything.append(seen)
        return seen

    with process, os.fdopen(master, encoding="ascii", errors="replace", newline="") as output:
        opened = typed("")
        nothing = typed("\n")
        asked = typed("anna\n", "it)> ")
        granted = typed("4711\n")
        typed("1503823456\n", "it)> ")
        refused = typed("2580\n")
        garbage = typed("b\x16\x1b[31mx;;\n")
        helped = typed("help\n")
        typed("pull\n")
        unplugged = typed("Anna\n")
        typed("plug\n")
        log = typed("log\n")
        typed("\x03", "deleted.")
        process.wait(LIMIT_S)
    timer.cancel()

    assert process.returncode == 0
    assert nothing.strip() == "kort/card>"
    assert "real door never shows it" in asked
    assert ("Doeren aabnes." in granted, "(*) TIL / on" in granted) == (True, True)
    assert '"reason":"not_resident"' in refused
    assert '"reason":"card_unreadable"' in garbage
    assert "\\x1b[31mx;;" in garbage
    assert ("Freja" in helped, "pull, plug" in helped) == (True, True)
    assert "The plug is out" in unplugged
    outcomes = re.findall(r"  (ok|NO) ([a-z_]+) +[A-Z]", log)
    assert outcomes[-3:] == [("ok", "ok"), ("NO", "not_resident"), ("NO", "card_unreadable")]
    assert re.search(r"The door is here: +http://127\.0\.0\.1:[0-9]+/\n", opened)
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(everything)
    assert_nothing_is_left(tmp_path, opened)


def test_a_signal_ends_it_cleanly(tmp_path: Path) -> None:
    """In the middle of a scene: no door and no directory is left, and it counts as a failure.

    Ctrl-C, which the viewer types above, and SIGTERM, which ends the page's tests, do the same.
    """
    # Coverage would wait for ever for a lock of its own if the signal came while it holds it.
    without = dict.fromkeys((key for key in os.environ if "COVERAGE" in key), "")
    process = start(tmp_path, "--once", LANG="C.UTF-8", **without)
    timer = limited(process)
    assert process.stdout is not None
    with process:
        output = read_until(process.stdout, in_both(EVENING[0].title)[0])
        process.send_signal(signal.SIGHUP)
        output += process.stdout.read()
    timer.cancel()

    assert process.returncode == 1
    assert_nothing_is_left(tmp_path, output)


def test_a_clock_that_was_never_set_is_told() -> None:
    """With it no age and no retention would be right."""
    with pytest.raises(DeviceError, match="clock says 1970-01-01; set it"):
        refuse_wrong_clock(datetime(1970, 1, 1, tzinfo=UTC))
    refuse_wrong_clock(datetime(2026, 1, 2, tzinfo=UTC))


def test_a_machine_without_pseudo_terminals_is_told(tmp_path: Path) -> None:
    """One clear line; here no file descriptor is left to make one with."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from doorctl.demo.door import Plug\n"
        "from doorctl.core.errors import DeviceError\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "try:\n"
        "    Plug(Path(sys.argv[1])).put_in()\n"
        "except DeviceError as err:\n"
        "    print(err)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "reader")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert re.fullmatch(r"no pseudo-terminal: .*; is /dev/pts mounted\?\n", done.stdout)
