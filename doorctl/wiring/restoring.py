"""Puts a backup back: all of it, or nothing."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

from doorctl.config import Config, load
from doorctl.core.errors import ConfigError, DoorctlError, InputError, StoreDamagedError, StoreError
from doorctl.core.identity import owner_of, shared_in
from doorctl.privacy.audit import Action, Deed
from doorctl.services.app import App
from doorctl.services.backups import BESIDE, BRANCH, CONFIG, UNITS, Manifest, Part, layout_of
from doorctl.services.branch import note_done
from doorctl.store import branch as branch_rows
from doorctl.store.connection import (
    Writer,
    WriterLock,
    create_private,
    open_unshared_reader,
    sync_directory,
    translated,
)
from doorctl.store.keys import ArgonSealer, earlier_keys, read_key
from doorctl.store.patrons_writer import create_patrons
from doorctl.store.tables import newest
from doorctl.store.visits import create_visits
from doorctl.wiring.installation import create_or_undo, lay_over_all, make_directory, remove

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
    key = read_key(key_file)
    sealer = ArgonSealer(key, config.seal.memory_kib, config.seal.iterations)
    patrons, visits = config.storage.patrons_db, config.storage.visits_db
    make_directory(visits.parent)
    create_cache = partial(create_patrons, seal=sealer.seal)
    for path, create in ((patrons, create_cache), (visits, create_visits)):
        if not path.exists():
            create_or_undo(path, create, undo)
    if earlier_keys(key):
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
