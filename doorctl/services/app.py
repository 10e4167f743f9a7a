"""From the configuration's values to what both processes go by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import TypeVar

import msgspec

from doorctl.access.policy import Policy, WeakPin
from doorctl.config import Config, reload
from doorctl.core.errors import (
    ConfigError,
    NotAnsweringError,
    StoreBusyError,
    StoreError,
    StuckError,
)
from doorctl.core.identity import owner_of
from doorctl.core.moments import Moment
from doorctl.ops.clock import BUILD_FLOOR, SystemClock
from doorctl.ports import CacheStamp, EventLog
from doorctl.store.branch import BranchRecords
from doorctl.store.connection import create_private
from doorctl.store.door_log import VisitHistory
from doorctl.store.keys import ArgonSealer, Seal, read_key, seal_on_record
from doorctl.store.patrons import PatronCache
from doorctl.store.subject import SubjectReader
from doorctl.store.visit_rows import HourlyHistory

ROAD_S = 0.5
"""What the way through the web process may add to the library system's own limit."""

UNTOLD = frozenset({"alarms", "lms", "outputs", "secrets", "signin", "sync"})
"""Tables that name accounts, people, commands and addresses with a secret in them: of these it is
told which key was changed, and kept what its value hashes to."""

BACK_S = 0.25
"""How much sooner the door gives up on a web process that hangs than on the attempt.

Its silence has to be heard while it counts: told after the attempt's deadline, a right PIN that
nobody compared would stay charged as a wrong one.
"""


def patrons_db(config: Config) -> Path:
    """Return where the patron cache is."""
    return config.storage.directory / "patrons.db"


def visits_db(config: Config) -> Path:
    """Return where the door log is."""
    return config.storage.door_directory / "visits.db"


def branch_db(config: Config) -> Path:
    """Return where bans, passes and hours are."""
    return config.storage.directory / "branch.db"


def ask_s(config: Config) -> float | None:
    """Return how long an answer may take to reach the door; None where nobody is asked."""
    return config.lms.timeout_s + ROAD_S if config.lms.wanted else None


def web_answers_s(config: Config) -> float:
    """Return how long the web process may take to tell the library system's answer."""
    return config.lms.timeout_s + ROAD_S - BACK_S


def access_policy(config: Config) -> Policy:
    """Return the rules of the decision."""
    policy = config.policy
    return Policy(
        require_pin=policy.require_pin,
        require_resident=policy.require_resident,
        deny_blocks=frozenset(policy.deny_blocks),
        deny_other_blocks=policy.deny_other_blocks,
        minimum_age=policy.minimum_age,
        max_cache_age=timedelta(hours=policy.max_cache_age_h),
        branch=config.branch.id,
        duress=policy.duress,
        weak_pin=WeakPin(policy.weak_pin),
        first_card=frozenset(policy.first_card),
    )


def opened_on(config: Config, moment: Moment) -> date | None:
    """Return when `policy.first_card` was heeded last; None where nobody knows, or it is unset."""
    if config.policy.first_card:
        with suppress(StoreError), closing(HourlyHistory(visits_db(config))) as history:
            return history.opened_on(moment)
    return None


def flags_weak(config: Config) -> bool:
    """Return whether rows that are sealed say which PINs are too easy to guess."""
    return access_policy(config).weak_pin is not WeakPin.ALLOW


def work_directory(config: Config, environment: Mapping[str, str]) -> Path:
    """Return where a driver may leave its own files: systemd's runtime directory, if any."""
    return Path(environment.get("RUNTIME_DIRECTORY") or config.storage.door_directory)


def retention(config: Config) -> timedelta:
    """Return how long visits are kept."""
    return timedelta(days=config.visits.retention_days)


def system_clock(config: Config, *, wary: bool = False) -> SystemClock:
    """Return this machine's clock, which never undercuts the highest trusted time on record.

    Door and web, which go on for long, are `wary`: see :class:`~doorctl.ops.clock.SystemClock`.
    """
    try:
        history = VisitHistory(visits_db(config))
        try:
            high_water = history.high_water() or BUILD_FLOOR
        finally:
            history.close()
    except StoreError:
        high_water = BUILD_FLOOR
    return SystemClock(config.branch.time_zone, config.clock.trust, high_water, wary=wary)


def read_again(
    running: Config, environment: Mapping[str, str], log: EventLog
) -> tuple[Config, str] | None:
    """Return what may be taken of a changed file, and which keys that is; None if it is wrong.

    What is wrong, or needs a restart, is told in one `config` line.

    Args:
        running: what the process goes by.
        environment: as at its start.
        log: takes the line.
    """
    try:
        config, taken, others = reload(running, environment)
    except ConfigError as err:
        why = "; ".join(map(str, err.problems))
        log.emit("config", state="refused", why=f"nothing was changed: {why}")
        return None
    if others:
        log.emit("config", state="restart_needed", why=", ".join(others))
    return config, ", ".join(taken)


def tell_taken(taken: str, log: EventLog) -> None:
    """Tell which keys are in force now that were not before."""
    log.emit("config", state="taken", why=taken or "nothing has changed that needs no restart")


def tell_changes(config: Config, path: Path, log: EventLog) -> None:
    """Tell what a process begins by that it did not begin by the last time, one line a key.

    Nothing is told at the first start, nor where it can't be read what the last one was; what
    can't be written is told again.

    Args:
        config: what it begins by.
        path: where each process keeps that, in its own directory.
        log: takes `config` lines.
    """
    now = {name: _told(name, value) for name, value in config.origin.values.items()}
    try:
        before = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        before = None
    last = now if before is None else before
    for name in [one for one in {**last, **now} if last.get(one) != now.get(one)]:
        old, new = (one.get(name, "absent") for one in (last, now))
        values = "" if name.partition(".")[0] in UNTOLD else f": {new}, it was {old}"
        log.emit("config", state="changed", why=f"{name}{values}")
    new_file = path.with_name(f"{path.name}.new")
    with suppress(OSError):
        if before != now:
            new_file.unlink(missing_ok=True)
            create_private(new_file, msgspec.json.encode(now))
            new_file.replace(path)


def _told(name: str, value: object) -> str:
    written = msgspec.json.encode(value, enc_hook=str)
    if name.partition(".")[0] in UNTOLD:
        return sha256(written).hexdigest()
    return written.decode()


def outdated(stamp: CacheStamp, config: Config) -> str | None:
    """Return what is to be done where the cache was sealed for another age limit, or None."""
    if not stamp.epoch or stamp.minimum_age == config.policy.minimum_age:
        return None
    return (
        f"patrons were sealed for a minimum age of {stamp.minimum_age}; "
        "load the full feed again to apply policy.minimum_age"
    )


@contextmanager
def open_book(config: Config) -> Iterator[BranchRecords]:
    """Open ``branch.db`` to read it, whoever writes it; nothing is made where there is none."""
    with closing(BranchRecords(branch_db(config))) as book:
        yield book


# Has a database changed by the process that owns it, and owns it while none does.

LIMIT_S = 5.0
"""Longest wait for another command; it takes milliseconds, only a load or a purge takes longer."""

LOOK_S = 0.05

ResultT = TypeVar("ResultT")


def by_the_owner(
    asked: Callable[[], ResultT],
    alone: Callable[[], ResultT],
    *,
    absent: type[NotAnsweringError] = NotAnsweringError,
    of: Path | None = None,
    limit_s: float = LIMIT_S,
) -> ResultT:
    """Ask the owner; do it here while it is not running, once other commands are done.

    Where the owner runs but takes no questions, its lock refuses us, with one clear line.

    Args:
        asked: asks the owner.
        alone: opens the database as its writer and does it here; from its first line on, it may
            be called again where somebody else is the writer.
        absent: what `asked` raises where it may be done here.
        of: the database's directory, where the caller may not be its owner yet: root's commands
            become that one while they do it here.
        limit_s: seconds from the call on, after which somebody else's lock is not awaited.

    Raises:
        StoreBusyError: somebody else is the writer, and stays it.
        BaseException: whatever else the two raise.
    """
    end_s = perf_counter() + limit_s
    while True:
        try:
            return asked()
        except absent:
            pass
        try:
            with nullcontext() if of is None else owner_of(of):
                return alone()
        except StoreBusyError:
            if perf_counter() >= end_s:
                raise
        Event().wait(LOOK_S)


# How long web waits for a thread of its own that writes to a disk: not for ever.

WRITE_LIMIT_S = 30.0
"""Longest wait for a write; it takes milliseconds, on a failing disk long."""


def result_of(job: Future[ResultT], limit_s: float = WRITE_LIMIT_S) -> ResultT:
    """Return a job's result; what has not begun in time is not done later either.

    Args:
        job: what an executor was given.
        limit_s: longest wait in seconds.

    Raises:
        StuckError: it did not end in time; says whether it may be done all the same.
        BaseException: whatever the job raises.
    """
    if wait([job], limit_s).done:
        return job.result()
    if job.cancel():
        raise StuckError("the disk is busy and nothing was changed; try again in a minute")
    raise StuckError("the disk does not answer; it may be done yet, so look before you try again")


# Opens the patron register to be read by whoever has no key, as the web process has none.


@contextmanager
def open_register(config: Config, seal: Seal | None = None) -> Iterator[PatronCache]:
    """Open it.

    Args:
        config: the whole configuration.
        seal: what the numbers to be looked up are sealed with; None for whatever the register
            says, where no number is.

    Raises:
        StoreError: it is missing, empty, sealed otherwise or can't be read.
    """
    path = patrons_db(config)
    made = seal_on_record(path) if seal is None else seal
    if made is None:
        raise StoreError(f"{path} holds no patrons yet; push them, or load a feed")
    with closing(PatronCache(path, made)) as cache:
        yield cache


def knows_patron(config: Config, patron_ref: str) -> bool:
    """Tell whether the register has a card of a patron; a register that can't be read has none."""
    with suppress(StoreError), closing(SubjectReader(patrons_db(config))) as register:
        return bool(register.cards(patron_ref))
    return False


# Builds the sealer of this installation, by its key and its configuration.


def own_sealer(config: Config) -> ArgonSealer:
    """Return the sealer that rows of this installation are sealed with.

    Raises:
        KeyFileError: the installation key can't be read.
    """
    key = read_key(config.secrets.installation_key_file)
    return ArgonSealer(key, config.seal.memory_kib, config.seal.iterations)
