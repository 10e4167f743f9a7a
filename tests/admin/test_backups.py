"""Backups by any clock: each night one, under a name of its own, and the oldest go first."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from doorctl.admin.backup import make_backup, opened, unit_drop_ins, unpacked
from doorctl.admin.installation import initialise
from doorctl.config import load
from doorctl.core.identity import owner_of
from doorctl.lookup.app import App
from tests.admin.test_restoring import CONFIGURATION
from tests.fakes.clock import FakeClock

NOW = datetime(2026, 12, 1, 3, tzinfo=UTC)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where a branch keeps its backups; the key lies beside it."""
    if shutil.which("age") is None:
        pytest.skip("this machine has no age")
    key = tmp_path / "key.txt"
    subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
    (whom,) = (line.split()[-1] for line in key.read_text().splitlines() if "public" in line)
    path = tmp_path / "etc" / "doorctl.toml"
    path.parent.mkdir()
    backup = f'[backup]\nrecipients = ["{whom}"]\ndirectory = "{tmp_path}/kept"\nkeep = 3\n'
    path.write_text(CONFIGURATION + backup, encoding="utf-8")
    initialise(load(path))
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept"


def app_of(kept: Path, clock: FakeClock) -> App:
    """Return the branch's."""
    return App(load(kept.with_name("etc") / "doorctl.toml"), clock)


def name(stamp: str) -> str:
    """Return the name of a backup of this branch."""
    return f"doorctl-proeve-{stamp}.age"


@pytest.mark.skipif(os.getuid() != 0, reason="root's commands act as another user")
def test_a_drop_in_in_a_closed_folder_is_in_it(tmp_path: Path) -> None:
    """Root's umask is 027 on a hardened Debian, and so `setup` makes the folder.

    Bug (`tests/install/run`): such a backup had no drop-ins, and did not say so; the machine that
    it was put back on had no certificate's key.
    """
    data, folder = tmp_path / "data", tmp_path / "system" / "doorctl-web.service.d"
    data.mkdir()
    os.chown(data, 65534, 65534)
    folder.mkdir(parents=True)
    (folder / "setup.conf").touch()
    folder.chmod(0o750)

    with owner_of(data):
        found = unit_drop_ins(tmp_path / "system")

    assert found == [folder / "setup.conf"]


def test_each_night_of_an_unset_clock_has_its_backup(kept: Path) -> None:
    """By a number, for the time that is known stands still; the last three are left.

    Bug (second penetration test, S5): the second one said "is there already", exit 1, each night.
    """
    app, made = app_of(kept, FakeClock(vouched=False, high_water=NOW)), []
    for night in range(12):
        (app.config.origin.path.parent / "night.next").write_text(f"{night}")
        path, _ = make_backup(app)
        made.append(path)

    key = kept.with_name("key.txt").read_bytes()
    last = sorted(kept.iterdir())
    assert [path.name for path in made[:2]] == [
        name("20261201T030000Z"),
        name("20261201T030000Z_002"),
    ]
    assert last == made[-3:]
    nights = [unpacked(opened(path, key))[1]["beside/night.next"] for path in last]
    assert nights == [b"9", b"10", b"11"]


@pytest.mark.parametrize(
    ("there", "left"),
    [
        (["20261129T030000Z", "20261130T030000Z"], ["20261129T030000Z", "20261130T030000Z"]),
        (
            ["20261128T030000Z", "20261129T030000Z", "20261130T030000Z"],
            ["20261129T030000Z", "20261130T030000Z"],
        ),
        (
            ["20261130T030000Z", "20261130T030000Z_002", "20261130T030000Z_010"],
            ["20261130T030000Z_002", "20261130T030000Z_010"],
        ),
        (
            ["20261130T030000Z_999", "20261130T030000Z_1000", "20261130T030000Z_998"],
            ["20261130T030000Z_1000", "20261130T030000Z_999"],
        ),
        # An hour back, by an unset clock after one that was right: nothing newer goes.
        (
            ["20261129T030000Z", "20261130T030000Z", "20261201T040000Z"],
            ["20261130T030000Z", "20261201T040000Z"],
        ),
        # A clock that was wrong for some days: what it named would never go, and real ones would.
        (
            ["20261130T030000Z", "20991130T030000Z", "20991201T030000Z"],
            ["20261130T030000Z", "20991201T030000Z"],
        ),
        (["20261130T030000Z"] + ["20261340T030000Z"] * 3, ["20261130T030000Z", "20261340T030000Z"]),
    ],
)
def test_the_oldest_go(kept: Path, there: list[str], left: list[str]) -> None:
    """By time and number, those of a clock that ran ahead first; never the one just made."""
    for stamp in there:
        (kept / name(stamp)).touch()
    others = ["doorctl-proeve-2-20200101T000000Z.age", "doorctl-proeve-20200101T000000Z.txt"]
    for other in others:
        (kept / other).touch()
    path, _ = make_backup(app_of(kept, FakeClock(wall=NOW, high_water=NOW - timedelta(hours=1))))

    assert path.name == name("20261201T030000Z")
    assert sorted(each.name for each in kept.iterdir()) == sorted(
        [path.name, *map(name, left), *others]
    )


def test_what_was_deleted_gives_its_number_to_nobody(kept: Path) -> None:
    """The next one is of the highest number of its time."""
    (kept / name("20261201T030000Z_007")).touch()
    path, _ = make_backup(app_of(kept, FakeClock(vouched=False, high_water=NOW)))

    assert path.name == name("20261201T030000Z_008")
