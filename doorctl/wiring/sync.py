"""Makes a sender, and runs it: one push, its alarms, the end of a rotation of keys."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import msgspec

from doorctl.admin.installation import make_directory
from doorctl.admin.keys import drop_old_key, keys_in_use, next_key_file
from doorctl.config import Config
from doorctl.config.tables import Sync, Target
from doorctl.core.alarms import RaisedAlarm
from doorctl.core.errors import (
    AlreadyExistsError,
    ConfigError,
    DoorctlError,
    InputError,
    KeyFileError,
    Problem,
    StoreBusyError,
    StoreError,
)
from doorctl.core.identity import owner_of
from doorctl.core.masked import InstallationKey
from doorctl.core.ports import AlarmSink, Clock, NotSentError
from doorctl.notices.mail import translated
from doorctl.notices.sending import notice
from doorctl.services.alarms import send_now, sinks
from doorctl.sources.branches import HttpBranch, UnaskedBranch, tls_context
from doorctl.store.connection import changing, copy_commit, sync_directory, write_over
from doorctl.store.keys import create_key, put, remove_key
from doorctl.store.outbox import OutboxStore, open_or_create_outbox
from doorctl.store.sealer import ArgonSealer, first_key, key_id, links
from doorctl.store.signing_keys import create_signing_key, read_signing_key
from doorctl.store.writer import WriterLock
from doorctl.sync.branch import Branch
from doorctl.sync.delivery import Delivery, Result, Sender, deliver
from doorctl.sync.document import refuse_odd_name
from doorctl.sync.exchange import question_signed
from doorctl.sync.exports import FeedExports
from doorctl.sync.outbox import Terms
from doorctl.sync.push import WAITING, Refreshed, refresh
from doorctl.sync.sealing import Sealing
from doorctl.sync.sender_alarms import Book
from doorctl.sync.signing import SigningKey

OUTBOX = "outbox.db"

JUST_NOW = timedelta(minutes=1)
"""A report as recent as this came from the run that failed, or from the run that it gave way to."""

MOST_NAMED = 20
"""Lines that the first line of the list of rows set aside names."""

SHARED = "another line has what stands here, and says so"


def _unheard(*_: object) -> None:
    """Say nothing of a rehearsal."""


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


def initialise(config: Config) -> list[Path]:
    """Make what a sender needs and return the paths that were made.

    The installation key is made only where it is missing: it may come from a branch that has one.
    Raises AlreadyExistsError: the signing key or the outbox is there; nothing was changed.
    DoorctlError: one can't be made.
    """
    sync = _sync(config)
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
    sync = _sync(config)
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


def push(
    config: Config,
    wishes: Wishes,
    clock: Clock,
    *,
    on_progress: Callable[[int, int], None] = _unheard,
    on_refreshed: Callable[[Refreshed], None] = _unheard,
    on_delivery: Callable[[Delivery], None] = _unheard,
    on_unsent: Callable[[str], None] = _unheard,
) -> tuple[Refreshed, list[Delivery]]:
    """Read the source, seal what has changed and bring every branch up to date.

    `on_progress` gets how many identifiers are sealed so far and how many there are. `on_refreshed`
    is called once, before anything is sent, `on_delivery` as soon as a branch has ended, and
    `on_unsent` with the reason why an alarm did not go; the next run tries it again. Raises
    FeedError with every wrong row, StoreBusyError beside another run, InputError for a branch that
    there is not, DoorctlError: nothing was sent.
    """
    sync = _sync(config)
    refuse_odd_name(wishes.approved_by)
    keys, moment = keys_in_use(config), clock.moment()
    # The outbox is of the first key for ever: what was laid over it since costs no sealing anew.
    key = first_key(keys[0])
    sealer = ArgonSealer(key, config.seal.memory_kib, config.seal.iterations)
    sender = _sender(config, wishes, sealer, keys, clock)
    deliveries: list[Delivery] = []
    branches = _branches(sync, sender.private_key)
    with (
        _outbox(sync, wishes) as outbox,
        _telling(config, outbox, clock, None if wishes.dry_run else on_unsent) as book,
    ):
        sender = replace(sender, directory=outbox.path.parent)
        refreshed = _refreshed(
            config, outbox, sealer, sender, book, key=key, now=moment.local, on_progress=on_progress
        )
        on_refreshed(refreshed)
        with ThreadPoolExecutor(len(branches), thread_name_prefix="branch") as pool:
            for delivery in deliver(branches, outbox, sender, pool):
                on_delivery(delivery)
                deliveries.append(delivery)
        patience = timedelta(hours=sync.branch_behind_h)
        book.delivered(deliveries, moment.local, patience)
        deliveries = [book.judged(each, moment.local, patience) for each in deliveries]
    return refreshed, deliveries


def _sender(
    config: Config,
    wishes: Wishes,
    sealer: ArgonSealer,
    keys: Sequence[InstallationKey],
    clock: Clock,
) -> Sender:
    sync, own, ages = _sync(config), config.policy.minimum_age, age_limits(config)
    return Sender(
        private_key=read_signing_key(sync.signing_key_file),
        terms=Terms(sealer.seal, own, tuple(sorted({*ages.values()} - {own}))),
        links={key_id(key): links(key) for key in keys},
        approved_by=wishes.approved_by,
        full=wishes.full,
        directory=sync.state_directory,
        on=clock.moment().latest_known.date(),
        ages=ages,
        rehearsed=wishes.dry_run,
        clock=clock,
        wait=None if wishes.dry_run else Event().wait,
    )


def _refreshed(
    config: Config,
    outbox: OutboxStore,
    sealer: ArgonSealer,
    sender: Sender,
    book: Book,
    *,
    key: InstallationKey,
    now: datetime,
    on_progress: Callable[[int, int], None],
) -> Refreshed:
    sync = _sync(config)
    exports = FeedExports(
        sync.feed, pin_length=config.policy.pin_length, wrong_share=sync.wrong_rows_share
    )
    if stamp := exports.stamp():
        book.exported(datetime.fromtimestamp(stamp[0], now.tzinfo), stamp[1], now)
    refreshed = refresh(
        exports.read(),
        outbox,
        Sealing(
            sealer=sealer,
            minimum_age=sender.terms.minimum_age,
            on=sender.on,
            workers=sync.workers or os.cpu_count() or 1,
            on_progress=on_progress,
            flags_weak=config.policy.flags_weak,
        ),
        key=key,
        terms=sender.terms,
    )
    lines = listed(refreshed, config.alarms.language)
    book.set_aside(refreshed.set_aside, lines)
    if not sender.rehearsed:
        _write_set_aside(set_aside_file(sync), lines)
    return refreshed


def age_limits(config: Config) -> dict[str, int]:
    """Return each branch's age limit in years, by the branch's id."""
    own = config.policy.minimum_age
    limits = {target.branch: target.minimum_age for target in _sync(config).targets}
    return {branch: own if limit is None else limit for branch, limit in limits.items()}


def tell_failure(config: Config, clock: Clock, *, on_unsent: Callable[[str], None]) -> None:
    """Report that a run has failed, once and then daily, if the run could not report it.

    Raises StoreBusyError where another run is at work and reports its own result, DoorctlError
    where it can't be stored that the report was sent.
    """
    try:
        with _outbox(_sync(config), Wishes()) as outbox:
            book, now = _book(outbox), clock.moment().local
            if book.told_at is None or not timedelta(0) <= now - book.told_at <= JUST_NOW:
                book.stand("sync_failed", {"": os.environ.get("MONITOR_SERVICE_RESULT", "")})
                _tell(config, outbox, book, clock, on_unsent)
    except StoreError as err:
        if config.alarms.wanted and not isinstance(err, StoreBusyError):
            for name, why in send_now(config, "sync_failed", str(err)).items():
                on_unsent(f"{name}: {why}")
        raise


@contextmanager
def _telling(
    config: Config, outbox: OutboxStore, clock: Clock, on_unsent: Callable[[str], None] | None
) -> Iterator[Book]:
    """Note in the book what a run finds, and send its alarms however the run ends.

    Nothing is sent where `on_unsent` is None; `tell_failure` reports a mistake of ours.
    """
    book, failed = _book(outbox), None
    try:
        yield book
    except DoorctlError as err:
        failed = err
    book.stand("sync_failed", {} if failed is None else {"": str(failed)})
    if on_unsent is not None:
        _tell(config, outbox, book, clock, on_unsent)
    if failed is not None:
        raise failed


def _book(outbox: OutboxStore) -> Book:
    try:
        return msgspec.json.decode(outbox.alarms() or b"{}", type=Book)
    except msgspec.DecodeError:
        return Book()


def _tell(
    config: Config, outbox: OutboxStore, book: Book, clock: Clock, on_unsent: Callable[[str], None]
) -> None:
    """Send what is due by each way and keep what was sent; no failure of it is the run's."""
    moment, at_s = clock.moment(), clock.monotonic_s()
    rest = timedelta(minutes=config.alarms.min_interval_min)
    usable, unsent = sinks(config)
    for way, sink in usable.items():

        def send(kind: str, why: str, sink: AlarmSink = sink) -> None:
            what = notice(RaisedAlarm(kind, why, at_s), config.branch.name, moment, at_s)
            # A report has many lines, and none of its words are a row's own.
            sink.send(replace(what, why=why) if kind == "rows_set_aside" else what)

        try:
            book.tell(way, moment.local, rest, send)
        except Exception as err:  # noqa: BLE001 - no mistake in a notice may stop the push
            unsent[way] = str(err) if isinstance(err, NotSentError) else type(err).__name__
    book.forget({*usable, *unsent})
    book.told_at = clock.moment().local
    try:
        outbox.keep_alarms(msgspec.json.encode(book))
    except StoreError as err:
        unsent["outbox"] = str(err)
    try:
        _write_metrics(book, book.told_at)
    except KeyFileError as err:
        unsent["metrics"] = str(err)
    for way, why in unsent.items():
        on_unsent(f"{way}: {why}")


def _write_metrics(book: Book, now: datetime) -> None:
    """Write figures for node_exporter's textfile collector where systemd gives a directory."""
    directory = os.environ.get("RUNTIME_DIRECTORY")
    if not directory:
        return
    from doorctl.ops.figures import family

    ended = {branch: at.timestamp() for branch, at in book.reached.items()}
    behind = {branch: float(branch in book.behind) for branch in {**ended, **book.behind}}
    stand = {
        kind: float(any(not alarm.over for alarm in known.values()))
        for kind, known in book.alarms.items()
    }
    text = (
        family("sync_last_run_timestamp_seconds", "When a run ended.", now.timestamp())
        + family(
            "sync_last_success_timestamp_seconds", "When it was last up to date.", ended, "branch"
        )
        + family("sync_branch_behind", "The branch is not up to date.", behind, "branch")
        + family("sync_alarm_standing", "The alarm stands.", stand, "kind")
    )
    put(Path(directory, "doorctl.prom"), text.encode(), 0o644)


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


def set_aside_file(sync: Sync) -> Path:
    """Return the path of the list of rows that the last run set aside; no rows, no file."""
    return sync.state_directory / "set-aside.txt"


def listed(refreshed: Refreshed, language: str) -> list[str]:
    """Return a line about each row set aside, and first about those that keep everybody else."""
    unknown = [
        f"{name} line {row.line}" for name, row in refreshed.set_aside if row.patron_ref is None
    ]
    more = ", ..." if len(unknown) > MOST_NAMED else ""
    waits = f"{translated(WAITING, language)} {', '.join(unknown[:MOST_NAMED])}{more}\n"
    return [waits] * refreshed.waits + [
        f"{name} line {row.line}: {'; '.join(row.why) or SHARED} "
        f"({translated(refreshed.fates[row.patron_ref], language)})\n"
        for name, row in refreshed.set_aside
    ]


def _write_set_aside(path: Path, lines: Sequence[str]) -> None:
    with changing(path):
        if lines:
            write_over(path, "".join(lines).encode())
        else:
            path.unlink(missing_ok=True)


def _branches(sync: Sync, private_key: SigningKey) -> list[Branch]:
    if not sync.targets:
        raise InputError("there is no branch yet: doorctl sync pair brings one in")
    return [_branch(target, private_key) for target in sync.targets]


def _branch(target: Target, private_key: SigningKey) -> Branch:
    try:
        context = tls_context(target.ca_file, target.certificate_file, target.key_file)
    except KeyFileError as err:
        return UnaskedBranch(target.branch, str(err))
    question = question_signed(target.branch, private_key)
    return HttpBranch(target.branch, target.url, context, question=question)


@contextmanager
def _outbox(sync: Sync, wishes: Wishes) -> Iterator[OutboxStore]:
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


def _sync(config: Config) -> Sync:
    if config.sync is None:
        what = "missing; this machine is no sender until there is one, see config/sync.toml"
        raise ConfigError("configuration", [Problem("[sync]", what)])
    return config.sync


def refuse_beside_web(config: Config) -> None:
    """Refuse while another process writes the patron cache: sealing a town takes half an hour.

    It holds no lock, so a process that starts meanwhile still wins. It makes no file. Raises
    StoreBusyError, which says what to do, or StoreError where the lock can't be read.
    """
    database = config.storage.patrons_db
    if not database.with_name(f"{database.name}.lock").exists():
        return
    try:
        WriterLock(database).close()
    except StoreBusyError:
        raise StoreBusyError(
            f"another doorctl process is writing {database}: stop it for the load "
            "(systemctl stop doorctl-web), or push instead (doorctl sync push)"
        ) from None
