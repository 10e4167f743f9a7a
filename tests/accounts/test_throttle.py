from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.accounts.throttle import (
    ADDRESS_BURST,
    ADDRESS_REFILL_MS,
    KEPT_MS,
    LONGEST_WAIT_S,
    MOST_ACCOUNTS,
    NEWCOMERS_A_DAY,
    NONE,
    account_charged,
    account_wait_s,
    address_charged,
    address_refunded,
    address_wait_s,
    browser_cookie,
    browser_known,
    caller,
    newcomer_charged,
    newcomer_may,
)
from doorctl.core.moments import BootTime

BOOT = "boot-1"


def at(seconds: float, boot_id: str = BOOT) -> BootTime:
    """Return a time of one boot."""
    return BootTime(boot_id, round(seconds * 1000))


@pytest.mark.parametrize(
    ("failures", "wait_s"),
    [(0, 0), (4, 0), (5, 30), (6, 60), (7, 120), (8, 300), (9, 900), (10, 900), (1000, 900)],
)
def test_an_accounts_waits_grow_and_stay_short(failures: int, wait_s: int) -> None:
    """Honest slips are free; nobody can lock a colleague out for more than a quarter of an hour."""
    count = NONE
    for _ in range(failures):
        count = account_charged(count, at(1000))

    assert account_wait_s(count, at(1000)) == wait_s
    assert account_wait_s(count, at(1000 + wait_s)) == 0


def test_a_restart_starts_an_accounts_wait_afresh() -> None:
    """Pulling the plug gains nobody a guess."""
    count = NONE
    for _ in range(9):
        count = account_charged(count, at(1000))

    assert account_wait_s(count, at(10, "boot-2")) == LONGEST_WAIT_S - 10


def test_an_accounts_failures_are_forgotten_after_a_day() -> None:
    """Who mistyped on Monday has four free slips on Wednesday."""
    count = account_charged(account_charged(NONE, at(0)), at(0))

    assert account_charged(count, BootTime(BOOT, KEPT_MS - 1)).count == 3
    assert account_charged(count, BootTime(BOOT, KEPT_MS)).count == 1


def test_an_address_has_a_burst_and_then_a_guess_a_minute() -> None:
    """Over many accounts too; what was right is given back, what was wrong before is not."""
    count = NONE
    for _ in range(ADDRESS_BURST):
        assert address_wait_s(count, at(1000)) == 0
        count = address_charged(count, at(1000))

    assert address_wait_s(count, at(1000)) == ADDRESS_REFILL_MS // 1000
    assert address_wait_s(count, at(1060)) == 0
    assert address_wait_s(address_refunded(count, at(1000)), at(1000)) == 0
    assert address_refunded(NONE, at(1000)).count == 0


@given(st.lists(st.floats(0, 200), max_size=80))
def test_no_address_gets_more_guesses_than_the_table_says(pauses: list[float]) -> None:
    """However they are spread: its burst, and one for each minute that has passed."""
    now_s, count, guesses = 1000.0, NONE, 0
    for pause_s in pauses:
        now_s += pause_s
        if address_wait_s(count, at(now_s)) == 0:
            count, guesses = address_charged(count, at(now_s)), guesses + 1

    assert guesses <= ADDRESS_BURST + (now_s - 1000) / 60 + 1


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1::7", caller("2001:db8:0:1:ffff::9")),
        ("fe80::1%eth0", caller("fe80::2")),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_an_address_counts_as_its_network(address: str, counts_as: str) -> None:
    """Somebody with a whole IPv6 network has no more guesses than one with a single address."""
    assert caller(address) == counts_as
    assert caller("2001:db8:0:1::7") != caller("2001:db8:0:2::7")


KEY = b"k" * 32


def test_a_browser_is_known_by_its_cookie_at_its_accounts_alone() -> None:
    """By a number of its own that stays, with the branch's key, and by nothing that was changed."""
    cookie = browser_cookie(KEY, "grethe", "")
    number, _, proof = cookie.partition("~")

    assert (len(number), len(proof)) == (16, 32)
    assert browser_known(KEY, "grethe", cookie) == number
    assert browser_cookie(KEY, "grethe", cookie) == cookie
    assert browser_cookie(KEY, "grethe", "") != cookie
    assert browser_known(KEY, "kaj", cookie) is None
    assert browser_known(b"x" * 32, "grethe", cookie) is None
    for changed in (
        f"{number[:-1]}~{proof}",
        cookie[:-1],
        number,
        f"~{proof}",
        f"{number}.{proof}",
        "",
    ):
        assert browser_known(KEY, "grethe", changed) is None


def test_a_browser_is_known_at_so_many_accounts() -> None:
    """The first one is forgotten first, and more than that is not looked through."""
    shown = ""
    for number in range(MOST_ACCOUNTS):
        shown = browser_cookie(KEY, str(number), shown)
    assert None not in {browser_known(KEY, str(number), shown) for number in range(MOST_ACCOUNTS)}

    more = browser_cookie(KEY, "more", shown)
    assert [len(one) for one in more.split(".")] == [16 + 1 + 32] * MOST_ACCOUNTS
    assert browser_known(KEY, "0", more) is None
    assert browser_known(KEY, "1", more) is not None
    assert browser_known(KEY, "more", more) is not None
    assert browser_known(KEY, "more", f"{shown}.{more}") is None


@given(st.text(), st.text(max_size=20))
def test_any_cookie_is_looked_at(shown: str, name: str) -> None:
    """Whatever a browser shows, it is known afterwards, and was not before."""
    assert browser_known(KEY, name, shown) is None
    assert browser_known(KEY, name, browser_cookie(KEY, name, shown)) is not None


START = BootTime("a", 1_000)


@pytest.mark.parametrize(("later_ms", "wait_s"), [(0, 30), (1, 30), (999, 30), (1000, 29)])
def test_a_wait_is_told_in_whole_seconds(later_ms: int, wait_s: int) -> None:
    """Rounded up: whoever waits for as long as the page says may try again."""
    count = NONE
    for _ in range(5):
        count = account_charged(count, START)

    told = account_wait_s(count, BootTime("a", START.ms + later_ms))
    assert (told, type(told)) == (wait_s, int)


def test_what_an_address_owes_is_forgiven_to_the_last_millisecond() -> None:
    """Nothing is left over for the next failure, however long ago the latest one was."""
    count = address_charged(NONE, START)
    later = BootTime("a", START.ms + 10 * ADDRESS_REFILL_MS)

    assert address_charged(count, later).count == ADDRESS_REFILL_MS


def test_what_was_right_gives_back_one_failure_and_no_other() -> None:
    """A right password in between does not let an address guess for ever."""
    count = NONE
    for _ in range(ADDRESS_BURST):
        count = address_charged(count, START)

    count = address_charged(address_refunded(count, START), START)
    assert address_wait_s(count, START) == ADDRESS_REFILL_MS // 1000


def test_new_addresses_have_so_many_tries_a_day_at_an_account_that_waits() -> None:
    """On end they have a hundred, and one more after each hundredth of a day."""
    tries = NONE
    for _ in range(NEWCOMERS_A_DAY):
        assert newcomer_may(NONE, tries, at(1000))
        tries = newcomer_charged(tries, at(1000))

    assert not newcomer_may(NONE, tries, at(1000))
    assert newcomer_may(NONE, tries, at(1000 + KEPT_MS / 1000 / NEWCOMERS_A_DAY))
