from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from doorctl.config import Config
from doorctl.core.errors import KeyFileError, StoreError
from doorctl.core.moments import ClockState, Stamped
from doorctl.privacy.retention import HoldAdded, HoldAsked, HoldLifted, PurgeReport
from doorctl.rpc.control import Question
from doorctl.services.app import visits_db
from doorctl.services.purging import ADD, LIFT, Audited, Holding, Purging, purge_now
from doorctl.store.keys import read_key
from doorctl.store.visits import VisitStore
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_holds import ProvableVisits
from tests.services.branches import initialised


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A branch with empty databases."""
    return initialised(tmp_path, f"control.socket={tmp_path / 'control.sock'}")


KEY = bytes(range(16))


class FullDisk(ProvableVisits):
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


def test_purges_and_holds_are_told_to_the_audit_log(config: Config) -> None:
    """Each once, without a trace of anybody; a purge that was postponed is none."""
    heard: list[Audited] = []
    clock = FakeClock()
    with closing(VisitStore(visits_db(config))) as visits:
        key = read_key(config.secrets.installation_key_file)
        purging = Purging(config, visits, clock, key=key, run=at_once, audit=heard.append)
        holding = Holding(config, visits, clock, run=at_once, audit=heard.append)
        purging.purge()
        window = (START - timedelta(days=1), START)
        asked = HoldAsked(*window, "1", "a window", START + timedelta(days=9), "kirsten")
        holding.add(Question(ADD, msgspec.to_builtins(asked)))
        holding.lift(Question(LIFT, {"number": 1, "by": "kirsten"}))
        clock.vouched = False
        clock.reboot("boot-2")
        purging.purge()

    assert [type(event) for event in heard] == [PurgeReport, HoldAdded, HoldLifted]


def test_what_a_full_disk_kept_from_being_cleared_is_looked_for(config: Config) -> None:
    """The next purge finds no row of it, and its proof must know what to look for."""
    clock, visits = FakeClock(), FullDisk()
    at = Stamped(START - timedelta(days=31), ClockState.TRUSTED, clock.boot_time())
    visits.open_attempt(1, at, KEY, None)
    purging = Purging(config, visits, clock, key=None, run=at_once)
    with pytest.raises(StoreError):
        purging.purge()

    visits.full = False

    assert KEY in purging.purge().traces


def test_a_purge_needs_no_key_and_a_proof_does(config: Config) -> None:
    """Where the key is out of reach old visits go all the same, and nothing is claimed."""
    config.secrets.installation_key_file.unlink()

    assert "clean" not in purge_now(config, proved=False)
    with pytest.raises(KeyFileError):
        purge_now(config, proved=True)
    assert not (config.storage.directory / "purges").exists()
