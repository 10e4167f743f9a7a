"""An installation is made, or nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

from doorctl.access.calendar import StoredWeek
from doorctl.admin.keys import lay_over_all
from doorctl.config import Config
from doorctl.core.errors import (
    AlreadyExistsError,
    StoreError,
)
from doorctl.core.identity import owner_of
from doorctl.extras.extra import used
from doorctl.lookup.configured import system_clock
from doorctl.store.branch_writer import create_branch, open_or_create_branch
from doorctl.store.keys import create_key, read_key
from doorctl.store.patrons_writer import create_patrons
from doorctl.store.sealer import earlier_keys, sealer_of
from doorctl.store.visits import create_visits


def initialise(config: Config) -> tuple[list[Path], list[Path]]:
    """Make the installation key, unless there is one, and the empty databases.

    Returns what was made, and what was kept: a key that another branch has too.
    Raises AlreadyExistsError: one of the databases is there; nothing was changed. DoorctlError: one
    can't be made, or the key can't be used; no file was left.
    """
    key = config.secrets.installation_key_file
    patrons, visits, branch = (
        config.storage.patrons_db,
        config.storage.visits_db,
        config.storage.branch_db,
    )
    for path in (patrons, visits, branch):
        if path.exists():
            raise AlreadyExistsError(f"{path} is there already; nothing was changed")
    make_directory(config.storage.directory)
    with owner_of(visits.parent):
        make_directory(visits.parent)
    with owner_of(key.parent):
        make_directory(key.parent)
        kept = [key] if key.exists() else []
    with ExitStack() as undo:
        if not kept:
            create_key(key)
            undo.callback(remove, key)
        # A lock that is left alone would say that bans were lost.
        create_or_undo(branch, create_branch, undo, ".lock")
        make_databases(config, key, undo)
        _store_hours(config, branch)
        undo.pop_all()
    return [*([] if kept else [key]), patrons, visits, branch], kept


def create_or_undo(
    database: Path, create: Callable[[Path], None], undo: ExitStack, *others: str
) -> None:
    """Create a database as its directory's owner; `undo` removes it, with other files of its."""
    take_back = partial(remove, database, "-wal", "-shm", *others)
    try:
        with owner_of(database.parent):
            create(database)
    except AlreadyExistsError:
        raise  # Made meanwhile, by another process, whose the lock is too.
    except BaseException:
        take_back()
        raise
    undo.callback(take_back)


def make_databases(config: Config, key_file: Path, undo: ExitStack) -> None:
    """Make the empty databases of patrons and visits that are not there; `undo` removes them."""
    key = read_key(key_file)
    sealer = sealer_of(key, config.seal)
    patrons, visits = config.storage.patrons_db, config.storage.visits_db
    make_directory(visits.parent)
    create_cache = partial(create_patrons, seal=sealer.seal)
    for path, create in ((patrons, create_cache), (visits, create_visits)):
        if not path.exists():
            create_or_undo(path, create, undo)
    if earlier_keys(key):
        # No later call takes what these are to hold for something of an earlier key.
        lay_over_all(config, key)


def _store_hours(config: Config, branch: Path) -> None:
    opening, week = config.opening, config.opening.calendar.week or ()
    begins = opening.source == "staff" and any(week)
    extras = [extra.begin for extra in used(config) if extra.begin is not None]
    if not (extras or begins):
        return
    with closing(open_or_create_branch(branch)) as writer:
        moment = system_clock(config).moment()
        if begins:
            writer.set_week(StoredWeek(week), moment)
        for begin in extras:
            begin(config, writer, moment)


def remove(path: Path, *suffixes: str) -> None:
    """Remove a file, and others whose names have more at their ends, as far as they can be."""
    for suffix in ("", *suffixes):
        with owner_of(path.parent), suppress(OSError):
            path.with_name(f"{path.name}{suffix}").unlink()


def make_directory(directory: Path) -> None:
    """Make a directory, mode 0700, unless it is there. Raises StoreError: it can't be made."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise StoreError(f"{directory} can't be made: {err.strerror}") from err
