from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import Doors
from tests.e2e.door import Door, until
from tests.e2e.people import Person, blocked, day

# PINs of eight digits: four stand in any row of timestamps by chance.
GRANTED = Person("1502709753", "90817263", kind="CPR")
BARRED = Person("7000012345678", "48261937", blocked("O"))
REPLACED_NUMBER = Person("6203814406", "57309182", kind="CPR")
UNKNOWN_CPR = Person("2408662218", "66419028", kind="CPR")
UNKNOWN_CARD = Person("7000098765432", "77315094")
WRONG_PIN = "13579246"
NAME = "Ildegard Prøvesen"
PLANTED_CPR = "3112998642"
PLANTED_PIN = "864209751357"
PLANTED_CARD = "ABCDEFGHIJ0123456789XYZ"
TRACK_1 = (b"JOHN JOHNNY", b"KKE ALLE")

PEOPLE = (GRANTED, BARRED, REPLACED_NUMBER, UNKNOWN_CPR, UNKNOWN_CARD)
LAST_NUMBER = 2**63 - 1

REASONS = {"ok", "wrong_pin", "throttled", "unknown_card", "blocked", "card_unreadable"}

PIN_LENGTH = "policy.pin_length=8"


def secrets(door: Door) -> dict[str, bytes]:
    """Return everything that nobody may find anywhere, by a name that may be shown."""
    key = (door.directory / "installation.key").read_bytes()
    found = {"key": key, "key in hex": key.hex().encode(), "wrong PIN": WRONG_PIN.encode()}
    found["key in capital hex"] = key.hex().upper().encode()
    for place, person in enumerate(PEOPLE):
        found[f"number {place}"] = person.number.encode()
        found[f"PIN {place}"] = person.pin.encode()
        if person.kind == "CPR":
            found[f"hyphened number {place}"] = f"{person.number[:6]}-{person.number[6:]}".encode()
    for planted in (PLANTED_CPR, PLANTED_PIN, PLANTED_CARD, NAME):
        found[f"planted {len(found)}"] = planted.encode()
    found |= {f"track 1 {place}": part for place, part in enumerate(TRACK_1)}
    return found


def feed(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write rows as a feed."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def wrong_rows() -> Iterator[dict[str, object]]:
    """Yield rows that are wrong in every way in which a secret could be quoted."""
    row = GRANTED.feed_row(1)
    identifier = {"identifier": PLANTED_CPR, "identifierType": "CPR", "status": "ACTIVE"}
    yield row | {"pincode": PLANTED_PIN}
    yield row | {"patronId": 2, "pincode": int(PLANTED_PIN)}
    yield row | {"patronId": 3, PLANTED_CPR: "a field", "name": NAME}
    yield row | {"patronId": 4, "birthday": PLANTED_CPR, "resident": NAME}
    yield row | {"patronId": 5, "identifiers": [identifier | {"identifier": f"X{PLANTED_CPR}"}]}
    yield row | {"patronId": PLANTED_CPR, "identifiers": [identifier]}
    yield row | {"patronId": 6, "identifiers": [identifier | {"identifier": PLANTED_CARD}]}
    yield row | {"patronId": 7, "identifiers": [identifier | {"expiryDate": PLANTED_CPR}]}
    yield row | {"patronId": 8, "tags": [NAME * 9], "onHold": PLANTED_CPR, "blockStatus": NAME}
    yield row | {"patronId": 9}
    yield row | {"patronId": 9}


class Tape:
    """Runs commands and keeps every byte that they print."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.printed: dict[str, bytes] = {}

    def call(self, *words: str, typed: str = "", code: int = 0) -> str:
        """Run a command that ends with `code`; return its stdout."""
        done = self._door.call(*words, stdin=typed)
        place = f"{len(self.printed)} {words[:2]}"
        self.printed[place] = (done.stdout + done.stderr).encode()
        assert done.returncode == code, place
        return done.stdout


def evening(door: Door, tape: Tape) -> None:
    """Play everything that comes near a secret while the door runs."""
    door.let_in(GRANTED)
    door.visit(REPLACED_NUMBER)
    for person in (GRANTED, GRANTED, GRANTED, UNKNOWN_CPR, BARRED):
        door.visit(person, WRONG_PIN)
    assert door.visit(GRANTED)["reason"] == "throttled"
    for person in (UNKNOWN_CARD, BARRED):
        door.visit(person)
    door.reader.send(
        b"%" + GRANTED.swipe[1:77] + b"\r" + b";9208100" + GRANTED.number.encode() + b"\r"
    )
    door.wait_for("decision", reason="card_unreadable")
    tape.call("status", "--json")
    tape.call("visits", "list")
    tape.call("visits", "list", "--json")
    tape.call("patrons", "explain", "-", typed=GRANTED.number)
    tape.call("patrons", "explain", "--json", "-", typed=f"{BARRED.number}\n")
    tape.call("patrons", "explain", UNKNOWN_CPR.number)
    tape.call("patrons", "unlock", "-", typed=GRANTED.number)
    tape.call("patrons", "explain", f"{GRANTED.number} {PLANTED_CPR}", code=1)
    tape.call("patrons", "unlock", "-", typed=f"{NAME} {PLANTED_CPR}", code=1)
    tape.call("purge", "--json")


@pytest.fixture
def door(doors: Doors, tmp_path_factory: pytest.TempPathFactory) -> Door:
    """Give a door for long PINs, in an empty directory."""
    return doors.bare(tmp_path_factory.mktemp("door"), PIN_LENGTH)


def test_nothing_is_written_down(door: Door, tmp_path: Path) -> None:
    """After a full run no file and no output holds a number, a PIN, a name or the key.

    The run: load, wrong feeds, swipes right and wrong, every question that staff can ask, a
    daemon that dies of a bug, its databases afterwards. Only the feed and the key file may.
    """
    tape = Tape(door)
    tape.call("init")
    rows = [person.feed_row(place + 1) for place, person in enumerate(PEOPLE[:3])]
    rows[2]["birthday"] = day(-20000)
    tape.call("patrons", "load", str(feed(tmp_path / "good.ndjson", rows)), "--full")
    door.start()
    tape.call("patrons", "load", str(feed(tmp_path / "bad.ndjson", list(wrong_rows()))), code=1)
    (tmp_path / "broken.ndjson").write_bytes(
        f'{{"{PLANTED_CPR}": "\xff{PLANTED_PIN}'.encode("latin-1")
    )
    tape.call("patrons", "load", str(tmp_path / "broken.ndjson"), code=1)
    evening(door, tape)
    door.stop()
    door.change("UPDATE sqlite_sequence SET seq = ?", LAST_NUMBER)
    door.start_door()
    door.reader.send(BARRED.swipe)
    assert door.exit_code() == 1
    assert "OverflowError" in (door.directory / "door.stderr").read_text()
    assert {line["reason"] for line in door.said("decision")} == REASONS
    assert all(tape.printed.values())
    tape.printed["log"] = "\n".join(json.dumps(line) for line in door.lines).encode()

    assert_no_secret(door, tape.printed)


def test_nothing_in_the_raw_log(door: Door, tmp_path: Path) -> None:
    """The bytes on stdout themselves hold no secret, and each line is one JSON object."""
    tape = Tape(door)
    tape.call("init")
    rows = [person.feed_row(place + 1) for place, person in enumerate(PEOPLE[:3])]
    tape.call("patrons", "load", str(feed(tmp_path / "good.ndjson", rows)), "--full")
    door.reader.put_in()
    door.keypad.put_in()
    out = tmp_path / "stdout"
    with out.open("wb") as stdout, closing(os.fdopen(os.dup(stdout.fileno()), "wb")) as stderr:
        process = subprocess.Popen(door.command("run"), stdout=stdout, stderr=stderr)
        try:
            until(lambda: b'"ready"' in out.read_bytes())
            door.reader.send(GRANTED.swipe)
            until(door.open_attempts)
            door.press(GRANTED.pin)
            until(lambda: out.read_bytes().count(b'"relay"') == 2)
            door.reader.send(b"\x1b[31m" + GRANTED.number.encode() + b"\x00\n")
            until(lambda: b"card_unreadable" in out.read_bytes())
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    written = out.read_bytes()
    assert all(isinstance(json.loads(line), dict) for line in written.splitlines())
    assert written.endswith(b"\n")
    assert b"\x1b" not in written
    assert_no_secret(door, {"stdout": written})


def test_command_line_is_not_needed_for_a_number(door: Door) -> None:
    """An identifier can be typed, so that it stands in no list of processes; `-` says so."""
    for words in (("patrons", "explain", "--help"), ("patrons", "unlock", "--help")):
        said = " ".join(door.call(*words).stdout.split())
        assert "Give - to type the identifier unseen" in said


def test_files_are_private(door: Door, tmp_path: Path) -> None:
    """Nobody but doorctl's own user can read what it makes, the control socket included.

    `check.sock` is for all: it answers how the door is and nothing else.
    """
    door.call("init")
    rows = [GRANTED.feed_row(1)]
    door.call("patrons", "load", str(feed(tmp_path / "good.ndjson", rows)), "--full")
    door.start()
    door.visit(GRANTED)

    made = [path for path in door.directory.iterdir() if not path.is_symlink()]
    readable = {path.name for path in made if path.stat().st_mode & 0o077}
    assert {"door.sock", "visits.db", "patrons.db", "installation.key"} <= {p.name for p in made}
    assert readable == {"door.stderr", "check.sock"}  # the first is the test's own file


def assert_no_secret(door: Door, printed: dict[str, bytes]) -> None:
    """Assert that no secret is anywhere; tells names only."""
    written = {
        path.name: path.read_bytes()
        for path in door.directory.iterdir()
        if path.is_file() and path.name != "installation.key"
    }
    assert {"visits.db", "patrons.db", "door.stderr"} <= written.keys() | {"door.stderr"}
    found = [
        (name, where)
        for name, secret in secrets(door).items()
        for where, content in (written | printed).items()
        if secret in content
    ]
    assert found == []
