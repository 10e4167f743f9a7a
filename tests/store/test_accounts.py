"""Staff accounts in branch.db: what is kept, read beside the writer, and stands in the file."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from doorctl.accounts.account import Account, Origin, SecondFactor
from doorctl.accounts.password import Password
from doorctl.accounts.roles import Role
from doorctl.accounts.session import IDLE_MS, LONGEST_MS, Session, new_token
from doorctl.accounts.throttle import KEPT_MS, NONE, Failures
from doorctl.core.errors import KeyFileError, StoreError
from doorctl.core.masked import Masked
from doorctl.core.moments import BootTime, ClockState
from doorctl.store.accounts import AccountRecords, Books, StoredAccounts
from doorctl.store.branch_rows import FACTOR_KEY
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.sign_in import MOST_KEPT, ArgonPasswords, StoredFailures, StoredSessions
from tests.store.samples import at

NOW = BootTime("boot-1", 50_000_000)
KAJ = Account("kaj", "Kaj", Role.TECHNICIAN)


def test_who_is_signed_in_is_read_beside_the_writer(
    path: Path, writer: BranchRecordsWriter
) -> None:
    """As of the last commit; an account that is gone takes its sessions with it."""
    token = new_token()
    StoredAccounts(writer).keep(KAJ, at())
    StoredSessions(writer).add(token.digest, Session("kaj", NOW, NOW))

    with closing(AccountRecords(path)) as records:
        assert records.whose(token.digest) == (KAJ, Session("kaj", NOW, NOW))
        assert records.sessions("kaj") == ((token.digest, Session("kaj", NOW, NOW)),)
        assert records.sessions("grethe") == ()
        assert records.every() == (KAJ,)
        assert records.whose(new_token().digest) is None
        with writer.together(at()) as connection:
            connection.execute("DELETE FROM accounts")
        assert records.whose(token.digest) is None


def test_no_copy_of_the_file_holds_what_an_app_makes_codes_of(
    path: Path, writer: BranchRecordsWriter
) -> None:
    """It is sealed with a key beside it, for its own account; without that key codes are lost.

    What is left then are the recovery codes, and using one up keeps the rest as it is.
    """
    secret, mark = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", bytes(range(32))
    accounts, key = StoredAccounts(writer), path.with_name(FACTOR_KEY)
    accounts.keep(KAJ, at())
    accounts.keep(replace(KAJ, name="mia"), at())
    accounts.keep_factor("kaj", SecondFactor(Masked(secret), 7, frozenset({mark})))

    files = [one.read_bytes() for one in path.parent.iterdir() if one.is_file()]
    assert not any(secret.encode() in one for one in files)
    assert (key.stat().st_mode & 0o777, key.stat().st_size) == (0o600, 32)
    with writer.together(at()) as connection:
        connection.execute(
            "INSERT INTO second_factors SELECT 'mia', secret, 0, x'' FROM second_factors"
        )
    assert accounts.factor_of("mia") == SecondFactor(None)

    kept = key.read_bytes()
    lost = SecondFactor(None, 7, frozenset({mark}))
    for spoilt in (kept * 2, b"short"):
        key.write_bytes(spoilt)
        assert accounts.factor_of("kaj") == lost
    accounts.keep_factor("kaj", replace(lost, recovery=frozenset()))
    with pytest.raises(KeyFileError):
        accounts.keep_factor("kaj", SecondFactor(Masked(secret)))
    key.write_bytes(kept)
    assert accounts.factor_of("kaj") == SecondFactor(Masked(secret), 7)


def test_no_byte_of_what_was_typed_or_shown_stands_in_the_file(
    path: Path, writer: BranchRecordsWriter
) -> None:
    """Not the token, not the name of no account, not the caller's address, not the password."""
    token = new_token()
    hashed = ArgonPasswords(8, 1).hashed(Password("hest batteri klamme"))
    StoredAccounts(writer).keep(KAJ, at())
    StoredAccounts(writer).keep_password("kaj", hashed)
    StoredSessions(writer).add(token.digest, Session("kaj", NOW, NOW))
    for kind, of in (("account", "typed-in-the-wrong-field"), ("address", "192.0.2.77")):
        StoredFailures(writer).keep(kind, of, Failures(1, NOW))

    written = b"".join(one.read_bytes() for one in path.parent.glob("branch.db*"))
    for secret in (token.reveal(), "wrong-field", "192.0.2.77", "batteri"):
        assert secret.encode() not in written
    assert token.digest in written


def test_whoever_tries_many_names_fills_no_disk(writer: BranchRecordsWriter) -> None:
    """The oldest counts give way; the newest are there."""
    failures = StoredFailures(writer)
    with writer.together(at()) as connection:
        connection.executemany(
            "INSERT INTO sign_in_failures (mark, count, boot_id, boot_ms) "
            "VALUES (?, 1, 'boot-1', ?)",
            ((number.to_bytes(8, "big"), number) for number in range(MOST_KEPT)),
        )
        failures.keep("account", "x", Failures(2, BootTime("boot-1", MOST_KEPT + 1)))
        (kept,) = connection.execute("SELECT count(*) FROM sign_in_failures").fetchone()

    assert kept == MOST_KEPT
    assert failures.find("account", "x").count == 2


def test_a_trouble_of_the_disk_is_told_as_one(path: Path, writer: BranchRecordsWriter) -> None:
    """In our own words, which name the file."""
    with writer.together(at()) as connection:
        connection.execute("DROP TABLE sign_in_failures")

    with pytest.raises(StoreError, match=path.name):
        StoredFailures(writer).find("account", "x")


def test_a_password_fits_its_own_hash_alone() -> None:
    """Each hash has its own salt; what is no hash, or nobody's, fits nothing."""
    argon = ArgonPasswords(8, 1)
    password = Password("hest batteri klamme")
    first, second = argon.hashed(password), argon.hashed(password)

    assert first != second
    assert argon.fits(first, password)
    assert argon.fits(second, password)
    for wrong in (Password("hest batteri"), Password(""), Password("\ud800")):
        assert not argon.fits(first, wrong)
    assert not argon.fits(None, Password("nobody's"))
    assert not argon.fits("no hash", password)


def test_a_hash_of_another_cost_is_an_old_one() -> None:
    """So that the cost can be raised; today's is OWASP's least."""
    made = ArgonPasswords().hashed(Password("hest batteri klamme"))

    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not ArgonPasswords().is_old(made)
    assert ArgonPasswords(8, 1).is_old(made)


GRETHE = Account("grethe", "Grethe æ", Role.MANAGER, must_change=True)
PROVIDED = Account("abc@x", "Abc", Role.STAFF, origin=Origin.PROVIDER, subject="sub-1")


def later(ms: int, boot_id: str = "boot-1") -> BootTime:
    """Return a time so long after now, or as long after the next boot's beginning."""
    return BootTime(boot_id, NOW.ms + ms if boot_id == NOW.boot_id else ms)


def digest(number: int) -> bytes:
    """Return a token's digest."""
    return bytes([number] * 32)


@pytest.fixture
def books(writer: BranchRecordsWriter) -> Books:
    """Empty books."""
    return Books(writer)


def test_accounts_come_back_as_they_were_kept(books: Books) -> None:
    """In order of their logins; replaced under the same one, password and all."""
    for account in (KAJ, GRETHE, PROVIDED):
        books.accounts.keep(account, at())
    books.accounts.keep_password("kaj", "hash")
    changed = replace(KAJ, role=Role.VIEWER, shown="K", disabled=True)
    books.accounts.keep(changed, at())

    assert books.accounts.every() == (PROVIDED, GRETHE, changed)
    assert books.accounts.find("grethe") == GRETHE
    assert books.accounts.find("nobody") is None
    assert books.accounts.password_of("kaj") == "hash"
    assert books.accounts.password_of("grethe") is None
    assert books.accounts.password_of("nobody") is None


def test_a_second_factor_comes_back_as_it_was_kept(books: Books) -> None:
    """It stays as its account changes, is replaced as a whole, and goes where it is taken."""
    factor = SecondFactor(Masked("GEZDGNBVGY3TQOJQ"), 7, frozenset({bytes(32), digest(1)}))
    for account in (KAJ, GRETHE):
        books.accounts.keep(account, at())
    books.accounts.keep_factor("kaj", factor)
    books.accounts.keep(replace(KAJ, shown="K"), at())

    assert books.accounts.find("kaj") == replace(KAJ, shown="K", second_factor=True)
    assert [one.second_factor for one in books.accounts.every()] == [False, True]
    assert books.accounts.factor_of("kaj") == factor
    assert books.accounts.factor_of("grethe") is None
    books.accounts.keep_factor("kaj", replace(factor, step=8, recovery=frozenset()))
    assert books.accounts.factor_of("kaj") == replace(factor, step=8, recovery=frozenset())
    books.accounts.keep_factor("kaj", None)
    assert books.accounts.factor_of("kaj") is None
    assert books.accounts.find("kaj") == replace(KAJ, shown="K")


def test_a_password_of_nobody_is_kept_nowhere(books: Books) -> None:
    """It would be the first thing that the next account of that login has."""
    books.accounts.keep_password("kaj", "hash")
    books.accounts.keep(KAJ, at())

    assert books.accounts.password_of("kaj") is None


LOCAL = replace(KAJ, disabled=True)


@pytest.mark.parametrize(
    ("account", "days", "state", "left"),
    [
        (LOCAL, 30, ClockState.TRUSTED, True),
        (LOCAL, 31, ClockState.TRUSTED, False),
        (LOCAL, 4000, ClockState.UNTRUSTED, True),
        (KAJ, 2000, ClockState.TRUSTED, True),
        (PROVIDED, 185, ClockState.TRUSTED, True),
        (PROVIDED, 186, ClockState.TRUSTED, False),
        (replace(PROVIDED, disabled=True), 500, ClockState.TRUSTED, True),
    ],
)
def test_an_account_is_forgotten_that_nobody_needs_any_more(
    books: Books, account: Account, days: int, state: ClockState, left: bool
) -> None:
    """A local one a month after it was disabled, a provided one half a year after its last use.

    One that was disabled and is the provider's stays: the provider would make it again, and it
    would work. A Pi that starts ten years ahead locks nobody out.
    """
    books.accounts.keep(account, at())
    if account == LOCAL:
        # However often it is looked at since.
        books.accounts.keep(account, at(20))
    books.accounts.keep(GRETHE, at(days, state))

    assert (books.accounts.find(account.name) is not None) is left


def test_sessions_come_back_and_end(books: Books) -> None:
    """Touched, ended by their token, or all of an account at once."""
    for account in (KAJ, GRETHE):
        books.accounts.keep(account, at())
    for number, name in enumerate(("kaj", "grethe", "grethe")):
        books.sessions.add(digest(number), Session(name, NOW, NOW))
    books.sessions.touch(digest(0), later(90_000))
    books.sessions.touch(digest(1), later(5, "boot-2"))
    books.sessions.touch(digest(9), later(90_000))

    assert books.sessions.find(digest(0)) == Session("kaj", NOW, later(90_000))
    assert books.sessions.find(digest(1)) == Session("grethe", NOW, NOW)
    assert books.sessions.find(digest(9)) is None
    books.sessions.end(digest(0))
    books.sessions.end(digest(0))
    assert books.sessions.find(digest(0)) is None
    assert books.sessions.end_all("grethe") == 2
    assert books.sessions.end_all("grethe") == 0


@pytest.mark.parametrize(
    "now", [later(IDLE_MS), later(LONGEST_MS), later(1, "boot-2")], ids=["idle", "long", "reboot"]
)
def test_sessions_that_are_over_are_forgotten_at_the_next_sign_in(
    books: Books, now: BootTime
) -> None:
    """By the rule that ends them, and no other."""
    books.accounts.keep(KAJ, at())
    books.sessions.add(digest(1), Session("kaj", NOW, NOW))
    books.sessions.add(digest(2), Session("kaj", later(IDLE_MS - 1), later(IDLE_MS - 1)))
    assert books.sessions.find(digest(1)) is not None

    books.sessions.add(digest(3), Session("kaj", now, now))
    assert books.sessions.find(digest(1)) is None
    assert books.sessions.find(digest(3)) is not None


@pytest.mark.parametrize("text", ["x", "", "æ\ud800", "x" * 5000])
def test_failures_come_back_by_kind_and_name(books: Books, text: str) -> None:
    """A login and an address of the same text are two; what is forgiven is gone.

    What was typed comes from anybody.
    """
    books.failures.keep("account", text, Failures(3, NOW))
    books.failures.keep("address", text, Failures(60_000, NOW))

    assert books.failures.find("account", text) == Failures(3, NOW)
    assert books.failures.find("address", text) == Failures(60_000, NOW)
    assert books.failures.find("account", "y") == NONE
    books.failures.keep("account", text, NONE)
    assert books.failures.find("account", text) == NONE


def test_there_is_a_key(books: Books) -> None:
    """By which browsers are known again: of 32 bytes, and the same each time."""
    assert len(books.failures.key()) == 32
    assert books.failures.key() == books.failures.key()


@pytest.mark.parametrize(
    ("now", "left"),
    [
        (later(KEPT_MS - 1), True),
        (later(KEPT_MS), False),
        (later(KEPT_MS - 1, "boot-2"), True),
        (later(KEPT_MS, "boot-2"), False),
    ],
)
def test_failures_are_forgotten_after_a_day(books: Books, now: BootTime, left: bool) -> None:
    """For certain: across a restart only the time since then counts."""
    books.failures.keep("account", "x", Failures(3, NOW))
    books.failures.keep("account", "y", Failures(1, now))

    assert (books.failures.find("account", "x") != NONE) is left
