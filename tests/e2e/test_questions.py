from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.door import Door, refusal
from tests.e2e.people import CHILD, ENTITLED, STOLEN, STRANGER, Person


@pytest.mark.parametrize(
    ("person", "reason"),
    [(ENTITLED, "ok"), (STOLEN, "blocked"), (STRANGER, "unknown_card")],
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
