"""What staff ask at a shell: cards, visits, statistics, and whether the door is well."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.conftest import Doors
from tests.e2e.door import Door, refusal
from tests.e2e.people import CHILD, ENTITLED, STOLEN, STRANGER, Person
from tests.fakes.waiting import until


@pytest.mark.parametrize(
    ("person", "reason"), [(ENTITLED, "ok"), (STOLEN, "blocked"), (STRANGER, "unknown_card")]
)
def test_explain_stdin(person: Person, reason: str, door: Door) -> None:
    """`explain -` reads the card from stdin, tells what the door would say, and quotes nothing."""
    done = door.call("patrons", "explain", "-", "--json", stdin=f"{person.number}\n")

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["reason"] == reason
    assert found["verdict"] == ("granted" if reason == "ok" else "refused")
    failed = [check["reason"] for check in found["checks"] if not check["passed"]]
    assert failed == ([] if reason == "ok" else [reason])
    assert person.number not in done.stdout


def test_explain_stripe_and_hyphen(door: Door) -> None:
    """What a reader types into a terminal, and a number with its hyphen, are understood."""
    hyphened = f"{ENTITLED.number[:6]}-{ENTITLED.number[6:]}"
    for typed in (ENTITLED.swipe.decode(), hyphened, ENTITLED.number):
        done = door.call("patrons", "explain", "-", stdin=f"{typed}\n")
        assert done.stdout.startswith("granted: ok"), typed


def test_explain_at(door: Door) -> None:
    """`--at` asks about another time: a child is old enough in some years."""
    later = (datetime.now(UTC) + timedelta(days=365 * 6)).strftime("%Y-%m-%d")
    options = ("--at", later, "--json", "--set", "policy.max_cache_age_h=8760")

    done = door.call("patrons", "explain", CHILD.number, *options)

    found = json.loads(done.stdout)
    assert "under_age" not in {check["reason"] for check in found["checks"]}


@pytest.mark.parametrize("typed", ["not a card", "9" * 5000])
def test_explain_no_card(typed: str, door: Door) -> None:
    """What is no card is refused in one line that does not repeat it."""
    said = refusal(door, "patrons", "explain", "-", stdin=typed)

    assert said == "doorctl: that is no card number and no CPR number\n"


def test_visits_in_words_and_since_a_time(door: Door) -> None:
    """Each visit is a sentence in the branch's language, oldest first; `--since` is local time."""
    assert door.call("visits", "list").stdout == "no visits\n"
    door.start()
    door.let_in(ENTITLED)
    door.settled(door.visit(STOLEN)["attempt"])

    danish = door.call("visits", "list").stdout
    english = door.configured("branch.language=en").call("visits", "list").stdout
    since = [f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT%H:%M:%S}" for days in (-2, 2)]
    listed = [door.call("visits", "list", "--json", "--since", one).stdout for one in since]

    assert 0 < danish.index("Døren åbnes.") < danish.index("Spærret")
    assert 0 < english.index("The door opens.") < english.index("Blocked")
    assert [len(json.loads(visits)) for visits in listed] == [2, 0]


def test_visits_hidden_by_the_clock(door: Door) -> None:
    """After a clock that was far ahead one line says which visits are hidden."""
    ahead = datetime.now(UTC) + timedelta(days=10)
    door.change("INSERT OR REPLACE INTO clock VALUES (1, ?)", int(ahead.timestamp() * 1000))

    done = door.call("visits", "list")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (0, "no visits\n", 1)
    assert f"once said {ahead:%Y-%m-%d}" in done.stderr
    from_then = (ahead - timedelta(days=30)).strftime("%Y-%m-%d")
    assert f"visits before {from_then} are hidden" in done.stderr


def test_visits_no_log(door: Door) -> None:
    """Without a door log it is one line and exit 1."""
    (door.directory / "visits.db").unlink()

    assert "visits.db" in refusal(door, "visits", "list")


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
