"""The configuration's values become the rules of the pure rooms, each in its place."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from doorctl.access.day import DayRules
from doorctl.access.messages import PadRules
from doorctl.access.patron import CacheStamp
from doorctl.access.policy import Policy, WeakPin
from doorctl.config import Config, load
from doorctl.core.moments import BootTime, KeptReadings
from doorctl.doord.self_test import rules
from doorctl.ops.clock import BUILD_FLOOR, utc_now
from doorctl.services.app import (
    access_policy,
    outdated,
    retention,
    system_clock,
    work_directory,
)
from doorctl.store.visits import VisitStore, create_visits
from doorctl.wiring.door import day_rules

RIGHT = """
[branch]
name = "Randers Bibliotek, Øst"
id = "oest"
[reader]
port = "/dev/ttyUSB0"
"""


def config_of(directory: Path, *overrides: str, hours: str = "") -> Config:
    """Return a whole configuration that stores in `directory`."""
    written = directory / "doorctl.toml"
    written.write_text(RIGHT + hours, encoding="utf-8")
    return load(written, (f"storage.directory={directory}", *overrides), environment={})


def test_every_rule_comes_from_its_own_key(tmp_path: Path) -> None:
    """No two values could be mixed up, and none left at its default unnoticed."""
    config = config_of(
        tmp_path,
        "policy.require_pin=false",
        "policy.require_resident=true",
        'policy.deny_blocks=["O", "E"]',
        "policy.deny_other_blocks=false",
        "policy.minimum_age=9",
        "policy.max_cache_age_h=7",
        "policy.pin_length=6",
        "keypad.digit_timeout_s=4",
        "keypad.total_timeout_s=12",
        "policy.duress=true",
        "policy.companions_max=3",
        "policy.code_entry=true",
        "panel.keypad=true",
        'door.long_release_tags=["WHEELCHAIR"]',
        "policy.weak_pin=warn",
        'policy.first_card=["cleaner"]',
    )

    assert access_policy(config) == Policy(
        require_pin=False,
        require_resident=True,
        deny_blocks=frozenset("OE"),
        deny_other_blocks=False,
        minimum_age=9,
        max_cache_age=timedelta(hours=7),
        branch="oest",
        duress=True,
        weak_pin=WeakPin.WARN,
        first_card=frozenset({"cleaner"}),
    )
    assert not access_policy(config_of(tmp_path, "policy.require_resident=false")).require_resident
    assert rules(config).pad == PadRules(6, 4.0, 12.0)
    assert rules(config).policy == access_policy(config)
    assert rules(config).companions_max == 3
    assert rules(config).codes
    assert rules(config).long_release_tags == {"WHEELCHAIR"}


def test_the_rules_of_the_day_come_from_their_own_keys(tmp_path: Path) -> None:
    """No warning is taken for the end of entry."""
    config = config_of(tmp_path, "closing.no_entry_min=10", "closing.warn_min=[20, 5]")

    assert day_rules(config) == DayRules(warn_min=(20, 5), no_entry_min=10)


def test_files_stand_in_the_storage_directory(tmp_path: Path) -> None:
    """Under their fixed names; a driver's own files go to systemd's directory if there is one."""
    config = config_of(tmp_path, "visits.retention_days=14")

    assert config.storage.patrons_db == tmp_path / "patrons.db"
    assert config.storage.visits_db == tmp_path / "visits.db"
    assert work_directory(config, {}) == tmp_path
    assert work_directory(config, {"RUNTIME_DIRECTORY": "/run/doorctl"}) == Path("/run/doorctl")
    assert retention(config) == timedelta(days=14)


@pytest.mark.parametrize("content", [None, b"no database at all"])
def test_without_a_door_log_time_begins_at_dawn(tmp_path: Path, content: bytes | None) -> None:
    """A missing or damaged log keeps no clock from being made."""
    config = config_of(tmp_path)
    if content is not None:
        config.storage.visits_db.write_bytes(content)

    assert system_clock(config).moment().high_water >= BUILD_FLOOR


def test_the_clock_never_undercuts_the_time_on_record(tmp_path: Path) -> None:
    """What was trusted before a reboot is known to be past."""
    config = config_of(tmp_path)
    recorded = datetime(2126, 1, 1, tzinfo=UTC)
    create_visits(config.storage.visits_db)
    store = VisitStore(config.storage.visits_db)
    store.keep_time(recorded, BootTime("boot-1", 1000))
    store.close()

    assert system_clock(config).moment().high_water >= recorded


@pytest.mark.parametrize("wary", [True, False])
@pytest.mark.parametrize(("off", "in_doubt"), [(timedelta(0), False), (timedelta(days=2), True)])
def test_each_clock_of_the_machine_takes_up_what_the_door_knew(
    tmp_path: Path, off: timedelta, *, in_doubt: bool, wary: bool
) -> None:
    """Web and commands judge the time by the door's record; a web that restarts purges nothing."""
    config = config_of(tmp_path, "clock.trust=always")
    boot = system_clock(config).boot_time()
    create_visits(config.storage.visits_db)
    with closing(VisitStore(config.storage.visits_db)) as store:
        accepted = utc_now() - off, timedelta(milliseconds=boot.ms)
        store.keep_clock(KeptReadings(boot.boot_id, accepted))

    moment = system_clock(config, wary=wary).moment()

    assert (moment.in_doubt, moment.stepped) == (in_doubt, in_doubt)


@pytest.mark.parametrize(("epoch", "age", "told"), [(0, 99, False), (7, 15, False), (7, 99, True)])
def test_a_cache_for_another_age_limit_is_told(
    tmp_path: Path, epoch: int, age: int, told: bool
) -> None:
    """With both what it was sealed for and what to do; an empty cache is for any."""
    config = config_of(tmp_path, "policy.minimum_age=15")
    advice = outdated(CacheStamp(epoch, None, age, 3), config)

    assert (advice is not None) is told
    if advice is not None:
        assert "99" in advice
        assert "load the full feed again" in advice
