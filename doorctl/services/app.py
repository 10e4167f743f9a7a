"""The `App` that services are given, and what both processes make of the configuration."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

import msgspec

import doorctl
from doorctl.access.patron import CacheStamp
from doorctl.config import Config, reload
from doorctl.config.rules import CREDENTIALS, CREDENTIALS_SPELT
from doorctl.config.tables import Storage
from doorctl.core.errors import (
    ConfigError,
    HungError,
    NotAnsweringError,
    Problem,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
)
from doorctl.core.identity import caller, owner_of
from doorctl.core.moments import Moment
from doorctl.core.ports import Clock, EventLog
from doorctl.ops.clock import BUILD_FLOOR, SystemClock
from doorctl.privacy.retention import visible_since
from doorctl.store.branch import BranchRecords
from doorctl.store.connection import write_over
from doorctl.store.door_log import DoorLogRows, HourlyHistory, VisitHistory
from doorctl.store.keys import Days, days_of, key_days

if TYPE_CHECKING:
    from doorctl.services.numbers import Numbers

VIA_WEB_S = 0.5
"""What the way through the web process may add to the library system's own limit."""

WEBS_CONFIG = "web-config.json"
"""In the storage directory once a web process has run at the branch: by which keys it began."""

UNTOLD = frozenset({"alarms", "backup", "lms", "outputs", "secrets", "signin", "sync"})
"""Tables that name accounts, people, commands and addresses with a secret in them: the log says
only which of their keys was changed or is wrong, and the file keeps a hash of the value."""

BACK_S = 0.25
"""How much sooner the door gives up on a web process that hangs than on the attempt.

Its silence must come while it counts: after the attempt's deadline, a right PIN that nobody
compared would stay charged as a wrong one.
"""


@dataclass(frozen=True, slots=True)
class App:
    """Configuration, clock and paths for the services; built once in each process or command.

    `numbers` makes keys of card numbers; None for this machine's installation key. `account` is the
    one that acts; None for the caller of a command.
    """

    config: Config
    clock: Clock
    numbers: Numbers | None = None
    account: str | None = None

    @classmethod
    def of(cls, config: Config) -> App:
        """Return the `App` of a command; its clock is never in doubt."""
        return cls(config, system_clock(config))

    def acting(self, account: str) -> App:
        """Return the same for what an account does."""
        return replace(self, account=account)

    @property
    def by(self) -> str:
        """Who acts, for the audit log."""
        return caller() if self.account is None else self.account

    @property
    def storage(self) -> Storage:
        """Where the databases are."""
        return self.config.storage


@dataclass(frozen=True, slots=True)
class Release:
    """Which release of doorctl this process runs, and which the installed package brings.

    `package` is None where doorctl was not installed by a package.
    """

    running: str
    package: str | None

    @classmethod
    def of_this_program(cls, prefix: Path = Path(sys.prefix)) -> Release:
        """Return those of this process, whose libraries are below `prefix`."""
        prefix = prefix.resolve()
        if prefix.parent.name != "releases":
            return cls(doorctl.__version__, None)
        package = None
        with suppress(OSError):
            package = (prefix.parents[1] / "package" / "VERSION").read_text("utf-8").strip()
        return cls(prefix.name, package)

    @property
    def differs(self) -> str | None:
        """A sentence where another release runs than is installed; None where none does."""
        if self.package in {None, self.running}:
            return None
        return f"{self.package} is installed, and {self.running} runs"


def zone(config: Config) -> ZoneInfo:
    """Return the branch's time zone."""
    return ZoneInfo(config.branch.time_zone)


def local(at: datetime, config: Config) -> datetime:
    """Return a time in the branch's zone; one without an offset is local."""
    branch = zone(config)
    return at.replace(tzinfo=branch) if at.tzinfo is None else at.astimezone(branch)


def ask_s(config: Config) -> float | None:
    """Return how long the library system's answer may take; None without a library system."""
    return config.lms.timeout_s + VIA_WEB_S if config.lms.kind else None


def web_answers_s(config: Config) -> float:
    """Return how long the web process may take to pass on the library system's answer."""
    return config.lms.timeout_s + VIA_WEB_S - BACK_S


def opened_on(config: Config, moment: Moment) -> date | None:
    """Return the day when `policy.first_card` was last heeded, set now or not; None if unknown."""
    with suppress(StoreError), closing(HourlyHistory(config.storage.visits_db)) as history:
        return history.opened_on(moment)
    return None


def work_directory(config: Config, environment: Mapping[str, str]) -> Path:
    """Return where a driver may leave its own files: systemd's runtime directory, if any."""
    return Path(environment.get("RUNTIME_DIRECTORY") or config.storage.door_directory)


def retention(config: Config) -> timedelta:
    """Return how long visits are kept."""
    return timedelta(days=config.visits.retention_days)


def system_clock(
    config: Config, *, wary: bool = False, damaged: Callable[[str], None] = lambda _why: None
) -> SystemClock:
    """Return this machine's clock, which never undercuts the highest trusted time on record.

    Door and web, which run for long, are `wary`: see :class:`~doorctl.ops.clock.SystemClock`. A
    doubt that the door has on record stands on. Where that record is `damaged`, which is told, it
    is a start like the first one.
    """
    high_water, kept, carried = BUILD_FLOOR, None, None
    with suppress(StoreError), closing(VisitHistory(config.storage.visits_db)) as history:
        high_water = history.high_water() or BUILD_FLOOR
        carried = history.carried_time()
        try:
            kept = history.clock_readings()
        except StoreDamagedError as err:
            damaged(str(err))
    branch, clock = config.branch, config.clock
    return SystemClock(
        branch.time_zone, clock.trust, high_water, wary=wary, kept=kept, carried=carried
    )


def read_again(
    running: Config, environment: Mapping[str, str], log: EventLog
) -> tuple[Config, str] | None:
    """Read a changed file; return the configuration from now on and the names of its new keys.

    Returns None where the file is wrong. One `config` line says what is wrong or needs a restart.
    """
    try:
        config, taken, others = reload(running, environment)
    except ConfigError as err:
        why = "; ".join(map(_what_is_wrong, err.problems))
        log.emit("config", state="refused", why=f"nothing was changed: {why}")
        return None
    if others:
        log.emit("config", state="restart_needed", why=", ".join(others))
    return config, ", ".join(taken)


def _what_is_wrong(problem: Problem) -> str:
    # A problem quotes what it found, `where` begins with the table.
    if re.split(r"\W", problem.where, maxsplit=1)[0] in UNTOLD:
        return f"{problem.where}: see `doorctl check-config`"
    return str(problem)


def tell_taken(taken: str, log: EventLog) -> None:
    """Log which keys are in force now that were not before."""
    log.emit("config", state="taken", why=taken or "nothing has changed that needs no restart")


def tell_changes(config: Config, path: Path, log: EventLog) -> None:
    """Log each key that differs from the last time this process began, one line a key.

    Nothing is logged at the first start, nor where the last values can't be read; what can't be
    written is logged again. `path` keeps the values, in each process's own directory.
    """
    now = {name: _as_text(name, value) for name, value in config.origin.values.items()}
    try:
        before = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        before = None
    last = now if before is None else before
    for name in [key for key in {**last, **now} if last.get(key) != now.get(key)]:
        old, new = (state.get(name, "absent") for state in (last, now))
        values = "" if name.partition(".")[0] in UNTOLD else f": {new}, it was {old}"
        log.emit("config", state="changed", why=f"{name}{values}")
    with suppress(OSError):
        if before != now:
            write_over(path, msgspec.json.encode(now))


def _as_text(name: str, value: object) -> str:
    written = msgspec.json.encode(value, enc_hook=str)
    if name.partition(".")[0] in UNTOLD:
        return sha256(written).hexdigest()
    return written.decode()


def outdated(stamp: CacheStamp, config: Config) -> str | None:
    """Return what to do where the cache was sealed for another age limit, else None."""
    if not stamp.epoch or stamp.minimum_age == config.policy.minimum_age:
        return None
    return (
        f"patrons were sealed for a minimum age of {stamp.minimum_age}; "
        "load the full feed again to apply policy.minimum_age"
    )


@contextmanager
def open_book(app: App) -> Iterator[BranchRecords]:
    """Open ``branch.db`` to read it beside its writer; no file is made where there is none."""
    with closing(BranchRecords(app.storage.branch_db)) as book:
        yield book


def shown_since(app: App) -> datetime:
    """Return how far back visits may be shown."""
    return visible_since(app.clock.bounded().latest, retention(app.config))


@contextmanager
def open_attempts(app: App) -> Iterator[DoorLogRows]:
    """Open the door log to read those of its attempts that may be shown."""
    with closing(DoorLogRows(app.storage.visits_db, shown_since(app))) as rows:
        yield rows


# A database is changed by the process that owns it, or here while that is not running.

ANSWER_LIMIT_S = 5.0

LIMIT_S = 5.0
"""Longest wait for another command; it takes milliseconds, only a load or a purge takes longer."""

LOOK_S = 0.05

ResultT = TypeVar("ResultT")


def by_the_owner(
    request: Callable[[], ResultT],
    alone: Callable[[], ResultT],
    *,
    absent: type[NotAnsweringError] = NotAnsweringError,
    of: Path | None = None,
    limit_s: float = LIMIT_S,
) -> ResultT:
    """Ask the owner; do it here while it is not running, once other commands are done.

    `alone` opens the database as its writer; it is called again while another process is that, for
    `limit_s` seconds from the call on. It may be called where `request` raises `absent`. Root's
    commands become the owner of the directory `of` while they do it here. Raises HungError: the
    owner is there and does not answer. StoreBusyError: another process is the writer until the
    limit is over.
    """
    end_s = perf_counter() + limit_s
    while True:
        try:
            return request()
        except HungError:
            raise
        except absent:
            pass
        try:
            with nullcontext() if of is None else owner_of(of):
                return alone()
        except StoreBusyError:
            if perf_counter() >= end_s:
                raise
        Event().wait(LOOK_S)


CERTIFICATE = "certificate"


def placed(config: Config, path: Path) -> Path:
    """Return where a named file lies: what systemd hands over, beside the configuration."""
    handed = os.environ.get(CREDENTIALS)
    if {*CREDENTIALS_SPELT} & {*path.parts} or (handed and path.parent == Path(handed)):
        return config.origin.path.absolute().parent / path.name
    return path


def days_of_keys(config: Config) -> dict[str, Days]:
    """Return until when each key and the pages' certificate is to be used, as far as is known.

    Of several keys that pushes may be signed with the oldest counts, until it is dropped.
    """
    found: dict[str, Days] = {}
    for name, path, read in (
        ("installation_key", config.secrets.installation_key_file, key_days),
        *(("signing_key", path, key_days) for path in config.web.push.public_key_files),
        (CERTIFICATE, config.web.tls.certificate_file, days_of),
    ):
        with suppress(OSError):
            if days := read(placed(config, path)):
                found[name] = min(found.get(name, days), days)
    return found
