"""`doorctl selftest` at a real door: before a patron finds out."""

from __future__ import annotations

import json
import os
from typing import Any

from tests.e2e.door import Door


def findings(door: Door, *, code: int) -> dict[str, dict[str, Any]]:
    """Run it for a script; return each finding by its check."""
    done = door.call("selftest", "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["ok"]) == (code, not code)
    assert bool(done.stderr) is bool(code)
    return {one["check"]: one for one in answer["findings"]}


def failing(found: dict[str, dict[str, Any]]) -> list[str]:
    """Return the checks that fail; each says what to do."""
    wrong = [one for one in found.values() if not one["ok"]]
    assert all(one["what"] and one["do"] for one in wrong)
    return [one["check"] for one in wrong]


def test_all_is_well(door: Door) -> None:
    """Exit 0, one line a check; nothing is opened, lit or put on record."""
    door.start()
    done = door.call("selftest")
    found = findings(door, code=0)

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", check] for check in found]
    for check in ("card", "right_pin", "wrong_pin", "strike", "door", "reader", "keypad", "disk"):
        assert check in found
    assert door.rows() == []
    assert door.edges(door.pid) == []
    assert door.alarms() == []


def test_the_reader_is_unplugged(door: Door) -> None:
    """It names the reader, and nothing else is blamed."""
    door.start()
    door.reader.pull()
    door.wait_for("reader", state="lost")
    done = door.call("selftest")

    assert done.returncode == 1
    assert done.stderr == "doorctl: 1 of 21 fail: reader\n"
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("fails"))
    assert "The reader is lost." in line
    assert failing(findings(door, code=1)) == ["reader"]
    door.reader.put_in()
    door.wait_for("reader", state="connected")
    assert failing(findings(door, code=0)) == []


def test_the_doctor(door: Door) -> None:
    """Says of the machine what each check finds, and what to do; a feed that was left is named."""
    left = door.directory / "patrons.ndjson"
    left.write_text("{}\n", encoding="utf-8")
    (door.directory / "installation.key").chmod(0o640)
    done = door.call("doctor", "--json")
    lines = door.call("doctor").stdout.splitlines()

    found = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert str(left) in found["feed"]["what"]
    assert "chmod 600" in found["key"]["what"]
    assert found["relay"]["ok"]
    assert found["key_age"]["ok"]
    assert {"feed", "key"} <= set(failing(found))
    assert len(lines) == len(found)


def test_an_old_key(door: Door) -> None:
    """One that was never changed for years is told."""
    os.utime(door.directory / "installation.key", (0, 0))
    found = json.loads(door.call("doctor", "--json").stdout)["findings"]

    assert "days old" in next(one["what"] for one in found if one["check"] == "key_age")
