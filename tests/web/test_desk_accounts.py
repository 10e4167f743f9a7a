"""Accounts as their page has them: the same in memory and over a real branch.db."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from doorctl.accounts.account import Role
from doorctl.accounts.passwords import Password
from doorctl.core.errors import InputError
from doorctl.services.accounts import AccountsDesk
from doorctl.services.branch import BranchDesk
from doorctl.web.staff.accounts import Accounts
from tests.bootstrap.branches import initialised
from tests.fakes.accounts import QuickHasher
from tests.fakes.accounts_desk import FakeAccountsDesk
from tests.fakes.clock import FakeClock

GOOD = Password("hest batteri klamme")


@pytest.fixture(params=["fake", "real"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Accounts]:
    """Either desk."""
    if request.param == "fake":
        yield FakeAccountsDesk()
        return
    config, clock = initialised(tmp_path), FakeClock()
    with ExitStack() as stack:
        branch = stack.enter_context(closing(BranchDesk(config, clock)))
        made = AccountsDesk(config, clock, branch, hasher=QuickHasher())
        yield stack.enter_context(closing(made))


def test_accounts_are_added_changed_and_listed(desk: Accounts) -> None:
    """In order of their logins, each as it is now."""
    made = desk.administration("root")
    made.add("Kaj", "Kaj", Role.MANAGER, GOOD, must_change=True)
    made.add("anne", "Anne", Role.STAFF, GOOD)
    made.set_role("anne", Role.DPO)
    made.disable("anne")
    made.set_password("kaj", GOOD)

    found = [(one.name, one.role, one.disabled, one.must_change) for one in desk.every()]
    assert found == [("anne", Role.DPO, True, False), ("kaj", Role.MANAGER, False, False)]
    made.enable("anne")
    assert not desk.every()[0].disabled
    assert made.sign_out_everywhere("kaj") == 0


def test_what_is_refused_changes_nothing(desk: Accounts) -> None:
    """The last manager, a login that is taken or none, a password that is guessed first."""
    made = desk.administration("root")
    made.add("kaj", "Kaj", Role.MANAGER, GOOD)

    for refused in (
        lambda: made.disable("kaj"),
        lambda: made.set_role("kaj", Role.STAFF),
        lambda: made.add("kaj", "Kaj", Role.STAFF, GOOD),
        lambda: made.add("0101701234", "Kaj", Role.STAFF, GOOD),
        lambda: made.set_password("kaj", Password("kodeord")),
        lambda: made.enable("nobody"),
        lambda: made.sign_out_everywhere("nobody"),
        lambda: made.reset_factor("kaj"),
    ):
        with pytest.raises(InputError):
            refused()
    assert [(one.name, one.role, one.disabled) for one in desk.every()] == [
        ("kaj", Role.MANAGER, False)
    ]
