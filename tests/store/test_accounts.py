"""Staff accounts in branch.db: read beside the writer, and what stands in the file."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from doorctl.accounts.account import Account, Password, Role, SecondFactor, Session, new_token
from doorctl.accounts.throttle import Failures
from doorctl.core.errors import KeyFileError, StoreDamagedError, StoreError
from doorctl.core.masked import Masked
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.store.accounts import (
    MOST_KEPT,
    AccountRecords,
    ArgonPasswords,
    StoredAccounts,
    StoredFailures,
    StoredSessions,
)
from doorctl.store.branch import FACTOR_KEY
from doorctl.store.branch_writer import BranchRecordsWriter
from tests.store.samples import NOON

NOW = BootTime("boot-1", 50_000_000)
MOMENT = Moment(NOON, NOON, ClockState.TRUSTED)
KAJ = Account("kaj", "Kaj", Role.TECHNICIAN)


def test_who_is_signed_in_is_read_beside_the_writer(
    path: Path, writer: BranchRecordsWriter
) -> None:
    """As of the last commit; an account that is gone takes its sessions with it."""
    token = new_token()
    StoredAccounts(writer).keep(KAJ, MOMENT)
    StoredSessions(writer).add(token.digest, Session("kaj", NOW, NOW))

    with closing(AccountRecords(path)) as records:
        assert records.whose(token.digest) == (KAJ, Session("kaj", NOW, NOW))
        assert records.sessions("kaj") == ((token.digest, Session("kaj", NOW, NOW)),)
        assert records.sessions("grethe") == ()
        assert records.every() == (KAJ,)
        assert records.whose(new_token().digest) is None
        with writer.together(MOMENT) as connection:
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
    accounts.keep(KAJ, MOMENT)
    accounts.keep(replace(KAJ, name="mia"), MOMENT)
    accounts.keep_factor("kaj", SecondFactor(Masked(secret), 7, frozenset({mark})))

    files = [one.read_bytes() for one in path.parent.iterdir() if one.is_file()]
    assert not any(secret.encode() in one for one in files)
    assert (key.stat().st_mode & 0o777, key.stat().st_size) == (0o600, 32)
    with writer.together(MOMENT) as connection:
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


def test_a_branch_without_the_file_has_no_accounts(tmp_path: Path) -> None:
    """One whose file was lost says so: nobody is signed in by it, and nothing looks empty."""
    with closing(AccountRecords(tmp_path / "branch.db")) as records:
        assert records.whose(bytes(32)) is None
        assert records.every() == ()
        (tmp_path / "branch.db.lock").touch()
        with pytest.raises(StoreError, match="missing"):
            records.whose(bytes(32))


def test_an_account_that_can_not_be_read_lets_nobody_in(
    path: Path, writer: BranchRecordsWriter
) -> None:
    """And is not quoted."""
    StoredAccounts(writer).keep(KAJ, MOMENT)
    with writer.together(MOMENT) as connection:
        connection.execute("UPDATE accounts SET role = 'king'")

    with (
        closing(AccountRecords(path)) as records,
        pytest.raises(StoreDamagedError, match="an account can't be read") as damaged,
    ):
        records.every()
    assert "king" not in str(damaged.value)


def test_no_byte_of_what_was_typed_or_shown_stands_in_the_file(
    path: Path, writer: BranchRecordsWriter
) -> None:
    """Not the token, not the name of no account, not the caller's address, not the password."""
    token = new_token()
    hashed = ArgonPasswords(8, 1).hashed(Password("hest batteri klamme"))
    StoredAccounts(writer).keep(KAJ, MOMENT)
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
    with writer.together(MOMENT) as connection:
        connection.executemany(
            "INSERT INTO sign_in_failures VALUES (?, 1, 'boot-1', ?)",
            ((number.to_bytes(8, "big"), number) for number in range(MOST_KEPT)),
        )
        failures.keep("account", "x", Failures(2, BootTime("boot-1", MOST_KEPT + 1)))
        (kept,) = connection.execute("SELECT count(*) FROM sign_in_failures").fetchone()

    assert kept == MOST_KEPT
    assert failures.find("account", "x").count == 2


def test_a_trouble_of_the_disk_is_told_as_one(path: Path, writer: BranchRecordsWriter) -> None:
    """In our own words, which name the file."""
    with writer.together(MOMENT) as connection:
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
