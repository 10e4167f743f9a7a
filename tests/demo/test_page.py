"""The virtual door as a newcomer has it: the real demo, its page asked as a browser asks."""

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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx2
import pytest

from doorctl.core.language import languages
from doorctl.demo.open_house import ABOUT, NOTICES
from doorctl.demo.patrons import CAST
from doorctl.web.serving import ALWAYS
from tests.e2e.door import LEASH

LIMIT_S = 60.0

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
        process = stack.enter_context(
            subprocess.Popen(
                [*LEASH, sys.executable, "-m", "doorctl", "demo", "--port", str(taken)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                env={**os.environ, "TMPDIR": str(tmp), "DISPLAY": "", "WAYLAND_DISPLAY": ""},
            )
        )
        stack.callback(process.terminate)
        timer = threading.Timer(8 * LIMIT_S, process.kill)
        stack.callback(timer.cancel)
        timer.start()
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


def read_until(stream: IO[str], wanted: str) -> str:
    """Read what is written up to and with a text; all of it if the text never comes."""
    seen = ""
    while wanted not in seen and (character := stream.read(1)):
        seen += character
    return seen


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
