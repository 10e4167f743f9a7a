"""The journal of pushes that the audit log is owed."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorctl.core.errors import StoreError
from doorctl.store.push_journal import MOST_OWED, Applying, PushJournal
from doorctl.sync.receive import Push

NOTHING = Push(0)


@pytest.fixture
def journal(tmp_path: Path) -> PushJournal:
    """One without a file."""
    return PushJournal(tmp_path / "journal.json")


def applying(epoch: int, approved_by: str | None = None) -> Applying:
    """Return a push of three lines."""
    return Applying(epoch, "ab" * 32, "snapshot", 3, approved_by)


def test_nothing_is_owed_at_first(journal: PushJournal) -> None:
    """There is no file then, and asking makes none."""
    assert journal.owed(NOTHING) == ()
    assert not journal.path.exists()


def test_a_push_is_owed_once_it_is_held(journal: PushJournal) -> None:
    """Before its commit it is not, and one that was given up never is."""
    first, second = applying(1), applying(2, "Karen")
    journal.begin(first, NOTHING)
    journal.begin(second, NOTHING)

    assert journal.owed(NOTHING) == ()
    assert journal.owed(second.push) == (second,)
    assert journal.owed(Push(2, "cd" * 32)) == ()


def test_what_is_owed_outlives_later_pushes_and_the_process(journal: PushJournal) -> None:
    """Until it is noted, in order; then the file is gone."""
    first, second = applying(1, "Karen"), applying(2)
    journal.begin(first, NOTHING)
    journal.begin(second, first.push)
    journal = PushJournal(journal.path)

    assert journal.owed(second.push) == (first, second)
    journal.noted(first)
    assert journal.owed(second.push) == (second,)
    journal.noted(second)
    assert not journal.path.exists()


def test_nobody_else_may_read_it(journal: PushJournal) -> None:
    """It holds the name of who approved."""
    journal.begin(applying(1, "Karen"), NOTHING)

    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_it_is_bounded(journal: PushJournal) -> None:
    """An audit log that fails for weeks fills no disk: the oldest go."""
    held = NOTHING
    for epoch in range(1, MOST_OWED + 3):
        journal.begin(applying(epoch), held)
        held = applying(epoch).push

    owed = journal.owed(held)

    assert (len(owed), owed[-1].epoch) == (MOST_OWED, MOST_OWED + 2)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'[{"epoch": 1}]'])
def test_a_damaged_file_counts_as_none(journal: PushJournal, content: bytes) -> None:
    """Patrons must not wait for it."""
    journal.path.write_bytes(content)

    assert journal.owed(NOTHING) == ()
    journal.begin(applying(1), NOTHING)
    assert journal.owed(applying(1).push) == (applying(1),)


def test_a_disk_that_fails_is_told(tmp_path: Path) -> None:
    """Nothing is committed that could not be kept here."""
    (tmp_path / "journal.json").mkdir()

    with pytest.raises(StoreError, match=r"journal\.json can't be read"):
        PushJournal(tmp_path / "journal.json").owed(NOTHING)
    with pytest.raises(StoreError, match=r"can't be written: .*; make room"):
        PushJournal(tmp_path / "gone" / "journal.json").begin(applying(1), NOTHING)
