"""Known secrets go through a whole house, and not one of them is left in anything it wrote."""

from __future__ import annotations

import base64
import hashlib
import json
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from doorctl.accounts.roles import Role
from doorctl.demo.door import Line
from doorctl.doord.controller import UNREADABLE_GAP_S
from tests.e2e.canaries import (
    BARCODE_CPR,
    BARCODE_PIN,
    CARD,
    CARD_PIN,
    CPR,
    CPR_PIN,
    FAMILY,
    PASS_PIN,
    PASSWORD,
    REFUSED_PIN,
    STREET,
    WRONG_PASSWORD,
    WRONG_PIN,
    files_under,
    forms,
    left,
    process_files,
    stripe,
)
from tests.e2e.conftest import Loaded
from tests.e2e.library import AskingBranch
from tests.e2e.people import Person
from tests.e2e.sender import Sender
from tests.fakes.waiting import LIMIT_S, until
from tests.web.branch import CHANGES, SNAPSHOT
from tests.web.certificates import Authority

PIN_LENGTH: Final = ("--set", "policy.pin_length=8")
SETTINGS: Final = (PIN_LENGTH[1], "web.push.removed_floor=9")
ON_SCREEN: Final = ("keypad.port=", "panel.keypad=true")


class House:
    """A branch and its sender in one directory; one thread.

    Args:
        root: an empty directory; everything that is written stands below it.
        pins: see :class:`tests.e2e.door.Door`.

    Attributes:
        given: holds what goes in: the exports of the library system.
        handed_out: holds what staff take away.
        printed: every byte that commands printed, and what others saw of the processes.
    """

    def __init__(self, root: Path, pins: Path) -> None:
        self.root = root
        self.handed_out = root / "handed-out"
        keys, storage, sender = root / "keys", root / "storage", root / "sender"
        for path in (self.handed_out, keys, storage, sender, root / "home"):
            path.mkdir()
        self._authority = Authority(keys, "authority")
        tls = self._authority.settings()
        self.branch = AskingBranch(storage, *SETTINGS, *tls, pins=pins)
        self.door = self.branch.door
        self.printed: dict[str, bytes] = {}
        self.branch.scheme = "https"
        self.branch.tls = self._authority.client(self._authority.issue("sender"))
        self._init()
        self._sender = Sender.of(sender, self.branch, self._authority)
        self.given = sender / "exports"

    @contextmanager
    def of(self, process: str) -> Iterator[None]:
        """Start what is started in this block with temporary files and a home of its own."""
        place = self.root / "tmp" / process
        place.mkdir(parents=True, exist_ok=True)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TMPDIR", str(place))
            environment.setenv("HOME", str(self.root / "home"))
            environment.setenv("PYTHONFAULTHANDLER", "1")
            yield

    def call(self, *words: str, typed: str = "", code: int = 0) -> str:
        """Run a command that ends with `code`, and keep all that it says; return its stdout."""
        with self.of("command"):
            done = self.door.call(*words, stdin=typed)
        said = f"{len(self.printed)} {' '.join(words[:2])}"
        self.printed[said] = (done.stdout + done.stderr).encode()
        assert done.returncode == code, (said, done.stderr)
        return done.stdout

    def push(self, *rows: Mapping[str, Any], code: int = 0) -> None:
        """Export rows as the whole register, and push them as the library's server does."""
        self._sender.export(f"{len(self.printed):04}-full.ndjson", *rows)
        words = ("sync", "push", "--json", "--approved-by", "test", "--full", *PIN_LENGTH)
        with self.of("sender"):
            done = subprocess.run(
                self._sender.command(*words), capture_output=True, check=False, timeout=2 * LIMIT_S
            )
        self.printed[f"{len(self.printed)} sync"] = done.stdout + done.stderr
        assert done.returncode == code, done.stdout + done.stderr

    def start(self) -> None:
        """Start both processes."""
        self.start_web()
        self.start_door()

    def start_web(self) -> None:
        """Start the web process."""
        with self.of("web"):
            self.branch.start()

    def start_door(self) -> None:
        """Start the door; its devices are put in already where it ran before."""
        with self.of("door"):
            self.door.start()

    def look(self) -> None:
        """Keep what others see of both processes, and what stands on the disk only now."""
        self.printed |= process_files({"door": self.door.pid, "web": self.branch.web_pid})
        self.look_at_disk()

    def look_at_disk(self) -> None:
        """Keep what stands on the disk only until a process ends or starts."""
        for path in self.branch.directory.glob("*.db-*"):
            self.printed[f"{path.name} at {len(self.printed)}"] = path.read_bytes()

    def logs(self) -> dict[str, bytes]:
        """Return the log lines of both processes as a journal would hold them."""
        said: dict[str, list[Line]] = {"door log": self.door.lines, "web log": self.branch.lines}
        return {
            name: "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
            for name, lines in said.items()
        }

    @contextmanager
    def browser(self) -> Iterator[httpx2.Client]:
        """Give a browser that nobody is signed in with."""
        address = f"https://127.0.0.1:{self.branch.port}"
        with httpx2.Client(
            base_url=address,
            headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html"},
            verify=self._authority.client(),
            timeout=LIMIT_S,
            trust_env=False,
        ) as client:
            yield client

    def sign_in(self, client: httpx2.Client, name: str) -> str:
        """Sign in and return the session's token."""
        answer = client.post("/sign-in", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return str(client.cookies["__Host-doorctl"])

    def close(self) -> None:
        """End both processes, however they are."""
        self.branch.end(signal.SIGKILL)

    def _init(self) -> None:
        # Made by the branch's own test code; here the command makes them.
        for path in self.branch.directory.iterdir():
            if path.name.startswith(("installation.", "patrons.db", "branch.db", "visits.db")):
                path.unlink()
        self.call("init")
        self.branch.seal = self.branch.sealer.seal


def in_days(days: int) -> str:
    """Return the day that is so many days ahead."""
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


BY_STRIPE = Person(CPR, CPR_PIN, kind="CPR")
BY_BARCODE = Person(BARCODE_CPR, BARCODE_PIN, kind="CPR")
BY_CARD = Person(CARD, CARD_PIN)
HYPHENED = f"{BARCODE_CPR[:6]}-{BARCODE_CPR[6:]}"
FULL_NAME, ADDRESS = f"Rosamunde {FAMILY}", f"{STREET} 77, 8900 Randers"
SWIPES = {CPR_PIN: stripe(CPR), BARCODE_PIN: f"{HYPHENED}\r".encode(), CARD_PIN: BY_CARD.swipe}
TOO_FAR = 2**63 - 1

KEPT_OF_SESSIONS = {"plain, sha256"}
"""How a session is known again; nobody finds 256 random bits by their digest."""

SCRIPT = {"Accept": "application/json"}


@pytest.fixture
def house(tmp_path: Path, loaded: Loaded) -> Iterator[House]:
    """A house that has just been laid out; nothing runs."""
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    # As LimitCORE= has it in systemd/: a core file holds all that a process knew.
    resource.setrlimit(resource.RLIMIT_CORE, (0, limits[1]))
    made = House(tmp_path, loaded.pins)
    try:
        with made.door:
            yield made
    finally:
        made.close()
        resource.setrlimit(resource.RLIMIT_CORE, limits)


def rows() -> list[dict[str, Any]]:
    """Return the register: three patrons, with what the library system may write beside them."""
    message = {
        "blockStatus": [{"blockedReason": "E", "blockedSince": "2026-01-02", "message": ADDRESS}]
    }
    people = (BY_STRIPE, BY_BARCODE, BY_CARD)
    return [person.feed_row(1001 + at) | message for at, person in enumerate(people)]


def wrong_rows() -> list[dict[str, Any]]:
    """Return rows that are refused, each for a field that holds what it must not."""
    row = rows()[0]
    extra = {"name": FULL_NAME, "address": ADDRESS, CPR: CARD}
    return [
        row | extra,
        row | {"patronId": 7, "pincode": REFUSED_PIN, "birthday": FULL_NAME},
        row | {"patronId": CPR, "resident": ADDRESS, "onHold": CARD},
        row | {"patronId": 8, "tags": [FULL_NAME * 9, CPR]},
    ]


def come(house: House, swipe: bytes, pin: str) -> str:
    """Have somebody swipe and type; return how it ended."""
    attempt = house.door.swipe(swipe)
    house.door.press(pin)
    decision = house.door.wait_for("decision", attempt=attempt)
    if decision["reason"] == "ok":
        house.door.wait_for("door", state="locked")
    return str(decision["reason"])


def swiped(house: House) -> None:
    """Let everybody come, with right and wrong PINs, and cards that can't be read."""
    assert [come(house, swipe, pin) for pin, swipe in SWIPES.items()] == ["ok"] * 3
    wrong = [come(house, swipe, WRONG_PIN) for swipe in SWIPES.values()]
    assert wrong == ["wrong_pin"] * 3
    for broken in (stripe(CPR)[:90] + b"\r", b"\x1b[31m" + CARD.encode() + b"\x00\n"):
        house.door.reader.send(broken)
        house.door.wait_for("decision", reason="card_unreadable")
        time.sleep(2 * UNREADABLE_GAP_S)  # Of garbage that comes faster one answer is enough.


def asked_by_command(house: House) -> None:
    """Ask all that staff can ask at a terminal; free text that holds a number is refused."""
    house.call("patrons", "explain", "--json", "-", typed=CARD)
    house.call("patrons", "unlock", "-", typed=HYPHENED)
    house.call("patrons", "explain", "-", typed=f"{FULL_NAME} {CPR}", code=1)
    house.call("status", "--json", code=3)
    house.call("selftest", "--json")
    house.call("purge", "--prove")


def _post(client: httpx2.Client, path: str, status: int, **fields: str) -> httpx2.Response:
    def answer() -> httpx2.Response | None:
        # The door seals only a few cards a second for the web process.
        found = client.post(path, data=fields)
        busy = found.status_code == 503 or "for mange numre" in found.text
        return None if busy else found

    answered = until(answer)
    assert answered.status_code == status, (path, answered.status_code, answered.text[:3000])
    return answered


def knocked(house: House) -> None:
    """Sign in wrongly: with another password, and with a password or number as the name."""
    with house.browser() as client:
        _post(client, "/sign-in", 403, name="grethe", password=WRONG_PASSWORD)
        for name in (PASSWORD, CPR, HYPHENED, FULL_NAME):
            _post(client, "/sign-in", 403, name=name, password=WRONG_PASSWORD)


def attended(house: House, client: httpx2.Client) -> None:
    """Do as a manager all for which a card, a PIN or a text is asked."""
    for number in (CPR, HYPHENED, CARD):
        _post(client, "/log/search", 200, card=number)
        _post(client, "/why", 200, card=number, reason="asks")
    _post(client, "/log/search", 200, card=stripe(CPR).decode())
    _post(client, "/why", 422, card=CPR, reason="other", own_words=f"CPR {CPR}")
    _post(client, "/why/unlock", 303, card=CPR)
    ban = {"reason": "noise", "days": "date", "last": in_days(30)}
    check = _post(client, "/bans", 303, card=CARD, **ban).headers["location"]
    assert CARD not in client.get(check).text
    _post(client, check, 303, sure="yes")
    _post(client, "/bans", 422, card=CPR, note=f"{HYPHENED} {CARD}", **ban)
    assert client.get("/bans/1/letter").status_code == 200
    own = {"kind": "cleaner", "bearer": "card", "pin": "own", "last": in_days(30)}
    made = _post(client, "/passes", 303, card=CPR, own_pin=PASS_PIN, label="Rengøring", **own)
    _post(client, made.headers["location"], 303, sure="yes")
    _post(client, "/passes", 422, card=CPR, own_pin=PASS_PIN, label=f"Kort {CARD}", **own)
    _post(client, "/log/export", 422, purpose=f"CPR {CPR}", format="csv")
    _post(client, "/log/reveal", 422, attempt="1", purpose=f"{HYPHENED}")
    _post(client, "/log/reveal", 200, attempt="1", purpose="sag 17")
    found = _post(client, "/log/export", 200, purpose="sag 17", format="csv")
    (house.handed_out / "log.csv").write_bytes(found.content)
    _post(client, "/me", 422, old=WRONG_PASSWORD, new=PASSWORD, again=PASSWORD)


def protected(house: House, client: httpx2.Client) -> None:
    """Do as the data-protection officer what a person may ask for."""
    # The door seals ten numbers at once and then three a second, and the manager has had his.
    time.sleep(3)
    _post(client, "/people/find", 200, card=CPR, why="sag 18")
    _post(client, "/people/find", 422, card=CPR, why=f"sag {CPR}")
    for kind in ("json", "page"):
        asked = {"card": CPR, "why": "sag 18", "as": kind}
        answer = _post(client, "/people/export", 200, **asked)
        (house.handed_out / f"person.{kind}").write_bytes(answer.content)


def strayed(house: House, token: str) -> None:
    """Send secrets to where nothing asks for them, and pushes that are refused with them inside."""
    with house.browser() as client:
        headers = [
            (b"X-Name", FULL_NAME.encode("latin-1")),
            (b"Authorization", f"Bearer {PASSWORD}".encode()),
            (b"Cookie", f"__Host-doorctl={CPR}; x={CARD}".encode()),
            (b"Referer", f"https://x/{CPR}".encode()),
        ]
        for path in (f"/{CPR}", f"/log?card={CARD}", f"/people/{HYPHENED}?pin={CPR_PIN}"):
            for method in ("GET", "POST", "PUT", "BREW"):
                body = f"pin={CPR_PIN}&cpr={CPR}"
                answer = client.request(method, path, headers=headers, content=body)
                assert answer.status_code in {303, 403, 404, 405}, (method, answer.status_code)
        client.get("/sign-in", params={"next": f"/{CPR}", "token": token})
    branch = house.branch
    clear = "".join(json.dumps(row) + "\n" for row in wrong_rows()).encode()
    for path in (SNAPSHOT, CHANGES):
        method = "PUT" if path == SNAPSHOT else "POST"
        assert branch.ask(method, path, content=clear).status_code == 422
    manifest, newline, rest = branch.document([], 99).partition(b"\n")
    spoilt = manifest.replace(b'"demo"', f'"{CPR} {FULL_NAME}"'.encode()) + newline + rest
    assert branch.push(spoilt).status_code in {401, 422}
    document = branch.document([branch.sealed(BY_CARD, 1003)], 99)
    for half in (document[:-40], document.replace(b"2003", CPR.encode())):
        assert branch.push(half).status_code in {401, 422}


def typed_on_screen(house: House) -> None:
    """Have a PIN typed on the screen at the door, which is served by the web process."""
    for pin, reason in ((CARD_PIN, "banned"), (WRONG_PIN, "wrong_pin")):
        attempt = begun_on_screen(house, BY_CARD.swipe, pin)
        assert house.door.wait_for("decision", attempt=attempt)["reason"] == reason
    with house.browser() as client:
        assert client.post("/panel", data={"key": house.branch.screen()}).status_code == 200
        client.post("/panel/key", data={"key": CPR_PIN, "attempt": CPR}, headers=SCRIPT)


def begun_on_screen(house: House, swipe: bytes, keys: str) -> int:
    """Have somebody swipe and press keys on the screen; return the attempt."""
    attempt = house.door.swipe(swipe)
    with house.browser() as client:
        assert client.post("/panel", data={"key": house.branch.screen()}).status_code == 200
        for key in keys:
            until(partial(_pressed, client, key, attempt))
    return attempt


def _pressed(client: httpx2.Client, key: str, attempt: int) -> bool:
    pressed = {"key": key, "attempt": str(attempt)}
    return client.post("/panel/key", data=pressed, headers=SCRIPT).status_code == 204


def damaged(house: House) -> None:
    """Let pages and the door stumble over a damaged row, with a card and a PIN at hand."""
    with house.browser() as client:
        house.sign_in(client, "grethe")
        change = "UPDATE bans SET since_ms = ?"
        house.door.change(change, TOO_FAR, database="branch.db")
        for path in ("/bans", "/why"):
            client.post(path, data={"card": CARD, "reason": "asks"})
        house.door.change("UPDATE attempts SET clock = ? WHERE attempt = 1", "of sand")
        _post(client, "/log/search", 500, card=CPR)
    house.door.reader.send(BY_CARD.swipe)
    house.door.wait_for("decision", reason="fault")


def crashed(house: House) -> None:
    """Abort, kill and break both processes while somebody types."""
    branch, door = house.branch, house.door
    begun_on_screen(house, stripe(CPR), CPR_PIN[:5])
    house.look()
    with closing(branch.hanging(branch.document([], 99), 200)):
        branch.end(signal.SIGABRT)
    assert door.signalled(signal.SIGABRT) == -signal.SIGABRT
    house.start()
    begun_on_screen(house, SWIPES[BARCODE_PIN], BARCODE_PIN[:5])
    door.signalled(signal.SIGKILL)
    branch.end(signal.SIGKILL)
    house.look_at_disk()
    house.start_web()
    door.change("UPDATE sqlite_sequence SET seq = ?", TOO_FAR)
    house.start_door()
    door.reader.send(stripe(CPR))
    assert door.exit_code() == 1


def test_not_one_canary_is_left(house: House) -> None:
    """A CPR number, a name, an address, a PIN, a password, a session and the key leave no trace.

    They go through reader, keypad, screen, feed, push, commands, staff pages, requests to nowhere,
    faults and crashes. Then no file, no output, no command line and no environment holds any of
    them in any form; only the feed does that went in.
    """
    feed = house.given / "register.ndjson"
    feed.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    house.call("patrons", "load", str(feed), "--full")
    for name, role in (("grethe", Role.MANAGER), ("dorte", Role.DPO)):
        words = ("staff", "add", name, "--role", role.value, "--password-stdin")
        house.call(*words, typed=f"{PASSWORD}\n")
    bad = house.given / "bad.ndjson"
    bad.write_text("".join(json.dumps(row) + "\n" for row in wrong_rows()), encoding="utf-8")
    house.call("patrons", "load", str(bad), code=1)
    feed.unlink()
    bad.unlink()
    house.start()
    house.push(*rows())
    house.push(*wrong_rows(), code=1)
    swiped(house)
    asked_by_command(house)
    knocked(house)
    with house.browser() as manager, house.browser() as officer:
        tokens = [house.sign_in(manager, "grethe"), house.sign_in(officer, "dorte")]
        house.look()
        attended(house, manager)
        protected(house, officer)
        strayed(house, tokens[0])
        house.look()
    house.door.stop()
    house.branch.end()
    house.door.configured(*ON_SCREEN)
    for option in ON_SCREEN:
        house.branch.stage.options += ["--set", option]
    house.start()
    typed_on_screen(house)
    damaged(house)
    crashed(house)
    house.branch.end()

    written = files_under(house.root, house.given, house.handed_out)
    went_through(house, written)
    everything = written | house.printed | house.logs() | files_under(house.handed_out)
    sessions = {f"session {at}": token for at, token in enumerate(tokens)}
    assert left(everything) == []
    assert left(everything, sessions, but=KEPT_OF_SESSIONS) == []
    key = (house.branch.directory / "installation.key").read_bytes()
    told = (key, key.hex().encode(), key.hex().upper().encode())
    holding = {where for where, bytes_ in everything.items() if any(one in bytes_ for one in told)}
    assert {Path(where).name for where in holding} == {"installation.key"}


def went_through(house: House, written: dict[str, bytes]) -> None:
    """Assert that the canaries came to where they should have come to, so that the search tells."""
    reasons = {line["reason"] for line in house.door.said("decision")}
    assert {"ok", "wrong_pin", "card_unreadable", "banned", "fault"} <= reasons
    assert {"visits.db", "patrons.db", "branch.db"} <= {Path(where).name for where in written}
    for process, fault in (("door", b"OverflowError"), ("web", b"Traceback")):
        stderr = written[f"storage/{process}.stderr"]
        assert b"Fatal Python error: Aborted" in stderr
        assert fault in stderr, stderr[-3000:]
    assert not [where for where in written if Path(where).name.startswith("core")]
    assert {path.name for path in house.handed_out.iterdir()} == {
        "log.csv",
        "person.json",
        "person.page",
    }


def test_the_search_finds_a_canary_in_every_form(tmp_path: Path) -> None:
    """Whatever it searches for it finds where it was planted, and it names no secret."""
    for text in (CPR, CARD_PIN, FAMILY, PASSWORD):
        place = tmp_path / "deep" / hashlib.sha3_256(text.encode()).hexdigest()
        place.mkdir(parents=True)
        for form, written in forms(text).items():
            (place / form).write_bytes(b"\0\xff" * 5000 + written + b"\xfe" * 99)

    found = left(files_under(tmp_path))

    planted = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {where for _, _, where in found} == planted
    assert not [text for text in (CPR, CARD_PIN, FAMILY, PASSWORD) if text in repr(found)]


@pytest.mark.parametrize("before", range(4))
def test_base64_is_found_wherever_the_text_begins(before: int) -> None:
    """Base64 of something longer that holds a canary in its middle is found."""
    coded = base64.b64encode(b"x" * before + CPR.encode() + b"yyyy")

    assert left({"coded": coded})
