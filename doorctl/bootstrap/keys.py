"""Takes a new installation key into use after a theft: on the sender, then branch by branch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from doorctl.bootstrap.audit import note_done
from doorctl.bootstrap.rules import branch_db, patrons_db, visits_db
from doorctl.config import Config
from doorctl.errors import AlreadyExistsError, InputError
from doorctl.identity import owner_of
from doorctl.masked import InstallationKey
from doorctl.privacy.audit import Action, Deed
from doorctl.store import branch_rows, patron_rows, visit_rows
from doorctl.store.key_file import create_key, read_key, remove_key, replace_key
from doorctl.store.older_file import Layout
from doorctl.store.overlaying import BRANCH, PATRONS, VISITS, Columns, lay_over
from doorctl.store.sealing import earlier_keys, key_id
from doorctl.store.writer import Writer


def next_key_file(config: Config) -> Path:
    """Return where a new key waits until every branch has it."""
    path = config.secrets.installation_key_file
    return path.with_name(f"{path.name}.next")


def rotate(config: Config, stolen: Collection[str] = ()) -> Path:
    """Make the next installation key and return its file, to be carried to each branch.

    Args:
        config: the sender's, or that of a branch which has no sender.
        stolen: branches whose key is not theirs alone any more.

    Raises:
        InputError: one of these is still among the targets, so it would be sent patrons.
        AlreadyExistsError: a rotation is under way.
        KeyFileError: the key can't be read or written.
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

    The key comes first, and is in force with the one before it: killed wherever it may be, the
    door finds every card, ban and count at its next start, and this goes on where it stopped.

    Args:
        config: the branch's.
        new: the file that `rotate` made, or the installation key itself to go on.

    Returns:
        Whether anything was left to do.

    Raises:
        InputError: it does not follow on this branch's key.
        StoreBusyError: door or web runs; nothing was changed.
        DoorctlError: a key or a database can't be read or written.
    """
    path = config.secrets.installation_key_file
    before, key = read_key(path), read_key(new)
    if not earlier_keys(key) or before not in (key, earlier_keys(key)[0]):
        raise InputError(f"{new} does not follow on {path}; take the file that this rotation made")
    done = lay_over_all(config, key, partial(replace_key, path, new))
    if not done and before == key:
        return False
    note_done(config, Deed(Action.KEY_ADOPTED, details={"key": key_id(key)}))
    if new != path:
        remove_key(new)
    return True


def lay_over_all(
    config: Config, key: InstallationKey, before_first: Callable[[], None] = lambda: None
) -> bool:
    """Rewrite every database for a new key, and tell whether there was anything to do.

    Raises:
        StoreError: one is in use, and nothing was changed; or it failed, and this can be repeated.
    """
    databases: Mapping[Path, tuple[Layout, Columns]] = {
        patrons_db(config): (patron_rows.migrations, PATRONS),
        visits_db(config): (visit_rows.migrations, VISITS),
        branch_db(config): (branch_rows.migrations, BRANCH),
    }
    with ExitStack() as stack:
        writers = []
        for path, (migrations, columns) in databases.items():
            if path.exists():
                # Until it is closed again, last opened first.
                stack.enter_context(owner_of(path.parent))
                writers.append((stack.enter_context(closing(Writer(path, migrations))), columns))
        before_first()
        done = [lay_over(writer, columns, key) for writer, columns in writers]
    return any(done)


def keys_in_use(config: Config) -> tuple[InstallationKey, ...]:
    """Return the keys that a sender serves: the newest, and while branches wait for it the old.

    Raises:
        KeyFileError: one can't be read.
    """
    path = next_key_file(config)
    if not path.exists():
        return (read_key(config.secrets.installation_key_file),)
    new = read_key(path)
    return new, *earlier_keys(new)[:1]


def drop_old_key(config: Config) -> None:
    """End a rotation on the sender: from now on a branch with the old key is sent nothing.

    Raises:
        KeyFileError: it can't be written.
    """
    replace_key(config.secrets.installation_key_file, next_key_file(config))
    remove_key(next_key_file(config))
