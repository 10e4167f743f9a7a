"""The sender and a branch's web process, as they are run, with certificates on both sides.

Over HTTPS, and over a real NATS server by the extra fleet.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.cli.sync import TRY_AGAIN
from doorctl.extras.fleet.bodies import LEAST_BYTES
from doorctl.store.writer import WriterLock
from tests.e2e import ways
from tests.e2e.door import redirected
from tests.e2e.sender import Sender, patron
from tests.e2e.ways import Way
from tests.web.branch import Branch
from tests.web.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom both sides trust."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module", params=["https", "nats"])
def way(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Way]:
    """How they reach each other."""
    with ways.way(request.param, authority) as found:
        yield found


FLOOR = "web.push.removed_floor=2"


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory, way: Way) -> Iterator[Branch]:
    """One that is there for all tests."""
    branch = way.branch(tmp_path_factory.mktemp("branch"), FLOOR)
    branch.start()
    yield branch
    branch.end()


@pytest.fixture
def sender(tmp_path: Path, branch: Branch, way: Way) -> Sender:
    """A sender that remembers nothing, whatever the branch holds."""
    return way.sender(tmp_path, branch)


def held(branch: Branch) -> tuple[int, set[str]]:
    """Return the epoch and who stands in a branch's own database."""
    path = branch.config.storage.directory / "patrons.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        (epoch,) = database.execute("SELECT epoch FROM cache").fetchone()
        return epoch, {ref for (ref,) in database.execute("SELECT patron_ref FROM patrons")}


def test_a_day_of_a_sender(sender: Sender, branch: Branch) -> None:
    """Everything first, then what has changed, then nothing; the branch's database agrees."""
    sender.export("01-full.ndjson", *map(patron, (1, 2, 3, 4)))
    first = sender.push("--approved-by", "B. Hansen")["demo"]
    sender.export("02-changes.ndjson", patron(1, pin="0815"), {**patron(2), "identifiers": []})
    second = sender.push()["demo"]
    third = sender.push()["demo"]

    assert (first["kind"], first["cards"], first["removed"]) == ("snapshot", 4, 0)
    assert (second["kind"], second["cards"], second["removed"]) == ("changes", 1, 1)
    assert second["epoch"] == first["epoch"] + 1
    assert third == {**third, "result": "unchanged", "epoch": second["epoch"], "kind": None}
    assert held(branch) == (second["epoch"], {"1", "3", "4"})


MANY = 400
"""So many patrons that over NATS their rows lie at the server, with its real permissions."""


def test_a_register_comes_whole_by_each_way(tmp_path: Path, way: Way) -> None:
    """Over NATS the rows are left at the server once, and the branch gets them there itself."""
    (tmp_path / "branch").mkdir()
    (tmp_path / "sender").mkdir()
    branch = way.branch(tmp_path / "branch", FLOOR)
    sender = way.sender(tmp_path / "sender", branch)
    branch.start()
    sender.export("01-full.ndjson", *map(patron, range(1, MANY + 1)))

    sent = sender.push()["demo"]

    assert (sent["kind"], sent["cards"]) == ("snapshot", MANY)
    assert held(branch) == (sent["epoch"], {str(number) for number in range(1, MANY + 1)})
    if isinstance(branch, ways.Listening):
        stream = branch.directory / "store/jetstream/library/streams/DOORCTL_BODIES/msgs"
        assert sum(file.stat().st_size for file in stream.glob("*.blk")) > LEAST_BYTES
    branch.end()


def test_a_branch_that_was_away_takes_what_was_left_for_it(
    tmp_path: Path, authority: Authority
) -> None:
    """Over NATS: it is back while no sender runs, and holds what was pushed meanwhile."""
    (tmp_path / "branch").mkdir()
    (tmp_path / "sender").mkdir()
    with ways.way("nats", authority) as way:
        branch = way.branch(tmp_path / "branch", FLOOR)
        sender = way.sender(tmp_path / "sender", branch)
        branch.start()
        sender.export("01-full.ndjson", patron(1), patron(2))
        first = sender.push()["demo"]
        branch.end()
        sender.export("01-full.ndjson", *map(patron, (1, 2, 3)))
        away = sender.push(code=1)["demo"]
        before = held(branch)

        branch.start()
        branch.wait_for("push", result="applied")
        there = held(branch)
        after = sender.push()["demo"]
        branch.end()

    assert (first["epoch"], before) == (1, (1, {"1", "2"}))
    assert away["why"].endswith("what it lacks lies there for it")
    assert there == (2, {"1", "2", "3"})
    assert (after["result"], after["epoch"]) == ("unchanged", 2)


def test_an_audit_log_that_was_cut_is_told(tmp_path: Path, way: Way) -> None:
    """Whoever has the Pi can shorten its log; the sender kept where it ended and goes on saying so.

    Patrons' changes go out all the same. Somebody confirms it, by a name that there is.

    Bug (penetration test): an audit log that was cut or written anew on the Pi was noticed by
    nobody: its head was printed and not kept.
    """
    (tmp_path / "branch").mkdir()
    (tmp_path / "sender").mkdir()
    branch = way.branch(tmp_path / "branch", FLOOR)
    sender = way.sender(tmp_path / "sender", branch)
    branch.start()
    for count in (1, 2, 3):
        sender.export("01-full.ndjson", *map(patron, range(1, count + 1)))
        sender.push()
    branch.end()
    with closing(sqlite3.connect(branch.config.storage.directory / "branch.db")) as log:
        guards = "FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit'"
        kept = log.execute(f"SELECT name, sql {guards}").fetchall()
        for name, _ in kept:
            log.execute(f"DROP TRIGGER {name}")
        log.execute("DELETE FROM audit WHERE number > 1")
        for _, sql in kept:
            log.execute(sql)
        log.execute("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'audit'")
        log.commit()
    branch.start()
    told = sender.call("sync", "push")
    sender.export("01-full.ndjson", *map(patron, range(1, 5)))
    again = sender.call("sync", "push", "--json")
    misspelt = sender.call("sync", "push", "--audit-confirmed", "dmeo")
    confirmed, after = (
        sender.call("sync", "push", "--audit-confirmed", "demo"),
        sender.call("sync", "push"),
    )
    patrons = held(branch)[1]
    branch.end()

    calls = (told, again, misspelt, confirmed, after)
    assert [done.returncode for done in calls] == [1, 1, 1, 0, 0], [done.stderr for done in calls]
    for done in (told, again):
        assert "audit_rewritten: the audit log of demo ended at 2:" in done.stderr
        assert "doorctl sync push --audit-confirmed demo" in done.stderr
    (kept,) = json.loads(again.stdout)["branches"]
    assert (kept["result"], kept["audit_kept"][:2]) == ("sent", "2:")
    assert patrons == {"1", "2", "3", "4"}
    assert "no branch is called dmeo; there are demo" in misspelt.stderr
    assert "audit_rewritten" not in confirmed.stderr + after.stderr


def test_a_dry_run(sender: Sender, branch: Branch) -> None:
    """Says what would be sent and changes nothing, here or there.

    Bug (mission review): a dry run said what would be sent and not that the branch would refuse
    it.
    """
    before = held(branch)
    sender.export("01-full.ndjson", *map(patron, (1, 2, 3, 4)))

    done = sender.call("sync", "push", "--dry-run")

    assert done.returncode == 0
    assert "demo (from 14 years): would be sent all rows: 4 cards, 0 patrons" in done.stdout
    assert held(branch) == before
    assert not (sender.directory / "state").exists()


@pytest.mark.parametrize(("age", "taken"), [(13, False), (15, True)])
def test_a_branch_with_an_age_limit_of_its_own(
    sender: Sender, branch: Branch, age: int, *, taken: bool
) -> None:
    """Its table says so and the manifest too; a dry run shows a limit that the branch refuses.

    Of one above the branch's own, which keeps out those in between, both runs tell.

    Bug (mission review): a target's age limit above the branch's own kept out patrons in
    between, and no run said so.
    """
    with sender.config.open("a", encoding="utf-8") as file:
        file.write(f"minimum_age = {age}\n")
    sender.export("01-full.ndjson", *map(patron, (1, 2, 3, 4)))

    done = sender.call("sync", "push", "--dry-run")

    assert f"demo (from {age} years): would " in done.stdout
    above = "demo lets in from 14 years, but its rows say from 15: " in done.stderr
    assert above is taken
    if not taken:
        assert "minimum age of 13, so this branch, which asks for 14" in done.stdout
        return
    pushed = sender.call("sync", "push", "--approved-by", "B. Hansen")
    assert "; see its minimum_age in sync.targets\n" in pushed.stderr
    told = sender.push()["demo"]
    assert (told["minimum_age"], told["minimum_age_there"]) == (15, 14)
    with closing(sqlite3.connect(branch.config.storage.directory / "patrons.db")) as database:
        assert database.execute("SELECT minimum_age FROM cache").fetchall() == [(15,)]


def test_the_signing_key_is_changed_once_every_branch_believes_the_next(
    tmp_path: Path, way: Way
) -> None:
    """Until then the old one signs; a branch without the next is named, and nothing changes.

    Bug (a second reading): half of a pair, from a command that was killed, was in the way of the
    next one for good.
    """
    for name in ("branch", "sender"):
        (tmp_path / name).mkdir()
    branch = way.branch(tmp_path / "branch", FLOOR)
    sender = way.sender(tmp_path / "sender", branch)
    old = branch.directory / "push.key"
    key, new = old.read_bytes(), branch.directory / "push-next.pub"
    sender.export("01-full.ndjson", *map(patron, (1, 2, 3)))

    def told() -> tuple[int, str]:
        done = sender.call("keys", "rotate", "--signing")
        return done.returncode, done.stdout + done.stderr

    branch.start()
    sender.push("--approved-by", "B. Hansen")
    new.write_bytes(old.with_suffix(".pub").read_bytes())
    code, said = told()
    assert (code, f"made {new}" in said) == (0, True)
    code, said = told()
    assert (code, "does not believe the new key: demo: " in said) == (1, True)
    assert old.read_bytes() == key
    branch.end()

    both = (*branch.config.web.push.public_key_files, new)
    branch.stage.options += ["--set", f"web.push.public_key_files={[str(path) for path in both]}"]
    branch.start()
    code, said = told()
    assert (code, "the new signing key is in use" in said) == (0, True), said
    assert old.read_bytes() != key
    assert not list(branch.directory.glob("push-next*"))
    sender.export("02-changes.ndjson", patron(1, pin="0815"))
    assert sender.push()["demo"]["kind"] == "changes"
    branch.end()


def test_a_guarded_push_waits_for_somebody(sender: Sender, branch: Branch) -> None:
    """A branch that would lose many keeps what it has, and says why, until it is approved."""
    sender.export("01-full.ndjson", *map(patron, range(1, 10)))
    sender.push("--approved-by", "B. Hansen")
    before = held(branch)
    sender.export("01-full.ndjson", *map(patron, range(1, 5)))

    rehearsed, done = sender.call("sync", "push", "--dry-run"), sender.call("sync", "push")

    assert rehearsed.returncode == 1
    assert "demo (from 14 years): would not be up to date: it does not bel" in rehearsed.stdout
    assert "it would shut out 5 of 9 cards (5 removed)" in rehearsed.stdout
    assert done.returncode == 1
    assert "demo: not up to date: it does not believe the push" in done.stdout
    assert "it would shut out 5 of 9 cards (5 removed)" in done.stdout
    assert done.stderr.splitlines()[-1] == ("doorctl: not up to date: 1 of 1 branches (demo)")
    assert held(branch) == before
    assert sender.push("--approved-by", "B. Hansen")["demo"]["removed"] == 5
    assert len(held(branch)[1]) == 4


def test_only_what_passes_by_itself_has_an_exit_code_of_its_own(
    sender: Sender, branch: Branch
) -> None:
    """By which systemd tries again: beside another run, and not after a row that is wrong."""
    sender.export("01-full.ndjson", *map(patron, (1, 2, 3)))
    sender.push()
    before, _ = held(branch)
    with WriterLock(sender.directory / "state" / "outbox.db"):
        busy = sender.call("sync", "push")
    (sender.directory / "exports" / "01-full.ndjson").write_text("no row\n", encoding="utf-8")
    wrong = sender.call("sync", "push")

    assert (busy.returncode, busy.stderr.count("\n")) == (TRY_AGAIN, 1), busy.stderr
    assert "doorctl: another doorctl process is writing" in busy.stderr
    assert (wrong.returncode, held(branch)[0]) == (1, before), wrong.stderr


@pytest.mark.parametrize(
    ("words", "streams"), [((), ">/dev/full 2>/dev/full"), (("--json",), "2>/dev/full")]
)
def test_what_can_not_be_told_is_sent_all_the_same(
    sender: Sender, branch: Branch, words: tuple[str, ...], streams: str
) -> None:
    """A full disk under a cron job's output keeps no branch from its push; the exit code tells."""
    before, _ = held(branch)
    sender.export("01-full.ndjson", *map(patron, (1, 2, 3)))

    done = redirected(sender.command("sync", "push", "--approved-by", "B. Hansen", *words), streams)

    assert done.returncode == (1 if streams.startswith(">") else 0)
    assert held(branch)[0] > before
    if streams == ">/dev/full":
        assert done.stderr.splitlines()[-1] == (
            "doorctl: the output can't be written: No space left on device"
        )


def test_a_dry_run_shows_the_rows_and_whom_they_keep(sender: Sender, branch: Branch) -> None:
    """On the terminal, for it leaves no file; while a row is nobody's, nobody is taken out.

    The push lists them in a file of its owner's alone, until there are none.

    Bug (read by a stranger): the list of rows set aside did not say whether the patron goes on
    being let in, nor that nobody is taken out meanwhile; a dry run named a list that it had not
    written.
    """
    sender.export("01-full.ndjson", *map(patron, range(1, 6)))
    sender.push("--approved-by", "B. Hansen")
    blocked = {**patron(3, pin="12"), "blockStatus": [{"blockedReason": "U"}]}
    unnamed = {name: value for name, value in patron(4).items() if name != "patronId"}
    sender.export("02-full.ndjson", patron(1), patron(2, pin="12"), blocked, unnamed, patron(5))

    done = sender.call("sync", "push", "--dry-run")

    assert done.returncode == 0, done.stderr
    told = done.stderr[done.stderr.index("doorctl: rows_set_aside") :].splitlines()
    pin = "pincode: found another text; give 4 digits as text"
    assert told[:2] == [
        "doorctl: rows_set_aside: 3 wrong rows would be set aside:",
        (
            "Før disse linjer er rettet, tages ingen lånere ud, selv om de mangler i udtrækket: "
            "02-full.ndjson line 4"
        ),
    ]
    assert sorted(told[2:])[:2] == [
        f"02-full.ndjson line 2: {pin} (bibliotekerne beholder låneren som før)",
        f"02-full.ndjson line 3: {pin} (låneren er taget ud og lukkes ikke ind)",
    ]
    assert sorted(told)[2].endswith(" visible letters (ingen kan se, hvis række det er)")
    assert not (sender.directory / "state" / "set-aside.txt").exists()
    listed = sender.directory / "state" / "set-aside.txt"
    pushed = sender.call("sync", "push", "--json")
    assert (pushed.returncode, json.loads(pushed.stdout)["set_aside"]) == (0, 3)
    assert f"3 wrong rows set aside, listed in {listed}" in pushed.stderr
    assert held(branch)[1] == {"1", "2", "4", "5"}
    assert sorted(listed.read_text(encoding="utf-8").splitlines()) == sorted(told[1:])
    assert listed.stat().st_mode & 0o777 == 0o600
    sender.export("03-full.ndjson", *map(patron, range(1, 6)))
    assert "rows_set_aside" not in sender.call("sync", "push").stderr
    assert not listed.exists()


def test_a_new_sender(tmp_path: Path) -> None:
    """`init` makes keys and an outbox, private, once."""
    config = tmp_path / "sync.toml"
    config.write_text(
        """
        branch = {name = "Biblioteket", id = "sender"}
        secrets = {installation_key_file = "keys/installation.key"}
        [sync]
        feed = "export.ndjson"
        signing_key_file = "keys/signing.key"
        state_directory = "state"
        targets = [{branch = "oest", url = "http://127.0.0.1:1"}]
        """,
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "doorctl", "sync", "init", "--config", str(config)]

    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(2)
    )

    assert first.returncode == 0, first.stderr
    modes = {
        path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o777
        for path in tmp_path.rglob("*")
        if path.is_file() and path != config
    }
    assert modes == {
        "keys/installation.key": 0o600,
        "keys/signing.key": 0o600,
        "keys/signing.pub": 0o644,
        "state/outbox.db": 0o600,
        "state/outbox.db.lock": 0o600,
    }
    assert second.returncode == 1
    assert second.stderr.endswith("signing.key is there already; nothing was changed\n")
