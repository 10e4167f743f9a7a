"""Roles and what each may do: one table, checked at every request."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class Role(Enum):
    """A person's job at the branch; the values are fixed names in files and scripts."""

    VIEWER = "viewer"
    STAFF = "staff"
    MANAGER = "manager"
    DPO = "dpo"
    TECHNICIAN = "technician"


class Permission(Enum):
    """A thing that a role may or may not do; the values are fixed names too."""

    SEE_LOG = "see_log"
    SEARCH_LOG = "search_log"
    REVEAL = "reveal"
    EXPORT_LOG = "export_log"
    SEE_NOW = "see_now"
    OPEN_ONCE = "open_once"
    SET_MODE = "set_mode"
    ACKNOWLEDGE = "acknowledge"
    EXPLAIN = "explain"
    SEE_BANS = "see_bans"
    CHANGE_BANS = "change_bans"
    SEE_PASSES = "see_passes"
    CHANGE_PASSES = "change_passes"
    SEE_CALENDAR = "see_calendar"
    CHANGE_CALENDAR = "change_calendar"
    SEE_STATISTICS = "see_statistics"
    SUBJECT_RIGHTS = "subject_rights"
    SEE_AUDIT = "see_audit"
    ACCOUNTS = "accounts"
    HOLD = "hold"


_VIEWER = frozenset(
    {Permission.SEE_NOW, Permission.SEE_LOG, Permission.SEE_CALENDAR, Permission.SEE_STATISTICS}
)

_STAFF = _VIEWER | {
    Permission.SEARCH_LOG,
    Permission.OPEN_ONCE,
    Permission.SET_MODE,
    Permission.ACKNOWLEDGE,
    Permission.EXPLAIN,
    Permission.SEE_BANS,
    Permission.CHANGE_BANS,
    Permission.SEE_PASSES,
    Permission.CHANGE_PASSES,
    Permission.CHANGE_CALENDAR,
}

_MANAGER = _STAFF | {
    Permission.REVEAL,
    Permission.EXPORT_LOG,
    Permission.SEE_AUDIT,
    Permission.ACCOUNTS,
    Permission.HOLD,
}


# Looks at everything that is kept of people, and changes nothing at the door.
_DPO = frozenset(
    {
        Permission.SEE_NOW,
        Permission.SEE_LOG,
        Permission.SEARCH_LOG,
        Permission.REVEAL,
        Permission.EXPORT_LOG,
        Permission.SEE_STATISTICS,
        Permission.SUBJECT_RIGHTS,
        Permission.SEE_AUDIT,
        Permission.HOLD,
    }
)


# Works on the door, and sees no patron's name.
_TECHNICIAN = _VIEWER | {Permission.ACKNOWLEDGE, Permission.SET_MODE, Permission.OPEN_ONCE}

PERMITS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.VIEWER: _VIEWER,
        Role.STAFF: _STAFF,
        Role.MANAGER: _MANAGER,
        Role.DPO: _DPO,
        Role.TECHNICIAN: _TECHNICIAN,
    }
)
"""What each role may do; anything else is refused."""


def permits(role: Role, permission: Permission) -> bool:
    """Tell whether a role may do a thing."""
    return permission in PERMITS[role]


KEEPERS = frozenset({Role.MANAGER, Role.TECHNICIAN})
"""One local account of these roles must work: the identity provider may be down."""
