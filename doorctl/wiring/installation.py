"""Makes a new installation, or nothing of it, takes a new key into use and puts a backup back."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

from doorctl.access.calendar import StoredWeek
from doorctl.config import Config, load
from doorctl.core.errors import (
    AlreadyExistsError,
    ConfigError,
    DoorctlError,
    InputError,
    StoreDamagedError,
    StoreError,
)
from doorctl.core.identity import owner_of, shared_in
from doorctl.core.masked import InstallationKey
from doorctl.privacy.audit import KEY, Action, Deed
from doorctl.services.app import App, system_clock
from doorctl.services.backups import BESIDE, BRANCH, CONFIG, UNITS, Manifest, Part, layout_of
from doorctl.services.branch import note_done
from doorctl.store import branch as branch_rows
from doorctl.store import door_log
from doorctl.store import patrons as patron_rows
from doorctl.store.branch_writer import create_branch, open_or_create_branch
from doorctl.store.connection import (
    Writer,
    WriterLock,
    create_private,
    open_unshared_reader,
    sync_directory,
    translated,
)
from doorctl.store.keys import (
    ArgonSealer,
    create_key,
    earlier_keys,
    key_id,
    lay_over,
    read_key,
    remove_key,
    replace_key,
)
from doorctl.store.patrons_writer import create_patrons
from doorctl.store.tables import Layout, newest
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
        # A lock that is left alone would say that bans were lost.
        create_or_undo(branch, create_branch, undo, ".lock")
        _make_databases(config, key, undo)
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


# Puts a backup back: all of it, or nothing.

READABLE = 0o644
"""The most that the mode of a file beside the configuration may allow."""


def restore(
    manifest: Manifest, files: Mapping[str, bytes], config_path: Path, *, replace: bool
) -> Config:
    """Put what `unpacked` returned into its places, with empty databases of patrons and visits.

    All that takes room or may be wrong comes first, under other names; the configuration gets its
    name last: killed before, nothing starts on an empty card, and the same call goes on. Files that
    are there have to be the same, or `replace` is given; the installation key has to be in any
    case, so that the door opens at every step.

    Raises InputError: it does not fit here. StoreBusyError: door or web runs. DoorctlError: it
    can't be written. Nothing was changed.
    """
    config_path = config_path.absolute()
    with ExitStack() as undo:
        try:
            make_directory(config_path.parent)
            new = {CONFIG: _staged(config_path, files[CONFIG], READABLE, undo)}
            config = _read(manifest, new[CONFIG], config_path)
            places = {name: _place(name, config, config_path) for name in files}
            _refuse(config, places, files, replace=replace)
            for name in files.keys() - {CONFIG}:
                part, place = manifest.files[name], places[name]
                beside = name.startswith((BESIDE, UNITS))
                mode = part.mode & READABLE if beside else shared_in_place(place)
                new[name] = _staged(place, files[name], mode, undo, part if beside else None)
            _refuse_damaged(new[BRANCH])
            key_file = config.secrets.installation_key_file
            keys = [new[name] for name, place in places.items() if place == key_file]
            _make_databases(config, [*keys, key_file][0], undo)
            held = undo.enter_context(ExitStack())
            _hold(config, held)
        except DoorctlError:
            raise
        except OSError as err:
            raise StoreError(f"{err.filename} can't be written: {err.strerror}") from err
        undo.pop_all()
        undo.push(held.pop_all())
        for name in sorted(new, key=CONFIG.__eq__):
            _put(new[name], places[name])
    with owner_of(config.storage.directory):
        when = f"{manifest.made:%Y-%m-%d %H:%M}"
        note_done(App.of(config), Deed(Action.BACKUP_RESTORED, details={"made": when}))
    return config


def shared_in_place(place: Path) -> int:
    """Return the mode of a file of the data directory, which is made if it is not there."""
    make_directory(place.parent)
    with owner_of(place.parent):
        return shared_in(place.parent) & ~0o020 if place.suffix == ".db" else 0o600


def _staged(
    place: Path, content: bytes, mode: int, undo: ExitStack, part: Part | None = None
) -> Path:
    new = place.with_name(f"{place.name}.restored")
    with owner_of(place.parent):
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        create_private(new, content)
        undo.callback(remove, new)
        new.chmod(mode)
        if part and part.written_s:
            # A key's age is told by it.
            os.utime(new, (part.written_s, part.written_s))
        with suppress(LookupError):
            if part and part.owner and os.geteuid() == 0:
                shutil.chown(new, part.owner)
    return new


def _read(manifest: Manifest, new: Path, config_path: Path) -> Config:
    try:
        config = load(new)
    except ConfigError as err:
        raise InputError(f"its configuration can't be used here: {err.problems[0]}") from None
    here = manifest.branch
    with suppress(ConfigError):
        here = load(config_path).branch.id
    if not here == manifest.branch == config.branch.id:
        raise InputError(f"it is of branch {manifest.branch}, and this is {here}")
    return config


def _place(name: str, config: Config, config_path: Path) -> Path:
    if name == CONFIG:
        return config_path
    base = config_path.parent
    if name.startswith(UNITS):
        return base / name
    if not name.startswith(BESIDE):
        return config.storage.directory / name
    place = base / name.removeprefix(BESIDE)
    if not place.parent.resolve().is_relative_to(base.resolve()):
        raise InputError(f"{place} leads out of {base}; see what lies there")
    return place


def _refuse(
    config: Config, places: Mapping[str, Path], files: Mapping[str, bytes], *, replace: bool
) -> None:
    if layout_of(files[BRANCH]) > newest(branch_rows.migrations):
        raise InputError("it was made by a newer doorctl; install that one first")
    other = {place for name, place in places.items() if _is_other(place, files[name])}
    if (key := config.secrets.installation_key_file) in other:
        raise InputError(
            f"{key} is another key, by which nothing in the backup is found; move it and the "
            "databases away if they are not needed"
        )
    if other and not replace:
        raise InputError(
            f"{min(other)} is there and is not the backup's; --replace puts the backup in its place"
        )


def _is_other(place: Path, content: bytes) -> bool:
    with owner_of(place.parent):
        if not os.path.lexists(place):
            return False
        status = place.lstat()
        # The directory's owner may have laid a pipe or a device there.
        plain = stat.S_ISREG(status.st_mode) and status.st_size == len(content)
        return not plain or place.read_bytes() != content


def _refuse_damaged(records: Path) -> None:
    with (
        owner_of(records.parent),
        translated(records),
        closing(open_unshared_reader(records)) as database,
    ):
        whole = database.execute("PRAGMA quick_check").fetchone() == ("ok",)
    if not whole:
        raise InputError("its branch.db is damaged; take an older backup")


def _make_databases(config: Config, key_file: Path, undo: ExitStack) -> None:
    """Make empty databases of patrons and visits where there are none."""
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


def _hold(config: Config, held: ExitStack) -> None:
    """Keep door and web out, and bring all that an old branch.db has in its -wal into it."""
    visits, records = config.storage.visits_db, config.storage.branch_db
    with owner_of(visits.parent):
        held.enter_context(WriterLock(visits))
    with owner_of(records.parent), suppress(StoreDamagedError):
        if records.exists():
            writer = held.enter_context(closing(Writer(records, branch_rows.migrations)))
            writer.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _put(new: Path, place: Path) -> None:
    with owner_of(place.parent):
        if place.name == BRANCH:
            for suffix in ("-wal", "-shm"):
                place.with_name(BRANCH + suffix).unlink(missing_ok=True)
        new.replace(place)
        sync_directory(place.parent)
