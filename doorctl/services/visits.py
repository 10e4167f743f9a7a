"""Builds what a single command needs, runs it once and closes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from doorctl.access.patron import Applied, SealedRow
from doorctl.config import Config
from doorctl.core.errors import AlreadyExistsError, InputError, StoreError
from doorctl.core.identity import owner_of
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.audit import Action, Deed, Details
from doorctl.privacy.retention import visible_since
from doorctl.privacy.statistics import Gathered, gather, period
from doorctl.rpc.control import Question, ask
from doorctl.services.app import (
    App,
    access_policy,
    branch_db,
    by_the_owner,
    flags_weak,
    open_book,
    opened_on,
    patrons_db,
    retention,
    system_clock,
    visits_db,
)
from doorctl.services.explain import Explanation
from doorctl.services.explain import explain as ask_why
from doorctl.services.hours import branch_at
from doorctl.services.numbers import Numbers, TakenAs, keys_of, own_numbers
from doorctl.services.records import note, note_done
from doorctl.services.register import open_register
from doorctl.services.sealing import own_sealer
from doorctl.store.branch import FACTOR_KEY
from doorctl.store.connection import create_private, whole_copy
from doorctl.store.door_log import HourlyHistory, Visit, VisitHistory
from doorctl.store.keys import Seal, seal_on_record
from doorctl.store.patrons import migrations
from doorctl.store.patrons_writer import PatronCacheWriter, open_or_create_patrons
from doorctl.store.records import AuditRecords
from doorctl.store.residue import set_aside_if_damaged
from doorctl.store.subject import StoredErasures
from doorctl.store.visits import open_or_create_visits
from doorctl.sync.document import refuse_odd_name
from doorctl.sync.receive import Loaded, guard, unguarded
from doorctl.sync.receive import load as load_feed

ANSWER_LIMIT_S = 5.0


def zone(config: Config) -> ZoneInfo:
    """Return the branch's time zone."""
    return ZoneInfo(config.branch.time_zone)


def load_patrons(
    config: Config,
    feed: Path,
    *,
    full: bool,
    approved_by: str | None = None,
    on_progress: Callable[[int, int], None],
) -> Loaded:
    """Seal a feed and put it into the cache.

    Raises:
        FeedError: with every wrong row; nothing was changed.
        InputError: the approval names nobody, or nobody vouches for the clock, by which the age of
            the register is counted; nothing was changed.
        DoorctlError: nothing was changed, or only the audit entry is missing: the text says which.
    """
    refuse_odd_name(approved_by)
    sealer = own_sealer(config)
    moment = system_clock(config).moment()
    if not moment.dependable:
        raise InputError(
            f"nobody vouches for this machine's clock, which says {moment.local:%Y-%m-%d %H:%M}: a "
            "register with a wrong date lets nobody in; wait until timedatectl says synchronized, "
            "or, if that time is right, load with --set clock.trust=always"
        )
    loaded = load_feed(
        feed,
        sealer=sealer,
        apply=partial(_apply, config, sealer.seal, full=full, approved=approved_by is not None),
        moment=moment,
        pin_length=config.policy.pin_length,
        minimum_age=config.policy.minimum_age,
        full=full,
        workers=os.cpu_count() or 1,
        on_progress=on_progress,
        flags_weak=flags_weak(config),
    )
    _note_load(config, loaded, full=full, approved_by=approved_by)
    return loaded


def _apply(
    config: Config,
    seal: Seal,
    rows: Iterable[SealedRow],
    applied_at: datetime,
    *,
    full: bool,
    approved: bool,
) -> Applied:
    """Write to the cache; it is opened only here, so that a wrong feed leaves no file."""
    path, push = patrons_db(config), config.web.push
    if full:
        # Only then: nobody is missed.
        set_aside_if_damaged(path, applied_at.astimezone(zone(config)), migrations)
    with (
        closing(StoredErasures(branch_db(config))) as erasures,
        closing(open_or_create_patrons(path, seal, erasures, access_policy(config))) as writer,
    ):
        return writer.apply(
            rows,
            full=full,
            applied_at=applied_at,
            minimum_age=config.policy.minimum_age,
            guard=unguarded if approved else guard(push.max_removed_percent, push.removed_floor),
            approved=approved,
        )


def renumber(config: Config, number: int, why: str = "") -> int:
    """Give the register a lower number and return its old one; first noted on the audit log.

    Pushes of numbers between the two can come again, so give the number of the last true push.

    Raises:
        InputError: the number is not lower; nothing was changed.
        StoreBusyError: the web process runs; nothing was changed.
        StoreError: there is no register, or it can't be written.
    """
    path = patrons_db(config)
    seal = seal_on_record(path)
    if seal is None:
        raise StoreError(f"{path} holds no patrons yet; push them, or load a feed")
    with (
        closing(PatronCacheWriter(path, seal)) as writer,
        closing(AuditRecords(branch_db(config))) as audit,
    ):
        held = max(writer.held().epoch, audit.last_push())
        if number >= held:
            raise InputError(f"push {held} is held; give a lower number")
        # Where only this is done, the number is still too high, and the same can be done again.
        note(App.of(config), Deed(Action.PATRONS_RENUMBERED, why=why, details={"epoch": number}))
        writer.renumber(number)
    return held


def back_up(config: Config, file: Path) -> list[Path]:
    """Copy ``branch.db`` to a new file, 0600 and durable; first noted on the audit log.

    Returns:
        The files to keep beside it: what opens second factors, and what the configuration names.

    Raises:
        AlreadyExistsError: there is a file already; it was not touched.
        StoreError: ``branch.db`` can't be read or noted in, or the copy can't be written.
    """
    content = whole_copy(branch_db(config))
    note(App.of(config), Deed(Action.BACKUP_MADE))
    try:
        with owner_of(file.parent):
            create_private(file, content)
    except StoreError:
        raise
    except FileExistsError:
        raise AlreadyExistsError(f"{file} is there already; nothing was changed") from None
    except OSError as err:
        raise StoreError(f"{file} can't be written: {err.strerror}") from err
    factors = branch_db(config).with_name(FACTOR_KEY)
    return sorted({*_files(config), *([factors] if factors.exists() else [])})


def _files(part: object) -> Iterator[Path]:
    for field in fields(part) if is_dataclass(part) else ():
        value = getattr(part, field.name)
        if field.name.endswith(("_file", "_files")):
            yield from (path for path in _paths(value) if path != Path())
        else:
            yield from _files(value)


def _paths(value: Path | tuple[Path, ...]) -> tuple[Path, ...]:
    return (value,) if isinstance(value, Path) else value


def _note_load(config: Config, loaded: Loaded, *, full: bool, approved_by: str | None) -> None:
    details = {"epoch": loaded.epoch, "patrons": loaded.patrons, "full": int(full)}
    note_done(App.of(config), Deed(Action.PATRONS_LOADED, details=details))
    if approved_by is not None:
        deed = Deed(Action.PUSH_APPROVED, details={"epoch": loaded.epoch})
        note_done(App.of(config), deed, by=approved_by)


def explain(
    app: App,
    typed: str,
    at: datetime | None,
    why: str = "",
    *,
    taken_as: TakenAs | None = None,
    numbers: Numbers | None = None,
    by: str | None = None,
) -> Explanation:
    """Say whether a card would get in, and why not; the look is first noted on the audit log.

    A time without an offset is local. None means now for `at`, each reading for `taken_as`, this
    machine's installation key for `numbers`, and the caller for `by`.

    Raises:
        InputError: it is no card number and no CPR number.
        DoorctlError: a key or a database can't be read, or the look can't be put on record.
    """
    config, clock = app.config, app.clock
    moment = clock.moment()
    if at is not None:
        local = _local(at, config)
        moment = Moment(local, moment.high_water, ClockState.TRUSTED)
    seals = numbers or own_numbers(config)
    readings = seals.readings(typed, taken_as)
    with (
        open_register(config, seals.seal()) as patrons,
        _history(config) as visits,
        open_book(config) as branch,
    ):
        explanation = ask_why(
            readings,
            moment,
            standing=branch_at(config, branch, moment),
            branch=branch,
            policy=access_policy(config),
            opened_on=opened_on(config, clock.moment()),
            patrons=patrons,
            visits=visits,
            clock=clock,
        )
        known = filter(None, (patrons.find(key) for reading in readings for key in reading.keys))
        whose = next((patron.patron_ref for patron in known), None)
    note(app, Deed(Action.PATRON_EXPLAINED, keys_of(readings), whose, why), by)
    return explanation


def unlock(
    app: App,
    typed: str,
    *,
    taken_as: TakenAs | None = None,
    numbers: Numbers | None = None,
    by: str | None = None,
) -> None:
    """Forget a card's failures and its patron's, under each reading; first noted on the audit log.

    Arguments and errors are those of :func:`explain`.
    """
    config = app.config
    readings = (numbers or own_numbers(config)).readings(typed, taken_as)
    note(app, Deed(Action.CARD_UNLOCKED, keys_of(readings)), by)
    for key in chain.from_iterable(reading.keys for reading in readings):
        question = Question("unlock", {"card": key.hex()})
        by_door = partial(ask, config.control.socket, question, timeout_s=ANSWER_LIMIT_S)
        alone = partial(_reset, config, key)
        by_the_owner(by_door, alone, of=config.storage.door_directory)


def list_visits(config: Config, since: datetime | None, why: str = "") -> list[Visit]:
    """Return the visits that may be shown, oldest first; the look is first noted on the audit log.

    A `since` without an offset is local; None means all.

    Raises:
        StoreError: they can't be read, or the look can't be put on record.
    """
    not_before = visible_since(system_clock(config).moment().latest_known, retention(config))
    if since is not None:
        not_before = max(not_before, _local(since, config))
    with _history(config) as history:
        visits = list(history.visits(not_before))
    since_then = not_before.isoformat(timespec="seconds")
    details: Details = {"since": since_then, "visits": len(visits)}
    note(App.of(config), Deed(Action.VISITS_LISTED, why=why, details=details))
    return visits


def statistics(app: App, since: date | None, until: date | None) -> Gathered:
    """Return how much the door is used; it names nobody, so no look goes on the audit log.

    It covers the month or the year that both local days lie in, else all time.

    Raises:
        StoreError: the counts can't be read.
    """
    branch = zone(app.config)
    with closing(HourlyHistory(app.visits_db)) as history:
        return gather(history.hours(*period(since, until, branch)), branch)


def _local(at: datetime, config: Config) -> datetime:
    branch = zone(config)
    return at.replace(tzinfo=branch) if at.tzinfo is None else at.astimezone(branch)


def _reset(config: Config, key: bytes) -> dict[str, Any]:
    with closing(open_or_create_visits(visits_db(config))) as visits:
        with open_register(config) as patrons:
            patron = patrons.find(key)
        visits.reset_card(key, None if patron is None else patron.patron_ref)
    return {}


@contextmanager
def _history(config: Config) -> Iterator[VisitHistory]:
    with closing(VisitHistory(visits_db(config))) as history:
        yield history
