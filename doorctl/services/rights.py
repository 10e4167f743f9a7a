"""Bans and passes as staff ask for them: a number is sealed here and goes no further.

None means each reading for `taken_as`. What could not be done raises a `DoorctlError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum

from doorctl.access.ban_dates import BanState, ban_state
from doorctl.access.patron import MADE_UP_REF
from doorctl.access.rights import Ban, HeldT, Listed, Pass
from doorctl.core.errors import InputError, StoreError
from doorctl.core.masked import Pin
from doorctl.core.ports import Seal
from doorctl.lookup.app import App, open_book
from doorctl.lookup.cards import NumberKeys
from doorctl.lookup.numbers import TakenAs
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.subject import refuse_ref
from doorctl.services import deeds
from doorctl.services.branch import change, note
from doorctl.services.cards import card_of_attempt
from doorctl.services.register import cards_of, numbers_of, open_register
from doorctl.services.subject import Named


class Reach(Enum):
    """For whom a ban holds, what staff have to know most first; the bans' page tells each."""

    NOT_YET = "not_yet"
    """For the patron of a number that nobody has in the register now."""
    CARD_ALONE = "card_alone"
    """The register knows no owner."""
    THIS_CARD = "this_card"
    """For the patron, but not by a card that they get later."""
    PATRON = "added"
    """For the patron with all cards."""


@dataclass(frozen=True, slots=True)
class Card:
    """One reading of a number, sealed, with its patron; or the patron of a number alone.

    `patron_ref` is None where the register has no such card; `known` tells whether it has the
    patron who was named by number.
    """

    reading: NumberKeys | None
    patron_ref: str | None = field(repr=False)
    known: bool = True

    @property
    def key(self) -> bytes | None:
        """The key of its row; None for a patron's number."""
        return None if self.reading is None else self.reading.key

    @property
    def reach(self) -> Reach:
        """For whom a ban of it holds."""
        if self.patron_ref is None:
            return Reach.CARD_ALONE
        if not self.known:
            return Reach.NOT_YET
        return Reach.THIS_CARD if self.patron_ref.startswith(MADE_UP_REF) else Reach.PATRON


class PassState(Enum):
    """What a pass does now; the values are fixed names in lists and scripts."""

    VALID = "valid"
    AHEAD = "ahead"
    OVER = "over"
    REVOKED = "revoked"


def whose(app: App, named: Named | int) -> tuple[Card, ...]:
    """Return whom staff mean: by a card, by the library system's number, or by an attempt's.

    Raises InputError: it is no number, may be two patrons', or the attempt was by no card.
    """
    if isinstance(named, int):
        return _cards(app, (card_of_attempt(app, named),))
    if named.typed is not None:
        return _typed(app, named.typed, named.taken_as)
    patron_ref = named.patron_ref or ""
    known = bool(cards_of(app, patron_ref))
    if not known:
        refuse_ref(patron_ref)
    return (Card(None, patron_ref, known),)


def ban(app: App, cards: Iterable[Card], new: Ban) -> tuple[tuple[Ban, Reach], ...]:
    """Ban cards, and their patrons with all cards where the register knows them; return each ban.

    Ten digits that may be a card's or a CPR number, and that the register does not know, are banned
    as both: a ban that looks for the wrong one would let a banned person in. So is a patron whom
    the register does not know, for a later push may bring them. Raises InputError: all are banned
    for as long already; nothing was changed.
    """
    made, refusal = [], None
    for card in cards:
        try:
            stored = change(app, deeds.add_ban(new, card.key, card.patron_ref))
        except InputError as error:
            # One of two readings may be banned already, and the other not.
            refusal = error
        else:
            made.append((stored, card.reach))
    if refusal is not None and not made:
        raise refusal
    return tuple(made)


def lift(app: App, number: int) -> tuple[int, ...]:
    """Lift a ban before its end; return the bans of the same card or patron that still hold.

    Raises InputError: there is none of that number, or it was lifted.
    """
    with open_book(app) as book:
        entries = book.every_ban()
    change(app, deeds.lift_ban(number))
    moment, here = app.clock.moment(), app.config.branch.id
    lifted = next((entry for entry in entries if entry.held.number == number), None)
    return tuple(
        entry.held.number
        for entry in entries
        if lifted is not None
        and entry is not lifted
        and entry.is_of_the_same(lifted)
        and ban_state(entry, moment, here) is BanState.HOLDS
    )


def for_card(
    app: App, typed: str, taken_as: TakenAs | None, new: Pass, own_pin: Pin | None
) -> tuple[Pass, bytes]:
    """Return a pass for a card, and its row key: with a PIN of its own or, if None, the register's.

    Raises InputError: it is no number, or may be two, its PIN can't be typed at the door, or it
    needs one where the door wants none.
    """
    if own_pin is not None:
        refuse_pin(own_pin, app.config.policy.pin_length)
    if not app.config.policy.require_pin and (new.needs_pin or own_pin is not None):
        raise InputError(
            "this branch asks for no PIN, so a pass that needs one would never open; issue it "
            "without one (--no-pin)"
        )
    readings = [card.reading for card in _typed(app, typed, taken_as) if card.reading]
    if len(readings) > 1:
        raise InputError(
            "that may be a card's number or a CPR number, and the register knows neither; "
            "say --as card or --as cpr"
        )
    if own_pin is not None:
        check = numbers_of(app).pin_check(typed, readings[0], own_pin)
        new = replace(new, needs_pin=True, pin_check=check)
    return new, readings[0].key


def refuse_pin(pin: Pin, length: int) -> None:
    """Raise InputError for a PIN that can't be typed at the door."""
    digits = pin.reveal()
    if len(digits) != length or not (digits.isascii() and digits.isdigit()):
        raise InputError("a PIN is {n} digits here; nothing was changed", n=length)


def refuse_codes(app: App) -> None:
    """Raise InputError where no code is typed at this branch's door."""
    if not app.config.policy.code_entry:
        raise InputError(
            "no code can be typed at this branch's door, so one would never open; issue the pass "
            "for a card, or have a technician turn on policy.code_entry"
        )


def issue_for_code(app: App, new: Pass) -> tuple[Pass, str]:
    """Issue a pass for a new code of `code_digits`; return both, for the code is kept nowhere.

    Raises InputError: no code is typed at this branch's door; nothing was changed.
    """
    refuse_codes(app)
    seal = numbers_of(app)
    with open_book(app) as book:
        while True:
            code = seal.new_code(new.code_digits or 0, app.by)
            if not book.passes_of(code.key):
                break
    return change(app, deeds.issue_pass(new, code.key)), code.digits


def every_ban(app: App, why: str = "") -> tuple[Listed[Ban], ...]:
    """Return every ban that is stored, newest first; the look is first noted on the audit log."""
    with open_book(app) as book:
        entries = book.every_ban()
    note(app, Deed(Action.BANS_LISTED, why=why, details={"bans": len(entries)}))
    return entries


def ban_to_write_of(app: App, number: int, what: str = "letter") -> Ban:
    """Return a ban that a letter can be about, or that can be changed; the look is first noted.

    `what` is the detail of the entry on the audit log that holds the ban's number. Raises
    InputError: there is none of that number, or it was lifted; nothing was noted.
    """
    with open_book(app) as book:
        ban = _standing(book.every_ban(), number, "no ban {n}; see doorctl bans list")
    note(app, Deed(Action.BANS_LISTED, details={what: number}))
    return ban


def every_pass(app: App, why: str = "") -> tuple[Listed[Pass], ...]:
    """Return every pass that is stored, newest first; as :func:`every_ban`."""
    with open_book(app) as book:
        entries = book.every_pass()
    note(app, Deed(Action.PASSES_LISTED, why=why, details={"passes": len(entries)}))
    return entries


def pass_to_change(app: App, number: int) -> Pass:
    """Return a pass that was not revoked; the look is noted, as :func:`ban_to_write_of`."""
    with open_book(app) as book:
        held = _standing(book.every_pass(), number, "there is no pass of that number")
    note(app, Deed(Action.PASSES_LISTED, details={"number": number}))
    return held


def _standing(entries: Iterable[Listed[HeldT]], number: int, absent: str) -> HeldT:
    standing = (entry.held for entry in entries if entry.ended_at is None)
    for held in standing:
        if held.number == number:
            return held
    raise InputError(absent, n=str(number))


def pass_state(entry: Listed[Pass], today: date) -> PassState:
    """Return a pass's state on a local day."""
    if entry.ended_at is not None:
        return PassState.REVOKED
    if entry.held.last_day < today:
        return PassState.OVER
    return PassState.AHEAD if entry.held.first_day > today else PassState.VALID


def _typed(app: App, typed: str, taken_as: TakenAs | None) -> tuple[Card, ...]:
    """Return the readings that the register knows, or all where it knows none."""
    numbers = numbers_of(app)
    every = _cards(app, numbers.readings(typed, taken_as), numbers.seal())
    known = tuple(card for card in every if card.patron_ref is not None)
    if len({card.patron_ref for card in known}) > 1:
        raise InputError(
            "that is one patron's card number and another's CPR number; say --as card or --as cpr"
        )
    return known or every


def _cards(
    app: App, readings: tuple[NumberKeys, ...], seal: Seal | None = None
) -> tuple[Card, ...]:
    # Without a register the card alone is banned: better than no ban.
    with suppress(StoreError), open_register(app, seal) as patrons:
        found = ((reading, patrons.find(reading.key)) for reading in readings)
        return tuple(Card(reading, row.patron_ref if row else None) for reading, row in found)
    return tuple(Card(reading, None) for reading in readings)
