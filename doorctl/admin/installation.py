"""An installation is made, or nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from doorctl.access.calendar import DaySource, StoredDay, StoredWeek
from doorctl.admin.keys import lay_over_all
from doorctl.config import Config
from doorctl.config.hours import Opening
from doorctl.core.errors import (
    AlreadyExistsError,
    StoreError,
)
from doorctl.core.identity import owner_of
from doorctl.core.moments import Moment
from doorctl.lookup.configured import system_clock
from doorctl.store.branch_writer import BranchRecordsWriter, create_branch, open_or_create_branch
from doorctl.store.keys import (
    ArgonSealer,
    create_key,
    earlier_keys,
    read_key,
)
from doorctl.store.patrons_writer import create_patrons
from doorctl.store.visits import create_visits

if TYPE_CHECKING:
    from doorctl.sources.hours import HolidaysWanted

INITIAL_YEARS = 10
"""Years for a branch that never runs a web process: longer than a memory card lives."""


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
    sealer = ArgonSealer(key, config.seal.memory_kib, config.seal.iterations)
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
    if opening.holidays == "ignore" and not begins:
        return
    from doorctl.sources.hours import computed  # loads what `init` alone needs

    with closing(open_or_create_branch(branch)) as writer:
        moment = system_clock(config).moment()
        if begins:
            writer.set_week(StoredWeek(week), moment)
        store_initial_holidays(opening, writer, moment, computed)


def store_initial_holidays(
    opening: Opening,
    writer: BranchRecordsWriter,
    moment: Moment,
    compute: Callable[[HolidaysWanted], Iterable[StoredDay]],
) -> None:
    """Store the holidays of `INITIAL_YEARS`, where any are wanted, in an empty ``branch.db``.

    While the clock is not set, they begin with the latest year that is known to have come. The
    website's hours have them in place. Raises DoorctlError: nothing was changed.
    """
    if opening.holidays == "ignore" or opening.source == "website":
        return
    from doorctl.sources.hours import HolidaysWanted

    first = moment.known_time.date()
    years = tuple(range(first.year, first.year + INITIAL_YEARS))
    wanted = HolidaysWanted(years, opening.holidays_also)
    days = [holiday for holiday in compute(wanted) if holiday.day >= first]
    writer.set_days(DaySource.HOLIDAY, days, moment, known_until=wanted.known_until)


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
