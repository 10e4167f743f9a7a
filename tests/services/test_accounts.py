"""Staff accounts as the web process and root's commands have them: one file, one writer."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.accounts.account import NOBODY, Account, Password, Role
from doorctl.config import Config
from doorctl.core.errors import IdentityProviderError, SignInRefusedError, StoreError
from doorctl.privacy.audit import Action, Entry
from doorctl.services import deeds
from doorctl.services.accounts import (
    AccountsService,
)
from doorctl.services.app import App
from doorctl.services.branch import BranchThread
from doorctl.store.records import AuditRecords
from tests.e2e.door import COMMANDS
from tests.fakes.accounts import QuickHasher
from tests.fakes.clock import FakeClock
from tests.services.branches import initialised

RIGHT, WRONG = Password("hest batteri klamme"), Password("gæt et ord mere")
HERE = "192.0.2.7"


@pytest.fixture
def clock() -> FakeClock:
    """A clock."""
    return FakeClock()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A branch."""
    return initialised(tmp_path)


@pytest.fixture
def branch(config: Config, clock: FakeClock) -> Iterator[BranchThread]:
    """What web has of branch.db."""
    branch = BranchThread(App(config, clock))
    yield branch
    branch.close()


@pytest.fixture
def desk(config: Config, clock: FakeClock, branch: BranchThread) -> Iterator[AccountsService]:
    """What the staff pages have."""
    with closing(AccountsService(App(config, clock), branch, hasher=QuickHasher())) as desk:
        add(desk, "grethe", Role.MANAGER, RIGHT)
        yield desk


def add(desk: AccountsService, name: str, role: Role, password: Password, by: str = "root") -> None:
    """Add an account from the page."""
    account = Account(name, name.title(), role)
    desk.change(deeds.add_account(account, desk.hashed(password, name)), by)


def recorded(config: Config) -> list[Entry]:
    """Return the audit log."""
    with closing(AuditRecords(config.storage.branch_db)) as records:
        return list(records.entries())


def test_signing_in_and_out_goes_on_record(config: Config, desk: AccountsService) -> None:
    """With who it was; of a refusal only the account's login, and nothing of any other."""
    token = desk.signing_in.sign_in("grethe", RIGHT, HERE)
    for name in ("grethe", "in-the-wrong-field"):
        with pytest.raises(SignInRefusedError):
            desk.signing_in.sign_in(name, WRONG, HERE)
    desk.signing_in.sign_out(token)
    assert desk.signing_in.whose(token) is None

    log = recorded(config)
    assert [(one.by, one.deed.action, dict(one.deed.details)) for one in log[1:]] == [
        ("grethe", Action.SIGNED_IN, {}),
        (NOBODY, Action.SIGN_IN_REFUSED, {"account": "grethe", "why": "wrong", "wait_s": 0}),
        (NOBODY, Action.SIGN_IN_REFUSED, {"why": "wrong", "wait_s": 0}),
        ("grethe", Action.SIGNED_OUT, {"sessions": 1}),
    ]
    assert "wrong-field" not in str(log)


def test_a_session_survives_a_restart_of_web(
    config: Config, clock: FakeClock, desk: AccountsService, branch: BranchThread
) -> None:
    """Nobody signs in anew because a process was updated; failures survive it too."""
    token = desk.signing_in.sign_in("grethe", RIGHT, HERE)
    clock.advance(120)

    with closing(AccountsService(App(config, clock), branch, hasher=QuickHasher())) as other:
        found = other.signing_in.whose(token)
    assert found is not None
    assert found[1].seen == clock.boot_time()


def test_nobody_is_signed_in_without_a_record(config: Config, desk: AccountsService) -> None:
    """If the audit log can't be written the whole of it is undone."""
    refused = "told to fail"

    def broken(*_: object) -> None:
        raise StoreError(refused)

    desk._branch.run(lambda opened, _: object.__setattr__(opened.audit, "append", broken))  # noqa: SLF001 - a log that fails
    with pytest.raises(StoreError, match=refused):
        desk.signing_in.sign_in("grethe", RIGHT, HERE)

    desk._branch.run(lambda opened, _: delattr(opened.audit, "append"))  # noqa: SLF001 - as above
    assert [one.deed.action for one in recorded(config)] == [Action.ACCOUNT_ADDED]
    assert desk.signing_in.sign_out_everywhere("grethe") == 0


def test_without_a_provider_there_is_none_to_ask(tmp_path: Path, clock: FakeClock) -> None:
    """The page does not offer it, and who asks all the same is told."""
    config = initialised(tmp_path)
    with (
        closing(BranchThread(App(config, clock))) as branch,
        closing(AccountsService(App(config, clock), branch)) as desk,
    ):
        assert not desk.has_provider
        with pytest.raises(IdentityProviderError, match=r"signin\.oidc\.issuer"):
            desk.begin_oidc()


def staff(config: Config, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``doorctl staff`` as root does."""
    path = config.storage.directory / "doorctl.toml"
    path.write_text(
        f"""
        [branch]
        name = "Prøvebiblioteket"
        id = "proeve"
        [storage]
        directory = "{config.storage.directory}"
        [reader]
        port = "/dev/null"
        """,
        encoding="utf-8",
    )
    done = COMMANDS.run(["staff", *words, "--config", str(path)], os.environ, stdin)
    assert done is not None
    return done


def test_the_first_manager_comes_from_the_command_line(config: Config) -> None:
    """A password by stdin, and never an argument; what is refused is one line and exit code 1."""
    assert "no account" in staff(config, "list").stdout
    short = staff(config, "add", "grethe", "--role", "manager", "--password-stdin", stdin="kort\n")
    assert (short.returncode, short.stdout) == (1, "")
    assert "at least 12" in short.stderr
    silent = staff(config, "add", "grethe", "--role", "manager", stdin="hest batteri klamme\n")
    assert "--password-stdin" in silent.stderr

    words = ("add", "Grethe", "--role", "manager", "--shown", "Vagten", "--password-stdin")
    added = staff(config, *words, stdin="hest batteri klamme\n")

    assert (added.returncode, added.stderr) == (0, "")
    assert "klamme" not in added.stdout
    listed = json.loads(staff(config, "list", "--json").stdout)
    assert listed == [
        {
            "name": "grethe",
            "shown": "Vagten",
            "role": "manager",
            "disabled": False,
            "must_change": False,
            "origin": "local",
            "second_factor": False,
        }
    ]
    last = staff(config, "disable", "grethe")
    assert (last.returncode, last.stderr.count("\n")) == (1, 1)
    assert "last local" in last.stderr
