from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from doorctl.config import load
from doorctl.privacy.statistics import OPENED, HourCount
from doorctl.services.app import (
    ask_s,
    opened_on,
    system_clock,
    tell_changes,
    web_answers_s,
)
from doorctl.store.visits import open_or_create_visits
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
