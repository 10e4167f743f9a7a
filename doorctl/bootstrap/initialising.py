"""Makes a new installation: its key and its empty databases, or nothing of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from doorctl.bootstrap.keys import lay_over_all
from doorctl.bootstrap.rules import branch_db, patrons_db, system_clock, visits_db
from doorctl.bootstrap.sealing import own_sealer
from doorctl.config import Config
from doorctl.errors import AlreadyExistsError, StoreError
from doorctl.identity import owner_of
from doorctl.store.branch_writer import create_branch, open_or_create_branch
from doorctl.store.key_file import create_key, read_key
from doorctl.store.patrons_writer import create_patrons
from doorctl.store.visits import create_visits


@dataclass(frozen=True, slots=True)
class Initialised:
    """What :func:`initialise` made, and what it kept: a key that another branch has too."""

    made: tuple[Path, ...]
    kept: tuple[Path, ...]


def initialise(config: Config) -> Initialised:
    """Make the installation key, unless there is one, and the empty databases.

    Raises:
        AlreadyExistsError: one of the databases is there; nothing was changed.
        DoorctlError: one can't be made, or the key can't be used; no file was left.
    """
    key = config.secrets.installation_key_file
    patrons, visits, branch = patrons_db(config), visits_db(config), branch_db(config)
    for path in (patrons, visits, branch):
        if path.exists():
            raise AlreadyExistsError(f"{path} is there already; nothing was changed")
    _make_directory(config.storage.directory)
    with owner_of(visits.parent):
        _make_directory(visits.parent)
    with owner_of(key.parent):
        _make_directory(key.parent)
        kept = (key,) if key.exists() else ()
    with ExitStack() as undo:
        if not kept:
            create_key(key)
            undo.callback(_remove_key, key)
        sealer = own_sealer(config)
        seal = sealer.seal
        _create(patrons, partial(create_patrons, seal=seal))
        undo.callback(_remove, patrons)
        _create(visits, create_visits)
        undo.callback(_remove, visits)
        _create(branch, _create_branch)
        undo.callback(_remove_branch, branch)
        if sealer.earlier:
            # No later call takes what these are to hold for something of an earlier key.
            lay_over_all(config, read_key(key))
        _store_holidays(config, branch)
        undo.pop_all()
    made = (patrons, visits, branch)
    return Initialised(made if kept else (key, *made), kept)


def _create(database: Path, create: Callable[[Path], None]) -> None:
    try:
        with owner_of(database.parent):
            create(database)
    except AlreadyExistsError:
        raise  # Made meanwhile, by somebody else.
    except BaseException:
        _remove(database)
        raise


def _create_branch(database: Path) -> None:
    try:
        create_branch(database)
    except AlreadyExistsError:
        raise  # Its lock is somebody else's.
    except BaseException:
        _remove_branch(database)
        raise


def _remove_branch(database: Path) -> None:
    # A lock that is left alone would say that bans were lost.
    for path in (database, database.with_name(f"{database.name}.lock")):
        with suppress(OSError):
            path.unlink()


def _store_holidays(config: Config, branch: Path) -> None:
    if config.opening.holidays == "ignore":
        return
    from doorctl.bootstrap.rounds import store_holidays  # noqa: PLC0415 - loads what `init` alone needs

    with closing(open_or_create_branch(branch)) as writer:
        store_holidays(config, writer, system_clock(config).moment())


def _remove_key(key: Path) -> None:
    with owner_of(key.parent), suppress(OSError):
        key.unlink()


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with owner_of(path.parent), suppress(OSError):
            path.with_name(f"{path.name}{suffix}").unlink()


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise StoreError(f"{directory} can't be made: {err.strerror}") from err
