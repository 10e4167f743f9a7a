"""The decision: two ordered tables of named checks; the first refusal wins, the default refuses.

This file has three rules. Every check stands in :data:`CHECKS` or :data:`PASS_CHECKS`, in the order
in which it counts. A check sees nothing but the case: no clock, no database, no earlier decision.
And a pass adds rights and takes none: a patron whom either table lets in comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Generic, TypeVar

from doorctl.access.calendar import OPEN, Mode
from doorctl.access.patron import UNPROVED, Patron, Reason
from doorctl.access.rights import Pass, PassKind
from doorctl.core.moments import Moment

KNOWN_BLOCKS = frozenset({"O", "D", "S", "F", "U", "E", "W"})
"""Block codes that the library system documents; it says to read any other as "other reason"."""

CLOCK_SLACK = timedelta(minutes=5)
"""How far a right clock may step back: time services step by less once they are synchronised."""


class PinProof(Enum):
    """What is known of the PIN."""

    PROVED = "proved"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """There is nothing to compare it with: see :func:`knows_pin`."""
    NOT_GIVEN = "not_given"


class WeakPin(Enum):
    """What happens after a right PIN that is too easy to guess."""

    ALLOW = "allow"
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The branch's rules; the configuration's table [policy] is one of these.

    Args:
        pin_length: how many digits a PIN has; it needs no enter key.
        minimum_age: in years; 0 for no age limit.
        deny_other_blocks: a code outside :data:`KNOWN_BLOCKS` keeps a patron out as well.
        companions_max: how many others a patron may let in; 0 for nobody. A pass has its own.
        max_cache_age_h: of the copy of the patron register, in hours; None for any age.
        duress: a PIN whose last digit is one higher opens as well and raises a silent alarm, which
            costs a second right PIN for each patron: two of 10 000 open.
        weak_pin: what happens after a PIN that a row calls weak; nothing where none is required.
        code_entry: codes count where no card was read.
        require_tags: tags of which a patron has to have each, such as a signed agreement's.
        age_exception_tags: tags for whose patrons no age limit counts, such as a parent's consent.
        first_card: kinds of passes, and tags of patrons, of which one has to come in on each local
            day before anybody else does by self-service; empty for no such rule.
    """

    require_pin: bool = True
    pin_length: int = 4
    require_resident: bool = True
    minimum_age: int = 0
    deny_blocks: Collection[str] = ("O", "D", "S", "U", "F")
    deny_other_blocks: bool = True
    companions_max: int = 0
    duress: bool = False
    weak_pin: WeakPin = WeakPin.WARN
    code_entry: bool = False
    first_card: Collection[str] = ()
    require_tags: Collection[str] = ()
    age_exception_tags: Collection[str] = ()
    max_cache_age_h: float | None = None

    @property
    def max_cache_age(self) -> timedelta | None:
        """How old the copy of the patron register may be; None for any age."""
        return None if self.max_cache_age_h is None else timedelta(hours=self.max_cache_age_h)


@dataclass(frozen=True, slots=True)
class Case:
    """The facts for one decision, at one moment; see also :class:`~doorctl.access.messages.Now`.

    `patron` is None for an unknown card; `held` is the pass of the card or code, in force or not.

    Args:
        throttled: whether the card has to wait after too many wrong PINs.
        cache_applied_at: when the latest push came, UTC; None if none ever came.
        cache_minimum_age: the age limit that the rows were sealed for, in years.
        pass_pin: the proof of the PIN that the pass requires; a code is its own proof.
        opened_on: the local day of the last entry by `Policy.first_card`; None for none known.
        damaged: as in `Prepared`; a card or a PIN that is not known is then a fault of doorctl.
    """

    patron: Patron | None
    moment: Moment
    pin: PinProof = PinProof.NOT_GIVEN
    throttled: bool = False
    banned: bool = False
    cache_applied_at: datetime | None = None
    cache_minimum_age: int = 0
    mode: Mode | None = Mode.SELF_SERVICE
    no_entry: bool = False
    held: Pass | None = None
    pass_pin: PinProof = PinProof.NOT_GIVEN
    opened_on: date | None = None
    damaged: bool = False

    @property
    def unknown(self) -> Reason:
        """Why a card without a row does not open."""
        return Reason.FAULT if self.damaged else Reason.UNKNOWN_CARD

    @property
    def pin_unknown(self) -> Reason:
        """Why a PIN that there is nothing to compare with does not open."""
        return Reason.FAULT if self.damaged else Reason.PIN_UNKNOWN

    @property
    def mode_for_entry(self) -> Mode | None:
        """The mode for a patron who wants in: just before closing the branch counts as closed."""
        return Mode.CLOSED if self.no_entry and self.mode in OPEN else self.mode


JudgedT = TypeVar("JudgedT", Patron, Pass)


@dataclass(frozen=True, slots=True)
class Check(Generic[JudgedT]):
    """One row of a table: a name for people, and a function that returns its refusal or None.

    `by_row` says that the row alone decides it, and under which name the guard of a push counts the
    cards that it newly refuses: no more than the policy, the day, and what stands in the row, but
    for its number and its PIN check. The answer changes on a day of :data:`DATED` or the day after.
    Empty where more than the row decides.
    """

    name: str
    refuses: Callable[[Policy, Case, JudgedT], Reason | None]
    by_row: str = ""


def _pin(policy: Policy, case: Case, _patron: Patron) -> Reason | None:
    if not policy.require_pin or case.pin is PinProof.PROVED:
        return None
    return case.pin_unknown if case.pin is PinProof.UNKNOWN else Reason.WRONG_PIN


def _throttled(_policy: Policy, case: Case, _patron: Patron) -> Reason | None:
    return Reason.THROTTLED if case.throttled else None


def _pass_throttled(_policy: Policy, case: Case, held: Pass) -> Reason | None:
    # A card whose pass needs no PIN has nothing to guess at; a code is its own secret.
    guessable = held.needs_pin or held.code_digits is not None
    return Reason.THROTTLED if case.throttled and guessable else None


def _pass_restricted(_policy: Policy, case: Case, _held: Pass) -> Reason | None:
    # A card's pass rests on the same person: what is restricted is used for nothing.
    return Reason.RESTRICTED if case.patron is not None and case.patron.restricted else None


def _restricted(_policy: Policy, _case: Case, patron: Patron) -> Reason | None:
    return Reason.RESTRICTED if patron.restricted else None


def _banned(_policy: Policy, case: Case, _judged: Patron | Pass) -> Reason | None:
    return Reason.BANNED if case.banned else None


def _blocked(policy: Policy, _case: Case, patron: Patron) -> Reason | None:
    denied = not patron.blocks.isdisjoint(policy.deny_blocks)
    unheard_of = patron.blocks - KNOWN_BLOCKS if policy.deny_other_blocks else frozenset()
    return Reason.BLOCKED if denied or unheard_of else None


def _resident(policy: Policy, _case: Case, patron: Patron) -> Reason | None:
    return Reason.NOT_RESIDENT if policy.require_resident and not patron.resident else None


def _age(policy: Policy, case: Case, patron: Patron) -> Reason | None:
    if not patron.tags.isdisjoint(policy.age_exception_tags):
        return None
    if case.cache_minimum_age < policy.minimum_age and _has_age_limit(case, patron):
        # A row without a date means "old enough for the limit of then": for another limit in doubt.
        return Reason.CACHE_TOO_OLD
    if patron.enter_from is None or _today(case) >= patron.enter_from:
        return None
    return Reason.UNDER_AGE if case.moment.dependable else Reason.CLOCK_UNTRUSTED


def _has_age_limit(case: Case, patron: Patron) -> bool:
    """Tell whether the row was sealed for the cache's limit; one from an answer may not be."""
    return patron.pushed or case.cache_applied_at is not None


def _tagged(policy: Policy, _case: Case, patron: Patron) -> Reason | None:
    return None if patron.tags.issuperset(policy.require_tags) else Reason.NOT_INTRODUCED


def _expired(_policy: Policy, case: Case, patron: Patron) -> Reason | None:
    if not patron.active:
        return Reason.EXPIRED
    dated = patron.valid_until is not None or patron.hold_from is not None
    if _past_validity(case, patron) or _on_hold(case, patron):
        return Reason.EXPIRED
    return None if case.moment.dependable or not dated else Reason.CLOCK_UNTRUSTED


def _past_validity(case: Case, patron: Patron) -> bool:
    return patron.valid_until is not None and _today(case) > patron.valid_until


def _on_hold(case: Case, patron: Patron) -> bool:
    if patron.hold_from is None:
        return False
    return patron.hold_from <= _today(case) <= (patron.hold_until or date.max)


def _hours(_policy: Policy, case: Case, _patron: Patron) -> Reason | None:
    return closed(case.mode_for_entry, case.moment)


def _first_card(policy: Policy, case: Case, judged: Patron | Pass) -> Reason | None:
    # A pass that opens the closed branch needs no first card either.
    by_itself = isinstance(judged, Pass) and judged.admits(case.moment, Mode.CLOSED) is Reason.OK
    if not policy.first_card or by_itself or opens_day(policy, judged):
        return None
    if case.mode_for_entry is not Mode.SELF_SERVICE:
        return None
    # The date must be known too, else yesterday's opening would do.
    opened = case.moment.dependable and case.opened_on == case.moment.local.date()
    return None if opened else Reason.CLOSED


def _cache_age(policy: Policy, case: Case, patron: Patron) -> Reason | None:
    # A row from the library system's answer has an end of its own, and is as old as its question.
    most = policy.max_cache_age
    if most is None or not patron.pushed:
        return None
    if case.cache_applied_at is None:
        return Reason.CACHE_TOO_OLD
    age = case.moment.known_time - case.cache_applied_at
    # A push dated in the future was dated by a clock that was wrong: its age is in doubt.
    doubtful = case.moment.dependable and age < -CLOCK_SLACK
    return Reason.CACHE_TOO_OLD if doubtful or age > most else None


def _weak_pin(policy: Policy, _case: Case, patron: Patron) -> Reason | None:
    refuses = policy.weak_pin is WeakPin.REFUSE and policy.require_pin
    return Reason.WEAK_PIN if refuses and patron.weak_pin else None


def _pass_pin(_policy: Policy, case: Case, held: Pass) -> Reason | None:
    # The pass's own rule counts, not the branch's: it opens where the branch's PIN does not.
    if not held.needs_pin or case.pass_pin is PinProof.PROVED:
        return None
    return case.pin_unknown if case.pass_pin is PinProof.UNKNOWN else Reason.WRONG_PIN


def _not_admitted(_policy: Policy, case: Case, held: Pass) -> Reason | None:
    reason = held.admits(case.moment, case.mode_for_entry)
    return None if reason is Reason.OK else reason


def opens_day(policy: Policy, judged: Patron | Pass) -> bool:
    """Tell whether others may come in by self-service once this patron or pass has.

    Staff's passes always count, where there is such a rule.
    """
    if not policy.first_card:
        return False
    if isinstance(judged, Pass):
        return judged.kind is PassKind.STAFF or judged.kind.value in policy.first_card
    return not judged.tags.isdisjoint(policy.first_card)


def closed(mode: Mode | None, moment: Moment) -> Reason | None:
    """Return why no patron comes in by self-service now; None if they may."""
    if mode in OPEN:
        return None
    unknown = mode is None and not moment.dependable
    return Reason.CLOCK_UNTRUSTED if unknown else Reason.CLOSED


def knows_pin(patron: Patron | None, moment: Moment) -> bool:
    """Tell whether a row can prove a PIN: it has a check, and a learnt check still counts."""
    if patron is None or patron.pin_check is None:
        return False
    return patron.pin_until is None or moment.known_time.date() <= patron.pin_until


def _today(case: Case) -> date:
    return case.moment.known_time.date()


CHECKS: tuple[Check[Patron], ...] = (
    # The throttle comes before the PIN: while the card waits, even the right PIN proves nothing.
    Check("throttle", _throttled),
    Check("pin", _pin),
    Check("restricted", _restricted, "newly_restricted"),
    Check("banned", _banned),
    Check("blocked", _blocked, "newly_blocked"),
    Check("resident", _resident, "newly_non_resident"),
    Check("age", _age, "newly_under_age"),
    Check("expired", _expired, "newly_expired"),
    Check("tags", _tagged, "newly_untagged"),
    Check("hours", _hours),
    Check("first_card", _first_card),
    Check("cache_age", _cache_age),
    # The last check: its refusal tells the patron that only a new PIN is missing.
    Check("weak_pin", _weak_pin, "newly_weak"),
)
"""The checks of a known card, in this order."""

PASS_CHECKS: tuple[Check[Pass], ...] = (
    Check("pass_throttle", _pass_throttled),
    Check("pass_pin", _pass_pin),
    Check("pass_restricted", _pass_restricted),
    Check("pass_banned", _banned),
    Check("pass_admits", _not_admitted),
    Check("pass_first_card", _first_card),
)
"""The checks of a pass, in this order.

Of the library system's data on the patron only their restriction counts here.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer; `refused_with` is None where it passed."""

    check: str
    refused_with: Reason | None


def findings(policy: Policy, case: Case) -> tuple[Finding, ...]:
    """Run every check, in order, for staff who want to know why; the pass's checks come last."""
    found: tuple[Finding, ...] = (Finding("known", case.unknown),)
    if case.patron is not None:
        found = (Finding("known", None), *_findings(CHECKS, policy, case, case.patron))
    if case.held is None:
        return found
    return (*found, *_findings(PASS_CHECKS, policy, case, case.held))


def _findings(
    checks: Iterable[Check[JudgedT]], policy: Policy, case: Case, judged: JudgedT
) -> Iterable[Finding]:
    return (Finding(check.name, check.refuses(policy, case, judged)) for check in checks)


@dataclass(frozen=True, slots=True)
class Decision:
    """The end of an attempt, and by whose rights; both are false where nobody comes in."""

    reason: Reason
    by_patron: bool = False
    by_pass: bool = False


def decide(policy: Policy, case: Case) -> Decision:
    """Return ``ok`` where either table lets the patron in, else the refusal to show.

    That is the patron's; the pass's where the card has no row, or where its PIN alone was proved.
    Before a proof it is one of :data:`UNPROVED`, so that a pass can't be told from none.
    """
    by_patron = case.unknown
    if case.patron is not None:
        by_patron = _first(CHECKS, policy, case, case.patron)
    if case.held is None:
        return Decision(by_patron, by_patron=by_patron is Reason.OK)
    by_pass = _first(PASS_CHECKS, policy, case, case.held)
    opened = Reason.OK in {by_patron, by_pass}
    return Decision(
        Reason.OK if opened else _shown(policy, case, by_patron, by_pass),
        by_patron=by_patron is Reason.OK,
        by_pass=by_pass is Reason.OK,
    )


def _first(checks: Iterable[Check[JudgedT]], policy: Policy, case: Case, judged: JudgedT) -> Reason:
    for check in checks:
        reason = check.refuses(policy, case, judged)
        if reason is not None:
            return reason
    return Reason.OK


def _shown(policy: Policy, case: Case, by_patron: Reason, by_pass: Reason) -> Reason:
    if by_patron not in UNPROVED:
        return by_patron
    if by_pass in UNPROVED:
        return by_pass if case.patron is None else by_patron
    # Where no PIN is required there is nothing to prove, and nothing to hide until then.
    proved = case.pass_pin is PinProof.PROVED or not policy.require_pin
    return by_pass if proved else by_patron
