"""What is changed, and which tests have to notice: a table.

Each change runs the tests that reach its function, and only those. Tests that take seconds are left
out, so what they alone would notice counts as a survivor.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Room:
    """Files that the same tests cover.

    Args:
        name: for the command line.
        files: of the source, as globs.
        tests: fast ones, as globs; folders are taken whole.
        slow: tests that are left out, as pytest names them.
    """

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]
    slow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """What one run changes, and what it asks."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    slow: tuple[str, ...]


def _access(*names: str) -> tuple[str, ...]:
    return tuple(f"doorctl/access/{name}.py" for name in names)


def _asks(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/access/test_{name}*.py" for name in names)


ROOMS = (
    Room(
        "cards",
        ("doorctl/cards/*.py", "doorctl/extras/osdp/numbers.py"),
        ("tests/cards", "tests/extras/test_osdp_numbers.py"),
        ("tests/cards/test_identify.py::test_every_cpr_number_has_a_birthday",),
    ),
    Room(
        "policy",
        _access("forecast", "policy"),
        _asks("forecast", "policy", "attempt_asking"),
        ("tests/access/test_policy_passes.py::test_every_pass_with_every_patron",),
    ),
    Room(
        "throttle",
        (*_access("code_throttle", "refusals", "throttle"), "doorctl/accounts/throttle.py"),
        (*_asks("throttle"), "tests/accounts/test_throttle*.py"),
    ),
    Room(
        "attempt",
        _access("attempt", "judging", "messages", "pin_pad"),
        _asks("attempt", "between_cards", "judging", "policy_passes"),
        ("tests/access/test_policy_passes.py::test_every_pass_with_every_patron",),
    ),
    Room(
        "hours",
        (
            *_access("calendar", "day", "panel", "panel_hours", "wall_time"),
            "doorctl/extras/outputs/following.py",
        ),
        (*_asks("calendar", "day", "modes", "panel"), "tests/extras/test_following.py"),
    ),
    Room(
        "rights",
        (
            *_access("ban_dates", "codes", "patron", "rights", "weak_pins"),
            "doorctl/core/masked.py",
            "doorctl/core/readings.py",
            "doorctl/core/texts.py",
        ),
        (*_asks("patron", "rights", "policy_pass"), "tests/test_masked.py"),
        ("tests/access/test_policy_passes.py::test_every_pass_with_every_patron",),
    ),
    Room(
        "mapping",
        ("doorctl/extras/mapping/translation.py", "doorctl/extras/mapping/verbs.py"),
        ("tests/extras/test_mapping_*.py",),
    ),
    Room(
        "usb",
        tuple(f"doorctl/extras/usb/{name}.py" for name in ("keys", "records")),
        ("tests/extras/usb/test_keys.py", "tests/extras/usb/test_records.py"),
    ),
    Room(
        "door",
        ("doorctl/door/*.py",),
        ("tests/door",),
        ("tests/door/test_inputs.py::test_two_thousand_trains_of_edges",),
    ),
    Room(
        "retention",
        (
            "doorctl/privacy/holds.py",
            "doorctl/privacy/patrons_round.py",
            "doorctl/privacy/purge_proof.py",
            "doorctl/privacy/retention.py",
        ),
        (
            "tests/privacy/test_retention*.py",
            "tests/privacy/test_hold*.py",
            "tests/privacy/test_purge_report.py",
        ),
    ),
    Room(
        "purge",
        ("doorctl/store/visit_purge.py",),
        (
            "tests/store/test_purge_bytes.py",
            "tests/store/test_quarantine.py",
            "tests/store/test_visits*.py",
            "tests/privacy/test_retention*.py",
            "tests/privacy/test_hold_and_proof.py",
        ),
        ("tests/store/test_purge_bytes.py::test_a_year_of_daily_purges_leaves_nothing_expired",),
    ),
    Room(
        "push",
        (
            "doorctl/store/patrons_changes.py",
            "doorctl/store/patrons_guard.py",
            "doorctl/store/patrons_writer.py",
            "doorctl/sync/guard.py",
            "doorctl/sync/receive.py",
        ),
        (
            "tests/sync/test_guard.py",
            "tests/sync/test_receive.py",
            "tests/sync/test_staging*.py",
            "tests/store/test_patrons*.py",
            "tests/store/test_salvage.py",
            "tests/store/test_subject.py",
        ),
        (
            "tests/sync/test_receive.py::test_a_town_is_taken_in_with_flat_memory",
            "tests/store/test_patrons.py::test_many_changes_take_flat_memory",
        ),
    ),
)


def files_of(room: Room) -> tuple[str, ...]:
    """Return a room's files that hold code, sorted."""
    return tuple(name for name in _found(room.files) if not name.endswith("__init__.py"))


def tests_of(room: Room) -> tuple[str, ...]:
    """Return a room's test files and folders, sorted."""
    return _found(room.tests)


def chosen(names: Sequence[str]) -> Chosen:
    """Return what rooms' names, or files of theirs, come to; every room where there are none.

    Raises:
        LookupError: a name is no room and no file of one.
    """
    known = {name for room in ROOMS for name in (room.name, *files_of(room))}
    if unknown := [name for name in names if name not in known]:
        rooms = ", ".join(room.name for room in ROOMS)
        raise LookupError(f"{unknown[0]} is none of {rooms}, and no file of theirs")
    return of_files(
        name
        for room in ROOMS
        for name in files_of(room)
        if not names or {name, room.name} & {*names}
    )


def of_files(files: Iterable[str]) -> Chosen:
    """Return those of the files that stand in a room, with the tests of their rooms."""
    wanted = set(files)
    rooms = [room for room in ROOMS if wanted.intersection(files_of(room))]
    return Chosen(
        tuple(sorted(wanted & _all_files(rooms))),
        _once(name for room in rooms for name in tests_of(room)),
        _once(name for room in rooms for name in room.slow),
    )


def _all_files(rooms: Iterable[Room]) -> set[str]:
    return {name for room in rooms for name in files_of(room)}


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _found(globs: Iterable[str]) -> tuple[str, ...]:
    found = {path for glob in globs for path in ROOT.glob(glob)}
    return tuple(sorted(path.relative_to(ROOT).as_posix() for path in found))


# A copy of the tree to change, and Python in it: the checkout itself is never changed.

COPIED = ("doorctl", "tests", "config", "packaging", "pyproject.toml", "README.md")


def copy_tree(target: Path) -> None:
    """Copy what doorctl and its tests need into an empty directory."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, target / name)


def python_in(
    copy: Path, *arguments: str, timeout_s: float | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a copy, on what stands there."""
    added = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, **added},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider")
