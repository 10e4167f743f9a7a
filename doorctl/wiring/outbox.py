"""What one run of the sender is given: its options, its table of the configuration, its outbox."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from doorctl.admin.installation import make_directory
from doorctl.config import Config
from doorctl.config.tables import Sync
from doorctl.core.errors import (
    ConfigError,
    InputError,
    Problem,
)
from doorctl.store.connection import copy_commit
from doorctl.store.outbox import OutboxStore, open_or_create_outbox

OUTBOX = "outbox.db"


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of one run; `full` sends every branch all rows.

    A `dry_run` seals and compares, but sends and remembers nothing. `approved_by` approves of the
    run whatever a branch's guard says. The audit logs of `audit_confirmed` are right as they are.
    """

    full: bool = False
    dry_run: bool = False
    approved_by: str | None = None
    audit_confirmed: Sequence[str] = ()


@contextmanager
def opened_outbox(sync: Sync, wishes: Wishes) -> Iterator[OutboxStore]:
    """Open the outbox for one run: a copy of it for a dry run; raises as the store."""
    path = sync.state_directory / OUTBOX
    with ExitStack() as stack:
        if wishes.dry_run:
            copy = Path(stack.enter_context(tempfile.TemporaryDirectory()), OUTBOX)
            if path.exists():
                copy_commit(path, copy)
            opened = open_or_create_outbox(copy)
        else:
            make_directory(sync.state_directory)
            opened = open_or_create_outbox(path)
        outbox = stack.enter_context(closing(opened))
        _confirm(sync, outbox, wishes.audit_confirmed)
        yield outbox


def _confirm(sync: Sync, outbox: OutboxStore, branches: Sequence[str]) -> None:
    known = outbox.audit_lost().keys() | {target.branch for target in sync.targets}
    for branch in branches:
        if branch not in known:
            there = ", ".join(sorted(known))
            raise InputError(f"no branch is called {branch}; there are {there}; nothing was sent")
    outbox.confirm_audit(branches)


def sender_table(config: Config) -> Sync:
    """Return the table [sync]; raises ConfigError on a machine that is no sender."""
    if config.sync is None:
        what = "missing; this machine is no sender until there is one, see config/sync.toml"
        raise ConfigError("configuration", [Problem("[sync]", what)])
    return config.sync
