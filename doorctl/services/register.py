"""The patron register as services read, load and renumber it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from doorctl.access.patron import Applied, SealedRow
from doorctl.core.errors import DoorctlError, InputError, StoreError
from doorctl.core.ports import Seal
from doorctl.lookup.app import App
from doorctl.lookup.numbers import Numbers, OwnNumbers, own_sealer
from doorctl.privacy.audit import Action, Deed
from doorctl.services.branch import note, note_done
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import (
    PatronCacheWriter,
    open_or_create_patrons,
    open_or_renew_patrons,
)
from doorctl.store.records import AuditRecords
from doorctl.store.sealer import seal_on_record
from doorctl.store.subject import SubjectReader
from doorctl.store.tombstones import StoredErasures
from doorctl.sync.document import refuse_odd_name
from doorctl.sync.feed import RowsOf, read_feed, refuse_bare, refuse_nobody
from doorctl.sync.guard import guard, unguarded
from doorctl.sync.sealing import Sealing, seal_rows
from doorctl.sync.wire import decode_row, encode


@contextmanager
def open_register(app: App, seal: Seal | None = None) -> Iterator[PatronCache]:
    """Open the patron register to read it, which needs no key.

    `seal` is that of the numbers to be looked up; None takes the register's, where none is looked
    up. Raises StoreError: it is missing, empty, sealed otherwise or can't be read.
    """
    with closing(PatronCache(app.storage.patrons_db, seal or _seal_on_record(app))) as cache:
        yield cache


def _seal_on_record(app: App) -> Seal:
    path = app.storage.patrons_db
    seal = seal_on_record(path)
    if seal is None:
        raise StoreError(f"{path} holds no patrons yet; push them, or load a feed")
    return seal


def cards_of(app: App, patron_ref: str) -> list[bytes]:
    """Return the row keys of a patron's cards; none where the register can't be read."""
    with suppress(StoreError), closing(SubjectReader(app.storage.patrons_db)) as register:
        return sorted(register.cards(patron_ref))
    return []


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did; `left_out` counts identifiers of types that no reader reads."""

    epoch: int
    patrons: int
    identifiers: int
    left_out: int
    removed: int


def load_patrons(
    app: App,
    feed: Path,
    *,
    full: bool,
    approved_by: str | None = None,
    rows_of: RowsOf | None = None,
    on_progress: Callable[[int, int], None],
) -> Loaded:
    """Seal a feed, of another kind if `rows_of` reads it, and put it into the cache.

    Raises FeedError: with every wrong row; nothing was changed. InputError: the approval names
    nobody, or nobody vouches for the clock; nothing was changed. DoorctlError: nothing was changed,
    or only the audit entry is missing: the text says which.
    """
    refuse_odd_name(approved_by)
    config, sealer, moment = app.config, own_sealer(app.config), app.clock.moment()
    if not moment.dependable:
        raise InputError(
            f"nobody vouches for this machine's clock, which says {moment.local:%Y-%m-%d %H:%M}: a "
            "register with a wrong date lets nobody in; wait until timedatectl says synchronized, "
            "or, if that time is right, load with --set clock.trust=always"
        )
    patrons = read_feed(feed, pin_length=config.policy.pin_length, rows_of=rows_of)
    (refuse_nobody if full else refuse_bare)(feed.name, patrons)
    sealing = Sealing(
        sealer=sealer,
        minimum_age=config.policy.minimum_age,
        on=moment.latest_known.date(),
        workers=os.cpu_count() or 1,
        on_progress=on_progress,
        flags_weak=config.policy.flags_weak,
    )
    approved = approved_by is not None
    with _kept(seal_rows(patrons, sealing), app.storage.patrons_db.parent) as (identifiers, rows):
        applied = _apply(app, sealer.seal, rows, moment.local, full=full, approved=approved)
    details = {"epoch": applied.epoch, "patrons": len(patrons), "full": int(full)}
    note_done(app, Deed(Action.PATRONS_LOADED, details=details))
    if approved_by is not None:
        approval = Deed(Action.PUSH_APPROVED, details={"epoch": applied.epoch})
        note_done(app.acting(approved_by), approval)
    left_out = sum(patron.left_out for patron in patrons)
    return Loaded(applied.epoch, len(patrons), identifiers, left_out, applied.removed)


@contextmanager
def _kept(rows: Iterable[SealedRow], directory: Path) -> Iterator[tuple[int, Iterator[SealedRow]]]:
    """Keep sealed rows in a file without a name, for a town is too much to hold; yield them again.

    Beside them their number.
    """
    with ExitStack() as stack:
        count = 0
        try:
            file = stack.enter_context(tempfile.TemporaryFile(dir=directory))
            for row in rows:
                file.write(encode(row))
                count += 1
            file.seek(0)
        except DoorctlError:
            raise
        except OSError as err:
            what = f"the sealed rows can't be written: {err.strerror}; make room in {directory}"
            raise StoreError(what) from err
        yield count, map(decode_row, file)


def _apply(
    app: App,
    seal: Seal,
    rows: Iterable[SealedRow],
    applied_at: datetime,
    *,
    full: bool,
    approved: bool,
) -> Applied:
    """Write to the cache; it is opened only here, so that a wrong feed leaves no file.

    Nor is it locked for the hour that sealing a town takes.
    """
    config, path = app.config, app.storage.patrons_db
    push = config.web.push
    with closing(StoredErasures(app.storage.branch_db)) as erasures:
        cache = (seal, erasures, config.policy)
        if full:
            # Only then, so that no patron is missed.
            writer, _ = open_or_renew_patrons(path, applied_at, *cache)
        else:
            writer = open_or_create_patrons(path, *cache)
        with closing(writer):
            return writer.apply(
                rows,
                full=full,
                applied_at=applied_at,
                minimum_age=config.policy.minimum_age,
                guard=unguarded
                if approved
                else guard(push.max_removed_percent, push.removed_floor),
                approved=approved,
            )


def renumber(app: App, number: int, why: str = "") -> int:
    """Give the register a lower number and return its old one; first noted on the audit log.

    Pushes of numbers between the two can come again, so give the number of the last true push.
    Raises InputError: the number is not lower; nothing was changed. StoreBusyError: the web process
    runs; nothing was changed. StoreError: there is no register, or it can't be written.
    """
    with (
        closing(PatronCacheWriter(app.storage.patrons_db, _seal_on_record(app))) as writer,
        closing(AuditRecords(app.storage.branch_db)) as audit,
    ):
        held = max(writer.held().epoch, audit.last_push())
        if number >= held:
            raise InputError(f"push {held} is held; give a lower number")
        # Where only this is done, the number is still too high, and the same can be done again.
        note(app, Deed(Action.PATRONS_RENUMBERED, why=why, details={"epoch": number}))
        writer.renumber(number)
    return held


def numbers_of(app: App) -> Numbers:
    """Return the app's own; else what seals by this machine's key, KeyFileError without it."""
    return app.numbers or OwnNumbers(own_sealer(app.config))
