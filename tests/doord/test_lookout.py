"""What the door looks out for, by a clock that only the test moves.

Bug (mission review): pushes that stopped, a reader that was unplugged, a full disk were told to
nobody before patrons stood outside.

Bug (mission review): without web, or while it was down, `status` said that all is well beside a
lost reader or an old register.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from doorctl.access.patron import CacheStamp
from doorctl.config import Config, load
from doorctl.config.tables import Backup, Push, Secrets, Tls
from doorctl.core.errors import StoreError
from doorctl.doord.chores import FAULTS, LOOK_EVERY_S, WEB_RESTS_S, Lookout
from doorctl.doord.stores import DoorStores
from doorctl.privacy.audit import Action, Deed
from doorctl.store.branch_writer import open_or_create_branch
from doorctl.store.keys import KEY_LIFE, Days
from doorctl.store.records import AuditTrail
from tests.fakes.clock import FakeClock
from tests.web.certificates import Authority

WEB_S = WEB_RESTS_S + FAULTS["web_silent"].lasts_s + 2.0


@dataclass
class Stores:
    """The parts of the door's stores that are looked at; the worker does a job at once."""

    applied_ago: timedelta | None = timedelta(0)
    readable: bool = True
    clock: FakeClock = field(default_factory=FakeClock)
    told: list[str] = field(default_factory=list)
    register: CacheStamp | None = None
    backup_at: datetime | None = None
    days: Mapping[str, Days] = field(default_factory=dict)
    kept: list[tuple[str, str]] = field(default_factory=list)

    @property
    def events(self) -> Any:
        """Itself."""
        return self

    def keep(self, kind: str, why: str = "", _by: str = "") -> None:
        """Note it."""
        self.kept.append((kind, why))

    @property
    def worker(self) -> Any:
        """Itself."""
        return self

    @property
    def patrons(self) -> Any:
        """Itself."""
        return self

    def submit(self, job: Callable[[], None]) -> None:
        """Do it."""
        job()

    def stamp(self) -> CacheStamp:
        """Say how old the register is."""
        if not self.readable:
            raise StoreError("it can't be read")
        ago, local = self.applied_ago, self.clock.moment().local
        return CacheStamp(7, None if ago is None else local - ago, 15, 1)

    def alarm(self, kind: str, _why: str) -> None:
        """Note it."""
        self.told.append(kind)


def configured(directory: Path) -> Config:
    """Read the example, with its storage where there is room."""
    config = load(Path("config/doorctl.toml"), environment={})
    return replace(config, storage=replace(config.storage, door_directory=directory))


def lookout(stores: Stores, directory: Path, asked_s: float | None = None) -> Lookout:
    """Look out by those stores; the reader is there."""
    found = cast(DoorStores, stores)
    return Lookout(configured(directory), found, lambda: {"reader": True}, lambda: asked_s)


def turn(look: Lookout, stores: Stores, seconds: float) -> None:
    """Let time pass, a second a turn."""
    for _ in range(round(seconds)):
        look.turn()
        stores.clock.advance(1.0)


def test_web_that_asks_no_more_is_told(tmp_path: Path) -> None:
    """After it has asked once: a house without web is no fault."""
    stores = Stores()
    turn(lookout(stores, tmp_path, stores.clock.monotonic_s()), stores, WEB_S)
    assert stores.told == ["web_silent"]

    stores = Stores()
    turn(lookout(stores, tmp_path), stores, WEB_S)
    assert stores.told == []


def test_a_line_that_stays_away_is_told_and_its_return_too(tmp_path: Path) -> None:
    """After twenty seconds: a cable that is pushed in anew wakes nobody."""
    stores, lines = Stores(), {"reader": False, "keypad": True}
    look = Lookout(configured(tmp_path), cast(DoorStores, stores), lambda: lines, lambda: None)
    turn(look, stores, FAULTS["reader_lost"].lasts_s)
    assert stores.told == []
    turn(look, stores, 1)
    assert stores.told == ["reader_lost"]

    lines["reader"] = True
    turn(look, stores, 1)
    assert stores.told == ["reader_lost", "reader_lost_cleared"]


def test_a_register_is_old_after_a_third_of_its_time(tmp_path: Path) -> None:
    """With the usual 72 hours after a day; a push ends it at the next look."""
    stores = Stores(timedelta(hours=24))
    look = lookout(stores, tmp_path)
    turn(look, stores, 1)
    assert stores.told == []

    stores.applied_ago = timedelta(hours=24, minutes=1)
    turn(look, stores, LOOK_EVERY_S)
    assert stores.told == ["register_old"]

    stores.applied_ago = timedelta(0)
    turn(look, stores, LOOK_EVERY_S)
    assert stores.told == ["register_old", "register_old_cleared"]


def test_each_push_is_kept_once(tmp_path: Path) -> None:
    """The timeline says when the register was renewed, and not at each look at it."""
    stores = Stores()
    look = lookout(stores, tmp_path)
    turn(look, stores, 1)
    turn(look, stores, LOOK_EVERY_S)

    assert stores.kept == [("push", "7")]


def test_a_register_that_says_no_age_is_told_elsewhere(tmp_path: Path) -> None:
    """Never filled, or not to be read: those have alarms of their own."""
    stores = Stores(None)
    look = lookout(stores, tmp_path)
    turn(look, stores, 1)
    stores.readable = False
    turn(look, stores, LOOK_EVERY_S)

    assert stores.told == []


def test_a_disk_that_says_nothing_is_no_news(tmp_path: Path) -> None:
    """The door goes on, and nothing is told of what is not known."""
    stores = Stores()
    turn(lookout(stores, tmp_path / "gone"), stores, 1)

    assert stores.told == []


def test_a_disk_without_room_is_told() -> None:
    """The kernel's own small file system has none."""
    stores = Stores()
    turn(lookout(stores, Path("/proc")), stores, 1)

    assert stores.told == ["disk_low"]


def test_a_backup_that_is_missed_is_told(tmp_path: Path) -> None:
    """Where one is wanted: when none was ever made, and when the last one is two days old."""
    stores = Stores()
    look = lookout(stores, tmp_path)
    turn(look, stores, 1)
    assert stores.told == []

    storage, wanted = replace(look.config.storage, directory=tmp_path), Backup(recipients=("age1",))
    look.config = replace(look.config, storage=storage, backup=wanted)
    with closing(open_or_create_branch(tmp_path / "branch.db")) as writer:
        moment, trail = stores.clock.moment(), AuditTrail(writer)
        trail.append(Deed(Action.BACKUP_MADE), "root", moment)
        turn(look, stores, LOOK_EVERY_S)
        assert stores.told == ["backup_old"]

        trail.append(Deed(Action.BACKUP_MADE, details={"recipients": 1}), "root", moment)
    turn(look, stores, LOOK_EVERY_S)
    assert stores.told == ["backup_old", "backup_old_cleared"]
    assert stores.backup_at is not None

    stores.clock.advance(timedelta(days=2).total_seconds())
    turn(look, stores, LOOK_EVERY_S)
    assert stores.told[2:] == ["backup_old"]


def test_a_key_is_told_of_a_month_before_its_last_day(tmp_path: Path) -> None:
    """Each by its file's age, the oldest of several that sign; what systemd hands over is new.

    The end of the certificate is in it; web, which serves by it, alarms it.
    """
    stores, base = Stores(), tmp_path / "etc"
    base.mkdir()
    Authority(base, "ca").issue("branch", days=9)
    now = stores.clock.moment().local.timestamp()
    for name, days in (("installation.key", 1), ("old.pub", 3 * 365 - 31), ("new.pub", 0)):
        (base / name).touch()
        os.utime(base / name, (now, now - days * 86_400))
    look = lookout(stores, tmp_path)
    signing = Push(public_key_files=(base / "new.pub", base / "old.pub"))
    tls = Tls(certificate_file=base / "branch.pem")
    look.config = replace(
        look.config,
        origin=replace(look.config.origin, path=base / "doorctl.toml"),
        secrets=Secrets(installation_key_file=Path("${CREDENTIALS_DIRECTORY}/installation.key")),
        web=replace(look.config.web, push=signing, tls=tls),
    )
    turn(look, stores, 1)
    assert stores.told == []
    assert stores.days["installation_key"].begins == stores.days["installation_key"].ends - KEY_LIFE
    assert (stores.days["certificate"].ends - stores.days["certificate"].begins).days < 20

    stores.clock.advance(timedelta(days=2).total_seconds())
    turn(look, stores, LOOK_EVERY_S)
    assert stores.told == ["key_old"]
    (base / "old.pub").unlink()
    look.config = replace(
        look.config, web=replace(look.config.web, push=Push(public_key_files=(base / "new.pub",)))
    )
    turn(look, stores, LOOK_EVERY_S)
    assert stores.told == ["key_old", "key_old_cleared"]
