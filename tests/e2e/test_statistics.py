"""The statistics of a real door, and a PIN that is too easy to guess."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.conftest import Doors
from tests.e2e.door import Door, until
from tests.e2e.people import ENTITLED, REGISTERED, Person, write_feed

HOUR = int(datetime(2026, 3, 12, 18, tzinfo=UTC).timestamp()) // 3600
SEEN = "INSERT INTO hourly VALUES (?, 'self_service', 'attempt', ?, ?)"


@pytest.fixture
def counted(doors: Doors) -> Door:
    """A door that is not running and has counted one evening."""
    door = doors.made()
    for outcome, count in (("ok", 23), ("wrong_pin", 4)):
        door.change(SEEN, HOUR, outcome, count)
    door.change(SEEN, HOUR + 24, "ok", 8)
    return door


def test_an_evening_by_the_hour(counted: Door) -> None:
    """By local time, small counts hidden, others rounded, the total of what is shown.

    Any two days of a month stand for all of it.
    """
    counted.change(SEEN, HOUR + 30 * 24, "ok", 100)
    days = ("--since", "2026-03-12", "--until", "2026-03-12")
    done = counted.call("statistics", *days, "--json")

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    cell = {"group": "19", "mode": "self_service", "kind": "attempt"}
    assert found["cells"] == [
        cell | {"outcome": "ok", "count": 30},
        cell | {"outcome": "wrong_pin", "count": None},
    ]
    assert (found["since"], found["until"]) == ("2026-03-01", "2026-03-31")
    assert [(one["outcome"], one["count"], one["short"]) for one in found["totals"]] == [
        ("ok", 30, False),
        ("wrong_pin", 0, True),
    ]
    assert (found["hidden_below"], found["rounded_to"]) == (5, 5)


def test_a_spreadsheet_and_a_list_for_people(counted: Door) -> None:
    """One line a count, under a heading or a month's name; what is hidden says so."""
    lines = counted.call("statistics", "--csv", "--by", "weekday").stdout.splitlines()
    told = counted.call("statistics", "--by", "month").stdout.splitlines()

    branch = lines[1].split(",")[0]
    assert lines == [
        "branch,group,mode,kind,outcome,count",
        f"{branch},thursday,self_service,attempt,ok,25",
        f"{branch},thursday,self_service,attempt,wrong_pin,<5",
        f"{branch},friday,self_service,attempt,ok,10",
    ]
    assert [" ".join(line.split()) for line in told] == [
        "2026-03",
        "self_service attempt ok 30",
        "self_service attempt wrong_pin <5",
        "all that is shown",
        "self_service attempt ok 30",
        "self_service attempt wrong_pin 0 or more",
    ]


def test_a_running_door_counts(door: Door) -> None:
    """What it decides is there to be read at once; nothing of it names the patron."""
    door.start()
    door.visit(ENTITLED)
    door.visit(ENTITLED, ENTITLED.wrong_pin)
    until(lambda: len(door.query("SELECT 1 FROM hourly")) == 2)

    counts = door.query("SELECT mode, kind, outcome, count FROM hourly ORDER BY outcome")
    assert counts == [
        ("self_service", "attempt", "ok", 1),
        ("self_service", "attempt", "wrong_pin", 1),
    ]
    found = json.loads(door.call("statistics", "--json").stdout)
    assert [cell["count"] for cell in found["cells"]] == [None, None]


def test_a_pin_that_is_easy_to_guess(doors: Doors, tmp_path: Path) -> None:
    """From the feed to the door; the row says so only where the policy makes use of it."""
    easy = Person("3000001250", "1234")
    feed = write_feed(tmp_path / "feed.ndjson", (*REGISTERED, easy))
    for policy, stored, reason in (("allow", 0, "ok"), ("refuse", 1, "weak_pin")):
        door = doors.made(f"policy.weak_pin={policy}")
        assert door.call("patrons", "load", str(feed), "--full").returncode == 0
        assert door.query("SELECT sum(weak_pin) FROM patrons", database="patrons.db") == [(stored,)]
        door.start()
        assert door.visit(easy)["reason"] == reason
