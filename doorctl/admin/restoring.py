"""A backup put back: all of it, or nothing.

The public key is enough to make a backup, so it is not believed: each name in it has one place, and
that is neither another's nor one of the databases'. What was checked is what is put there.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from secrets import token_hex

from doorctl.admin.backup import (
    BESIDE,
    BRANCH,
    CONFIG,
    UNITS,
    Manifest,
    Part,
    is_among_databases,
    layout_of,
)
from doorctl.admin.installation import make_databases, remove
from doorctl.config import Config, load
from doorctl.core.errors import (
    ConfigError,
    DoorctlError,
    InputError,
    StoreDamagedError,
    StoreError,
)
from doorctl.core.identity import owner_of, shared_in
from doorctl.lookup.app import App
from doorctl.privacy.audit import Action, Deed
from doorctl.services.branch import note_done
from doorctl.store import branch_rows
from doorctl.store.connection import (
    create_private,
    open_unshared_reader,
    opened,
    sync_directory,
    translated,
)
from doorctl.store.kept import STRANGE
from doorctl.store.layout import newest
from doorctl.store.writer import Writer, WriterLock

READABLE = 0o644
"""The most that the mode of a file beside the configuration may allow."""

STAGED, OLD = ".restored", ".replaced"
"""Ends of names: of a file that waits for its own, and of what had that until all is put back."""


def put_back(
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
    config = _read(manifest, files[CONFIG], config_path)
    places = {name: _place(name, config, config_path) for name in files}
    with ExitStack() as undo:
        try:
            new = _stage(manifest, files, places, config, undo, replace=replace)
            key_file = config.secrets.installation_key_file
            keys = [new[name] for name, place in places.items() if place == key_file]
            make_databases(config, [*keys, key_file][0], undo)
            held = undo.enter_context(ExitStack())
            _hold(config, held)
            olds = _install(new, places, files, undo)
        except DoorctlError:
            raise
        except OSError as err:
            raise StoreError(f"{err.filename} can't be written: {err.strerror}") from err
        undo.pop_all()
        held.close()
    for old in olds:
        remove(old)
    with owner_of(config.storage.directory):
        when = f"{manifest.made:%Y-%m-%d %H:%M}"
        note_done(App.of(config), Deed(Action.BACKUP_RESTORED, details={"made": when}))
    return config


def _read(manifest: Manifest, written: bytes, config_path: Path) -> Config:
    try:
        config = load(config_path, written=written)
    except ConfigError as err:
        raise InputError(f"its configuration can't be used here: {err.problems[0]}") from None
    if config.branch.id != manifest.branch:
        raise InputError(
            f"it says that it is of branch {manifest.branch}, and its configuration is of branch "
            f"{config.branch.id}; no `doorctl backup` has made it"
        )
    with suppress(ConfigError):
        here = load(config_path).branch.id
        if here != manifest.branch:
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
    return base / name.removeprefix(BESIDE)


def _refuse_shared(config: Config, places: Mapping[str, Path]) -> None:
    """Refuse two names that lead to one place or below one another, and what leads elsewhere."""
    taken: dict[str, str] = {}
    for name, place in places.items():
        folder = _leads_to(name, place, config)
        for end in ("", STAGED, f"{STAGED}.new", OLD):
            other = taken.setdefault(f"{folder / place.name}{end}", name)
            if other != name:
                raise InputError(f"{other} and {name} in it lead to one place, {place}")
    for name, place in places.items():
        for folder in _real(place).parents:
            if other := taken.get(str(folder), ""):
                raise InputError(f"{name} in it leads to {place}, below {other}")


def _leads_to(name: str, place: Path, config: Config) -> Path:
    """Return the real folder of a place that a file of this name may have; InputError."""
    base, folder = config.origin.path.parent, _real(place).parent
    if name.startswith((BESIDE, UNITS)):
        if not folder.is_relative_to(os.path.realpath(base)):
            raise InputError(f"{place} leads out of {base}; see what lies there")
        if is_among_databases(config, place):
            raise InputError(f"{name} in it leads to {place}, where the databases are")
    with owner_of(place.parent):
        if place.is_dir() and not place.is_symlink():
            raise InputError(f"{place} is a folder here, and a file in the backup; move it away")
    return folder


def _real(place: Path) -> Path:
    """Return a place without the links on the way to it; it may be one itself."""
    return Path(os.path.realpath(place.parent), place.name)


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
        # The directory's owner may have laid a pipe or a device there.
        return not stat.S_ISREG(place.lstat().st_mode) or not _holds(place, content)


def _holds(file: Path, content: bytes) -> bool:
    """Tell whether a file, and no link to one, holds exactly this; FileNotFoundError."""
    with opened(file, os.O_NONBLOCK | os.O_NOFOLLOW) as descriptor:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != len(content):
            return False
        with open(descriptor, "rb", closefd=False) as whole:
            return whole.read(len(content) + 1) == content


def _make_folder(folder: Path, mode: int, undo: ExitStack) -> None:
    """Make a folder and those above it; `undo` removes those that were not there."""
    with owner_of(folder):
        for each in reversed((folder, *folder.parents)):
            if not each.exists():
                each.mkdir(mode if each == folder else 0o755)
                undo.callback(_remove_empty, each)


def _remove_empty(folder: Path) -> None:
    with owner_of(folder.parent), suppress(OSError):
        folder.rmdir()


def _stage(
    manifest: Manifest,
    files: Mapping[str, bytes],
    places: Mapping[str, Path],
    config: Config,
    undo: ExitStack,
    *,
    replace: bool,
) -> dict[str, Path]:
    """Write every file beside its place, once nothing speaks against it; `undo` removes all."""
    # First, for paths may lead through it and out again.
    _make_folder(places[CONFIG].parent, 0o700, undo)
    _refuse_shared(config, places)
    _refuse(config, places, files, replace=replace)
    for folder in (config.storage.directory, config.storage.door_directory):
        _make_folder(folder, 0o700, undo)
    new = {
        name: _staged(name, places[name], content, manifest.files[name], undo)
        for name, content in files.items()
    }
    _refuse_damaged(new[BRANCH])
    return new


def _staged(name: str, place: Path, content: bytes, part: Part, undo: ExitStack) -> Path:
    """Write a file beside its place, with its mode and owner; `undo` removes it."""
    new = place.with_name(f"{place.name}{STAGED}")
    _make_folder(place.parent, 0o755, undo)
    with owner_of(place.parent):
        _free(new)
        _free(new.with_name(f"{new.name}.new"))
        create_private(new, content)
        undo.callback(remove, new)
        if not name.startswith((BESIDE, UNITS)):
            new.chmod(READABLE if name == CONFIG else _mode_of_database(place))
            return new
        new.chmod(part.mode & READABLE)
        if part.written_s:
            # A key's age is told by it.
            os.utime(new, (part.written_s, part.written_s))
        with suppress(LookupError):
            if part.owner and os.geteuid() == 0:
                shutil.chown(new, part.owner)
    return new


def _free(path: Path) -> None:
    """Have nothing at a name on the way: a file goes, a folder of another hand is renamed."""
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"{path.name}{STRANGE}{token_hex(4)}"))
    else:
        path.unlink(missing_ok=True)


def _mode_of_database(place: Path) -> int:
    return shared_in(place.parent) & ~0o020 if place.suffix == ".db" else 0o600


def _refuse_damaged(records: Path) -> None:
    with (
        owner_of(records.parent),
        translated(records),
        closing(open_unshared_reader(records)) as database,
    ):
        whole = database.execute("PRAGMA quick_check").fetchone() == ("ok",)
    if not whole:
        raise InputError("its branch.db is damaged; take an older backup")


def _hold(config: Config, held: ExitStack) -> None:
    """Keep door and web out, and bring all that an old branch.db has in its -wal into it."""
    visits, records = config.storage.visits_db, config.storage.branch_db
    with owner_of(visits.parent):
        held.enter_context(WriterLock(visits))
    with owner_of(records.parent), suppress(StoreDamagedError):
        if records.is_file():
            writer = held.enter_context(closing(Writer(records, branch_rows.migrations)))
            writer.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _install(
    new: Mapping[str, Path], places: Mapping[str, Path], files: Mapping[str, bytes], undo: ExitStack
) -> list[Path]:
    """Give each staged file its name, the configuration last; `undo` gives the old ones back.

    Returns where the old ones are until then. What has its name is compared with what was checked:
    another process may own the folder, and have changed what waited there.
    """
    olds = []
    for name in sorted(new, key=CONFIG.__eq__):
        place = places[name]
        with owner_of(place.parent):
            olds.append(_kept_aside(place, undo))
            if name == BRANCH:
                for suffix in ("-wal", "-shm"):
                    companion = place.with_name(BRANCH + suffix)
                    olds.append(_kept_aside(companion, undo))
                    companion.unlink(missing_ok=True)
            new[name].replace(place)
            sync_directory(place.parent)
            if not _holds(place, files[name]):
                raise StoreError(f"another process changes {place} meanwhile; stop it first")
    return olds


def _kept_aside(place: Path, undo: ExitStack) -> Path:
    """Give what is at a place, if anything, a second name, and return that."""
    old = place.with_name(f"{place.name}{OLD}")
    _free(old)
    is_there = os.path.lexists(place)
    undo.callback(_give_back, place, old, is_there=is_there)
    if is_there:
        try:
            os.link(place, old, follow_symlinks=False)
        except PermissionError:
            # A file system without second names, or another user's file.
            place.rename(old)
    return old


def _give_back(place: Path, old: Path, *, is_there: bool) -> None:
    """Let a place have what was there before, or nothing. Raises StoreError: it can't be."""
    try:
        with owner_of(place.parent):
            if not is_there:
                place.unlink(missing_ok=True)
            elif os.path.lexists(old):
                if not os.path.lexists(place) or not os.path.samestat(old.lstat(), place.lstat()):
                    old.replace(place)
                # Two names of one file, of which the first never went.
                old.unlink(missing_ok=True)
            sync_directory(place.parent)
    except OSError as err:
        what = f"{place} can't be given back what it held"
        raise StoreError(f"{what}, which is {old} now: {err.strerror}") from err
