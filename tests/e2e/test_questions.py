"""What staff ask at a shell, and the registers that they load."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from doorctl.rpc.client import ask
from doorctl.rpc.messages import Line
from tests.e2e.conftest import Doors
from tests.e2e.door import Door, refusal
from tests.e2e.people import (
    ALSO_ENTITLED,
    CHILD,
    ENTITLED,
    STOLEN,
    STRANGER,
    Person,
    blocked,
    write_feed,
)
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
    door.change(
        "INSERT OR REPLACE INTO clock (only, high_water_ms) VALUES (1, ?)",
        int(ahead.timestamp() * 1000),
    )

    done = door.call("visits", "list")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (0, "no visits\n", 1)
    assert f"it may be {ahead:%Y-%m-%d}" in done.stderr
    from_then = (ahead - timedelta(days=30)).strftime("%Y-%m-%d")
    assert f"visits before {from_then} are hidden" in done.stderr


def test_visits_no_log(door: Door) -> None:
    """Without a door log it is one line and exit 1."""
    (door.directory / "visits.db").unlink()

    assert "visits.db" in refusal(door, "visits", "list")


HOUR = int(datetime(2026, 3, 12, 18, tzinfo=UTC).timestamp()) // 3600
SEEN = (
    "INSERT INTO hourly (hour, mode, kind, outcome, count) "
    "VALUES (?, 'self_service', 'attempt', ?, ?)"
)


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
    assert done.stderr == "doorctl: 1 of 22 fail: reader\n"
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


def test_a_relay_that_opens_undriven(doors: Doors) -> None:
    """Self-test and doctor refuse the pin; a door that has run so lets its patrons in, and alarms.

    What the door itself answers, by which an upgrade is judged, does not have it.
    """
    door = doors.started("gpio.relay_pin=2")
    door.visit(ENTITLED)

    assert [line["why"][:30] for line in door.said("alarm")] == ["gpio.relay_pin: found 2, by wh"]
    assert failing(findings(door, code=1)) == ["relay_pin"]
    doctor = json.loads(door.call("doctor", "--json").stdout)["findings"]
    assert "give 9 to 27" in next(one["what"] for one in doctor if one["check"] == "relay_pin")
    answer = ask(door.directory / "door.sock", Line("selftest"), timeout_s=60)
    assert answer["ok"]


def test_an_old_key(door: Door) -> None:
    """One that was never changed for years is told."""
    os.utime(door.directory / "installation.key", (0, 0))
    found = json.loads(door.call("doctor", "--json").stdout)["findings"]

    assert "days old" in next(one["what"] for one in found if one["check"] == "key_age")


def test_one_bad_row(door: Door, tmp_path: Path) -> None:
    """A feed with wrong rows changes nothing, and each problem is one line."""
    before = door.dump("patrons.db")
    rows = [STRANGER.feed_row(1), STRANGER.feed_row(2), ENTITLED.feed_row(3)]
    rows[1]["pincode"] = "12"
    rows[1]["resident"] = "yes"
    feed = tmp_path / "feed.ndjson"
    feed.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")

    done = door.call("patrons", "load", str(feed), "--full")

    assert done.returncode == 1
    problems = [line for line in done.stderr.splitlines() if line.startswith("feed.ndjson: ")]
    assert [line.split(":")[1] for line in problems] == [" line 2", " line 2", " line 4"]
    assert done.stderr.splitlines() == problems
    assert door.dump("patrons.db") == before


def test_while_the_door_runs(door: Door, tmp_path: Path) -> None:
    """A load counts from the next decision on, without a restart: added, changed, removed."""
    door.start()
    assert door.visit(STRANGER)["reason"] == "unknown_card"
    newly_blocked = Person(ENTITLED.number, ENTITLED.pin, blocked("D"), kind="CPR")
    row = STRANGER.feed_row(1)
    row["identifiers"].append({**row["identifiers"][0], "identifierType": "UNI_LOGIN"})
    feed = write_feed(tmp_path / "feed.ndjson", (replace(STRANGER, row=row), newly_blocked))

    done = door.call("patrons", "load", str(feed), "--full", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "epoch": 2,
        "patrons": 2,
        "identifiers": 2,
        "left_out": 1,
        "removed": 12,
        "feed_left": True,
    }
    assert door.let_in(STRANGER)["reason"] == "ok"
    assert door.visit(ENTITLED)["reason"] == "blocked"
    assert door.visit(ALSO_ENTITLED)["reason"] == "unknown_card"


def test_second_load_at_the_same_time(door: Door, tmp_path: Path) -> None:
    """Whoever still reads a feed, or seals it for an hour, keeps nobody else from loading."""
    feed = write_feed(tmp_path / "feed.ndjson", (STRANGER,))
    slow = tmp_path / "slow.ndjson"
    os.mkfifo(slow)
    first = subprocess.Popen(door.command("patrons", "load", str(slow)), stderr=subprocess.PIPE)
    # Opening a pipe to write waits until the other side has opened it to read.
    with slow.open("wb") as pipe, first:
        assert door.call("patrons", "load", str(feed)).returncode == 0
        assert door.query("SELECT epoch FROM cache", database="patrons.db") == [(2,)]
        pipe.write(feed.read_bytes())
        pipe.close()
        assert first.wait() == 0

    assert door.query("SELECT epoch FROM cache", database="patrons.db") == [(3,)]


def test_wrong_feed_without_a_cache(door: Door, tmp_path: Path) -> None:
    """Where there is no cache a wrong feed makes none: an empty one would look like a load."""
    (door.directory / "patrons.db").unlink()
    feed = tmp_path / "feed.ndjson"
    feed.write_text("{broken\n")

    assert "line 1" in refusal_of_load(door, feed)

    assert list(door.directory.glob("patrons.db*")) == []


def test_full_load_onto_a_damaged_cache(door: Door) -> None:
    """It sets the damaged one aside itself; changes alone would leave everybody else unknown."""
    cache = door.directory / "patrons.db"
    cache.write_bytes(b"no database" * 1000)
    feed = write_feed(door.directory / "feed.ndjson", (ENTITLED,))
    assert "start of its writer sets it aside" in refusal_of_load(door, feed)
    assert cache.read_bytes() == b"no database" * 1000

    assert door.call("patrons", "load", str(feed), "--full").returncode == 0

    (aside,) = door.directory.glob("patrons.db.damaged-*")
    assert aside.read_bytes() == b"no database" * 1000
    door.start()
    door.let_in(ENTITLED)


def refusal_of_load(door: Door, feed: Path) -> str:
    """Run a load that has to be refused in one line; return the line."""
    done = door.call("patrons", "load", str(feed))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("name", ["", "K\u00e5re\n"])
def test_an_approval_names_somebody(door: Door, tmp_path: Path, name: str) -> None:
    """As for a push: without a name nobody has looked at it, and nothing is changed."""
    before = door.dump("patrons.db")
    feed = write_feed(tmp_path / "feed.ndjson", (STRANGER,))

    done = door.call("patrons", "load", str(feed), "--full", "--approved-by", name)

    assert done.returncode == 1
    assert done.stderr.strip() == "doorctl: --approved-by takes a name of 1 to 64 letters"
    assert door.dump("patrons.db") == before


def test_the_guard_of_a_load_is_the_technicians(door: Door, tmp_path: Path) -> None:
    """A load is let past by the same share and floor as a push."""
    feed = write_feed(tmp_path / "feed.ndjson", (STRANGER,))
    strict = ("--set", "web.push.removed_floor=1", "--set", "web.push.max_removed_percent=10")

    refused = door.call("patrons", "load", str(feed), "--full", *strict)
    loaded = door.call("patrons", "load", str(feed), "--full")

    assert refused.returncode == 1
    assert "more than 10 % and more than 1;" in refused.stderr
    assert loaded.returncode == 0


def test_the_way_back_from_a_number_that_none_follows(door: Door, tmp_path: Path) -> None:
    """A load says what it is; somebody gives it a lower one, on record; the next is taken.

    Bug (penetration test): a push of the number 2^63 - 1 ended the next load in a traceback,
    was no doorctl to the sender, and could not be undone.
    """
    feed = write_feed(tmp_path / "feed.ndjson", (ENTITLED, ALSO_ENTITLED))
    for table in ("cache", "patrons"):
        door.change(f"UPDATE {table} SET epoch = 9223372036854775807", database="patrons.db")  # noqa: S608

    refused = door.call("patrons", "load", str(feed))
    assert refused.returncode == 1
    assert "no number follows on it; stop doorctl-web" in refused.stderr
    assert "Traceback" not in refused.stderr

    again = door.call("patrons", "renumber", "9223372036854775807")
    assert (again.returncode, "give a lower number" in again.stderr) == (1, True)
    done = door.call("patrons", "renumber", "41", "--why", "a number too high")
    assert done.stdout.startswith("push 9223372036854775807 is push 41 now")
    assert "patrons_renumbered" in door.call("audit", "list", "--json").stdout

    assert door.call("patrons", "load", str(feed)).stdout.startswith("Sealing\nepoch 42:")


def test_a_load_by_a_clock_that_nobody_vouches_for(door: Door) -> None:
    """It is refused: a register that is stamped with a wrong time would let nobody in later.

    Bug (operations review): a load by a clock that was not set stamped the register with a
    wrong time, and everybody was refused later.
    """
    before = door.dump("patrons.db")
    door.configured("clock.trust=auto")
    feed = write_feed(door.directory / "feed.ndjson")
    done = door.call("patrons", "load", str(feed), "--full")
    if done.returncode == 0:
        pytest.skip("this machine's clock is vouched for, by a time service or a battery clock")

    last = done.stderr.splitlines()[-1]
    assert "nobody vouches for this machine's clock, which says 20" in last
    assert door.dump("patrons.db") == before
    door.configured("clock.trust=always")
    done = door.call("patrons", "load", str(feed), "--full")
    assert done.returncode == 0, done.stderr
