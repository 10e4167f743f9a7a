"""Bugs that were found.

Bug (attack review): a purge on a full disk was proved without a search; an export left out what a
hold keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from doorctl.access.messages import Opened
from doorctl.config import Config
from doorctl.core.errors import KeyFileError, StoreError
from doorctl.core.moments import ClockState, Stamped
from doorctl.services.app import App
from doorctl.services.purging import Purging, purge_now
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_store import MemoryVisits
from tests.services.branches import initialised


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A branch with empty databases."""
    return initialised(tmp_path, f"control.socket={tmp_path / 'control.sock'}")


KEY = bytes(range(16))


class FullDisk(MemoryVisits):
    """A door log whose file can't be rewritten for a while."""

    full = True

    def compact(self) -> tuple[int, int, int]:
        """Fail, or do as any other."""
        if self.full:
            raise StoreError("the disk is full")
        return super().compact()


def at_once(job: Callable[[], Any]) -> Any:
    """Do a job on this thread."""
    return job()


def test_what_a_full_disk_kept_from_being_cleared_is_looked_for(config: Config) -> None:
    """The next purge finds no row of it, and its proof must know what to look for."""
    clock, visits = FakeClock(), FullDisk()
    at = Stamped(START - timedelta(days=31), ClockState.TRUSTED, clock.boot_time())
    visits.open_attempt(Opened(1, at, KEY, None))
    purging = Purging(App(config, clock), visits, key=None, run=at_once)
    with pytest.raises(StoreError):
        purging.purge()

    visits.full = False

    assert KEY in purging.purge().traces


def test_a_purge_needs_no_key_and_a_proof_does(config: Config) -> None:
    """Where the key is out of reach old visits go all the same, and nothing is claimed."""
    config.secrets.installation_key_file.unlink()

    assert "clean" not in purge_now(App.of(config), proved=False)
    with pytest.raises(KeyFileError):
        purge_now(App.of(config), proved=True)
    assert not (config.storage.directory / "purges").exists()
