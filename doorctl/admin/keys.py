"""An installation key is made, carried to each branch, taken into use and dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from doorctl.config import Config
from doorctl.core.errors import (
    AlreadyExistsError,
    InputError,
)
from doorctl.core.identity import owner_of
from doorctl.core.masked import InstallationKey
from doorctl.lookup.app import App
from doorctl.privacy.audit import KEY, Action, Deed
from doorctl.services.branch import note_done
from doorctl.store import branch_rows, door_log
from doorctl.store import patrons as patron_rows
from doorctl.store.keys import create_key, put, read_key, remove_key
from doorctl.store.layout import Layout
from doorctl.store.sealer import earlier_keys, key_id, lay_over
from doorctl.store.writer import Writer


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
    done = lay_over_all(config, key, partial(put, path, key.reveal()))
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
    """Return a sender's keys: the newest, and the old while one waits; KeyFileError."""
    path = next_key_file(config)
    if not path.exists():
        return (read_key(config.secrets.installation_key_file),)
    new = read_key(path)
    return new, *earlier_keys(new)[:1]


def drop_old_key(config: Config) -> None:
    """End a rotation on the sender: a branch with the old key is sent nothing; KeyFileError."""
    new = next_key_file(config)
    put(config.secrets.installation_key_file, read_key(new).reveal())
    remove_key(new)
