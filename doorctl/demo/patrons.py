"""Invented patrons for the demo, the tests and the benchmark, and the evening that some spend.

No number is a real person's.

Every CPR number here fails modulus 11 and belongs to no 1 January: numbers that fail it have so
far been given only to people born on a 1 January (cpr.dk, "Personnumre uden kontrolciffer
(modulus 11 kontrol)", 10 May 2023). The card numbers are made up.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from operator import mul
from pathlib import Path

from doorctl.access.patron import Reason

Row = dict[str, object]

FIRST_BIRTH = date(1931, 1, 1)
BIRTH_DAYS = (date(2019, 12, 31) - FIRST_BIRTH).days
FIRST_BORN_WITH_PLASTIC = date(2008, 1, 1)
"""Children get a plastic card: their health card is in a parent's pocket."""

FIRST_PLASTIC = 3_000_010_000
"""Cards below are the cast's; 90 000 more begin with 30000."""

TWENTY_FIRST = 2000
FIRST_WITH_4 = 1937
"""A seventh digit of 4 means 1937-1999 or 2000-2036 (da.wikipedia, "CPR-nummer")."""

CHECK_WEIGHTS = (4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
BLOCK_SHARES = {
    "E": 0.05,
    "W": 0.01,
    "U": 0.005,
    "F": 0.003,
    "S": 0.003,
    "O": 0.003,
    "D": 0.002,
    "Q": 0.001,
}
"""Every code known, and one that the library system may invent tomorrow."""

SHARE_RESIDENT = 0.95
SHARE_WITH_BOTH = 0.4
FIRST_SYNTHETIC_ID = 10_000
FIRST_CAST_ID = 1001


@dataclass(frozen=True, slots=True)
class Role:
    """A person in the demo's evening.

    `number` and `kind`, ``CPR`` or ``CARD``, are the card's, as in the feed; `expected` is how a
    swipe with the right PIN ends, `age` is in years on the day of the demo.
    """

    name: str
    first_name: str
    number: str
    kind: str
    pin: str
    expected: Reason
    resident: bool = True
    block: str | None = None
    age: int | None = None
    in_feed: bool = True

    @property
    def swipe(self) -> bytes:
        """What the reader sends, with its closing CR."""
        return stripe(self.number) if self.kind == "CPR" else f"{self.number}\r".encode()


CAST = (
    Role("granted", "Anna", "1102701234", "CPR", "4711", Reason.OK),
    Role("not_resident", "Bo", "1503823456", "CPR", "2580", Reason.NOT_RESIDENT, resident=False),
    Role("stolen", "Carl", "2207917890", "CPR", "1944", Reason.BLOCKED, block="O"),
    # A plastic card has no birthday, and a patron of unknown age is refused.
    Role("debt_only", "Dorte", "3000001234", "CARD", "8123", Reason.OK, block="E", age=41),
    Role("under_age", "Emil", "3000005678", "CARD", "3669", Reason.UNDER_AGE, age=9),
    Role("unknown_card", "Freja", "3000009999", "CARD", "5050", Reason.UNKNOWN_CARD, in_feed=False),
)
"""One role for each turn of the evening, in the order of the play."""


def synthetic_feed(count: int, seed: int) -> Iterator[Row]:
    """Yield `count` rows of the feed: the same rows for the same seed, no number twice."""
    chance = random.Random(seed)  # noqa: S311  # the same patrons each time; nothing is secret
    taken = {role.number for role in CAST}
    for index in range(count):
        born = _birthday(chance)
        cpr = _cpr(chance, born, taken)
        yield _patron(chance, index, born, cpr)


def write_feed(path: Path, count: int, seed: int, today: date) -> int:
    """Write the cast and `count` synthetic patrons, one row a line; return the number of rows."""
    cast = [_cast_row(number, role, today) for number, role in enumerate(CAST) if role.in_feed]
    with path.open("w", encoding="utf-8") as file:
        for row in (*cast, *synthetic_feed(count, seed)):
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
    return len(cast) + count


def stripe(cpr: str) -> bytes:
    """Return what a reader sends for a health card: both tracks and CR.

    Only the CPR number changes; the rest is the synthetic card of dauer/sygesikringskort (MIT).
    """
    name, address = "DOE^JOHN JOHNNY", r"]L\KKE ALLE 7 3"
    track_1 = f"%{name:<34}{address:<34}4615000?"
    track_2 = f";92081004{cpr}1041173083461010814?"
    return f"{track_1}{track_2}\r".encode("ascii")


def _birthday(chance: random.Random) -> date:
    while True:
        born = FIRST_BIRTH + timedelta(days=chance.randrange(BIRTH_DAYS))
        if (born.month, born.day) != (1, 1):
            return born


def _cpr(chance: random.Random, born: date, taken: set[str]) -> str:
    """Return a number of that birthday which is not in `taken`, and put it there."""
    serials = range(5000 if born.year >= FIRST_WITH_4 else 4000)
    if born.year >= TWENTY_FIRST:
        serials = range(4000, 10_000)
    while True:
        cpr = f"{born:%d%m%y}{chance.choice(serials):04}"
        check = sum(map(mul, CHECK_WEIGHTS, map(int, cpr))) % 11
        if check and cpr not in taken:
            taken.add(cpr)
            return cpr


def _patron(chance: random.Random, index: int, born: date, cpr: str) -> Row:
    child = born >= FIRST_BORN_WITH_PLASTIC
    identifiers = [] if child else [_identifier("CPR", cpr)]
    if child or chance.random() < SHARE_WITH_BOTH:
        identifiers.append(_identifier("CARD", str(FIRST_PLASTIC + index)))
    return {
        "patronId": FIRST_SYNTHETIC_ID + index,
        "identifiers": identifiers,
        "pincode": f"{chance.randrange(10_000):04}",
        "resident": chance.random() < SHARE_RESIDENT,
        "birthday": born.isoformat(),
        "blockStatus": _blocks(chance),
        "onHold": None,
        "tags": [],
        "preferredPickupBranch": "DK-773000",
    }


def _blocks(chance: random.Random) -> list[Row] | None:
    codes = [code for code, share in BLOCK_SHARES.items() if chance.random() < share]
    return [_block(code) for code in codes] or None


def _block(code: str) -> Row:
    return {"blockedReason": code, "blockedSince": "2026-01-02", "message": ""}


def _identifier(kind: str, number: str) -> Row:
    return {
        "identifier": number,
        "identifierType": kind,
        "status": "ACTIVE",
        "expiryDate": None,
    }


def _cast_row(index: int, role: Role, today: date) -> Row:
    row: Row = {
        "patronId": FIRST_CAST_ID + index,
        "identifiers": [_identifier(role.kind, role.number)],
        "pincode": role.pin,
        "resident": role.resident,
        "blockStatus": None if role.block is None else [_block(role.block)],
    }
    if role.age is not None:
        # No 29 February: it would not exist in every year.
        born = today.replace(year=today.year - role.age, day=min(today.day, 28))
        row["birthday"] = born.isoformat()
    return row


ANNA, BO, CARL, DORTE, EMIL, FREJA = CAST
