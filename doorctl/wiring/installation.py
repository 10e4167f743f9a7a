"""Makes a new installation, or nothing of it, and later takes a new key into use, after a theft."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

from doorctl.access.calendar import StoredWeek
from doorctl.config import Config
from doorctl.core.errors import AlreadyExistsError, InputError, StoreError
from doorctl.core.identity import owner_of
from doorctl.core.masked import InstallationKey
from doorctl.privacy.audit import KEY, Action, Deed
from doorctl.services.app import App, system_clock
from doorctl.services.branch import note_done
from doorctl.services.numbers import own_sealer
from doorctl.store import branch as branch_rows
from doorctl.store import door_log
from doorctl.store import patrons as patron_rows
from doorctl.store.branch_writer import create_branch, open_or_create_branch
from doorctl.store.connection import Writer
from doorctl.store.keys import (
    create_key,
    earlier_keys,
    key_id,
    lay_over,
    read_key,
    remove_key,
    replace_key,
)
from doorctl.store.patrons_writer import create_patrons
from doorctl.store.tables import Layout
from doorctl.store.visits import create_visits


def next_key_file(config: Config) -> Path:
    """Return where a new key waits until every branch has it."""
    path = config.secrets.installation_key_file
    return path.with_name(f"{path.name}.next")


def rotate(config: Config, stolen: Collection[str] = ()) -> Path:
    """Make the next installation key and return its file, to be carried to each branch.

    It runs on the sender, or on a branch that has no sender. A thief may have the key of the
    `stolen` branches: InputError where one is still sent patrons. Raises AlreadyExistsError while
    a rotation is under way, KeyFileError where the key can't be read or written.
    """
    targets = () if config.sync is None else config.sync.targets
    for target in targets:
        if target.branch in stolen:
            raise InputError(
                f"{target.branch} is still sent patrons: first take its [[sync.targets]] out, "
                "until there is a Pi with the new key and a new certificate"
            )
    path = next_key_file(config)
    key = read_key(config.secrets.installation_key_file)
    try:
        create_key(path, after=key.reveal())
    except AlreadyExistsError:
        raise AlreadyExistsError(
            f"a rotation is under way: carry {path} to each branch and run "
            "`doorctl keys adopt` there"
        ) from None
    return path


def adopt(config: Config, new: Path) -> bool:
    """Take a new key into use on a branch whose processes are stopped; remove its copy.

    The key comes first, and is in force with the one before it: killed at any point, the door finds
    every card, ban and count at its next start, and this goes on where it stopped. `new` is the
    file that `rotate` made, or the installation key itself to go on. Returns whether anything was
    left to do.

    Raises InputError where it does not follow on this branch's key, StoreBusyError where door or
    web runs and nothing was changed, else DoorctlError.
    """
    path = config.secrets.installation_key_file
    before, key = read_key(path), read_key(new)
    if not earlier_keys(key) or before not in (key, earlier_keys(key)[0]):
        raise InputError(f"{new} does not follow on {path}; take the file that this rotation made")
    done = lay_over_all(config, key, partial(replace_key, path, new))
    # The file that was carried here goes last: while it is there, the audit log may not say so yet.
    if not done and new == path:
        return False
    note_done(App.of(config), Deed(Action.KEY_ADOPTED, details={KEY: key_id(key)}))
    if new != path:
        remove_key(new)
    return True


def lay_over_all(
    config: Config, key: InstallationKey, before_first: Callable[[], None] = lambda: None
) -> bool:
    """Rewrite every database for a new key, and tell whether there was anything to do.

    Raises StoreError: one is in use, and nothing was changed; or it failed, and this can be
    repeated.
    """
    databases: Mapping[Path, Layout] = {
        config.storage.patrons_db: patron_rows.migrations,
        config.storage.visits_db: door_log.migrations,
        config.storage.branch_db: branch_rows.migrations,
    }
    with ExitStack() as stack:
        writers = []
        for path, migrations in databases.items():
            if path.exists():
                # Until it is closed again, last opened first.
                stack.enter_context(owner_of(path.parent))
                writers.append(stack.enter_context(closing(Writer(path, migrations))))
        before_first()
        done = [lay_over(writer, key) for writer in writers]
    return any(done)


def keys_in_use(config: Config) -> tuple[InstallationKey, ...]:
    """Return the keys that a sender serves: the newest, and the old while branches wait.

    Raises KeyFileError: one can't be read.
    """
    path = next_key_file(config)
    if not path.exists():
        return (read_key(config.secrets.installation_key_file),)
    new = read_key(path)
    return new, *earlier_keys(new)[:1]


def drop_old_key(config: Config) -> None:
    """End a rotation on the sender: from now on a branch with the old key is sent nothing.

    Raises KeyFileError: it can't be written.
    """
    replace_key(config.secrets.installation_key_file, next_key_file(config))
    remove_key(next_key_file(config))


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
        sealer = own_sealer(config)
        create_or_undo(patrons, partial(create_patrons, seal=sealer.seal), undo)
        create_or_undo(visits, create_visits, undo)
        # A lock that is left alone would say that bans were lost.
        create_or_undo(branch, create_branch, undo, ".lock")
        if sealer.earlier:
            # No later call takes what these are to hold for something of an earlier key.
            lay_over_all(config, read_key(key))
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


def _store_hours(config: Config, branch: Path) -> None:
    opening, week = config.opening, config.opening.calendar.week or ()
    begins = opening.source == "staff" and any(week)
    if opening.holidays == "ignore" and not begins:
        return
    from doorctl.sources.hours import computed  # loads what `init` alone needs
    from doorctl.web.jobs import store_initial_holidays

    with closing(open_or_create_branch(branch)) as writer:
        moment = system_clock(config).moment()
        if begins:
            writer.set_week(StoredWeek(week), moment)
        store_initial_holidays(opening, writer, moment, computed)


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
