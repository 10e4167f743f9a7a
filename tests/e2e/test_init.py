from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.e2e.door import Door, refusal
from tests.e2e.people import (
    ENTITLED,
)


def test_makes_what_is_needed(bare: Door) -> None:
    """After `init` alone the daemon starts and refuses everybody."""
    assert bare.call("init").returncode == 0
    bare.start()

    assert bare.visit(ENTITLED)["reason"] == "unknown_card"


@pytest.mark.parametrize("there", ["installation.key", "patrons.db", "visits.db"])
def test_overwrites_nothing(there: str, bare: Door) -> None:
    """If any of its files is there it makes none of the others and touches nothing."""
    (bare.directory / there).write_bytes(b"something")
    before = digest(bare.directory)

    assert there in refusal(bare, "init")

    assert digest(bare.directory) == before


def test_twice(door: Door) -> None:
    """A second `init` changes no byte of what the first one made, with a daemon or without."""
    before = digest(door.directory)
    assert "nothing was changed" in refusal(door, "init")
    assert digest(door.directory) == before

    door.start()
    door.let_in(ENTITLED)
    key = digest(door.directory)["installation.key"]
    refusal(door, "init")
    assert digest(door.directory)["installation.key"] == key
    door.let_in(ENTITLED)


def digest(directory: Path) -> dict[str, str]:
    """Return the hash of each file, by its name."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
