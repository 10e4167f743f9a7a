"""From the library system's answer about one card to a sealed row, as a push would bring it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from doorctl.access.patron import Patron, pin_check
from doorctl.masked import Identifier, Pin, StretchedKey
from doorctl.ports import LibraryPatron
from doorctl.sync.ages import is_birthday
from doorctl.sync.feed import FeedIdentifier, FeedPatron
from doorctl.sync.seal import enter_from, has_weak_pin, patron_row

NO_LINE = 0
"""It stands in no file."""


def lent_patron(
    answer: LibraryPatron,
    identifier: Identifier,
    stretched: StretchedKey,
    pin: Pin,
    *,
    minimum_age: int,
    on: date | None,
    flags_weak: bool = False,
) -> Patron:
    """Return the row of a patron whom no push has brought yet, with the PIN that was proved.

    Args:
        answer: what the library system says.
        identifier: the number that was asked about.
        stretched: made of it.
        pin: the one that the library system has just called right.
        minimum_age: in years; 0 for no age limit.
        on: a day that has certainly come; None keeps `enter_from` for everybody.
        flags_weak: whether the row says that the PIN is too easy to guess; see `seal_rows`.
    """
    # What is no birthday is an unknown one, as a feed's is refused for it.
    known = answer.birthday is not None and is_birthday(answer.birthday)
    birthday = answer.birthday if known else None
    asked = FeedPatron(
        line=NO_LINE,
        patron_ref=answer.patron_ref,
        identifiers=(FeedIdentifier(identifier, answer.active, answer.valid_until),),
        left_out=0,
        pin=pin,
        resident=answer.resident,
        birthday=birthday,
        blocks=answer.blocks,
        hold_from=date.min if answer.hold_from is None and answer.hold_until else answer.hold_from,
        hold_until=answer.hold_until,
        tags=answer.tags,
    )
    return replace(
        patron_row(asked, asked.identifiers[0], enter_from(asked, minimum_age, on)),
        pin_check=pin_check(stretched, pin),
        weak_pin=flags_weak and has_weak_pin(asked),
        pushed=False,
    )
