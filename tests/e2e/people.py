"""Invented patrons, each of them refused for one reason only; opening hours, and times to type."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.demo.patrons import stripe

TODAY = datetime.now(ZoneInfo("Europe/Copenhagen")).date()


@dataclass(frozen=True)
class Person:
    """Somebody at the door.

    `number`: of the card; `row`: what the feed says otherwise than of anybody; `card`: what the
    feed says of the card otherwise; `kind`: ``CPR`` or ``CARD``.
    """

    number: str
    pin: str
    row: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    kind: str = "CARD"

    @property
    def swipe(self) -> bytes:
        """What the reader sends."""
        return stripe(self.number) if self.kind == "CPR" else f"{self.number}\r".encode()

    @property
    def identifier(self) -> Identifier:
        """What is read of it."""
        return Identifier(IdentifierKind[self.kind], self.number)

    @property
    def wrong_pin(self) -> str:
        """A PIN that is not the right one."""
        return self.pin[:-1] + str((int(self.pin[-1]) + 1) % 10)

    def feed_row(self, number: int) -> dict[str, Any]:
        """Return the person as a row of the feed."""
        card = {
            "identifier": self.number,
            "identifierType": self.kind,
            "status": "ACTIVE",
            "expiryDate": None,
        }
        return {
            "patronId": number,
            "identifiers": [card | self.card],
            "pincode": self.pin,
            "resident": True,
            "birthday": "1970-01-02",
            "blockStatus": None,
            "onHold": None,
            "tags": [],
            "preferredPickupBranch": "DK-773000",
        } | self.row


def ahead(days: int) -> str:
    """Return the date in so many days."""
    return (datetime.now(ZoneInfo("Europe/Copenhagen")) + timedelta(days=days)).date().isoformat()


def blocked(*codes: str) -> dict[str, Any]:
    """Return a row's block status with these codes."""
    return {"blockStatus": [{"blockedReason": code, "blockedSince": ahead(-9)} for code in codes]}


ENTITLED = Person("0101701234", "4711", kind="CPR")
ALSO_ENTITLED = Person("3000001234", "8052")
THIRD_ENTITLED = Person("0203654321", "6390", kind="CPR")
DEBTOR = Person("3000001240", "2741", blocked("E", "W"))
STRANGER = Person("3000009999", "5050")
NOT_RESIDENT = Person("3000001241", "2580", {"resident": False})
STOLEN = Person("3000001242", "1944", blocked("E", "O"))
BLOCKED_UNHEARD_OF = Person("3000001243", "1855", blocked("Q"))
CHILD = Person("3000001244", "3669", {"birthday": ahead(-3700)})
PAST_EXPIRY = Person("3000001245", "7412", card={"expiryDate": ahead(-2)})
INACTIVE = Person("3000001246", "9630", card={"status": "BLOCKED"})
ON_HOLD = Person("3000001247", "1597", {"onHold": {"from": ahead(-9), "to": None}})
RESTRICTED = Person("3000001248", "3571")
DATED = Person("3000001249", "8426", card={"expiryDate": ahead(+400)})

REGISTERED = (
    ENTITLED,
    ALSO_ENTITLED,
    THIRD_ENTITLED,
    DEBTOR,
    NOT_RESIDENT,
    STOLEN,
    BLOCKED_UNHEARD_OF,
    CHILD,
    PAST_EXPIRY,
    INACTIVE,
    ON_HOLD,
    RESTRICTED,
    DATED,
)


def write_feed(path: Path, people: tuple[Person, ...] = REGISTERED) -> Path:
    """Write people as a feed, numbered from 1001 in the order of :data:`REGISTERED`."""
    numbers = {person.number: 1001 + place for place, person in enumerate(REGISTERED)}
    rows = (person.feed_row(numbers.get(person.number, 2001)) for person in people)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

ALL_DAY = '["00:00-24:00"]'

SELF_SERVICE = tuple(f"hours.{day}={ALL_DAY}" for day in DAYS)
STAFFED = tuple(f"hours.staffed.{day}={ALL_DAY}" for day in DAYS)
CLOSED = ("hours.monday=[]",)
"""A table of hours without any."""


def in_s(seconds: float) -> str:
    """Return the time in so many seconds as ``--until`` takes it, to the second."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
