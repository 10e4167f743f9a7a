"""What staff ask of a card: whether it would get in, and why not; and the patron register."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any

from doorctl.access.code_throttle import CODES_KEY
from doorctl.access.judging import Proofs, case_of, pass_proof, rank
from doorctl.access.messages import Now, Prepared, VisitReader
from doorctl.access.patron import CacheStamp, Reason
from doorctl.access.policy import Finding, PinProof, Policy, decide, findings, knows_pin
from doorctl.access.rights import Pass
from doorctl.core.errors import InputError, NotRunningError
from doorctl.core.masked import IdentifierKind, StretchedKey
from doorctl.core.moments import ClockState, Moment
from doorctl.core.ports import Clock, Seal
from doorctl.lookup.app import App, open_attempts, open_book
from doorctl.lookup.cards import Found, NumberKeys, keys_of, look_up, wait_of
from doorctl.lookup.configured import local
from doorctl.lookup.numbers import TakenAs
from doorctl.privacy.audit import Action, Deed
from doorctl.rpc.door import UNLOCK, Unlock
from doorctl.rpc.question import Empty
from doorctl.services.branch import note, noted
from doorctl.services.hours import branch_at
from doorctl.services.owner import by_the_owner
from doorctl.services.register import cards_of, numbers_of, open_register
from doorctl.store.branch import BranchRecords
from doorctl.store.door_log import LogFilter, Visit, VisitHistory
from doorctl.store.visits import open_or_create_visits


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


def card_of_attempt(app: App, attempt: int) -> NumberKeys:
    """Return the card of an attempt; raises InputError: it was by no card, or is too old."""
    with open_attempts(app) as rows:
        key = rows.row_key(attempt)
    if key is None or key == CODES_KEY:
        raise InputError("that attempt was by no card, or it is too old; swipe the card")
    return NumberKeys(IdentifierKind.CARD, key)


def _readings(
    app: App, typed: str | int, taken_as: TakenAs | None
) -> tuple[tuple[NumberKeys, ...], Seal | None]:
    if isinstance(typed, int):
        return (card_of_attempt(app, typed),), None
    seals = numbers_of(app)
    try:
        return seals.readings(typed, taken_as), seals.seal()
    except (InputError, NotRunningError):
        keys = cards_of(app, typed)
        if not keys:
            raise
        return tuple(NumberKeys(IdentifierKind.CARD, key) for key in keys), None


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
