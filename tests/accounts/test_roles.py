from __future__ import annotations

import pytest

from doorctl.accounts.account import PERMITS, Permission, Role, permits


def test_every_role_has_its_line() -> None:
    """A role without a line would raise at the first request instead of refusing."""
    assert set(PERMITS) == set(Role)


def test_everything_is_somebodys_and_nothing_is_everybodys_but_to_look() -> None:
    """No permission was forgotten, and what a viewer may do changes nothing and names nobody."""
    assert frozenset().union(*PERMITS.values()) == set(Permission)
    assert frozenset.intersection(*PERMITS.values()) == {
        Permission.SEE_NOW,
        Permission.SEE_LOG,
        Permission.SEE_STATISTICS,
    }


@pytest.mark.parametrize(
    ("permission", "roles"),
    [
        (Permission.ACCOUNTS, {Role.MANAGER}),
        (Permission.SUBJECT_RIGHTS, {Role.DPO}),
        (Permission.REVEAL, {Role.MANAGER, Role.DPO}),
        (Permission.EXPORT_LOG, {Role.MANAGER, Role.DPO}),
        (Permission.SEE_AUDIT, {Role.MANAGER, Role.DPO}),
        (Permission.SEARCH_LOG, {Role.STAFF, Role.MANAGER, Role.DPO}),
        (Permission.OPEN_ONCE, {Role.STAFF, Role.MANAGER, Role.TECHNICIAN}),
        (Permission.CHANGE_BANS, {Role.STAFF, Role.MANAGER}),
    ],
)
def test_what_weighs_most_is_for_few(permission: Permission, roles: set[Role]) -> None:
    """Who may see people by name, let somebody in or give out accounts is said here once more."""
    assert {role for role in Role if permits(role, permission)} == roles
