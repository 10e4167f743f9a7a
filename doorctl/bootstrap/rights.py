"""Bans and passes as staff ask for them: a number is sealed here and goes no further."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from doorctl.access.patron import pin_check, row_key
from doorctl.access.rights import Ban, Pass
from doorctl.bootstrap.audit import note
from doorctl.bootstrap.branch import change, open_book
from doorctl.bootstrap.rules import patrons_db
from doorctl.cards.identify import normalise
from doorctl.config import Config
from doorctl.errors import InputError, StoreError
from doorctl.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.ports import BanEntry, PassEntry
from doorctl.privacy.audit import Action, Deed
from doorctl.store.branch_codes import new_code
from doorctl.store.key_file import read_key
from doorctl.store.patrons import PatronCache
from doorctl.store.sealing import ArgonSealer
from doorctl.transports.branch_requests import AddBan, IssuePass

TakenAs = Literal["card", "cpr"]

MADE_UP_REF = "sip2-"
"""So begins what stands for a patron whom the library system gave no number: another each time."""

CODE_PREFIX = f"{IdentifierKind.CODE.value}:"


@dataclass(frozen=True, slots=True)
class Card:
    """One reading of a number, sealed.

    Args:
        stretched: its ``K``.
        patron_ref: whose it is; None where the register does not know the card.
    """

    stretched: StretchedKey
    patron_ref: str | None = field(repr=False)

    @property
    def key(self) -> bytes:
        """The key of its row."""
        return row_key(self.stretched)


@dataclass(frozen=True, slots=True)
class Banned:
    """A ban with its number, and whom it is of.

    Args:
        ban: as stored.
        whole_patron: whether it is of the patron with all cards.
        follows: whether it holds for a card that the patron gets later.
    """

    ban: Ban
    whole_patron: bool
    follows: bool = True


def ban_card(config: Config, typed: str, taken_as: TakenAs | None, ban: Ban) -> tuple[Banned, ...]:
    """Ban a card, and its patron with all cards where the register knows it.

    Ten digits that may be a card's or a CPR number, and that the register does not know, are
    banned as both: a ban that looks for the wrong one would let somebody in.

    Returns:
        One ban or two.

    Raises:
        InputError: it is no number, or two patrons'; nothing was changed.
        DoorctlError: it could not be done.
    """
    cards = _known(_cards(config, typed, taken_as))
    return tuple(
        Banned(
            change(config, AddBan(ban, card.key, card.patron_ref)),
            whole_patron=card.patron_ref is not None,
            follows=not (card.patron_ref or "").startswith(MADE_UP_REF),
        )
        for card in cards
    )


def ban_patron(config: Config, patron_ref: str, ban: Ban) -> Banned:
    """Ban a patron with all cards, by the library system's own number."""
    return Banned(change(config, AddBan(ban, None, patron_ref)), whole_patron=True)


def issue_for_card(
    config: Config, typed: str, taken_as: TakenAs | None, new: Pass, own_pin: Pin | None
) -> Pass:
    """Issue a pass for a card, with the PIN of the register or one of its own.

    Raises:
        InputError: it is no number, or may be two; nothing was changed.
        DoorctlError: it could not be done.
    """
    card, *others = _known(_cards(config, typed, taken_as))
    if others:
        raise InputError(
            "that may be a card's number or a CPR number, and the register knows neither; "
            "say --as card or --as cpr"
        )
    return change(config, IssuePass(_with_pin(new, card.stretched, own_pin), card.key))


def issue_for_code(config: Config, new: Pass) -> tuple[Pass, Identifier]:
    """Issue a pass for a new code, and return both: the code is kept nowhere.

    Args:
        config: the whole configuration.
        new: with the number of digits in `code_digits`.

    Raises:
        DoorctlError: it could not be done.
    """
    sealer = _sealer(config)
    with open_book(config) as book:
        while True:
            code = new_code(new.code_digits or 0)
            stretched = sealer.stretch(code)
            if book.pass_of(row_key(stretched)) is None:
                break
    return change(config, IssuePass(new, row_key(stretched))), code


def digits_of(code: Identifier) -> str:
    """Return a code's digits, to be shown once."""
    return code.reveal().removeprefix(CODE_PREFIX)


def every_ban(config: Config, why: str = "") -> tuple[BanEntry, ...]:
    """Return every ban that is stored, newest first; the look goes on the audit log before.

    Raises:
        StoreError: they can't be read, or the look can't be put on record.
    """
    with open_book(config) as book:
        found = book.every_ban()
    note(config, Deed(Action.BANS_LISTED, why=why, details={"bans": len(found)}))
    return found


def every_pass(config: Config, why: str = "") -> tuple[PassEntry, ...]:
    """Return every pass that is stored, newest first; as :func:`every_ban`."""
    with open_book(config) as book:
        found = book.every_pass()
    note(config, Deed(Action.PASSES_LISTED, why=why, details={"passes": len(found)}))
    return found


def _with_pin(new: Pass, stretched: StretchedKey, own_pin: Pin | None) -> Pass:
    if own_pin is None:
        return new
    return replace(new, needs_pin=True, pin_check=pin_check(stretched, own_pin))


def _known(cards: Iterable[Card]) -> tuple[Card, ...]:
    """Return the reading that the register knows, or where it knows none all of them."""
    every = tuple(cards)
    known = tuple(card for card in every if card.patron_ref is not None)
    if len({card.patron_ref for card in known}) > 1:
        raise InputError(
            "that is one patron's card number and another's CPR number; say --as card or --as cpr"
        )
    return known or every


def _cards(config: Config, typed: str, taken_as: TakenAs | None) -> list[Card]:
    readings = [one for one in normalise(typed) if taken_as in (None, one.kind.value)]
    if not readings:
        what = {"card": "card number", "cpr": "CPR number"}.get(taken_as or "")
        raise InputError(f"that is no {what or 'card number and no CPR number'}")
    sealer = _sealer(config)
    with closing(PatronCache(patrons_db(config), sealer.seal)) as cache:
        return [_card(sealer.stretch(one), cache) for one in readings]


def _card(stretched: StretchedKey, cache: PatronCache) -> Card:
    # Without a register the card alone is banned: that is no reason to ban nobody.
    with suppress(StoreError):
        patron = cache.find(row_key(stretched))
        return Card(stretched, None if patron is None else patron.patron_ref)
    return Card(stretched, None)


def _sealer(config: Config) -> ArgonSealer:
    key = read_key(config.secrets.installation_key_file)
    return ArgonSealer(key, config.seal.memory_kib, config.seal.iterations)
