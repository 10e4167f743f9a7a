"""What roles, permissions and refused changes of accounts are called on their page, in English."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from doorctl.accounts.roles import Permission, Role
from doorctl.errors import InputError
from doorctl.web.pages.words import Words
from doorctl.web.staff.refusals import by_pattern

ROLES: Mapping[Role, tuple[str, str]] = MappingProxyType(
    {
        Role.VIEWER: ("Viewer", "sees the branch, the log by pseudonym, hours and counts"),
        Role.STAFF: ("Staff", "also opens, sets modes and hours, bans, issues passes"),
        Role.MANAGER: ("Manager", "also looks up who a visit was, reads the audit log, accounts"),
        Role.DPO: ("Data protection officer", "sees all that is kept of people, and erases it"),
        Role.TECHNICIAN: ("Technician", "works on the door, and looks at nobody"),
    }
)
"""What each role is called, and what it is for."""

PERMISSIONS: Mapping[Permission, str] = MappingProxyType(
    {
        Permission.SEE_NOW: "See the branch now",
        Permission.SEE_LOG: "See the door log, by pseudonym",
        Permission.SEE_CALENDAR: "See the calendar",
        Permission.SEE_STATISTICS: "See the statistics",
        Permission.OPEN_ONCE: "Let somebody in once",
        Permission.SET_MODE: "Set modes by hand",
        Permission.ACKNOWLEDGE: "Acknowledge alarms",
        Permission.CHANGE_CALENDAR: "Change the calendar",
        Permission.EXPLAIN: "Ask why a card is refused",
        Permission.SEARCH_LOG: "Search the door log for a card",
        Permission.SEE_BANS: "See bans",
        Permission.CHANGE_BANS: "Ban somebody, and lift a ban",
        Permission.SEE_PASSES: "See passes",
        Permission.CHANGE_PASSES: "Issue a pass, and take it back",
        Permission.REVEAL: "Look up who a visit was",
        Permission.EXPORT_LOG: "Download the door log",
        Permission.HOLD: "Keep visits because of an incident",
        Permission.SEE_AUDIT: "See the audit log",
        Permission.SUBJECT_RIGHTS: "Give out, erase and restrict a person's data",
        Permission.ACCOUNTS: "Look after accounts",
    }
)
"""What each permission allows, the commonest first."""

_NAMED: Final = (
    (r"there is an account (?P<name>\S+) already", "There is an account {name} already."),
    (r"there is no account (?P<name>\S+);", "There is no account {name}."),
    (
        r"(?P<name>\S+) is the last local manager or technician",
        "{name} is the last manager or technician with a password. Add another one first.",
    ),
    (r"(?P<name>\S+) has no second factor", "{name} has no second factor."),
    (
        r"the role of (?P<name>\S+) follows",
        "The role of {name} follows its groups at the municipality; change them there.",
    ),
    (
        r"the password of (?P<name>\S+) is the identity",
        "The password of {name} is the municipality's; change it there.",
    ),
)
"""Refusals that name an account, and what they are on the page."""


def told(words: Words, error: InputError) -> str:
    """Return what is wrong with a change, in a language; an account that it names stands in it."""
    return by_pattern(words, str(error), _NAMED)
