"""Bugs that were found.

Bug (outside look): `doorctl purge --verify` of a named pipe waited for ever.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from doorctl.core.errors import StoreError
from doorctl.privacy.retention import Trim
from doorctl.store.residue import LARGEST_BYTES, PurgeReports, read_report, trim
from doorctl.store.residue import REPORTS_KEPT as KEPT
from tests.store.samples import NOON


def test_reports_are_for_their_owner_only(tmp_path: Path) -> None:
    """Directory and files; two in one second do not overwrite each other."""
    reports = PurgeReports(tmp_path / "purges")
    paths = [reports.keep(content, NOON) for content in (b"one", b"two")]

    assert [path.read_bytes() for path in paths] == [b"one", b"two"]
    assert [path.name for path in paths] == ["20260504T120000Z.json", "20260504T120000Z.1.json"]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert (tmp_path / "purges").stat().st_mode & 0o777 == 0o700


def test_reports_are_kept_for_six_months(tmp_path: Path) -> None:
    """Then they go with the next one; whatever else lies there stays."""
    reports = PurgeReports(tmp_path / "purges")
    first = reports.keep(b"first", NOON)
    note = tmp_path / "purges" / "0-note.txt"
    note.write_text("a note")

    reports.keep(b"second", NOON + KEPT)
    assert first.exists()
    reports.keep(b"third", NOON + KEPT + timedelta(seconds=1))
    assert not first.exists()
    assert note.exists()


def test_a_shelf_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A purge without a report is not one with a report."""
    (tmp_path / "purges").write_text("in the way")

    with pytest.raises(StoreError, match="can't be written"):
        PurgeReports(tmp_path / "purges").keep(b"one", NOON)


def test_a_link_in_place_of_the_shelf_is_not_followed(tmp_path: Path) -> None:
    """A report lies where it is looked for, and nowhere that somebody chose for it."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "purges").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreError, match="can't be written"):
        PurgeReports(tmp_path / "purges").keep(b"one", NOON)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_what_is_no_report_is_not_read_for_ever(tmp_path: Path) -> None:
    """A missing file, one that is far too large, and what is no file are told at once."""
    large = tmp_path / "large"
    large.write_bytes(bytes(LARGEST_BYTES + 1))

    with pytest.raises(StoreError, match="too large"):
        read_report(large)
    with pytest.raises(StoreError, match="can't be read"):
        read_report(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(StoreError, match="not a regular file"):
            read_report(odd)


@pytest.mark.parametrize("place", ["/proc", "/nonexistent"])
def test_a_trim_that_cannot_be_done_is_told_and_stops_nothing(place: str) -> None:
    """No disk is below the one, and nothing at all below the other."""
    assert trim(Path(place)) in {Trim.NOT_PERMITTED, Trim.NOT_SUPPORTED, Trim.FAILED}
