"""What both processes make of the configuration, and who changes a database.

Bug (CI): a purge that ended while a load was noted on the audit log was told that it is not on
record.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

import doorctl
from doorctl.config import load
from doorctl.core.errors import HungError, NotAnsweringError, NotRunningError, StoreBusyError
from doorctl.lookup.config_changes import tell_changes
from doorctl.lookup.configured import ask_s, opened_on, system_clock, web_answers_s
from doorctl.lookup.release import Release
from doorctl.privacy.passages import OPENED, HourCount
from doorctl.services.owner import by_the_owner
from doorctl.store.visits import open_or_create_visits
from doorctl.store.writer import WriterLock
from tests.fakes.event_log import FakeEventLog
from tests.services.branches import initialised

BASE = '[branch]\nname = "x"\nid = "x"\n[reader]\nport = "/dev/x"\n'
POST = '[alarms.webhook]\nsecret_file = "/etc/s"\nurl = "https://alarms.example/'


def told_at_start(directory: Path, text: str) -> list[str]:
    """Return what a start tells that goes by a file of that text."""
    file, log = directory / "doorctl.toml", FakeEventLog()
    file.write_text(BASE + text)
    tell_changes(load(file), directory / "config.json", log)
    assert all(line["state"] == "changed" for line in log.named("config"))
    return [str(line["why"]) for line in log.lines]


def test_the_door_gives_up_on_web_before_it_gives_up_on_the_attempt(tmp_path: Path) -> None:
    """So that a web process that hangs is heard as silent, and no right PIN is charged for it.

    Bug (attack review): a web process that hangs, or one that keeps a row for seconds, made
    right PINs count as wrong.
    """
    config = initialised(
        tmp_path, "lms.kind=sip2", "lms.url=sip2://127.0.0.1:6001", "lms.agency=773000"
    )
    limit_s = ask_s(config)

    assert limit_s is not None
    assert config.lms.timeout_s < web_answers_s(config) < limit_s
    assert ask_s(replace(config, lms=replace(config.lms, kind=""))) is None


def test_a_start_tells_what_was_changed_since_the_last(tmp_path: Path) -> None:
    """Nothing at the first one, or where all is as it was; else one line a key, with its values."""
    hours = "[[hours.exceptions]]\ndate = 2199-12-24\n"
    assert told_at_start(tmp_path, "[door]\nrelease_s = 3") == []
    assert told_at_start(tmp_path, "[door]\nrelease_s = 3.0") == []
    assert told_at_start(tmp_path, "[door]\nrelease_s = 4\n[gpio]\ngreen_pin = 5") == [
        "gpio.green_pin: 5, it was null",
        "door.release_s: 4.0, it was 3.0",
    ]
    changed = told_at_start(tmp_path, hours)
    assert "door.release_s: 5.0, it was 4.0" in changed
    assert "hours.monday: [], it was absent" in changed
    assert any(line.startswith('hours.exceptions: [{"date":"2199-12-24"') for line in changed)
    assert told_at_start(tmp_path, hours) == []


def test_a_table_that_says_the_defaults_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    """Nothing was changed by that, and so nothing by an upgrade that reads it no more.

    Bug (a second reader): at the first start of 0.3 each key of an extra's table was told, as if a
    person had changed the sign-in.
    """
    assert told_at_start(tmp_path, '[signin.oidc]\nissuer = ""\n[metrics]\ntoken_file = ""') == []
    assert told_at_start(tmp_path, "") == []
    assert told_at_start(tmp_path, '[metrics]\ntoken_file = ""') == []


def test_no_secret_is_told_or_kept(tmp_path: Path) -> None:
    """An address may have a token in it; that it was changed is told without either one."""
    assert told_at_start(tmp_path, f'{POST}CANARY1"') == []
    assert told_at_start(tmp_path, f'{POST}CANARY2"') == ["alarms.webhook.url"]
    kept = tmp_path / "config.json"
    assert b"CANARY" not in kept.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kept", [b"", b"{", b"[]", b'{"a": 1}', b"\xff", b'"\xff"'])
def test_what_cannot_be_read_is_a_first_start(kept: bytes, tmp_path: Path) -> None:
    """A power cut or a hand in the file costs one start's lines, and is mended by it."""
    (tmp_path / "config.json").write_bytes(kept)

    assert told_at_start(tmp_path, "") == []
    assert told_at_start(tmp_path, "[door]\nrelease_s = 3") == ["door.release_s: 3.0, it was 5.0"]


def test_a_disk_that_takes_nothing_ends_no_start(tmp_path: Path) -> None:
    """It is told again at the next one."""
    told_at_start(tmp_path, "")
    (tmp_path / "config.json.new").mkdir()

    for _ in range(2):
        assert len(told_at_start(tmp_path, "[door]\nrelease_s = 3")) == 1


def test_the_day_that_was_opened_is_known_without_a_policy_of_it(tmp_path: Path) -> None:
    """A later reload may bring `policy.first_card` back.

    Bug (read by a stranger): a door that was started without `policy.first_card` had forgotten,
    when a reload set it again, that the day was open, and refused patrons until staff came anew.
    """
    config = initialised(tmp_path)
    moment = system_clock(config).moment()
    hour = moment.local.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    with closing(open_or_create_visits(config.storage.visits_db)) as store:
        store.add_counts([HourCount(hour, "self_service", OPENED, "first", 1)])

    assert config.policy.first_card == ()
    assert opened_on(config, moment) == moment.local.date()


# A database is changed by its owner, or here while that is not running.

HELD_S = 0.3


class Absent:
    """An owner that is not running, until it has been asked so many times.

    `times`: how often nobody answers; the time after, somebody does.
    """

    def __init__(
        self, times: int = 1_000_000, error: type[NotAnsweringError] = NotRunningError
    ) -> None:
        self._times = times
        self._error = error

    def __call__(self) -> str:
        """Ask it."""
        self._times -= 1
        if self._times >= 0:
            raise self._error("nobody there")
        return "asked"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return where a database would be."""
    return tmp_path / "some.db"


def alone(database: Path) -> str:
    """Be the writer for a moment."""
    with closing(WriterLock(database)):
        return "alone"


def test_another_command_is_waited_for(database: Path) -> None:
    """A command that writes just now costs the next one a moment, never its deed."""
    other = WriterLock(database)
    timer = threading.Timer(HELD_S, other.close)
    timer.start()

    assert by_the_owner(Absent(), lambda: alone(database), limit_s=30) == "alone"

    timer.join()


def test_whoever_stays_the_writer_is_not(database: Path) -> None:
    """A lock that nobody lets go of refuses in the end, with the lock's own line."""
    with WriterLock(database), pytest.raises(StoreBusyError, match="another doorctl process"):
        by_the_owner(Absent(), lambda: alone(database), limit_s=HELD_S)


def test_an_owner_that_starts_meanwhile_is_asked(database: Path) -> None:
    """Not its lock waited for: it holds that as long as it runs."""
    with WriterLock(database):
        assert by_the_owner(Absent(2), lambda: alone(database), limit_s=30) == "asked"


def test_an_owner_that_hangs_keeps_its_file(database: Path) -> None:
    """It holds the lock as long as it is there, so nobody waits for that."""
    asked = Absent(error=HungError)

    with pytest.raises(HungError):
        by_the_owner(asked, lambda: alone(database), limit_s=30)
    with pytest.raises(HungError):
        by_the_owner(asked, lambda: alone(database), absent=NotRunningError, limit_s=30)


def test_an_owner_that_may_have_done_it_is_no_reason(database: Path) -> None:
    """Where only one that was not asked counts as absent, nothing is done twice."""
    asked = Absent(error=NotAnsweringError)

    with pytest.raises(NotAnsweringError):
        by_the_owner(asked, lambda: alone(database), absent=NotRunningError)


def test_the_release_that_runs_and_the_packages(tmp_path: Path) -> None:
    """They differ after a way back, and where an upgrade did not begin; a checkout has no package.

    Bug (operated from outside): dpkg said one release, another was in use, and nothing told it.
    """
    running = tmp_path / "releases" / "0.2.0"
    running.mkdir(parents=True)
    (tmp_path / "current").symlink_to(running)
    assert Release.of_this_program(tmp_path / "current") == Release("0.2.0", None)

    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "VERSION").write_text("0.2.0\n")
    same = Release.of_this_program(running)
    assert (same, same.differs) == (Release("0.2.0", "0.2.0"), None)

    (tmp_path / "package" / "VERSION").write_text("0.2.1\n")
    assert Release.of_this_program(running).differs == "0.2.1 is installed, and 0.2.0 runs"
    assert Release.of_this_program(tmp_path) == Release(doorctl.__version__, None)
