"""Makes a sender's keys and outbox, and ends a rotation of keys."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from doorctl.admin.installation import make_directory
from doorctl.admin.keys import drop_old_key, keys_in_use, next_key_file
from doorctl.config import Config
from doorctl.config.tables import Sync
from doorctl.core.errors import (
    AlreadyExistsError,
    KeyFileError,
)
from doorctl.core.identity import owner_of
from doorctl.core.ports import Clock
from doorctl.store.connection import changing, sync_directory
from doorctl.store.keys import create_key, remove_key
from doorctl.store.outbox import open_or_create_outbox
from doorctl.store.sealer import key_id
from doorctl.store.signing_keys import create_signing_key
from doorctl.sync.delivery import Delivery, Result
from doorctl.wiring.outbox import OUTBOX, Wishes, sender_table
from doorctl.wiring.sync import push


def initialise(config: Config) -> list[Path]:
    """Make what a sender needs and return the paths that were made.

    The installation key is made only where it is missing: it may come from a branch that has one.
    Raises AlreadyExistsError: the signing key or the outbox is there; nothing was changed.
    DoorctlError: one can't be made.
    """
    sync = sender_table(config)
    private, public = sync.signing_key_file, public_key_file(sync)
    outbox, key = sync.state_directory / OUTBOX, config.secrets.installation_key_file
    for path in (private, public, outbox):
        if path.exists():
            raise AlreadyExistsError(f"{path} is there already; nothing was changed")
    for directory in (sync.state_directory, private.parent, key.parent):
        with owner_of(directory):
            make_directory(directory)
    made = [private, public, outbox]
    if not key.exists():
        create_key(key)
        made.append(key)
    create_signing_key(private, public)
    open_or_create_outbox(outbox).close()
    return made


def public_key_file(sync: Sync) -> Path:
    """Return the path of the public key, which every branch needs."""
    return sync.signing_key_file.with_suffix(".pub")


def rotate_signing_key(config: Config, clock: Clock) -> tuple[Path, list[str] | None]:
    """Make the next signing key; called again, take it into use once every branch believes it.

    Returns its public half's file, and None where it was made now, else why branches do not: each
    is sent a rehearsal that it signs. The old key is gone then; killed before, the same call goes
    on. Raises as :func:`push`.
    """
    sync = sender_table(config)
    old, public = sync.signing_key_file, public_key_file(sync)
    new = old.with_stem(f"{old.stem}-next")
    if not new.exists():
        # Of a pair that a kill has left half.
        remove_key(new.with_suffix(".pub"))
        create_signing_key(new, new.with_suffix(".pub"))
        return new.with_suffix(".pub"), None
    trial = replace(config, sync=replace(sync, signing_key_file=new))
    _, deliveries = push(trial, Wishes(full=True, dry_run=True), clock)
    waiting = [f"{d.branch}: {d.why}" for d in deliveries if d.result is Result.FAILED]
    if not waiting:
        with changing(old, error=KeyFileError):
            # The sender's own user may be the only one who can read it.
            os.chown(new, old.stat().st_uid, old.stat().st_gid)
            with suppress(FileNotFoundError):
                new.with_suffix(".pub").replace(public)
            new.replace(old)
            sync_directory(old.parent)
    return public, waiting


def end_rotation(config: Config, deliveries: Sequence[Delivery]) -> list[str] | None:
    """Drop the old key once every branch holds a push that was sealed with the new one.

    Returns the branches that still lack one; None where no rotation is under way. Raises
    KeyFileError: a key can't be read or written.
    """
    if not next_key_file(config).exists():
        return None
    new = key_id(keys_in_use(config)[0])
    waiting = [each.branch for each in deliveries if not each.up_to_date or each.key_id != new]
    if not waiting:
        drop_old_key(config)
    return sorted(waiting)
