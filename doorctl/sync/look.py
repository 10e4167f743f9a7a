"""What an export would become: counts of each field, and what is suspicious; nothing is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from doorctl.core.masked import IdentifierKind
from doorctl.sync.feed import FeedPatron, Rows
from doorctl.sync.rows import old_enough_from

JUMP = 0.05
"""Of all patrons, which nothing that happens in a day explains; the guard's own share."""

NOT_SHARES = frozenset({"patrons", "cards", "cprs", "would_get_in", "set_aside"})
"""Counts that are no share of the patrons, that others explain, or that have an alarm."""

SHOWN_ROWS = 5
"""First rows that are shown: enough to see a column that moved."""

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


def look(rows: Rows, *, on: date, minimum_age: int, is_resident_needed: bool) -> Look:
    """Count what the right rows of an export say on a day, and why others are wrong."""
    patrons = rows.right
    judged = [
        _row(each, on, minimum_age, is_resident_needed=is_resident_needed) for each in patrons
    ]
    counts = {
        "patrons": len(patrons),
        "cards": sum(row.cards for row in judged),
        "cprs": sum(row.cprs for row in judged),
        "without_identifier": sum(not (row.cards or row.cprs) for row in judged),
        "without_pin": sum(not row.pin for row in judged),
        "resident": sum(row.resident for row in judged),
        "blocked": sum(bool(row.blocks) for row in judged),
        "on_hold": sum(each.row.hold_from is not None for each in patrons),
        "without_birthday": sum(each.birthday is None for each in patrons),
        "under_age": sum(_is_under_age(each, on, minimum_age) for each in patrons),
        "expired": sum(_is_over(each, on) for each in patrons),
        "would_get_in": sum(not row.keeps_out for row in judged),
        "set_aside": len(rows.wrong),
    }
    suspicions = [*_suspicions(patrons, counts), *_suspicious_numbers(patrons)]
    return Look(counts, _reasons(rows), judged[:SHOWN_ROWS], suspicions)


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
        and abs(count / are - before[name] / was) >= JUMP
    ]


def _row(patron: FeedPatron, on: date, minimum_age: int, *, is_resident_needed: bool) -> Row:
    kinds = Counter(number.kind for number in patron.numbers)
    keeps_out = {
        "no card": not patron.identifiers,
        "expired": _is_over(patron, on),
        "not resident": is_resident_needed and not patron.row.resident,
        "blocked": bool(patron.row.blocks),
        "on hold": patron.row.hold_from is not None,
        "under age": _is_under_age(patron, on, minimum_age),
        "no birthday": minimum_age > 0 and patron.birthday is None,
    }
    return Row(
        patron.line,
        kinds[IdentifierKind.CARD],
        kinds[IdentifierKind.CPR],
        patron.pin is not None,
        patron.row.resident,
        len(patron.row.blocks),
        next((why for why, holds in keeps_out.items() if holds), ""),
    )


def _is_under_age(patron: FeedPatron, on: date, minimum_age: int) -> bool:
    born = patron.birthday
    return born is not None and old_enough_from(born, minimum_age) > on


def _is_over(patron: FeedPatron, on: date) -> bool:
    """Tell whether no number of a patron is in force any more; False for one without numbers."""
    days = [each.valid_until for each in patron.identifiers]
    all_over = all(
        not each.active or (each.valid_until is not None and each.valid_until < on)
        for each in patron.identifiers
    )
    return bool(days) and all_over


def _reasons(rows: Rows) -> dict[str, int]:
    """Return why rows are wrong, with how many of each; places in a list are left out."""
    reasons = Counter(why for row in rows.wrong for why in row.why[:1])
    return dict(reasons.most_common())


def _suspicions(patrons: Sequence[FeedPatron], counts: dict[str, int]) -> Iterator[str]:
    many = len(patrons)
    if many < FEW:
        return
    if not counts["blocked"]:
        yield "no patron is blocked: is the column of blocks the right one?"
    if counts["resident"] == many:
        yield "each patron is resident: who lives elsewhere gets in too"
    if not counts["resident"]:
        yield "no patron is resident: no patron would get in where residents alone may"
    if counts["expired"] > NEARLY_ALL * many:
        yield "nearly all cards have expired: is the day's format the right one?"
    if not counts["cards"] + counts["cprs"]:
        yield "no patron has a card"
    born = [each.birthday for each in patrons if each.birthday is not None]
    if born and sum((day.month, day.day) == (1, 1) for day in born) > len(born) / 2:
        yield "most birthdays are 1 January: the export knows the year alone"
    if len(born) >= FEW and len(set(born)) <= len(born) // 10:
        yield "most patrons share their birthday with others: is it the right column?"
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
    yield from (f"set aside, {count}: {why}" for why, count in seen.set_aside.items())
    yield from (f"suspicious: {text}" for text in seen.suspicions)
