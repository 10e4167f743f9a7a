"""What an export would become: counts of each field, and what is suspicious; nothing is stored."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from doorctl.access.forecast import refusals
from doorctl.access.policy import Policy, WeakPin
from doorctl.core.masked import IdentifierKind
from doorctl.sync.feed import FeedPatron, Rows
from doorctl.sync.guard import SHARE_PERCENT
from doorctl.sync.sealing import unsealed

JUMP = SHARE_PERCENT / 100
"""Of all patrons, which nothing that happens in a day explains; the guard's own share."""

NO_CARD = "no card"

PIN_TO_LEARN = "pin_to_learn"
"""Patrons who would get in, but whose PIN a branch has to learn at its first use."""

NOT_SHARES = frozenset({"patrons", "cards", "cprs", "would_get_in", PIN_TO_LEARN, "set_aside"})
"""Counts that are no share of the patrons, that others explain, or that have an alarm."""

COUNTS = (
    "patrons", "cards", "cprs", "without_identifier", "without_pin", "resident", "blocked",
    "on_hold", "without_birthday", "under_age", "expired", "would_get_in",
    PIN_TO_LEARN, "set_aside",
)  # fmt: skip
"""What is counted, in the order in which it is shown."""

KEPT_OUT = MappingProxyType(
    {NO_CARD: "without_identifier", "age": "under_age", "expired": "expired", "": "would_get_in"}
)
"""What keeps a patron out, of which there is a count -> its name."""

SHOWN_ROWS = 5
"""First rows that are shown: enough to see a column that moved."""

LEARNT = (
    "{count} of the {of} who would get in have no PIN here: they get in only at a branch whose "
    "[lms] names a library system (fbs, folio, koha, sip2), which checks it at the first visit"
)

FEW = 20
"""Of so few patrons no share says anything."""

MONTHS = 12

NEARLY_ALL = 0.9
"""A share that no whole register of a library has."""


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a row: kinds and yes or no, and no value of it."""

    line: int
    cards: int
    cprs: int
    pin: bool
    resident: bool
    blocks: int
    keeps_out: str

    @property
    def in_words(self) -> str:
        """One line for people."""
        parts = (
            f"{self.cards} card{'s' * (self.cards != 1)}, {self.cprs} CPR",
            "PIN" if self.pin else "no PIN",
            "resident" if self.resident else "not resident",
            f"{self.blocks} block{'s' * (self.blocks != 1)}",
            f"would not get in: {self.keeps_out}" if self.keeps_out else "would get in",
        )
        return f"line {self.line}: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Look:
    """What an export holds; `counts` by name, `set_aside` why -> how many rows."""

    counts: dict[str, int]
    set_aside: dict[str, int]
    rows: Sequence[Row]
    suspicions: Sequence[str]


def look(rows: Rows, *, on: date, policy: Policy) -> Look:
    """Tell what the right rows of an export say on a day, and why others are wrong.

    The door's own checks are asked who would get in; what a branch alone knows, such as a ban, its
    hours and a PIN, plays no part.
    """
    tally = _tallied(rows, on, policy)
    suspicions = [*_suspicions(tally), *_suspicious_numbers(tally)]
    return Look(tally.counts, _reasons(rows), tally.rows, suspicions)


def counted(rows: Rows, *, on: date, policy: Policy) -> dict[str, int]:
    """Return the counts of a look alone."""
    return _tallied(rows, on, policy).counts


@dataclass(slots=True)
class _Tally:
    """What one pass over the right rows has found: no row but the first few.

    `lengths` are those of the cards' numbers; of `rounded` cards the last four digits are 0.
    """

    counts: dict[str, int]
    rows: list[Row] = field(default_factory=list)
    born: Counter[date] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    with_letters: int = 0
    rounded: int = 0

    def take(self, patron: FeedPatron, row: Row, *, learns_pin: bool) -> None:
        """Count a patron."""
        counts = self.counts
        if len(self.rows) < SHOWN_ROWS:
            self.rows.append(row)
        if patron.birthday is not None:
            self.born[patron.birthday] += 1
        counts["patrons"] += 1
        counts["cards"] += row.cards
        counts["cprs"] += row.cprs
        counts["without_pin"] += not row.pin
        counts[PIN_TO_LEARN] += learns_pin and not (row.pin or row.keeps_out)
        counts["resident"] += row.resident
        counts["blocked"] += bool(row.blocks)
        counts["on_hold"] += patron.row.hold_from is not None
        counts["without_birthday"] += patron.birthday is None
        if (refusal := KEPT_OUT.get(row.keeps_out)) is not None:
            counts[refusal] += 1
        for number in patron.numbers:
            if number.kind is IdentifierKind.CARD:
                self._take_card(number.reveal().partition(":")[2])

    def _take_card(self, card: str) -> None:
        self.lengths[len(card)] += 1
        self.with_letters += not card.isdigit()
        self.rounded += card.endswith("0000")


def _tallied(rows: Rows, on: date, policy: Policy) -> _Tally:
    tally = _Tally(dict.fromkeys(COUNTS, 0))
    for patron in rows.right:
        tally.take(patron, _row(patron, on, policy), learns_pin=policy.require_pin)
    tally.counts["set_aside"] = len(rows.wrong)
    return tally


def jumps(before: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    """Return in words which share of the patrons has jumped from one whole export to the next.

    None where either has less than :data:`FEW` patrons.
    """
    was, are = before.get("patrons", 0), now.get("patrons", 0)
    if min(was, are) < FEW:
        return []
    return [
        f"{name.replace('_', ' ')}: {count} of {are} patrons, {before[name]} of {was} before"
        for name, count in now.items()
        if name not in NOT_SHARES
        and name in before
        and (abs(count / are - before[name] / was) >= JUMP or _is_gone(before[name], count))
    ]


def _is_gone(before: int, now: int) -> bool:
    # A column of blocks that is empty all at once is more than its small share says.
    return before >= FEW and not now


def _row(patron: FeedPatron, on: date, policy: Policy) -> Row:
    kinds = Counter(number.kind for number in patron.numbers)
    rows = unsealed(patron, policy.minimum_age, on, flags_weak=policy.weak_pin is not WeakPin.ALLOW)
    refused = [[check.name for check in refusals(policy, row, on)] for _, row in rows]
    keeps_out = NO_CARD
    if refused:
        keeps_out = "" if [] in refused else refused[0][0]
    return Row(
        patron.line,
        kinds[IdentifierKind.CARD],
        kinds[IdentifierKind.CPR],
        patron.pin is not None,
        patron.row.resident,
        len(patron.row.blocks),
        keeps_out,
    )


def _reasons(rows: Rows) -> dict[str, int]:
    """Return why rows are wrong, with how many of each; places and lines are left out."""
    first = (why for row in rows.wrong for why in row.why[:1])
    reasons = Counter(re.sub(r"\[\d+\]|(?<=line )\d+", "…", why) for why in first)
    return dict(reasons.most_common())


def _suspicions(tally: _Tally) -> Iterator[str]:
    counts, many = tally.counts, tally.counts["patrons"]
    if many < FEW:
        return
    if not counts["blocked"]:
        yield "no patron is blocked: is the column of blocks the right one?"
    if counts["blocked"] == many:
        yield "each patron is blocked: is the column of blocks the right one?"
    if counts["resident"] == many:
        yield "each patron is resident: who lives elsewhere gets in too"
    if not counts["resident"]:
        yield "no patron is resident: no patron would get in where residents alone may"
    if counts["expired"] > NEARLY_ALL * many:
        yield "nearly all cards have expired: is the day's format the right one?"
    if not counts["cards"] + counts["cprs"]:
        yield "no patron has a card"
    yield from _suspicious_days(tally.born)


def _suspicious_days(born: Counter[date]) -> Iterator[str]:
    known = born.total()
    if known and sum(born[day] for day in born if (day.month, day.day) == (1, 1)) > known / 2:
        yield "most birthdays are 1 January: the export knows the year alone"
    if known >= FEW and max(born.values()) > known / 10:
        yield "one birthday is that of every tenth patron: is it the right column?"
    if known >= FEW and max(day.day for day in born) <= MONTHS:
        yield "no birthday is after the 12th of a month: are day and month the right way round?"


def _suspicious_numbers(tally: _Tally) -> Iterator[str]:
    cards = tally.lengths.total()
    if cards < FEW:
        return
    (usual, count), *others = tally.lengths.most_common()
    shorter = sum(many for length, many in others if length == usual - 1)
    if shorter and not tally.with_letters and count > shorter:
        yield f"{shorter} card numbers are one digit shorter than most: were leading zeros lost?"
    if tally.rounded > cards / 2:
        yield "most card numbers end in 0000: a spreadsheet has rounded them"


def in_words(seen: Look) -> Iterable[str]:
    """Yield the lines for people."""
    yield from (row.in_words for row in seen.rows)
    yield from (f"{count:>9}  {name.replace('_', ' ')}" for name, count in seen.counts.items())
    if seen.counts[PIN_TO_LEARN]:
        yield LEARNT.format(count=seen.counts[PIN_TO_LEARN], of=seen.counts["would_get_in"])
    yield from (f"set aside, {count}: {why}" for why, count in seen.set_aside.items())
    yield from (f"suspicious: {text}" for text in seen.suspicions)
