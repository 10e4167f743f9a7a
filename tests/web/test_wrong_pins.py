"""Wrong PINs of patrons between the branches: what a real web process takes and tells."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from doorctl.sync.delivery import signed
from tests.web.branch import Branch

DAY = "2026-03-01"


def exchanged(branch: Branch, wrong: dict[str, int] | None) -> Any:
    """Tell of wrong PINs at other branches; return what is told of those here."""
    nonce = branch.held()["nonce"]
    message = signed("demo", nonce, branch.key, heads={}, wrong_pins=wrong)
    answer = branch.ask("POST", "/v1/patrons/exchange", content=message)
    assert answer.status_code == 200, answer.text
    return answer.json()["wrong_pins"]


def elsewhere(branch: Branch) -> dict[str, int]:
    """Return what the branch keeps of other branches."""
    with closing(sqlite3.connect(branch.directory / "branch.db")) as records:
        return dict(records.execute("SELECT patron_ref, wrong FROM wrong_pins_elsewhere"))


def test_each_tells_of_patrons_with_many_and_keeps_what_it_is_told(branches: Any) -> None:
    """No card, no time, nobody with fewer than four; asked by nobody else, it tells nothing.

    A door log that can't be read holds up nothing.
    """
    branch = branches()
    branch.start()
    with closing(sqlite3.connect(branch.directory / "visits.db")) as visits, visits:
        rows: list[tuple[Any, ...]] = [(number, DAY, None, "1001", 0) for number in range(4)]
        rows += [(number, DAY, None, "1002", 0) for number in range(10, 13)]
        rows += [(number, DAY, bytes(16), None, 0) for number in range(20, 29)]
        visits.executemany("INSERT INTO wrong_pins VALUES (?, ?, ?, ?, ?)", rows)

    assert exchanged(branch, {"1003": 7}) == {"1001": 4}
    assert elsewhere(branch) == {"1003": 7}
    assert exchanged(branch, None) is None
    assert elsewhere(branch) == {"1003": 7}
    assert "1001" not in branch.ask("GET", "/v1/patrons/epoch").text
    # The audit log is compared all the same, and the sender keeps what it has.
    (branch.directory / "visits.db").write_bytes(b"no database" * 900)
    assert exchanged(branch, {"1003": 7}) is None
