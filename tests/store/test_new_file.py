from __future__ import annotations

import os
import resource
import signal
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.store.new_file import create_private
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.sync.guard import unguarded
from tests.store.samples import NOON, SEAL, sealed

SOMEBODY = (4711, 4712)


def test_what_can_not_be_written_leaves_no_file(tmp_path: Path) -> None:
    """Half a key would be refused as a key and kept by the next init."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            create_private(tmp_path / "installation.key", bytes(32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_makes_belongs_to_the_directorys_owner(tmp_path: Path) -> None:
    """After a load by root the daemon's own user can open every file, the lock too."""
    os.chown(tmp_path, *SOMEBODY)
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    with (
        closing(PatronCacheWriter(path, SEAL)) as writer,
        closing(PatronCache(path, SEAL)) as cache,
    ):
        writer.apply([sealed(1, "1")], full=True, applied_at=NOON, minimum_age=15, guard=unguarded)
        assert cache.stamp().epoch == 1
        owners = {
            file.name: (file.stat().st_uid, file.stat().st_gid) for file in tmp_path.iterdir()
        }

    names = ("patrons.db", "patrons.db.lock", "patrons.db-wal", "patrons.db-shm")
    assert owners == dict.fromkeys(names, SOMEBODY)
