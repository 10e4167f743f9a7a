"""An export is fetched for the length of a block, in which alone it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from doorctl.core.identity import owner_of
from doorctl.core.ports import Clock
from doorctl.extras.fetching.place import FOLDER, Aside, Wanted, emptied, made, name_of
from doorctl.store.connection import changing
from doorctl.store.writer import WriterLock
from doorctl.sync.exports import Fetched


@contextmanager
def fetched(wanted: Wanted, clock: Clock, directory: Path) -> Iterator[Fetched | None]:
    """Fetch an export for the length of a block, and delete it at its end.

    What a run that was killed has left is deleted first. None where it is as it was at the etag.

    Raises FetchError, FetchAwayError, KeyFileError; StoreBusyError: another run is fetching;
    StoreError: it can't be written here.
    """
    folder = directory / FOLDER
    with owner_of(directory):
        lock = WriterLock(folder)
    with closing(lock), emptied(folder):
        aside = made(folder, wanted)
        try:
            found = _fetch(wanted, clock, aside)
        finally:
            os.close(aside.descriptor)
        yield found


def _fetch(wanted: Wanted, clock: Clock, aside: Aside) -> Fetched | None:
    if not wanted.fetch.sftp.host:
        from doorctl.extras.fetching.http import HttpExport

        return HttpExport(wanted).into(aside)
    from doorctl.extras.fetching.sftp import fetch_over_sftp

    path = aside.path.with_name(name_of(fetch_over_sftp(wanted.fetch, clock, aside), wanted.kind))
    with changing(path):
        aside.path.rename(path)
    return Fetched(path)
