"""What a role was refused, on the audit log of a real branch."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from doorctl.accounts.account import AT_ONCE, REFILL_S, Permission
from doorctl.core.errors import StoreError
from doorctl.privacy.audit import Action
from doorctl.services.app import App
from doorctl.services.branch import BranchThread
from doorctl.store.records import AuditRecords
from doorctl.wiring.web import RefusalsOnRecord
from tests.fakes.clock import FakeClock
from tests.services.branches import initialised


def test_who_was_refused_what_and_how_often(tmp_path: Path) -> None:
    """A script's thousand tries are a few entries, and the next one counts what was left out."""
    config, clock = initialised(tmp_path), FakeClock()
    with closing(BranchThread(App(config, clock))) as branch:
        record = RefusalsOnRecord(branch, clock)
        for _ in range(1000):
            record.note("kaj", "/bans/{number}/lift", Permission.CHANGE_BANS)
        clock.advance(REFILL_S)
        record.note("kaj", "/audit", Permission.SEE_AUDIT)

    with closing(AuditRecords(config.storage.branch_db)) as records:
        log = records.entries()
    assert {(one.by, one.deed.action) for one in log} == {("kaj", Action.PAGE_REFUSED)}
    assert len(log) == AT_ONCE + 1
    assert dict(log[0].deed.details) == {"page": "/bans/{number}/lift", "needs": "change_bans"}
    assert dict(log[-1].deed.details) == {
        "page": "/audit",
        "needs": "see_audit",
        "left_out": 1000 - AT_ONCE,
    }
    assert all((one.deed.cards, one.deed.patron_ref, one.deed.why) == ((), None, "") for one in log)


def test_a_record_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The page refuses all the same; that is for the page to see to."""
    config, clock = initialised(tmp_path), FakeClock()
    config.storage.branch_db.write_bytes(b"no database" * 1000)
    with closing(BranchThread(App(config, clock))) as branch, pytest.raises(StoreError):
        RefusalsOnRecord(branch, clock).note("kaj", "/audit", Permission.SEE_AUDIT)
