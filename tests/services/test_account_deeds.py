from __future__ import annotations

from collections.abc import Callable

import pytest

from doorctl.accounts.account import Account, Origin, Role, Session
from doorctl.accounts.throttle import NONE, account_charged
from doorctl.core.errors import InputError
from doorctl.core.moments import BootTime
from doorctl.services import deeds
from doorctl.store.accounts import Books
from tests.fakes.accounts import carried_out, memory_books
from tests.fakes.clock import FakeClock

MOMENT = FakeClock().moment()
NOW = BootTime("boot-1", 1000)
PROVIDED = Account("abc", "Abc", Role.MANAGER, origin=Origin.PROVIDER, subject="sub-1")


@pytest.fixture
def books() -> Books:
    """Books with a manager, a technician, one of the staff, and one of the provider's."""
    books = memory_books()
    for name, role in (("m", Role.MANAGER), ("t", Role.TECHNICIAN), ("s", Role.STAFF)):
        carried_out(deeds.add_account(Account(name, name, role), "hash"), books, MOMENT)
    books.accounts.keep(PROVIDED, MOMENT)
    return books


CHANGES: list[Callable[[Books, str], object]] = [
    lambda books, name: carried_out(deeds.set_role(name, Role.VIEWER), books, MOMENT),
    lambda books, name: carried_out(deeds.disable_account(name), books, MOMENT),
    lambda books, name: carried_out(deeds.enable_account(name), books, MOMENT),
    lambda books, name: carried_out(deeds.set_password(name, "h", must_change=True), books, MOMENT),
    lambda books, name: carried_out(deeds.sign_out_everywhere(name), books, MOMENT),
]


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_ends_the_accounts_sessions(
    books: Books, change: Callable[[Books, str], object]
) -> None:
    """Whoever was in before it does not stay in by what was true then; others do."""
    books.sessions.add(bytes(32), Session("s", NOW, NOW))
    books.sessions.add(bytes([1] * 32), Session("t", NOW, NOW))
    change(books, "s")

    assert books.sessions.find(bytes(32)) is None
    assert books.sessions.find(bytes([1] * 32)) is not None


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_nobodys_account_is_refused(
    books: Books, change: Callable[[Books, str], object]
) -> None:
    """A slip of the pen must not look as if somebody had been locked out."""
    with pytest.raises(InputError, match="no account x"):
        change(books, "x")


def test_a_login_is_given_once(books: Books) -> None:
    """A second account of that name would be the first one's."""
    with pytest.raises(InputError, match="already"):
        carried_out(deeds.add_account(Account("s", "S", Role.MANAGER), "other"), books, MOMENT)

    assert books.accounts.password_of("s") == "hash"


def test_somebody_local_can_always_get_in(books: Books) -> None:
    """The last manager or technician is neither disabled nor made something else.

    One of the identity provider's does not count: it is no use while that is down.
    """
    carried_out(deeds.disable_account("t"), books, MOMENT)
    for change in CHANGES[:2]:
        with pytest.raises(InputError, match="last local"):
            change(books, "m")
    carried_out(deeds.set_role("m", Role.TECHNICIAN), books, MOMENT)
    carried_out(deeds.enable_account("t"), books, MOMENT)
    carried_out(deeds.disable_account("m"), books, MOMENT)

    assert [one.name for one in books.accounts.every() if one.keeps_the_house] == ["t"]


def test_what_is_the_providers_is_not_changed_here(books: Books) -> None:
    """It would be another one at the next sign-in; to disable it is."""
    with pytest.raises(InputError, match="groups"):
        carried_out(deeds.set_role("abc", Role.STAFF), books, MOMENT)
    with pytest.raises(InputError, match="identity provider"):
        carried_out(deeds.set_password("abc", "h", must_change=False), books, MOMENT)

    assert carried_out(deeds.disable_account("abc"), books, MOMENT).disabled


def test_a_new_password_forgets_failures(books: Books) -> None:
    """Whoever has forgotten theirs need not wait for what they tried."""
    for change in (CHANGES[2], CHANGES[3]):
        books.failures.keep("account", "s", account_charged(NONE, NOW))
        change(books, "s")
        assert books.failures.find("account", "s") == NONE
