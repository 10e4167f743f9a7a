"""Refuses a load that could not be written at its end, before it begins."""

from __future__ import annotations

from doorctl.bootstrap.rules import patrons_db
from doorctl.config import Config
from doorctl.errors import StoreBusyError
from doorctl.store.writer_lock import WriterLock


def refuse_beside_web(config: Config) -> None:
    """Refuse where somebody writes the patron cache: sealing a town takes half an hour.

    It holds nothing, so whoever comes meanwhile still wins. It makes no file.

    Raises:
        StoreBusyError: somebody does, most likely web; says what to do.
        StoreError: the lock can't be read.
    """
    database = patrons_db(config)
    if not database.with_name(f"{database.name}.lock").exists():
        return
    try:
        WriterLock(database).close()
    except StoreBusyError:
        raise StoreBusyError(
            f"another doorctl process is writing {database}: stop it for the load "
            "(systemctl stop doorctl-web), or push instead (doorctl sync push)"
        ) from None
