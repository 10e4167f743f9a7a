"""The reference: who may come in, said once more over plain data; nothing of `doorctl` is used."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

CLOSED_DAYS = frozenset({(12, 24), (12, 25), (12, 26), (1, 1)})
STAFFED, SELF_SERVICE, CLOSED = "staffed", "self_service", "closed"
WEEKDAY = ((STAFFED, 10 * 60, 16 * 60), (SELF_SERVICE, 7 * 60, 22 * 60))
WEEKEND = ((SELF_SERVICE, 8 * 60, 21 * 60),)
CACHE_GOOD_FOR = timedelta(hours=60)
CLOCK_SLACK = timedelta(minutes=5)
WAIT_MS = {3: 30_000, 4: 120_000, 5: 600_000} | dict.fromkeys(range(6, 10), 3_600_000)
STAFF_ONLY_AFTER = 10
MOST_WRONG_PINS = 20
DENIED = frozenset("ODSUF")
BEFORE_PROOF = frozenset({"unknown_card", "wrong_pin", "pin_unknown", "throttled"})
Against = tuple[tuple[str, bool], ...]
UNJUDGED = frozenset({"pin_timeout", "fault", "card_unreadable"})


@dataclass(frozen=True)
class Person:
    """A patron with one card, as the library system has it."""

    card: str
    pin: str | None
    resident: bool = True
    blocks: str = ""
    valid_until: date | None = None
    enter_from: date | None = None


@dataclass(frozen=True)
class Now:
    """The time as the branch can know it; `latest` is certain though `dependable` may be False."""

    local: datetime
    latest: datetime
    dependable: bool

    @property
    def known(self) -> datetime:
        """The time that is certain."""
        return self.local if self.dependable else self.latest


@dataclass
class Guesses:
    """Wrong PINs of a card in a row; `doubt` where nobody can know what became of one."""

    count: int = 0
    boot: int = 0
    at_ms: int = 0
    true_ms: int = 0
    doubt: bool = False

    def waits(self, boot: int, boot_ms: int) -> bool:
        """Tell whether the card has to wait; a reboot begins the wait anew."""
        passed = boot_ms - self.at_ms if boot == self.boot else boot_ms
        return self.count >= STAFF_ONLY_AFTER or passed < WAIT_MS.get(self.count, 0)


@dataclass
class Branch:
    """All that a decision may rest on.

    Where it `waits`, a caretaker has to come in on each day before others do; `opened_on` is the
    last day of one, `kept_on` the last that is on record, `maybe_on` one that may have been lost.
    """

    register: dict[str, Person] = field(default_factory=dict)
    applied_at: datetime | None = None
    banned: dict[str, datetime | None] = field(default_factory=dict)
    restricted: set[str] = field(default_factory=set)
    locked_until: datetime | None = None
    locked_ms: int = 0
    guesses: dict[str, Guesses] = field(default_factory=dict)
    waits: bool = False
    opened_on: date | None = None
    kept_on: date | None = None
    maybe_on: date | None = None

    def came_in(self, card: str, now: Now) -> None:
        """Note that somebody was let in."""
        if self.waits and is_caretaker(card) and now.dependable:
            self.opened_on = now.local.date()

    def restarted(self, *, in_doubt: bool) -> None:
        """Note that the door knows only what is on record, or perhaps not even that."""
        if in_doubt or self.opened_on != self.kept_on:
            self.maybe_on, self.opened_on = self.opened_on or self.maybe_on, None

    def unsure(self, card: str, now: Now) -> bool:
        """Tell whether nobody can know if the day was opened for this card."""
        return self.not_opened(card, now) and self.maybe_on == now.local.date()

    def not_opened(self, card: str, now: Now) -> bool:
        """Tell whether somebody has to wait for a caretaker."""
        if not self.waits or is_caretaker(card) or mode_at(now.local) != SELF_SERVICE:
            return False
        return self.opened_on != now.local.date()

    def reason(self, card: str, typed: str, now: Now, *, waits: bool) -> str:
        """Return how a visit ends."""
        person = self.register.get(card)
        if person is None:
            return "unknown_card"
        against = (
            ("throttled", waits),
            ("pin_unknown", person.pin is None),
            ("wrong_pin", person.pin != typed),
            ("restricted", card in self.restricted),
            ("banned", card in self.banned and ends_later(self.banned[card], now.known)),
            ("blocked", bool(DENIED & set(person.blocks))),
            ("not_resident", not person.resident),
            *dated(person, now),
            *self.hours(now),
            ("closed", self.not_opened(card, now)),
            ("cache_too_old", self.too_old(now)),
        )
        return next((reason for reason, holds in against if holds), "ok")

    def hours(self, now: Now) -> Against:
        """Return what the hours have against everybody; a lockdown goes before everything."""
        locked = self.locked_until is not None and now.known < self.locked_until
        if not now.dependable:
            return (("closed", locked), ("clock_untrusted", True))
        return (("closed", locked or mode_at(now.local) == CLOSED or self.lapsed_in_staffed(now)),)

    def lapsed_in_staffed(self, now: Now) -> bool:
        """Tell whether the door would stand free, but for a lockdown that nobody has lifted."""
        return self.locked_until is not None and mode_at(now.local) == STAFFED

    def too_old(self, now: Now) -> bool:
        """Tell whether nobody has confirmed the register for too long, or in the future."""
        if self.applied_at is None:
            return True
        age = now.known - self.applied_at
        return age > CACHE_GOOD_FOR or (now.dependable and age < -CLOCK_SLACK)


def dated(person: Person, now: Now) -> Against:
    """Return what a patron's dates say."""
    today = now.known.date()
    young = person.enter_from is not None and today < person.enter_from
    over = person.valid_until is not None and today > person.valid_until
    unsure = not now.dependable and person.valid_until is not None and not over
    return (
        ("under_age", young and now.dependable),
        ("clock_untrusted", young and not now.dependable),
        ("expired", over),
        ("clock_untrusted", unsure),
    )


def mode_at(local: datetime) -> str:
    """Return what the branch is at a local minute, by the week's table and the closed days."""
    if (local.month, local.day) in CLOSED_DAYS:
        return CLOSED
    minute = local.hour * 60 + local.minute
    spans = WEEKEND if local.weekday() >= 5 else WEEKDAY
    return next((mode for mode, begins, ends in spans if begins <= minute < ends), CLOSED)


def is_caretaker(card: str) -> bool:
    """Tell whether a card is one of those for which the branch waits: one in four."""
    return int(card) % 4 == 0


def ends_later(until: datetime | None, now: datetime) -> bool:
    """Tell whether something that ends then, or never, still holds."""
    return until is None or now < until


# What somebody who stands beside the door knows: who did what, and what must be on record.

PREPARED_IN_MS = 20_000
"""By then a swipe has its attempt, if it begins one."""

CALM_MS = 8_000
"""So long after the last fault nothing of it is felt any more."""


class BrokenError(AssertionError):
    """An invariant does not hold.

    `number`: the fact sheet's; `what`: what was seen, without personal data.
    """

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"invariant {number}: {what}")
        self.number = number


def must(number: int, holds: bool, what: str) -> None:
    """Raise :class:`BrokenError` unless it holds."""
    if not holds:
        raise BrokenError(number, what)


@dataclass
class Swipe:
    """A card at the reader, and what has been typed since."""

    card: str
    at_ms: int
    typed: str = ""
    typed_at_ms: int = 0
    used: bool = False
    alone: bool = True
    over: bool = False
    attempt: int = 0
    waits: bool = False
    prepared_at_ms: int = 0


@dataclass
class Entry:
    """An attempt that is on record."""

    at_ms: int
    row_key: bytes | None
    dependable: bool
    reason: str | None = None


@dataclass
class Witness:
    """Plain data, filled by the simulation; `branch` is what decisions may rest on."""

    branch: Branch = field(default_factory=Branch)
    swipe: Swipe | None = None
    disturbed_ms: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)
    charged: dict[int, tuple[str, Guesses]] = field(default_factory=dict)

    def saw_swipe(self, card: str, now_ms: int) -> None:
        """See a whole swipe arrive; the same card goes on with an attempt that is not over.

        In staffed hours a card begins none, so a swipe without one is soon over by itself.
        """
        before = self.swipe
        again = before is not None and before.card == card and not before.over
        if before and again and (before.attempt or now_ms - before.at_ms < PREPARED_IN_MS):
            before.alone = False
            return
        recent = self.swipe is not None and now_ms - self.swipe.at_ms < 45_000
        self.swipe = Swipe(card, now_ms, alone=not recent)

    def saw_key(self, key: str, now_ms: int) -> None:
        """See a key arrive."""
        if self.swipe is not None and len(self.swipe.typed) < 4:
            self.swipe.typed += key
            self.swipe.typed_at_ms = now_ms

    def forget_swipe(self) -> None:
        """See the process end: nothing of before may open anything."""
        self.swipe = None

    def calm(self) -> bool:
        """Tell whether the swipe at hand was touched by no fault."""
        return self.swipe is not None and self.swipe.at_ms - self.disturbed_ms > CALM_MS

    def charge(self, attempt: int, card: str, guesses: Guesses) -> None:
        """Note that a guess was charged, and what the count was before."""
        self.charged[attempt] = (card, self.branch.guesses.get(card, Guesses()))
        self.branch.guesses[card] = guesses

    def settle(self, attempt: int, reason: str, now: Guesses) -> None:
        """Note how a charged guess ended."""
        card, before = self.charged.pop(attempt, ("", Guesses()))
        if not card:
            return
        if reason in UNJUDGED:
            after = before
        elif reason in BEFORE_PROOF:
            count = min(before.count + 1, STAFF_ONLY_AFTER)
            after = replace(now, count=count)
        else:
            after = Guesses()
        self.branch.guesses[card] = after

    def doubt(self, card: str) -> None:
        """Note that nobody can know what became of a card's guess."""
        self.branch.guesses.setdefault(card, Guesses()).doubt = True

    def died(self) -> None:
        """See the process end: open attempts end as faults, charged guesses stay charged."""
        self.charged.clear()
        self.forget_swipe()
        for entry in self.entries.values():
            entry.reason = entry.reason or "fault"
