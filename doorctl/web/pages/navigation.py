"""The menu: each staff page, in the order of how often it is used, and who may see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from doorctl.accounts.roles import Permission, Role, permits


@dataclass(frozen=True, slots=True)
class Place:
    """One line of the menu: an address and what it is called, in English."""

    path: str
    name: str
    permission: Permission


PLACES: Final = (
    Place("/now", "Now", Permission.SEE_NOW),
    Place("/log", "Door log", Permission.SEE_LOG),
    Place("/why", "Why refused?", Permission.EXPLAIN),
    Place("/bans", "Bans", Permission.SEE_BANS),
    Place("/passes", "Passes", Permission.SEE_PASSES),
    Place("/calendar", "Calendar", Permission.SEE_CALENDAR),
    Place("/statistics", "Statistics", Permission.SEE_STATISTICS),
    Place("/people", "People's rights", Permission.SUBJECT_RIGHTS),
    Place("/holds", "Incident holds", Permission.HOLD),
    Place("/audit", "Audit log", Permission.SEE_AUDIT),
    Place("/accounts", "Accounts", Permission.ACCOUNTS),
)


def places(role: Role) -> tuple[Place, ...]:
    """Return what a role may see."""
    return tuple(place for place in PLACES if permits(role, place.permission))
