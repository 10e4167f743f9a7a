"""What staff ask of a card: whether it would get in, and why not; and the patron register."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from doorctl.access.code_throttle import CODES_KEY
from doorctl.access.judging import Proofs, case_of, pass_proof, rank
from doorctl.access.messages import Now, Prepared, VisitReader
from doorctl.access.patron import Applied, CacheStamp, Reason, SealedRow
from doorctl.access.policy import Finding, PinProof, Policy, decide, findings, knows_pin
from doorctl.access.rights import Pass
from doorctl.core.errors import InputError, NotRunningError, StoreError
from doorctl.core.masked import IdentifierKind, StretchedKey
from doorctl.core.moments import ClockState, Moment
from doorctl.core.ports import Clock, Seal
from doorctl.lookup.app import App, open_attempts, open_book
from doorctl.lookup.cards import Found, Reading, keys_of, look_up, wait_of
from doorctl.lookup.configured import local
from doorctl.lookup.numbers import Numbers, OwnNumbers, TakenAs, own_sealer
from doorctl.privacy.audit import Action, Deed
from doorctl.rpc.door import UNLOCK, Unlock
from doorctl.rpc.question import Empty
from doorctl.services.branch import note, note_done, noted
from doorctl.services.hours import branch_at
from doorctl.services.owner import by_the_owner
from doorctl.store.branch import BranchRecords
from doorctl.store.door_log import LogFilter, Visit, VisitHistory
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
from doorctl.store.visits import open_or_create_visits
from doorctl.sync.document import refuse_odd_name
from doorctl.sync.feed import Sealing, read_feed, refuse_bare, refuse_nobody, seal_rows
from doorctl.sync.guard import guard, unguarded


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result; it names nobody.

    `findings` are in the order in which they count; a pass's come last and are enough by
    themselves. `now` is the branch at the time in question; the cache's age is as of now, and None
    where that is not known. `attempts` are the card's last at the door, newest first.
    """

    findings: tuple[Finding, ...]
    reason: Reason
    now: Now
    stamp: CacheStamp
    data_age: timedelta | None
    attempts: tuple[Visit, ...] = ()

    @property
    def granted(self) -> bool:
        """Whether the card would get in."""
        return self.reason is Reason.OK

    @property
    def source(self) -> str:
        """The data behind the result, in one line."""
        age = "of unknown age" if self.data_age is None else f"{_hours(self.data_age)} old"
        mode = "hours not known" if self.now.mode is None else self.now.mode.value
        late = ", no entry any more" if self.now.no_entry else ""
        when = f"{self.at:%Y-%m-%d %H:%M} ({mode}{late})"
        register = f"by epoch {self.stamp.epoch} of the patron register, {age}"
        return f"{register}, bans and passes as of now, for {when}"

    @property
    def at(self) -> datetime:
        """The local time in question."""
        return self.now.moment.local

    def as_dict(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {
            "verdict": self.reason.verdict,
            "reason": self.reason.value,
            "checks": [
                {
                    "check": finding.check,
                    "passed": finding.refused_with is None,
                    "reason": finding.refused_with.value if finding.refused_with else None,
                }
                for finding in self.findings
            ],
            "at": self.at.isoformat(),
            "mode": None if self.now.mode is None else self.now.mode.value,
            "no_entry": self.now.no_entry,
            "epoch": self.stamp.epoch,
            "data_age_s": None if self.data_age is None else round(self.data_age.total_seconds()),
        }


def explained(
    found: Found,
    now: Now,
    policy: Policy,
    *,
    here: str,
    stamp: CacheStamp,
    branch: BranchRecords,
    visits: VisitReader,
    clock: Clock,
) -> Explanation:
    """Run the door's checks on a card or a code; where its PIN is known, it counts as right.

    `here` is this branch's identity, as bans name it.
    """
    wait = wait_of(found, visits, branch, clock.boot_time())
    # Nothing is compared here, so its key is none.
    card = Prepared(
        *(0, StretchedKey(b""), found.keys[0], found.patron),
        throttled=wait.holds and (policy.require_pin or found.by_code),
        cache_applied_at=stamp.applied_at,
        cache_minimum_age=stamp.minimum_age,
        bans=found.bans,
        damaged=not found.by_code and (found.damaged or stamp.incomplete),
    )
    cases = (
        case_of(replace(card, held=held), _right(found, held, now, policy), now, here)
        for held in found.passes or (None,)
    )
    case = max(cases, key=lambda case: rank(case.held, decide(policy, case)))
    return Explanation(
        findings(policy, case),
        decide(policy, case).reason,
        now,
        stamp,
        stamp.age(clock.moment()),
    )


def _right(found: Found, held: Pass | None, now: Now, policy: Policy) -> Proofs:
    """Return what the right PIN would prove, for one of the passes."""
    known = PinProof.PROVED if knows_pin(found.patron, now.moment) else PinProof.UNKNOWN
    # Where no PIN is asked for, as of a code, nobody can prove the pass's.
    asked = policy.require_pin and not found.by_code
    patron, own = (known, PinProof.PROVED) if asked else (PinProof.NOT_GIVEN,) * 2
    return Proofs(known, pass_proof(held, patron, own, PinProof.PROVED, by_code=found.by_code))


def _hours(age: timedelta) -> str:
    minutes = max(0, int(age.total_seconds() // 60))
    return f"{minutes // 60} h {minutes % 60} min"


# The patron register, read by whoever has no key, as the web process.


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


# What staff ask of a card, and how the register gets its cards.


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
    on_progress: Callable[[int, int], None],
) -> Loaded:
    """Seal a feed and put it into the cache.

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
    patrons = read_feed(feed, pin_length=config.policy.pin_length)
    (refuse_nobody if full else refuse_bare)(feed.name, patrons)
    sealing = Sealing(
        sealer=sealer,
        minimum_age=config.policy.minimum_age,
        on=moment.latest_known.date(),
        workers=os.cpu_count() or 1,
        on_progress=on_progress,
        flags_weak=config.policy.flags_weak,
    )
    rows = list(seal_rows(patrons, sealing))
    approved = approved_by is not None
    applied = _apply(app, sealer.seal, rows, moment.local, full=full, approved=approved)
    details = {"epoch": applied.epoch, "patrons": len(patrons), "full": int(full)}
    note_done(app, Deed(Action.PATRONS_LOADED, details=details))
    if approved_by is not None:
        approval = Deed(Action.PUSH_APPROVED, details={"epoch": applied.epoch})
        note_done(app.acting(approved_by), approval)
    left_out = sum(patron.left_out for patron in patrons)
    return Loaded(applied.epoch, len(patrons), len(rows), left_out, applied.removed)


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
            # Only then: nobody is missed.
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


LAST_ATTEMPTS = 5


def explain(
    app: App,
    typed: str | int,
    at: datetime | None,
    why: str = "",
    *,
    taken_as: TakenAs | None = None,
) -> Explanation:
    """Say whether a card would get in, and why not; the look is first noted on the audit log.

    A time without an offset is local. None means now for `at`, and each reading for `taken_as`.
    What is no card's number, or can't be sealed while the door does not run, may be the library
    system's number of a patron; an int is the number of an attempt of the door log. Raises
    InputError: it is nobody's number.
    """
    moment = app.clock.moment()
    if at is not None:
        moment = Moment(local(at, app.config), moment.high_water, ClockState.TRUSTED)
    readings, seal = _readings(app, typed, taken_as)
    with (
        open_register(app, seal) as patrons,
        closing(VisitHistory(app.storage.visits_db)) as visits,
        open_book(app) as branch,
    ):
        now, policy = branch_at(app, branch, moment), app.config.policy
        found, stamp = look_up(readings, patrons, branch), patrons.stamp()
        explanation = explained(
            found,
            now,
            policy,
            here=app.config.branch.id,
            stamp=stamp,
            branch=branch,
            visits=visits,
            clock=app.clock,
        )
    note(app, Deed(Action.PATRON_EXPLAINED, keys_of(readings), found.patron_ref, why))
    if explanation.reason is Reason.RESTRICTED:
        return explanation
    every = frozenset(chain.from_iterable(reading.keys for reading in readings))
    with open_attempts(app) as rows:
        last = rows.newest(LogFilter(cards=every), None, LAST_ATTEMPTS)
    return replace(explanation, attempts=tuple(last))


def card_of_attempt(app: App, attempt: int) -> Reading:
    """Return the card of an attempt; raises InputError: it was by no card, or is too old."""
    with open_attempts(app) as rows:
        key = rows.row_key(attempt)
    if key is None or key == CODES_KEY:
        raise InputError("that attempt was by no card, or it is too old; swipe the card")
    return Reading(IdentifierKind.CARD, key)


def _readings(
    app: App, typed: str | int, taken_as: TakenAs | None
) -> tuple[tuple[Reading, ...], Seal | None]:
    if isinstance(typed, int):
        return (card_of_attempt(app, typed),), None
    seals = numbers_of(app)
    try:
        return seals.readings(typed, taken_as), seals.seal()
    except (InputError, NotRunningError):
        keys = cards_of(app, typed)
        if not keys:
            raise
        return tuple(Reading(IdentifierKind.CARD, key) for key in keys), None


def unlock(app: App, typed: str, *, taken_as: TakenAs | None = None) -> None:
    """Forget the failures of a card and its patron's others; first noted on the audit log.

    It is done under each reading of what was typed.

    Arguments and errors are those of :func:`explain`.
    """
    config = app.config
    readings = numbers_of(app).readings(typed, taken_as)
    with noted(app, Deed(Action.CARD_UNLOCKED, keys_of(readings))):
        for key in chain.from_iterable(reading.keys for reading in readings):
            by_door = partial(UNLOCK.ask, config.control.socket, Unlock(key.hex(), app.by))
            alone = partial(_reset, app, key)
            by_the_owner(by_door, alone, of=config.storage.door_directory)


def _reset(app: App, key: bytes) -> Empty:
    with closing(open_or_create_visits(app.storage.visits_db)) as visits:
        with open_register(app) as patrons:
            patron = patrons.find(key)
            whose = None if patron is None else patron.patron_ref
            cards = patrons.cards_of(whose)
        for card in {key, *cards}:
            visits.reset_card(card, whose)
    return Empty()
