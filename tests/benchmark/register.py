"""Patron registers of any size, filled in seconds, with some patrons in them who can be played.

Sealing a town with Argon2id takes an hour, so most rows get random keys: a look-up can't tell.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from doorctl.access.patron import PIN_CHECK_BYTES, ROW_KEY_BYTES, Patron, SealedRow
from doorctl.demo.patrons import stripe, synthetic_feed
from doorctl.ops.clock import utc_now
from doorctl.store.keys import create_key, read_key
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.store.sealer import ArgonSealer
from tests.fakes.cards import cpr, replace_rows, sealed

CHEAP_SEAL = (1024, 1)
"""KiB and passes, as in the demo: what is timed comes after the sealing."""

KNOWN = 20
"""Patrons with a real seal."""

KNOWN_SEED = 7
FEED_SEED = 8
"""No number of one feed stands in the other; it would be a push that robs somebody."""

MINIMUM_AGE = 14
FIRST_REF = 10_000_000
SHARE_BLOCKED = 0.07


@dataclass(frozen=True, slots=True)
class Card:
    """A synthetic health card that is let in."""

    cpr: str = field(repr=False)
    pin: str = field(repr=False)

    @property
    def swipe(self) -> bytes:
        """What the reader sends."""
        return stripe(self.cpr)


@dataclass(frozen=True, slots=True)
class Register:
    """A directory with ``patrons.db`` and its ``installation.key``, and what it was sealed with."""

    directory: Path
    patrons: int
    sealer: ArgonSealer

    @property
    def path(self) -> Path:
        """The database."""
        return self.directory / "patrons.db"

    def copied(self, directory: Path) -> Register:
        """Copy it to a new directory, for one more door."""
        shutil.copytree(self.directory, directory)
        return Register(directory, self.patrons, self.sealer)


def fill(directory: Path, patrons: int, seal: tuple[int, int] = CHEAP_SEAL) -> Register:
    """Make a register of `patrons` rows in a new directory.

    Args:
        directory: is made.
        patrons: how many rows; at least :data:`KNOWN` are sealed for :func:`cards`.
        seal: KiB and passes of Argon2id.
    """
    directory.mkdir(parents=True)
    sealer = new_sealer(directory, seal)
    register = Register(directory, patrons, sealer)
    create_patrons(register.path, sealer.seal)
    rows = chain(known_rows(sealer), random_rows(patrons - KNOWN))
    with closing(PatronCacheWriter(register.path, sealer.seal)) as writer:
        replace_rows(writer, rows, utc_now(), MINIMUM_AGE)
    return register


def new_sealer(directory: Path, seal: tuple[int, int]) -> ArgonSealer:
    """Make an installation key in a directory and return the sealer that uses it."""
    key = directory / "installation.key"
    create_key(key)
    return ArgonSealer(read_key(key), *seal)


def cards() -> Iterator[Card]:
    """Yield the known patrons' cards, over and over."""
    known = _known()
    while True:
        yield from known


def known_rows(sealer: ArgonSealer) -> Iterator[SealedRow]:
    """Yield the rows of :func:`cards`, sealed."""
    for number, card in enumerate(_known()):
        yield sealed(sealer, cpr(card.cpr), Patron(f"{number}", resident=True), card.pin)


def random_rows(count: int) -> Iterator[SealedRow]:
    """Yield rows that nobody has a card for, the same ones each time."""
    chance = random.Random(count)  # noqa: S311 - the same rows each time; nothing is secret
    for number in range(count):
        blocks = frozenset("E") if chance.random() < SHARE_BLOCKED else frozenset[str]()
        check = chance.randbytes(PIN_CHECK_BYTES)
        patron = Patron(f"{FIRST_REF + number}", pin_check=check, resident=True, blocks=blocks)
        yield SealedRow(chance.randbytes(ROW_KEY_BYTES), patron)


def _known() -> tuple[Card, ...]:
    return tuple(islice(_cards_of_feed(), KNOWN))


def _cards_of_feed() -> Iterator[Card]:
    for row in synthetic_feed(10 * KNOWN, KNOWN_SEED):
        identifiers = row["identifiers"]
        assert isinstance(identifiers, list)
        for each in identifiers:
            if each["identifierType"] == "CPR":
                yield Card(each["identifier"], str(row["pincode"]))
