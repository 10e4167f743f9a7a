"""The audit log at a shell, with the web process and without: every look and change is on it.

Bug (attack review): a change whose output failed left no audit entry.
"""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from doorctl.demo.door import Stage
from doorctl.rpc.control import ControlServer
from doorctl.store.connection import WriterLock
from tests.e2e.door import Door, redirected, refusal, said
from tests.e2e.people import ENTITLED

HOURS_AGO, HOUR_AGO = (
    (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="seconds") for hours in (3, 1)
)
AT_ONCE = 4
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")


def listed(door: Stage, *words: str) -> list[dict[str, Any]]:
    """Return what `audit list` shows."""
    found: list[dict[str, Any]] = json.loads(said(door, "audit", "list", "--json", *words))
    return found


LOOKS = (
    ("patrons", "explain", ENTITLED.number),
    ("visits", "list"),
    ("bans", "list"),
    ("passes", "list"),
    ("audit", "list"),
)

CHANGES = (
    ("bans", "add", ENTITLED.number, "--reason", "smoke"),
    ("bans", "letter", "1"),
    ("bans", "lift", "1"),
    ("passes", "add", ENTITLED.number, "--kind", "class", "--to", TOMORROW[:10], "--label", "4. b"),
    ("passes", "revoke", "1"),
    ("mode", "set", "lockdown", "--until", TOMORROW, "--reason", "threat"),
    ("mode", "end"),
    ("calendar", "except", TOMORROW[:10]),
    ("calendar", "clear", TOMORROW[:10]),
    ("patrons", "unlock", ENTITLED.number),
    ("purge",),
    ("hold", "add", "--from", HOURS_AGO, "--to", HOUR_AGO, "--case", "17", "--reason", "theft",
     "--until", TOMORROW[:10]),
    ("hold", "show", "1"),
    ("hold", "lift", "1"),
    ("statistics",),
)  # fmt: skip
ON_RECORD = [
    "ban_added", "bans_listed", "ban_lifted", "pass_issued", "pass_revoked", "mode_set",
    "mode_ended", "calendar_changed", "calendar_changed", "card_unlocked", "purge_run",
    "hold_added", "hold_shown", "hold_lifted", "statistics_read",
]  # fmt: skip
"""What :data:`CHANGES` leave, in their order."""


def test_each_look_is_on_record_with_its_reason(branch: Door) -> None:
    """Who, when, by what clock, at whom; a list of everybody says how many it showed."""
    for words in LOOKS:
        said(branch, *words, "--why", "a call from the town hall")
    found = listed(branch)[-len(LOOKS) :]
    actions = [one["action"] for one in found]

    assert actions == [
        "patron_explained", "visits_listed", "bans_listed", "passes_listed", "audit_read",
    ]  # fmt: skip
    assert {one["why"] for one in found} == {"a call from the town hall"}
    assert all(one["by"] for one in found)
    assert {one["clock"] for one in found} == {"trusted"}
    explained = found[0]
    assert explained["patron_ref"] == "1001"
    assert all(len(card) == 8 for card in explained["cards"])
    assert found[1]["details"]["visits"] == 0


def test_each_change_is_on_record(branch: Door) -> None:
    """With the reason that the command asks for, about whom it was, and no number of a person."""
    for words in CHANGES:
        said(branch, *words)
    found = listed(branch)[-len(CHANGES) :]
    text = said(branch, "audit", "list")

    assert [one["action"] for one in found] == ON_RECORD
    assert (found[0]["why"], found[0]["patron_ref"]) == ("smoke", "1001")
    assert found[0]["cards"] == found[3]["cards"]
    assert (found[5]["why"], found[5]["details"]["mode"]) == ("threat", "lockdown")
    assert set(found[0]["cards"]) <= set(found[9]["cards"])
    assert (found[11]["why"], found[11]["details"]["number"]) == ("theft", 1)
    for part in ("ban_added", "patron 1001", "smoke", "mode lockdown"):
        assert part in text
    assert ENTITLED.number not in text
    kept = (branch.directory / "branch.db").read_bytes()
    wal = branch.directory / "branch.db-wal"
    kept += wal.read_bytes() if wal.exists() else b""
    assert ENTITLED.number.encode() not in kept


def test_each_kind_of_change_is_on_record_before_it_is_told(door: Door) -> None:
    """Whoever can't be told of a change, because the disk is full, leaves its entry all the same.

    So a command that fails at its output hides nothing.
    """
    door.start()
    kinds = (*(CHANGES[at] for at in (0, 5, 7, 9, 10, 11)), ("open", "--reason", "a delivery"))
    for words in kinds:
        done = redirected(door.command(*words), ">/dev/full")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), words

    assert [one["action"] for one in listed(door)[-len(kinds) :]] == [
        *("ban_added", "mode_set", "calendar_changed", "card_unlocked"),
        *("purge_run", "hold_added", "opened_once"),
    ]


@pytest.mark.parametrize("words", [("bans", "lift"), ("passes", "revoke"), ("hold", "lift")])
def test_a_number_that_no_row_can_have_is_refused(branch: Door, words: tuple[str, ...]) -> None:
    """In words; nothing is looked for, and no traceback is told."""
    done = branch.call(*words, "9" * 23)

    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr


def test_a_feed_that_was_loaded_is_on_record(door: Door, tmp_path: Path) -> None:
    """With who approved of it, where somebody did."""
    feed = tmp_path / "feed.ndjson"
    feed.write_text(
        '{"patronId":1001,"identifiers":[{"identifier":"3000001234","identifierType":"CARD",'
        '"status":"ACTIVE"}],"pincode":"4711","resident":true,"birthday":"1970-01-01",'
        '"blockStatus":null}\n',
        encoding="utf-8",
    )
    said(door, "patrons", "load", str(feed), "--full", "--approved-by", "Karen Testesen")
    loaded, approved = listed(door)[-2:]

    assert loaded["action"] == "patrons_loaded"
    assert {"patrons": 1, "full": 1}.items() <= loaded["details"].items()
    assert (approved["action"], approved["by"]) == ("push_approved", "Karen Testesen")


def test_what_can_not_be_put_on_record_is_not_shown(door: Door) -> None:
    """One clear line and nothing of a person; a reason with a person's number is refused too."""
    said(door, "mode", "set", "closed", "--until", TOMORROW, "--reason", "uro")
    with ThreadPoolExecutor(len(LOOKS)) as commands:
        with WriterLock(door.directory / "branch.db"):
            for told in commands.map(lambda words: refusal(door, *words), LOOKS):
                assert "another doorctl process is writing" in told
        for words in LOOKS:
            assert "leave them out" in refusal(door, *words, "--why", f"for {ENTITLED.number}")
            assert door.call(*words).returncode == 0


def test_commands_at_the_same_moment_are_all_on_record(door: Door) -> None:
    """Each does its deed and notes it: one owns a database for a moment, and the others wait."""
    before = len(listed(door))

    with ThreadPoolExecutor(AT_ONCE) as commands:
        done = list(commands.map(lambda _: door.call("purge"), range(AT_ONCE)))

    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * AT_ONCE
    actions = [one["action"] for one in listed(door)[before:]]
    assert actions.count("purge_run") == AT_ONCE


def test_the_door_opens_though_the_log_can_not_be_written(door: Door) -> None:
    """It is done, and the line says that it is not on record; exit 1, so that somebody looks."""
    said(door, "bans", "list")
    server = ControlServer(door.directory / "door.sock", {"open": lambda _question: {}})
    server.start()
    try:
        with WriterLock(door.directory / "branch.db"):
            done = door.call("open", "--reason", "delivery")
        said(door, "open", "--reason", "delivery")
    finally:
        server.stop()

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("doorctl: it is done, but the audit log does not say so: ")
    assert [(one["action"], one["why"]) for one in listed(door)][-1:] == [
        ("opened_once", "delivery")
    ]


def test_a_changed_log_is_found(door: Door) -> None:
    """Exit 1 with the first number that is wrong, for scripts too; the rest is still listed."""
    for _ in range(3):
        said(door, "mode", "set", "closed", "--until", TOMORROW, "--reason", "uro")
    whole = said(door, "audit", "verify")
    with closing(sqlite3.connect(door.directory / "branch.db", isolation_level=None)) as file:
        (last,) = file.execute("SELECT max(number) FROM audit").fetchone()
        file.execute("DROP TRIGGER audit_erases")
        file.execute(
            'UPDATE audit SET record = replace(record, \'"why":"uro"\', \'"why":"x"\') '
            "WHERE number = ?",
            (last - 1,),
        )

    assert f"entries: {last}, none changed and none missing; it ends at {last}:" in whole
    assert f"audit entry {last - 1} is wrong: its record was" in refusal(door, "audit", "verify")
    told = door.call("audit", "verify", "--json")
    assert told.returncode == 1
    assert json.loads(told.stdout)["broken"] == last - 1
    assert listed(door)[-2]["why"] == "x"


def test_a_log_with_nothing_on_it_is_sound(tmp_path: Path, door: Door) -> None:
    """Before anything was written, and where `--since` leaves nothing."""
    elsewhere = ("--set", f"storage.directory={tmp_path}")

    assert said(door, "audit", "head", *elsewhere).startswith("0:")
    assert said(door, "audit", "verify", *elsewhere).startswith("entries: 0, none changed")
    assert list(tmp_path.glob("branch.db*")) == []
    assert said(door, "audit", "list", "--since", "2099-01-01") == "no entries\n"
    assert listed(door, "--since", "2099-01-01T00:00:00+01:00") == []
