"""Signing in and out, over books in memory: who gets in, what it costs, and what it leaves.

Bug (penetration test): whoever failed at an account on purpose, or began sign-ins at the
municipality, kept all staff out; polls cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest

from doorctl.accounts.account import PROVIDER, Account, Claims, Origin, Refusal
from doorctl.accounts.password import Password
from doorctl.accounts.roles import Role
from doorctl.accounts.session import IDLE_MS, TOUCH_MS, new_token
from doorctl.accounts.throttle import ACCOUNT, ADDRESS_BURST, NEWCOMERS_A_DAY, NONE, WAIT_AFTER_S
from doorctl.core.errors import (
    InputError,
    SignInRefusedError,
    SignInWaitsError,
    StoreError,
)
from doorctl.core.moments import Moment
from doorctl.privacy.audit import Action
from doorctl.services import deeds
from doorctl.store.accounts import Books
from tests.fakes.accounts import Event, MemoryThread, QuickHasher, refused

RIGHT, WRONG, NEW = Password("hest batteri"), Password("gæt et ord"), Password("tre små grise løb")
HERE, THERE = "192.0.2.7", "192.0.2.8"
ROLES = ("manager=dør-ledere", "staff=dør-personale")
CLAIMS = Claims("sub-1", "abc@kommune.example", "Grethe", frozenset({"dør-personale", "andre"}))
FREE = min(WAIT_AFTER_S)


@dataclass
class House:
    """A branch with one account, ``grethe``."""

    desk: MemoryThread = field(default_factory=MemoryThread)
    hasher: QuickHasher = field(default_factory=QuickHasher)

    def __post_init__(self) -> None:
        self.door = self.desk.signing_in(self.hasher)
        self.provided = self.desk.providing(self.door, ROLES)
        self.desk.change(
            deeds.add_account(Account("grethe", "Grethe", Role.MANAGER), self.hasher.hashed(RIGHT))
        )

    def change(self, use: Callable[[Books, Moment], object]) -> None:
        """Change the books."""
        use(self.desk.books, self.desk.clock.moment())

    def fail(self, name: str = "grethe", address: str = HERE, password: Password = WRONG) -> None:
        """Sign in, and be refused."""
        with pytest.raises(SignInRefusedError) as error:
            self.door.sign_in(name, password, address)
        assert not isinstance(error.value, SignInWaitsError)

    def wait_s(self, name: str = "grethe", address: str = HERE) -> int:
        """Sign in, and be told to wait."""
        with pytest.raises(SignInWaitsError) as waits:
            self.door.sign_in(name, RIGHT, address)
        return waits.value.wait_s


@pytest.fixture
def house() -> House:
    """A branch."""
    return House()


def test_who_signs_in_is_known_by_the_token(house: House) -> None:
    """However the login is written; each sign-in has a token of its own, stored as a digest."""
    first = house.door.sign_in(" Grethe ", RIGHT, HERE)
    second = house.door.sign_in("grethe", RIGHT, HERE)

    assert first != second
    for token in (first, second):
        found = house.door.whose(token)
        assert found is not None
        assert found.account.name == "grethe"
    assert house.door.whose(new_token()) is None
    assert house.desk.events == [(Action.SIGNED_IN, "grethe", {}), (Action.SIGNED_IN, "grethe", {})]


@pytest.mark.parametrize(
    ("name", "known"), [("grethe", "grethe"), ("nobody", None), ("0101701234", None), ("", None)]
)
def test_every_refusal_looks_and_costs_the_same(house: House, name: str, known: str | None) -> None:
    """One password is stretched and one sentence said, whether there is such an account or not.

    The record names the account if it is one, and nothing else that was typed.
    """
    house.fail(name)

    assert house.hasher.stretched == 1
    assert house.desk.events == [refused(known, Refusal.WRONG)]


@pytest.mark.parametrize("name", ["grethe", "nobody", "0101701234"])
def test_failures_of_any_name_wait_alike(house: House, name: str) -> None:
    """Nobody learns from the throttle which accounts there are; what waits stretches nothing."""
    for place in range(FREE):
        house.fail(name, f"192.0.2.{place}")
    stretched = house.hasher.stretched

    assert house.wait_s(name, "192.0.2.0") == WAIT_AFTER_S[FREE]
    assert house.hasher.stretched == stretched
    assert house.desk.events[-1][2]["wait_s"] == WAIT_AFTER_S[FREE]


def test_after_the_wait_the_right_password_clears_the_account(house: House) -> None:
    """And then there are as many free slips as at first."""
    for _ in range(FREE):
        house.fail()
    house.desk.clock.advance(WAIT_AFTER_S[FREE])
    house.door.sign_in("grethe", RIGHT, HERE)

    for _ in range(FREE):
        house.fail()


def test_one_address_can_not_try_all_accounts(house: House) -> None:
    """It waits a minute for each, while colleagues elsewhere sign in."""
    for number in range(ADDRESS_BURST):
        house.fail(f"name-{number}")

    assert house.wait_s() == 60
    house.door.sign_in("grethe", RIGHT, THERE)


def test_a_right_password_forgives_its_address_no_wrong_one(house: House) -> None:
    """Who has an account has no more guesses at the others than a stranger."""
    for number in range(ADDRESS_BURST - 1):
        house.fail(f"name-{number}")
        house.door.sign_in("grethe", RIGHT, HERE)
    house.fail("name-again")

    assert house.wait_s() == 60


def test_who_polls_an_account_that_waits_pays_for_it(house: House) -> None:
    """Their address waits too in the end, and the account no longer for it."""
    for _ in range(FREE):
        house.fail()
    for _ in range(ADDRESS_BURST - FREE):
        assert house.wait_s() == WAIT_AFTER_S[FREE]

    assert house.wait_s() == 60
    house.desk.clock.advance(WAIT_AFTER_S[FREE])
    assert house.wait_s() == 60 - WAIT_AFTER_S[FREE]
    house.door.sign_in("grethe", RIGHT, THERE)


def test_nobody_keeps_a_browser_out_that_is_known(house: House) -> None:
    """Not by failing at its account, nor by failing from its address, for as long as they like."""
    known = house.door.cookie("Grethe", "")
    for _ in range(FREE):
        house.fail()
    for number in range(ADDRESS_BURST - FREE):
        house.fail(f"name-{number}")
    assert house.wait_s() == 60

    for _ in range(2 * ADDRESS_BURST):
        house.door.sign_in(" Grethe", RIGHT, HERE, known)
    assert house.wait_s() == 60


def test_nobody_keeps_a_new_browser_out_from_a_few_addresses(house: House) -> None:
    """Bug (second penetration test, 2.8): 24 bots kept every new browser out while they ran.

    An address of its own gets it in, though the account waits; the bots' addresses don't.
    """
    bots = [f"198.51.100.{number}" for number in range(24)]
    for number in range(24 * 5):
        with suppress(SignInRefusedError):
            house.door.sign_in("grethe", WRONG, bots[number % 24])
        house.desk.clock.advance(7)
    assert house.wait_s(address=bots[0]) > 0

    house.door.sign_in("grethe", RIGHT, HERE)


def test_many_addresses_are_no_way_around_the_waits(house: House) -> None:
    """So many new ones may try an account that waits, and then as many again in a day."""
    for _ in range(FREE):
        house.fail(address="192.0.2.1")
    for number in range(NEWCOMERS_A_DAY):
        house.fail(address=f"198.51.100.{number}")
    stretched = house.hasher.stretched

    assert house.wait_s(address="203.0.113.1") > 0
    assert house.hasher.stretched == stretched
    house.desk.clock.advance(24 * 3600 // NEWCOMERS_A_DAY)
    house.fail(address="203.0.113.2")
    assert house.wait_s(address="203.0.113.3") > 0


def test_an_address_gets_one_try_at_an_account_that_waits(house: House) -> None:
    """Then it waits with the others, for a day after its last failure."""
    for _ in range(FREE):
        house.fail(address="192.0.2.1")
    house.fail(address=THERE)

    assert house.wait_s(address=THERE) > 0


def test_a_known_browser_has_a_count_of_its_own(house: House) -> None:
    """With the waits that the account has, and it keeps nobody else out either."""
    known = house.door.cookie("grethe", "")
    for _ in range(FREE):
        with pytest.raises(SignInRefusedError):
            house.door.sign_in("grethe", WRONG, HERE, known)
    with pytest.raises(SignInWaitsError) as waits:
        house.door.sign_in("grethe", RIGHT, HERE, known)

    assert waits.value.wait_s == WAIT_AFTER_S[FREE]
    house.door.sign_in("grethe", RIGHT, HERE)
    house.desk.clock.advance(WAIT_AFTER_S[FREE])
    house.door.sign_in("grethe", RIGHT, HERE, known)


def test_a_guess_is_counted_before_it_is_compared(house: House) -> None:
    """Many guesses at once are no more guesses than one after the other."""
    counts = []
    house.hasher.meanwhile = lambda: counts.append(
        house.desk.books.failures.find(ACCOUNT, "grethe").count
    )
    house.fail()

    assert counts == [1]


def test_a_disabled_account_is_refused_as_a_wrong_password_is(house: House) -> None:
    """Its sessions end, and the record alone says why."""
    colleague = Account("kaj", "Kaj", Role.TECHNICIAN)
    house.desk.change(deeds.add_account(colleague, "1$x"))
    token = house.door.sign_in("grethe", RIGHT, HERE)
    house.desk.change(deeds.disable_account("grethe"))

    assert house.door.whose(token) is None
    house.fail(password=RIGHT)
    assert house.desk.events[-1] == refused("grethe", Refusal.DISABLED)


def test_what_is_changed_while_a_password_is_compared_counts(house: House) -> None:
    """A password that was replaced a moment ago lets nobody in any more."""
    house.hasher.meanwhile = lambda: house.desk.change(deeds.set_password("grethe", "1$other"))
    house.fail(password=RIGHT)

    def disable(books: Books, moment: Moment) -> None:
        found = books.accounts.find("grethe")
        assert found is not None
        books.accounts.keep_password("grethe", house.hasher.hashed(RIGHT))
        books.accounts.keep(replace(found, disabled=True), moment)

    house.hasher.meanwhile = lambda: house.change(disable)
    house.change(lambda books, _moment: books.accounts.keep_password("grethe", "1$hest batteri"))
    house.fail(password=RIGHT)


def test_a_password_stays_valid_for_years(house: House) -> None:
    """Nobody changes it by the calendar; no rule of ours asks how old it is."""
    house.desk.clock.advance(10 * 365 * 24 * 3600)
    found = house.door.whose(house.door.sign_in("grethe", RIGHT, HERE))

    assert found is not None
    assert not found.account.must_change


def test_a_password_that_is_too_long_is_wrong(house: House) -> None:
    """It costs what any costs, and not a megabyte's hashing."""
    house.fail(password=Password("x" * 100_000))

    assert house.hasher.stretched == 1


def test_an_old_hash_is_renewed_at_the_sign_in(house: House) -> None:
    """The cost can be raised without anybody choosing another password."""
    house.hasher.cost = 2
    house.door.sign_in("grethe", RIGHT, HERE)

    assert house.desk.books.accounts.password_of("grethe") == "2$hest batteri"
    house.door.sign_in("grethe", RIGHT, HERE)


def test_a_session_lives_while_somebody_works_and_ends_when_nobody_does(house: House) -> None:
    """By the machine's own time: a wall clock that jumps changes nothing, a restart ends it."""
    token = house.door.sign_in("grethe", RIGHT, HERE)
    for _ in range(20):
        house.desk.clock.advance(IDLE_MS / 1000 - TOUCH_MS / 1000)
        if house.door.whose(token) is None:
            break
    worked_s = house.desk.clock.boot_ms / 1000 - 1000
    assert 8 * 3600 <= worked_s < 9 * 3600

    token = house.door.sign_in("grethe", RIGHT, HERE)
    house.desk.clock.step(house.desk.clock.wall.replace(year=2040))
    assert house.door.whose(token) is not None
    house.desk.clock.advance(IDLE_MS / 1000)
    assert house.door.whose(token) is None
    token = house.door.sign_in("grethe", RIGHT, HERE)
    house.desk.clock.reboot("boot-2")
    assert house.door.whose(token) is None


def test_a_branch_may_sign_staff_out_sooner(house: House) -> None:
    """Where the desk stands among patrons."""
    sooner = house.desk.signing_in(house.hasher, idle_min=2)
    token = sooner.sign_in("grethe", RIGHT, HERE)
    house.desk.clock.advance(119.9)
    assert sooner.whose(token) is not None
    house.desk.clock.advance(120)
    assert sooner.whose(token) is None


def test_a_session_survives_a_restart_of_web(house: House) -> None:
    """Nobody signs in anew because a process was updated; when they last did something stays."""
    token = house.door.sign_in("grethe", RIGHT, HERE)
    house.desk.clock.advance(120)

    assert house.desk.signing_in().whose(token) is not None
    ((_, session),) = house.desk.records.sessions("grethe")
    assert session.seen == house.desk.clock.boot_time()


def test_nobody_is_signed_in_without_a_record(house: House) -> None:
    """If the audit log can't be written the whole of it is undone."""
    house.desk.audit.broken = True
    with pytest.raises(StoreError):
        house.door.sign_in("grethe", RIGHT, HERE)
    house.desk.audit.broken = False

    assert house.desk.events == []
    assert house.desk.records.sessions("grethe") == ()


def test_a_page_is_shown_though_nothing_can_be_written(house: House) -> None:
    """A full disk keeps nobody from looking; it lets nobody in either."""
    token = house.door.sign_in("grethe", RIGHT, HERE)
    house.desk.clock.advance(TOUCH_MS / 1000)
    house.desk.broken = True

    assert house.door.whose(token) is not None
    with pytest.raises(StoreError):
        house.door.sign_in("grethe", RIGHT, HERE)


def test_signing_out_ends_one_session_or_all(house: House) -> None:
    """A second time there is nothing left to end, and nothing to record."""
    first, second, third = (house.door.sign_in("grethe", RIGHT, HERE) for _ in range(3))
    house.door.sign_out(first)
    house.door.sign_out(first)
    assert house.door.whose(first) is None
    assert house.door.whose(second) is not None

    assert house.door.sign_out_everywhere("grethe") == 2
    assert house.door.sign_out_everywhere("grethe") == 0
    assert house.door.whose(third) is None
    assert house.desk.events[3:] == [
        (Action.SIGNED_OUT, "grethe", {"sessions": 1}),
        (Action.SIGNED_OUT, "grethe", {"sessions": 2}),
    ]


def test_who_changes_the_password_knows_the_old_one(house: House) -> None:
    """All sessions end but a new one; a password that somebody else chose is now their own."""
    house.desk.change(deeds.set_password("grethe", house.hasher.hashed(RIGHT), must_change=True))
    token, other = (house.door.sign_in("grethe", RIGHT, HERE) for _ in range(2))
    with pytest.raises(SignInRefusedError):
        house.door.change_password(token, WRONG, NEW, HERE)
    with pytest.raises(InputError, match="at least"):
        house.door.change_password(token, RIGHT, Password("kort"), HERE)
    with pytest.raises(InputError, match="old one"):
        house.door.change_password(token, RIGHT, RIGHT, HERE)

    fresh = house.door.change_password(token, RIGHT, NEW, HERE)

    found = house.door.whose(fresh)
    assert found is not None
    assert not found.account.must_change
    assert house.door.whose(token) is house.door.whose(other) is None
    assert house.desk.events[-1] == (Action.ACCOUNT_PASSWORD_SET, "grethe", {"account": "grethe"})
    house.fail(password=RIGHT)
    with pytest.raises(SignInRefusedError):
        house.door.change_password(token, NEW, RIGHT, HERE)


def test_the_same_password_again_locks_nobody_out(house: House) -> None:
    """It is refused before anything is compared, so the right password does not count as wrong."""
    token = house.door.sign_in("grethe", RIGHT, HERE)
    stretched = house.hasher.stretched
    for _ in range(max(WAIT_AFTER_S) + 1):
        with pytest.raises(InputError, match="old one"):
            house.door.change_password(token, RIGHT, RIGHT, HERE)

    assert house.hasher.stretched == stretched
    assert house.desk.books.failures.find(ACCOUNT, "grethe") == NONE
    house.door.change_password(token, RIGHT, NEW, HERE)


def test_whom_the_provider_knows_has_the_role_of_the_first_group(house: House) -> None:
    """An account is made at the first time; it has no password of ours."""
    token = house.provided.sign_in(CLAIMS)

    found = house.door.whose(token)
    assert found is not None
    assert found.account == Account(
        CLAIMS.name, "Grethe", Role.STAFF, origin=Origin.PROVIDER, subject="sub-1"
    )
    details: dict[str, int | str] = {"account": CLAIMS.name, "role": "staff", "signed_in": 1}
    assert house.desk.events == [(Action.ACCOUNT_CHANGED, PROVIDER, details)]
    house.fail(CLAIMS.name)
    with pytest.raises(SignInRefusedError):
        house.door.change_password(token, RIGHT, NEW, HERE)


def test_another_group_is_another_role_at_the_next_sign_in(house: House) -> None:
    """And ends the sessions of the earlier one; the same groups leave them."""
    first = house.provided.sign_in(CLAIMS)
    second = house.provided.sign_in(CLAIMS)
    assert house.door.whose(first) is not None

    both = frozenset({"dør-ledere", "dør-personale"})
    third = house.provided.sign_in(replace(CLAIMS, groups=both))

    assert house.door.whose(first) is house.door.whose(second) is None
    found = house.door.whose(third)
    assert found is not None
    assert found.account.role is Role.MANAGER


@pytest.mark.parametrize(
    ("claims", "event"),
    [
        (replace(CLAIMS, groups=frozenset({"andre"})), refused(None, Refusal.NO_ROLE)),
        (replace(CLAIMS, groups=frozenset()), refused(None, Refusal.NO_ROLE)),
        (replace(CLAIMS, name="0101701234"), refused(None, Refusal.NO_ROLE)),
        (replace(CLAIMS, name="grethe"), refused("grethe", Refusal.NAME_TAKEN)),
    ],
    ids=["other-groups", "no-groups", "no-login", "a-local-account"],
)
def test_whom_the_provider_knows_may_have_no_access(
    house: House, claims: Claims, event: Event
) -> None:
    """Without a group there is no role; nobody takes over an account by having its name."""
    with pytest.raises(SignInRefusedError, match="no access"):
        house.provided.sign_in(claims)

    assert house.desk.events == [event]


def test_a_login_that_went_to_somebody_else_is_refused(house: House) -> None:
    """The provider's own name for a person never goes to another; neither does what was theirs."""
    house.provided.sign_in(CLAIMS)

    with pytest.raises(SignInRefusedError):
        house.provided.sign_in(replace(CLAIMS, subject="sub-2"))
    assert house.desk.events[-1] == refused(CLAIMS.name, Refusal.NAME_TAKEN)
    with pytest.raises(SignInRefusedError):
        house.provided.sign_in(replace(CLAIMS, groups=frozenset()))
    assert house.desk.events[-1] == refused(CLAIMS.name, Refusal.NO_ROLE)


def test_a_provided_account_can_be_disabled_here(house: House) -> None:
    """At once, whatever the provider goes on saying."""
    token = house.provided.sign_in(CLAIMS)
    house.desk.change(deeds.disable_account(CLAIMS.name))

    assert house.door.whose(token) is None
    with pytest.raises(SignInRefusedError):
        house.provided.sign_in(CLAIMS)
    assert house.desk.events[-1] == refused(CLAIMS.name, Refusal.DISABLED)


def test_a_shown_name_is_made_fit(house: House) -> None:
    """What the provider says of a name comes from outside: no control characters, no page of it."""
    house.provided.sign_in(replace(CLAIMS, shown="G\x00r\n" + "e" * 200))
    house.provided.sign_in(replace(CLAIMS, subject="sub-9", name="x@y.example", shown="\n"))

    shown = {one.name: one.shown for one in house.desk.records.every()}
    assert shown[CLAIMS.name] == "Gr" + "e" * 62
    assert shown["x@y.example"] == "x@y.example"
