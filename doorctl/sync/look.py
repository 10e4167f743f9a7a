"""What an export would become: counts of each field, and what is suspicious; nothing is stored."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

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
    judged = [_row(patron, on, policy) for patron in rows.right]
    counts = _counts(rows, judged, policy)
    suspicions = [*_suspicions(rows.right, counts), *_suspicious_numbers(rows.right)]
    return Look(counts, _reasons(rows), judged[:SHOWN_ROWS], suspicions)


def counted(rows: Rows, *, on: date, policy: Policy) -> dict[str, int]:
    """Return the counts of a look alone."""
    return _counts(rows, [_row(patron, on, policy) for patron in rows.right], policy)


def _counts(rows: Rows, judged: Sequence[Row], policy: Policy) -> dict[str, int]:
    patrons, refused = rows.right, Counter(row.keeps_out for row in judged)
    to_learn = [row for row in judged if policy.require_pin and not (row.pin or row.keeps_out)]
    return {
        "patrons": len(patrons),
        "cards": sum(row.cards for row in judged),
        "cprs": sum(row.cprs for row in judged),
        "without_identifier": refused[NO_CARD],
        "without_pin": sum(not row.pin for row in judged),
        "resident": sum(row.resident for row in judged),
        "blocked": sum(bool(row.blocks) for row in judged),
        "on_hold": sum(each.row.hold_from is not None for each in patrons),
        "without_birthday": sum(each.birthday is None for each in patrons),
        "under_age": refused["age"],
        "expired": refused["expired"],
        "would_get_in": refused[""],
        PIN_TO_LEARN: len(to_learn),
        "set_aside": len(rows.wrong),
    }


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


def _suspicions(patrons: Sequence[FeedPatron], counts: dict[str, int]) -> Iterator[str]:
    many = len(patrons)
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
    yield from _suspicious_days([each.birthday for each in patrons if each.birthday is not None])


def _suspicious_days(born: Sequence[date]) -> Iterator[str]:
    if born and sum((day.month, day.day) == (1, 1) for day in born) > len(born) / 2:
        yield "most birthdays are 1 January: the export knows the year alone"
    if len(born) >= FEW and Counter(born).most_common(1)[0][1] > len(born) / 10:
        yield "one birthday is that of every tenth patron: is it the right column?"
    if len(born) >= FEW and max(day.day for day in born) <= MONTHS:
        yield "no birthday is after the 12th of a month: are day and month the right way round?"


def _suspicious_numbers(patrons: Sequence[FeedPatron]) -> Iterator[str]:
    cards = [
        number.reveal().partition(":")[2]
        for patron in patrons
        for number in patron.numbers
        if number.kind is IdentifierKind.CARD
    ]
    if len(cards) < FEW:
        return
    lengths = Counter(map(len, cards))
    (usual, count), *others = lengths.most_common()
    shorter = sum(many for length, many in others if length == usual - 1)
    if shorter and all(map(str.isdigit, cards)) and count > shorter:
        yield f"{shorter} card numbers are one digit shorter than most: were leading zeros lost?"
    if sum(card.endswith("0000") for card in cards) > len(cards) / 2:
        yield "most card numbers end in 0000: a spreadsheet has rounded them"


def in_words(seen: Look) -> Iterable[str]:
    """Yield the lines for people."""
    yield from (row.in_words for row in seen.rows)
    yield from (f"{count:>9}  {name.replace('_', ' ')}" for name, count in seen.counts.items())
    if seen.counts[PIN_TO_LEARN]:
        yield LEARNT.format(count=seen.counts[PIN_TO_LEARN], of=seen.counts["would_get_in"])
    yield from (f"set aside, {count}: {why}" for why, count in seen.set_aside.items())
    yield from (f"suspicious: {text}" for text in seen.suspicions)
