"""The demo as a newcomer has it: real processes and files, its page asked as a browser asks.

Bug (flaky end-to-end tests): a killed demo's door went on reading pseudo-terminals that now
belonged to others.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import httpx2
import pytest

from doorctl.admin.installation import initialise
from doorctl.config import load
from doorctl.config.shipped import shipped
from doorctl.core.errors import DeviceError
from doorctl.core.language import languages
from doorctl.demo.door import Stage
from doorctl.demo.evening import refuse_wrong_clock
from doorctl.demo.page import ABOUT, NOTICES
from doorctl.demo.paper import in_both, visible
from doorctl.demo.patrons import CAST
from doorctl.demo.scenes import EVENING
from doorctl.web.headers import ALWAYS
from tests.e2e.door import LEASH
from tests.fakes.waiting import until

LIMIT_S, LONGEST_S = 120.0, 3600.0
"""For an answer, and for all that one demo is there for."""

SCREENLESS = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""What a terminal is sent beside the text."""


@contextmanager
def started(
    tmp: Path, environment: Mapping[str, str], *options: str, terminal: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start the demo with a temporary directory of its own; it ends with the block, or hangs long.

    In a terminal it has a session of its own, so that Ctrl-C reaches it as it does a user's.
    """
    session = [] if terminal is None else ["setsid", "--ctty"]
    with subprocess.Popen(
        [*session, *LEASH, sys.executable, "-m", "doorctl", "demo", *options],
        stdin=subprocess.DEVNULL if terminal is None else terminal,
        stdout=terminal or subprocess.PIPE,
        stderr=terminal or subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, **SCREENLESS, "TMPDIR": str(tmp), "TERM": "xterm", **environment},
    ) as process:
        timer = threading.Timer(LONGEST_S, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def read_until(stream: IO[str], wanted: str) -> str:
    """Read what is written up to and with a text; all of it if the text never comes."""
    seen = ""
    # A terminal that nobody writes to any more is an error to whoever reads it.
    with suppress(OSError):
        while not seen.endswith(wanted) and (character := stream.read(1)):
            seen += character
    return seen


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory of a short name: a socket's path has 107 bytes, the demo's 30 of them."""
    return tmp_path_factory.mktemp("demo")


def assert_nothing_is_left(tmp: Path, output: str) -> None:
    """The directory is deleted and the door's process, whose ready line has its number, is gone."""
    assert list(tmp.iterdir()) == []
    [pid] = re.findall(r'"pid":(\d+)', output)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What ``doorctl demo --once`` writes into a pipe; nothing of it is left behind."""
    tmp = tmp_path_factory.mktemp("once")
    with started(tmp, {"LANG": "C.UTF-8"}, "--once") as process:
        output, errors = process.communicate(timeout=4 * LIMIT_S)
    assert (process.returncode, errors) == (0, "")
    assert_nothing_is_left(tmp, output)
    return output


def test_once_every_scene_ends_as_expected(once: str) -> None:
    """Exit code 0, every heading in order, one check mark each, the summary counts them."""
    found = [once.find(f"{scene.at}  {in_both(scene.title)[0]}") for scene in EVENING]

    assert -1 not in found
    assert found == sorted(found)
    assert once.count("✓") == len(EVENING)
    assert "10 of 10 scenes ended as expected" in once


def test_once_shows_no_number_but_the_casts(once: str) -> None:
    """No key and no one of the thousand is printed."""
    rest = once
    for role in CAST:
        rest = rest.replace(visible(role.swipe), "").replace(role.number, "")

    assert re.findall(r"[0-9]{7,}|[0-9a-f]{16,}", rest.replace("Z", "")) == []


def test_the_viewer_swipes_by_typing(tmp_path: Path) -> None:
    """In a terminal: a name, a number, a stripe, help, the plug, the log and Ctrl-C, in ASCII."""
    master, slave = os.openpty()
    everything: list[str] = []

    def typed(line: str, until: str = "kort/card> ") -> str:
        os.write(master, line.encode())
        seen = CONTROLS.sub("", read_until(output, until))
        everything.append(seen)
        return seen

    with (
        started(tmp_path, {"LANG": "C"}, "--port=0", terminal=slave) as process,
        os.fdopen(master, encoding="ascii", errors="replace", newline="") as output,
    ):
        os.close(slave)
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
        end = typed("\x03", "deleted.")
        assert (process.wait(LIMIT_S), end[-8:]) == (0, "deleted."), end

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
    with started(tmp_path, {"LANG": "C.UTF-8", **without}, "--once") as process:
        assert process.stdout is not None
        output = read_until(process.stdout, in_both(EVENING[0].title)[0])
        process.send_signal(signal.SIGHUP)
        output += process.stdout.read()
        assert process.wait(LIMIT_S) == 1

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


DANISH = languages().known["da"].words

BROWSER = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
SCRIPT = {"Sec-Fetch-Site": "same-origin", "Accept": "text/plain"}

Sight = dict[str, Any]


@dataclass
class Shown:
    """A demo that runs, and the page that it shows."""

    process: subprocess.Popen[str]
    tmp: Path
    taken: int
    said: str
    address: str
    page: httpx2.Client

    def post(self, path: str, **fields: str) -> httpx2.Response:
        """Send a form as the page's script does."""
        return self.page.post(path, data=fields, headers=SCRIPT)

    def see(self, wanted: Callable[[Sight], bool], do: Callable[[], object]) -> Sight:
        """Do something once the events flow; return all that is shown when it is as wanted.

        What was begun is waited for: while it lasts nobody else can do anything at the door.
        """
        seen: Sight = {}
        doing = threading.Thread(target=do)
        until = time.monotonic() + LIMIT_S
        with self.page.stream("GET", "/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    if not seen:
                        doing.start()
                    seen |= json.loads(line.removeprefix("data:"))
                    if wanted(seen):
                        break
                    assert time.monotonic() < until, seen
        doing.join(LIMIT_S)
        return seen


@contextmanager
def demo(tmp: Path) -> Iterator[Shown]:
    """Start ``doorctl demo`` where nobody types, at a port that is taken."""
    with socket.create_server(("127.0.0.1", 0)) as other, ExitStack() as stack:
        taken = other.getsockname()[1]
        process = stack.enter_context(started(tmp, {}, "--port", str(taken)))
        assert process.stdout is not None
        assert process.stderr is not None
        said = read_until(process.stdout, "standses.")
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found, process.stderr.read()
        page = stack.enter_context(httpx2.Client(base_url=found[0], timeout=LIMIT_S))
        yield Shown(process, tmp, taken, said, found[0], page)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """One demo for all tests that leave it as it was; at the end a signal ends all of it.

    Nothing is left behind, also while a page listens; it counts as a success.
    """
    with demo(tmp_path_factory.mktemp("page")) as shown:
        yield shown
        with shown.page.stream("GET", "/events") as stream:
            shown.process.send_signal(signal.SIGTERM)
            assert list(stream.iter_lines())
        assert shown.process.stdout is not None
        assert shown.process.stderr is not None
        rest, errors = shown.process.stdout.read(), shown.process.stderr.read()
        assert (shown.process.wait(LIMIT_S), errors) == (0, "")
        assert "den midlertidige mappe slettet" in rest
        assert list(shown.tmp.iterdir()) == []


def test_a_port_that_is_taken_is_told_and_another_one_is_had(shown: Shown) -> None:
    """The address that is printed answers, on this machine only, with every page's headers."""
    answer = shown.page.get("/", headers=BROWSER)

    assert f"Port {shown.taken} er optaget" in shown.said
    assert f":{shown.taken}/" not in shown.address + "/"
    assert answer.status_code == 200
    assert all(answer.headers[name] == value for name, value in ALWAYS.items())
    assert all(f"<h3>{role.first_name}</h3>" in answer.text for role in CAST)


def test_a_card_and_its_pin_open_the_door_before_everybodys_eyes(shown: Shown) -> None:
    """Clicks go down the real lines; relay, lamp, screen, log line and visit come back."""

    def act() -> None:
        shown.see(
            lambda now: DANISH.gettext("Type your PIN") in now["screen"],
            lambda: shown.post("/swipe", card="granted"),
        )
        for key in CAST[0].pin:
            assert shown.post("/key", key=key).status_code == 204

    seen = shown.see(
        lambda now: {"relay", "green"} <= {*now["state"]["lit"]} and "Velkommen" in now["screen"],
        act,
    )
    locked = shown.see(lambda now: "relay" not in now["state"]["lit"], lambda: None)

    assert "Døren åbnes." in locked["visits"]
    assert seen["state"]["beeps"] >= 1
    assert "badge-granted" in locked["visits"]
    assert "&#34;event&#34;:&#34;relay&#34;" in locked["lines"]
    assert CAST[0].number not in "".join(map(str, locked.values()))


@pytest.mark.parametrize(
    ("accepted", "headline"),
    [
        ("en-GB,en;q=0.9,da;q=0.5", "Try the door"),
        ("de-DE,da;q=0.8,en;q=0.7", "Prøv døren"),
        ("de", "Prøv døren"),
        (";;,,q=", "Prøv døren"),
    ],
)
def test_the_page_begins_in_the_browsers_language(
    shown: Shown, accepted: str, headline: str
) -> None:
    """The first that the demonstration knows; Danish for none, and for a header that is rubbish."""
    page = httpx2.get(shown.address, headers=BROWSER | {"accept-language": accepted})

    assert f"<h1>{headline}</h1>" in page.text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/swipe", {"card": "<script>alert(1)</script>"}),
        ("/swipe", {}),
        ("/key", {"key": "47"}),
        ("/plug", {"line": "door", "state": "out"}),
        ("/plug", {"line": "reader", "state": "upside down"}),
    ],
)
def test_what_is_not_there_is_refused(shown: Shown, path: str, fields: dict[str, str]) -> None:
    """Nothing of it goes down a line, and nothing of it comes back."""
    answer = shown.page.post(path, data=fields, headers=BROWSER)

    assert answer.status_code == 422
    assert "<script>alert" not in answer.text


def test_other_sites_and_other_names_do_nothing(shown: Shown) -> None:
    """A page elsewhere can't press a key, nor can a name that was made to lead here be used."""
    form = {"card": "granted"}
    elsewhere = shown.page.post("/swipe", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    without = shown.page.post("/swipe", data=form)
    renamed = shown.page.get("/", headers={"Host": "evil.example"})
    local = shown.page.get("/", headers={"Host": f"localhost:{shown.address.rpartition(':')[2]}"})

    assert [elsewhere.status_code, without.status_code, renamed.status_code] == [403, 403, 400]
    assert local.headers["location"] == f"{shown.address}/"
    assert shown.page.get("/swipe").status_code == 405


def test_a_pulled_plug_is_told_and_put_back(shown: Shown) -> None:
    """Keys go nowhere while it is out, the page says so; back in, the next card works."""
    out = shown.see(
        lambda now: now["state"]["plugs"] == ["keypad"] and "lost" in now["lines"],
        lambda: shown.post("/plug", line="reader", state="out"),
    )
    refused = shown.post("/swipe", card="granted")
    told = shown.page.post("/swipe", data={"card": "granted"}, headers=BROWSER)
    shown.see(
        lambda now: "connected" in now["lines"].split("lost")[0],
        lambda: shown.post("/plug", line="reader", state="in"),
    )
    seen = shown.see(
        lambda now: now["visits"].count("Spærret i bibliotekssystemet.") == 1,
        lambda: shown.post("/swipe", card="stolen", type="pin"),
    )

    assert "Sæt læserens stik i" in out["plugs"]
    assert (refused.status_code, refused.text[:15]) == (409, "Stikket er ude,")
    assert told.headers["location"] == "/?done=unplugged"
    assert "Stikket er ude" in shown.page.get("/?done=unplugged", headers=BROWSER).text
    assert seen["state"]["plugs"] == ["keypad", "reader"]


def test_the_evening_is_played_by_a_button_and_nobody_comes_between(shown: Shown) -> None:
    """Its scenes are told on the page; cards wait until it is stopped."""
    begun = shown.see(
        lambda now: "Anna kommer med sit sundhedskort" in now["story"],
        lambda: shown.post("/evening", stop=""),
    )
    between = shown.post("/swipe", card="granted")
    again = shown.post("/evening", stop="")
    ended = shown.see(
        lambda now: "Spil aftenen" in now["story"], lambda: shown.post("/evening", stop="yes")
    )

    assert "Stop efter dette optrin" in begun["story"]
    assert [between.status_code, again.status_code] == [409, 409]
    assert "Anna kommer" not in ended["story"]


def test_the_staff_pages_run_beside_it(shown: Shown) -> None:
    """The link leads to the real web process, which takes the browser for the account `demo`."""
    seen = shown.see(lambda now: "href" in now["staff"], lambda: None)
    found = re.search(r'href="(http://127\.0\.0\.1:\d+)/"', seen["staff"])
    assert found
    page = shown.page.get("/", headers=BROWSER)
    cookie = {"Cookie": f"doorctl={page.cookies['doorctl']}", **BROWSER}
    signed_in = httpx2.get(f"{found[1]}/now", headers=cookie)
    nobody = httpx2.get(f"{found[1]}/now", headers=BROWSER)

    assert (signed_in.status_code, nobody.status_code) == (200, 303)
    assert "demo" in signed_in.text
    assert httpx2.get(f"{found[1]}/panel").status_code == 200
    assert "HttpOnly" in page.headers["set-cookie"]


def test_all_that_is_special_is_said_in_danish() -> None:
    """Texts that stand in tables, not in templates, are in the catalogue too."""
    said = [DANISH.gettext(text) for text in (*ABOUT.values(), *NOTICES.values())]

    assert set(said) & {*ABOUT.values(), *NOTICES.values()} == set()
    assert set(ABOUT) == {role.name for role in CAST}


def children(pid: int) -> set[int]:
    """Return the processes that a process has started and that still run."""
    listed = (task / "children" for task in Path(f"/proc/{pid}/task").iterdir())
    return {int(child) for children in listed for child in children.read_text().split()}


def runs(pid: int) -> bool:
    """Tell whether a process runs; a dead one that nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_demo_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    """SIGKILL gives it no time to stop anything, and door and staff pages end all the same."""
    with demo(tmp_path) as shown:
        started = children(shown.process.pid)
        assert len(started) == 2
        shown.process.kill()
        shown.process.wait()

        until(lambda: not any(map(runs, started)))


def test_a_door_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """It hangs on the process: a request's thread that starts it again is over at once."""
    with Stage(tmp_path, shipped("demo.toml")) as stage:
        initialise(load(shipped("demo.toml"), stage.overrides))
        starting = threading.Thread(target=stage.start)
        starting.start()
        starting.join()

        assert stage.call("status").returncode == 0
        assert stage.stop() == 0
