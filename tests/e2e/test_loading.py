from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.door import Door
from tests.e2e.people import ALSO_ENTITLED, ENTITLED, STRANGER, Person, blocked, write_feed


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
    assert "start of the door sets it aside" in refusal_of_load(door, feed)
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
