"""What a running process takes of a changed file, and what waits for a restart.

Bug (read by a stranger): a reload that was refused wrote what it had found into the journal: a
webhook's address with its token, mail addresses, commands.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from doorctl.config import Config, load, reload
from doorctl.config.loading import RELOADED, TABLES
from doorctl.core.errors import ConfigError
from doorctl.lookup.config_changes import read_again
from tests.config.conftest import RIGHT
from tests.fakes.event_log import FakeEventLog

MAIL = '[alarms.email]\nhost = "mail.example"\nsender = "a@b.example"\nto = ["c@d.example"]\n'
ACCOUNT = 'user = "u"\npassword_file = "/etc/p"\n'


def reloaded(path: Path, before: str, after: str) -> tuple[Config, list[str], list[str]]:
    """Return what comes of a process that began by one file and reads another."""
    path.write_text(RIGHT + before)
    running = load(path, ["policy.pin_length=5"])
    path.write_text(RIGHT + after)
    return reload(running)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the configuration is."""
    return tmp_path / "doorctl.toml"


@pytest.mark.parametrize(
    ("before", "after", "taken", "restart"),
    [
        ("", "", [], []),
        ("", "[policy]\nrequire_pin = false", ["policy.require_pin"], []),
        # The command line goes before the file as it did at the start.
        ("", "[policy]\npin_length = 6", [], []),
        ("", "[policy]\nminimum_age = 15\nweak_pin = 'allow'", [], ["minimum_age", "weak_pin"]),
        ("[hours]\nmonday = []", "[hours]\nmonday = ['08:00-22:00']", ["hours.monday"], []),
        ("[closing]\nwarn_min = [5]", "[closing]", ["closing.warn_min"], []),
        ("", MAIL, [f"alarms.email.{leaf}" for leaf in ("host", "sender", "to")], []),
        ("", "[seal]\niterations = 3", [], ["seal.iterations"]),
        (MAIL, f"{MAIL}ca_file = '/etc/x'", [], ["alarms.email.ca_file"]),
    ],
)
def test_what_is_taken(
    before: str, after: str, taken: list[str], restart: list[str], path: Path
) -> None:
    """What is looked up at each use; no file, and nothing that rows are sealed by."""
    config, new, others = reloaded(path, before, after)

    assert new == taken
    assert [one.removeprefix("policy.") for one in others] == restart
    assert reload(config)[1] == []
    if not restart:
        assert config == load(path, ["policy.pin_length=5"])


def test_each_table_that_is_taken_is_one() -> None:
    """A table that was renamed would wait for a restart for ever."""
    assert TABLES.keys() > RELOADED


def test_what_is_whole_only_with_a_file_waits_for_it(path: Path) -> None:
    """An account whose password nobody has read yet is not logged in with, nor is anything else."""
    before = f"{MAIL}\n[closing]\nwarn_min = [5]"
    config, taken, restart = reloaded(path, before, f"{MAIL}{ACCOUNT}[closing]")

    assert taken == []
    assert restart == ["closing.warn_min", "alarms.email.user", "alarms.email.password_file"]
    assert config.closing.warn_min == (5,)


@pytest.mark.parametrize(
    "table",
    ["[hours]\nmonday = []", "[policy]\nrequire_pin = true", "[closing]\nwarn_min = [5]", MAIL],
)
def test_a_file_that_was_cut_short_is_refused_whole(table: str, path: Path) -> None:
    """It is good TOML: without its hours the house would be open day and night.

    Bug (read by a stranger): a file that was cut short, read again while it runs, took the
    hours away with its last tables: the house was open day and night.
    """
    name = table[1:].partition("]")[0].partition(".")[0]
    with pytest.raises(ConfigError, match=rf"\[{name}\]") as refused:
        reloaded(path, f"[visits]\n{table}", "")
    assert len(refused.value.problems) == 1

    path.write_text(f"{RIGHT}{table}\n[door]\nrelease_s = 3")
    running = load(path)
    path.write_text(RIGHT + table)
    assert reload(running)[2] == ["door.release_s"]


def test_a_table_that_came_with_a_reload_is_missed_too(path: Path) -> None:
    """What counts is the file that was taken last."""
    config, _, _ = reloaded(path, "", "[hours]\nmonday = []")
    path.write_text(RIGHT)
    with pytest.raises(ConfigError, match=r"\[hours\]"):
        reload(config)


def test_what_is_taken_stays_beside_what_is_not(path: Path) -> None:
    """The rest of the configuration is the running one's."""
    config, _, restart = reloaded(path, "", "[policy]\nduress = true\n[web]\nport = 9999")

    assert (config.policy.duress, config.web.port) == (True, 8080)
    assert restart == ["web.port"]


def test_a_wrong_file_is_refused_whole(path: Path) -> None:
    """With every problem; what is right in it is not taken either."""
    with pytest.raises(ConfigError, match=r"release_s"):
        reloaded(path, "", "[policy]\nduress = true\n[door]\nrelease_s = 99")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("[alarms.webhook]\nurl = 'hps://SECRET'\nsecret_file = '/etc/s'", "alarms.webhook.url"),
        (MAIL.replace("c@d.example", "SECRET"), "alarms.email.to"),
        ("alarms = 'SECRET'", "alarms"),
        ("[[outputs]]\nname = 'x'\ncommand = 'SECRET'", "outputs[0].command"),
        ("[outputs]\ncommand = 'SECRET'", "outputs"),
    ],
)
def test_what_is_wrong_with_a_secret_is_not_told(wrong: str, told: str, path: Path) -> None:
    """The journal keeps the place alone; the rest is told whole, and `check-config` tells all."""
    log = FakeEventLog()
    path.write_text(RIGHT)
    running = load(path)
    path.write_text(f"{wrong}{RIGHT}[door]\nrelease_s = 99")

    assert read_again(running, {}, log) is None
    (line,) = log.lines
    assert told in str(line["why"])
    assert "found 99" in str(line["why"])
    assert "SECRET" not in str(line["why"])
    with pytest.raises(ConfigError, match=rf"{re.escape(told)}: found "):
        load(path)
