"""What staff do at a shell, with the web process and without, and that all of it is on record.

Bug (attack review): a change whose output failed left no audit entry.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from doorctl.rpc.server import ControlServer
from doorctl.store.writer import WriterLock
from tests.e2e.door import Door, redirected, refusal, said, told
from tests.e2e.people import ALSO_ENTITLED, ENTITLED, STRANGER, ahead, in_s
from tests.fakes.waiting import until
from tests.rpc.serving import plain
from tests.web.branch import Branch

NOW = datetime.now(UTC).astimezone(ZoneInfo("Europe/Copenhagen"))
IN_AN_HOUR = (NOW + timedelta(hours=1)).isoformat(timespec="seconds")


@pytest.mark.parametrize(
    "words",
    [
        ("open", "--reason"),
        ("mode", "set", "lockdown", "--until", IN_AN_HOUR, "--reason"),
        ("bans", "add", "--patron-ref", "1001", "--reason"),
        ("bans", "list", "--why"),
        ("passes", "list", "--why"),
        ("visits", "list", "--why"),
        ("audit", "list", "--why"),
        ("patrons", "explain", ENTITLED.number, "--why"),
        ("subject", "export", ENTITLED.number, "--why"),
        ("subject", "erase", ENTITLED.number, "--why"),
        ("subject", "restrict", ENTITLED.number, "--why"),
        ("subject", "unrestrict", ENTITLED.number, "--why"),
    ],
)
def test_a_reason_of_one_letter_is_none(words: tuple[str, ...], door: Door) -> None:
    """Wherever one is typed; nothing is shown and nothing is changed.

    Bug (outside look): a reason of one letter still did for opening the door, a mode, a ban and
    every `--why`.
    """
    assert "says too little" in refusal(door, *words, "x")
    written = door.dump("branch.db") if (door.directory / "branch.db").exists() else ""
    assert not re.search(r'INSERT INTO "?(audit|bans|overrides|restrictions)"? ', written)


def test_a_mode_is_set_seen_and_ended(branch: Door) -> None:
    """It stands with who set it, why and until when; then the calendar counts again."""
    usual = told(branch, "mode")
    by_hand = said(branch, "mode", "set", "lockdown", "--until", IN_AN_HOUR, "--reason", "threat")
    during = told(branch, "mode")
    for undoing in (("end",), ("set", "staffed", "--until", IN_AN_HOUR, "--reason", "concert")):
        assert "(doorctl mode end --lockdown)" in refusal(branch, "mode", *undoing)
    assert told(branch, "mode") == during
    ended = said(branch, "mode", "end", "--lockdown")

    assert (usual["mode"], usual["cause"], usual["next"]) == ("self_service", "schedule", None)
    assert by_hand.startswith("The branch is locked down until ")
    assert "in staffed hours the door stays closed until doorctl mode end --lockdown" in by_hand
    assert {"mode": "lockdown", "cause": "staff", "reason": "threat"}.items() <= during.items()
    assert datetime.fromisoformat(during["until"]) == datetime.fromisoformat(IN_AN_HOUR)
    assert during["next"] == {"at": during["until"], "mode": "self_service"}
    assert during["by"]
    assert ended == "The branch is no longer locked down by hand; its calendar counts again.\n"
    assert told(branch, "mode") == usual
    over = ("mode", "set", "closed", "--until", "2026-01-01T10:00", "--reason", "flood")
    assert "give a later end" in refusal(branch, *over)
    assert "no mode is set by hand" in refusal(branch, "mode", "end")


@pytest.mark.parametrize("words", [("mode",), ("calendar",)])
def test_an_option_before_the_commands_name_is_wrong_usage(
    words: tuple[str, ...], door: Door
) -> None:
    """It would count for nothing, and another branch would be changed than is meant."""
    sub = {"mode": ("end",), "calendar": ("clear", ahead(3))}[words[0]]
    command = door.command(*words)
    done = door.call(*words, *command[command.index("--set") :], *sub)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"give options after `{sub[0]}`" in done.stderr


def test_an_alarm_is_ended_by_root(branch: Door) -> None:
    """Where web does not run too; what does not stand is refused, and a kind has to be given.

    Bug (operated from outside): no command ended an alarm, so `check` was a warning for ever.
    """
    said(branch, "mode", "set", "closed", "--until", IN_AN_HOUR, "--reason", "flood")
    with closing(sqlite3.connect(branch.directory / "branch.db")) as database, database:
        database.execute(
            "INSERT INTO alarms (kind, source, first_ms, last_ms, count, why) "
            "VALUES ('door_forced', 'door', 1, 1, 1, '')"
        )

    assert said(branch, "alarm", "end", "door_forced") == "door_forced: ended\n"
    assert "no such alarm stands" in refusal(branch, "alarm", "end", "door_forced")
    assert branch.call("alarm", "end").returncode == 2
    assert "alarm_ended" in said(branch, "audit", "list")


def test_a_date_gets_hours_of_its_own_and_loses_them(branch: Door) -> None:
    """They stand in the table with their note, and the other dates stay as they were."""
    day, other = ahead(3), ahead(4)
    first = said(
        branch, "calendar", "except", day, "--staffed", "10:00-12:00",
        "--self-service", "08:00-22:00", "--note", "Fernisering",
    )  # fmt: skip
    said(branch, "calendar", "except", other)
    days = {one["date"]: one for one in told(branch, "calendar")["days"]}
    shown = said(branch, "calendar", "--days", "5")
    cleared = said(branch, "calendar", "clear", day)

    assert first == (f"On {day} the branch is self-service 08:00-22:00, staffed 10:00-12:00.\n")
    assert days[day]["cause"] == "exception"
    assert days[day]["note"] == "Fernisering"
    assert [(one["mode"], one["from"], one["to"]) for one in days[day]["spans"]] == [
        ("self_service", "08:00", "10:00"),
        ("staffed", "10:00", "12:00"),
        ("self_service", "12:00", "22:00"),
    ]
    assert days[other]["spans"] == []
    (line,) = (line for line in shown.splitlines() if day in line)
    hours = "self-service 08:00-10:00, staffed 10:00-12:00, self-service 12:00-22:00"
    assert line.endswith(f"{day}  {hours} (Fernisering)")
    assert shown.startswith("It is open.")
    assert "(schedule)" not in shown
    assert cleared == (f"{day} has no hours of its own any more; it is self-service 00:00-24:00.\n")
    spans = ("--staffed", "10:00-12:00", "--staffed", "11:00-13:00")
    assert "overlaps" in refusal(branch, "calendar", "except", day, *spans)
    left = {one["date"]: one["cause"] for one in told(branch, "calendar")["days"]}
    assert (left[day], left[other]) == ("schedule", "exception")


def test_a_ban_holds_is_listed_and_lifted(branch: Door) -> None:
    """90 days unless somebody says otherwise, of the patron, and the letter says what counts."""
    assert said(branch, "bans", "list") == "Nobody is banned.\n"
    added = said(branch, "bans", "add", "-", "--reason", "røg", stdin=f"{ENTITLED.number}\n")
    (held,) = told(branch, "bans", "list")
    letter = said(branch, "bans", "letter", "1")
    for_ever = ("bans", "add", "--patron-ref", "1001", "--reason", "uro", "--without-end")
    assert "and has no end; look at it again in a year." in said(branch, *for_ever)
    lifted = said(branch, "bans", "lift", "1")

    assert added.startswith(f"Ban 1 holds from {ahead(0)} until {ahead(89)}, that day too. Send")
    assert (held["state"], held["patron_ref"], held["reason"]) == ("holds", "1001", "røg")
    assert held["branches"] == ["proeve"]
    assert held["by"]
    for part in ("Grunden er: røg", "The reason is: røg", "husets regler", "the house rules"):
        assert part in letter
    assert "§" not in letter
    assert lifted == "Ban 1 is lifted. Ban 2 of the same card or patron still holds.\n"
    assert said(branch, "bans", "lift", "2") == "Ban 2 is lifted.\n"
    assert [one["state"] for one in told(branch, "bans", "list")] == ["lifted", "lifted"]
    assert "no ban 1" in refusal(branch, "bans", "lift", "1")
    assert "no ban 1; see doorctl bans list" in refusal(branch, "bans", "letter", "1")
    elsewhere = ("bans", "add", ENTITLED.number, "--reason", "uro", "--branches", "syd,oest")
    assert "would not hold here" in refusal(branch, *elsewhere)
    unknown = said(branch, "bans", "add", "--patron-ref", "999999", "--reason", "uro")
    assert "No patron of that number is in the register now" in unknown


@pytest.mark.parametrize(
    ("words", "last"),
    [(("--days", "7"), 6), (("--until", 20), 20), (("--from", 8, "--days", "1"), 8)],
)
def test_how_long_a_ban_lasts(words: tuple[str | int, ...], last: int, door: Door) -> None:
    """The last day counts. A number of days is typed as a date."""
    typed = [ahead(word) if isinstance(word, int) else word for word in words]
    added = said(door, "bans", "add", "--patron-ref", "1001", "--reason", "uro", *typed)

    begins = ahead(8) if "--from" in words else ahead(0)
    assert f"holds from {begins} until {ahead(last)}, that day too." in added


def test_only_what_is_given_of_a_ban_or_a_pass_is_changed(branch: Door) -> None:
    """Whose it is, since when and by what it opens stay; what makes no sense changes nothing.

    Bug (outside look): a pass could not be changed, only revoked, nor a ban's end.
    """
    said(branch, "bans", "add", ENTITLED.number, "--reason", "uro", "--note", "Velkommen igen.")
    issue = ("passes", "add", ENTITLED.number, "--kind", "cleaner", "--to", ahead(60))
    said(branch, *issue, "--weekdays", "mon,tue", "--outside-hours", "--label", "Rengøring")
    ban, held = told(branch, "bans", "list")[0], told(branch, "passes", "list")[0]

    told_of = said(branch, "bans", "change", "1", "--days", "7")
    assert told_of.startswith(f"Ban 1 holds from {ahead(0)} until {ahead(6)}, that day too. Send")
    words = ("--to", ahead(9), "--times", "6-8", "--times", "22-23", "--in-hours")
    assert f"it lasts until {ahead(9)}" in said(branch, "passes", "change", "1", *words)
    after, kept = told(branch, "bans", "list")[0], told(branch, "passes", "list")[0]
    assert after == ban | {"until": after["until"]} != ban
    new = {"to": ahead(9), "times": "06:00-08:00, 22:00-23:00", "outside_hours": False}
    assert kept == held | new
    refusal(branch, "bans", "change", "1", "--until", ahead(-2))
    refusal(branch, "passes", "change", "1", "--to", ahead(-2))
    assert "no ban 2" in refusal(branch, "bans", "change", "2", "--reason", "uro")
    assert "no pass" in refusal(branch, "passes", "change", "2", "--label", "VVS")
    assert (told(branch, "bans", "list"), told(branch, "passes", "list")) == ([after], [kept])


def test_a_code_is_shown_once(branch: Door) -> None:
    """It stands in no file and in no list, and needs no PIN; a new one replaces a lost one."""
    assert said(branch, "passes", "list") == "No passes.\n"
    words = (
        "passes", "add", "--code", "--digits", "8", "--kind", "association", "--to", ahead(60),
        "--weekdays", "tue,mon", "--times", "17:00-21:00", "--times", "22:00-01:00",
        "--companions", "3", "--label", "Skakklubben",
    )  # fmt: skip
    issued = said(branch, *words)
    found = re.fullmatch(
        r"Pass 1 is issued\. The code is ([0-9 ]+); it is shown only now\. "
        r"Type it on the keypad at the door, then OK or #\.\n",
        issued,
    )
    assert found
    code = found[1].replace(" ", "")
    (held,) = told(branch, "passes", "list")
    listed = said(branch, "passes", "list")
    revoked = said(branch, "passes", "revoke", "1")

    assert len(code) == 8
    assert held["weekdays"] == ["mon", "tue"]
    assert (held["pin"], held["companions"]) == (None, 3)
    assert held["times"] == "17:00-21:00, 22:00-01:00"
    assert (held["state"], held["code_digits"], held["to"]) == ("valid", 8, ahead(60))
    assert "Skakklubben" in listed
    assert revoked == "Pass 1 opens nothing from now on.\n"
    assert told(branch, "passes", "list")[0]["state"] == "revoked"
    assert "no pass 1" in refusal(branch, "passes", "revoke", "1")
    written = b"".join(path.read_bytes() for path in files(branch))
    assert not {code, found[1]} & set(re.findall(r"[0-9 ]+", listed + json.dumps(held)))
    assert code.encode() not in written


def files(door: Door) -> list[Path]:
    """Return all that has been made on the disk, but the keys."""
    return [path for path in door.directory.iterdir() if path.suffix in {".db", ".db-wal"}]


def test_a_card_gets_a_pass(branch: Door) -> None:
    """With the register's PIN unless something else is said; its own is typed twice."""
    words = ("passes", "add", ALSO_ENTITLED.number, "--kind", "technician", "--to", ahead(3))
    issued = said(branch, *words, "--label", "VVS", "--outside-hours")
    (held,) = told(branch, "passes", "list")

    assert issued == f"Pass 1 is issued until {ahead(3)}, that day too.\n"
    assert (held["pin"], held["outside_hours"], held["code_digits"]) == ("register", True, None)
    own = (*words[:2], "-", *words[3:], "--label", "VVS", "--own-pin")
    slip = refusal(branch, *own, stdin=f"{STRANGER.number}\n4711\n4712\n")
    assert "not the same" in slip


def test_staff_say_that_the_clock_is_right(door: Door) -> None:
    """A mark that a wrong clock left keeps everybody out until then; it is on the audit log."""
    ahead = datetime.now(UTC) + timedelta(days=25_000)
    door.change(
        "INSERT OR REPLACE INTO clock (only, high_water_ms) VALUES (1, ?)",
        int(ahead.timestamp() * 1000),
    )
    assert "is it running?" in refusal(door, "trust-clock")
    door.start()
    until(lambda: "clock_stepped" in door.alarms())

    assert said(door, "trust-clock").startswith("The clock is right: 20")

    # The alarm ends with the loop's next turn.
    until(lambda: door.call("status").returncode == 0)
    assert told(door, "status")["clock"] == "trusted"
    ((mark_ms,),) = door.query("SELECT high_water_ms FROM clock")
    assert mark_ms <= datetime.now(UTC).timestamp() * 1000
    assert told(door, "audit", "list")[-1]["action"] == "clock_trusted"


def test_beside_the_real_web_process(tmp_path: Path) -> None:
    """While `doorctl web` runs, and after it has ended, each command does its work."""
    running = Branch(tmp_path)
    running.start()
    try:
        said(running.stage, "bans", "add", "--patron-ref", "1001", "--reason", "uro")
        said(running.stage, "mode", "set", "closed", "--until", IN_AN_HOUR, "--reason", "uro")
        assert told(running.stage, "mode")["mode"] == "closed"
        assert told(running.stage, "bans", "list")[0]["state"] == "holds"
    finally:
        running.end()
    assert said(running.stage, "mode", "end")
    assert said(running.stage, "bans", "lift", "1") == "Ban 1 is lifted.\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root is believed to be somebody else")
def test_who_it_was(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through sudo it is who called, and not root."""
    monkeypatch.setenv("SUDO_USER", "grethe")
    said(door, "bans", "add", ENTITLED.number, "--reason", "uro")

    assert told(door, "bans", "list")[0]["by"] == "grethe"


HOURS_AGO, HOUR_AGO = in_s(-3 * 3600), in_s(-3600)
AT_ONCE = 4
TOMORROW = in_s(24 * 3600)


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
    ("mode", "end", "--lockdown"),
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
    found = told(branch, "audit", "list")[-len(LOOKS) :]
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
    found = told(branch, "audit", "list")[-len(CHANGES) :]
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

    assert [one["action"] for one in told(door, "audit", "list")[-len(kinds) :]] == [
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
    loaded, approved = told(door, "audit", "list")[-2:]

    assert loaded["action"] == "patrons_loaded"
    assert {"patrons": 1, "full": 1}.items() <= loaded["details"].items()
    assert (approved["action"], approved["by"]) == ("push_approved", "Karen Testesen")


def test_what_can_not_be_put_on_record_is_not_shown(door: Door) -> None:
    """One clear line and nothing of a person; a reason with a person's number is refused too."""
    said(door, "mode", "set", "closed", "--until", TOMORROW, "--reason", "uro")
    with ThreadPoolExecutor(len(LOOKS)) as commands:
        with WriterLock(door.directory / "branch.db"):
            for line in commands.map(lambda words: refusal(door, *words), LOOKS):
                assert "another doorctl process is writing" in line
        for words in LOOKS:
            assert "leave them out" in refusal(door, *words, "--why", f"for {ENTITLED.number}")
            assert door.call(*words).returncode == 0


def test_commands_at_the_same_moment_are_all_on_record(door: Door) -> None:
    """Each does its deed and notes it: one owns a database for a moment, and the others wait."""
    before = len(told(door, "audit", "list"))

    with ThreadPoolExecutor(AT_ONCE) as commands:
        done = list(commands.map(lambda _: door.call("purge"), range(AT_ONCE)))

    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * AT_ONCE
    actions = [one["action"] for one in told(door, "audit", "list")[before:]]
    assert actions.count("purge_run") == AT_ONCE


def test_the_door_opens_though_the_log_can_not_be_written(door: Door) -> None:
    """It is done, and the line says that it is not on record; exit 1, so that somebody looks."""
    said(door, "bans", "list")
    server = ControlServer(door.directory / "door.sock", plain({"open": lambda _line: {}}))
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
    assert [(one["action"], one["why"]) for one in told(door, "audit", "list")][-1:] == [
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
    done = door.call("audit", "verify", "--json")
    assert (done.returncode, json.loads(done.stdout)["broken"]) == (1, last - 1)
    assert told(door, "audit", "list")[-2]["why"] == "x"


def test_a_log_with_nothing_on_it_is_sound(tmp_path: Path, door: Door) -> None:
    """Before anything was written, and where `--since` leaves nothing."""
    elsewhere = ("--set", f"storage.directory={tmp_path}")

    assert said(door, "audit", "head", *elsewhere).startswith("0:")
    assert said(door, "audit", "verify", *elsewhere).startswith("entries: 0, none changed")
    assert list(tmp_path.glob("branch.db*")) == []
    assert said(door, "audit", "list", "--since", "2099-01-01") == "no entries\n"
    assert told(door, "audit", "list", "--since", "2099-01-01T00:00:00+01:00") == []
