"""What looks and purges leave on record, and for how long.

Bug (attack review): a purge on a full disk was proved without a search; an export left out what a
hold keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from doorctl.access.messages import Opened
from doorctl.config import Config
from doorctl.core.errors import DoorctlError, InputError, KeyFileError, StoreError
from doorctl.core.moments import ClockState, Moment, Stamped
from doorctl.lookup.app import App
from doorctl.lookup.configured import retention
from doorctl.privacy.audit import KEPT, Action, Deed
from doorctl.privacy.holds import Hold
from doorctl.rpc.messages import Line
from doorctl.rpc.server import ControlServer
from doorctl.services import branch as audit
from doorctl.services.cards import unlock
from doorctl.services.holds import add_hold, lift_hold
from doorctl.services.purging import purge_now
from doorctl.services.status import status
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.purge_job import Purging
from doorctl.store.records import AuditTrail
from doorctl.web import branch_thread
from doorctl.web.branch_thread import BranchThread
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_store import MemoryVisits
from tests.rpc.serving import plain
from tests.services.branches import initialised
from tests.store.samples import in_use_until, key_of

LOOK = Deed(Action.PATRON_EXPLAINED, (key_of(1),), "1001")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A branch."""
    return initialised(tmp_path)


def test_the_web_process_writes_and_reads_it(config: Config) -> None:
    """From whatever thread, with the account that it has seen log in."""
    desk = BranchThread(App.of(config))
    try:
        record = branch_thread.WebsAudit(desk)
        record.note(LOOK, "account-7")
        head = record.head()
    finally:
        desk.close()

    assert head == str(audit.audit_head(App.of(config))) == status(App.of(config))["audit_head"]
    assert [one.by for one in audit.audit_entries(App.of(config), None)] == ["account-7"]


def test_what_is_too_old_is_not_shown_though_nothing_has_erased_it_yet(config: Config) -> None:
    """A branch where nothing was written for months shows no more than any other."""
    now = datetime.now(UTC)
    with_old = BranchRecordsWriter(config.storage.branch_db)
    old = Moment(now - KEPT - timedelta(days=1), now, ClockState.TRUSTED)
    AuditTrail(with_old).append(LOOK, "grethe", old)
    in_use_until(with_old, Moment(now, now, ClockState.TRUSTED))
    with_old.close()

    assert audit.audit_entries(App.of(config), None) == ()
    assert audit.verify_audit(App.of(config)).erased == 1


def test_a_log_that_can_not_be_read_has_no_end(config: Config) -> None:
    """`status` says so by telling none, and goes on."""
    config.storage.branch_db.unlink()

    assert status(App.of(config))["audit_head"] is None


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(InputError("too often"), "refused"), (StoreError("the disk is stuck"), "unknown")],
)
def test_what_the_door_does_not_do_is_on_record_as_such(
    config: Config, failure: DoorctlError, outcome: str
) -> None:
    """It is noted before the door is asked, and no entry can be taken back: another one tells it.

    Bug (read by a stranger): what the door refused, or a hung door left undone, such as lifting a
    hold, stood on the audit log as done.
    """
    app, now = App.of(config), datetime.now(UTC)
    asked = Hold(now - timedelta(hours=2), now - timedelta(hours=1), "17", "uro",
                      now + timedelta(days=1), "grethe")  # fmt: skip
    add_hold(app, asked)

    def fails(_question: Line) -> dict[str, object]:
        raise failure

    server = ControlServer(config.control.socket, plain({"hold_lift": fails, "unlock": fails}))
    server.start()
    try:
        for deed in (lambda: lift_hold(app, 1), lambda: unlock(app, "3000001234", taken_as="card")):
            with pytest.raises(type(failure)):
                deed()
    finally:
        server.stop()

    _, lifting, lifted, unlocking, unlocked = (one.deed for one in audit.audit_entries(app, None))
    assert (lifting.action, lifted.action) == (Action.HOLD_LIFTED, Action.HOLD_LIFTED)
    assert lifting.details == {"number": 1}
    assert lifted.details == {"number": 1, "outcome": outcome}
    assert (unlocking.action, unlocked.action) == (Action.CARD_UNLOCKED, Action.CARD_UNLOCKED)
    assert (bool(unlocking.cards), unlocked.cards) == (True, ())
    assert unlocked.details == {"outcome": outcome}


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
    purging = Purging(
        visits,
        clock,
        config.storage,
        kept_for=retention(config),
        branch=config.branch.id,
        key=None,
        run=at_once,
    )
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
