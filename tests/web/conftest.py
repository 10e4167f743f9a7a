from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from doorctl.lookup.app import App
from doorctl.store.alarms import AlarmRecords
from doorctl.web.alarms import StandingAlarms
from doorctl.web.branch_thread import BranchThread
from tests.e2e.door import Staged
from tests.fakes.clock import FakeClock
from tests.services.branches import configured, initialised
from tests.web.branch import Branch
from tests.web.certificates import Authority
from tests.web.pages.staging import NOW

Branches = Callable[..., Branch]

WHOLE = {"test_connections"}
"""Files whose processes are started whole: their limit of open files is their own."""


@pytest.fixture(autouse=True, scope="module")
def forking(request: pytest.FixtureRequest) -> Iterator[None]:
    """Start the processes of all other files as forks."""
    Branch.forked = Staged.forked = Path(request.path).stem not in WHOLE
    yield
    Branch.forked = Staged.forked = False


@pytest.fixture
def branches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Branches]:
    """Make branches that end with the test."""
    with ExitStack() as stack:

        def made(*overrides: str) -> Branch:
            branch = Branch(tmp_path_factory.mktemp("branch"), *overrides)
            stack.callback(branch.end, signal.SIGKILL)
            return branch

        yield made


@pytest.fixture
def branch(branches: Branches) -> Branch:
    """A branch whose web process runs."""
    made = branches()
    made.start()
    return made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Branch]:
    """Give a running web process to tests that each begin with a snapshot of their own."""
    branch = Branch(tmp_path_factory.mktemp("shared"), "web.push.max_rows=2000")
    branch.start()
    yield branch
    branch.end()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom both sides trust."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


Apps = Callable[..., App]


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Branch]:
    """Give a running web process that can't bear silence."""
    branch = Branch(tmp_path_factory.mktemp("impatient"), "web.push.chunk_timeout_s=1")
    branch.start()
    yield branch
    branch.end()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which a branch's keys and databases have been made."""
    directory = tmp_path_factory.mktemp("made")
    initialised(directory)
    return directory


@pytest.fixture
def apps(made_once: Path, tmp_path: Path) -> Apps:
    """Make the one small branch of a test, with more ``--set`` values; no process runs beside it.

    Its databases are real files, its clock stands at `NOW`, which is the pages' time too.
    """

    def made(*overrides: str) -> App:
        shutil.copytree(made_once, tmp_path / "branch")
        return App(configured(tmp_path / "branch", *overrides), FakeClock(wall=NOW))

    return made


@pytest.fixture
def app(apps: Apps) -> App:
    """A small branch of a test's own, to look at and change."""
    return apps()


@pytest.fixture
def alarms(app: App) -> Iterator[StandingAlarms]:
    """The alarms of that branch: none stands at first; to acknowledge one owns ``branch.db``."""
    with ExitStack() as stack:
        branch = BranchThread(app)
        stack.callback(branch.close)
        records = stack.enter_context(closing(AlarmRecords(app.storage.branch_db)))
        yield StandingAlarms(records, branch, lambda _kind: None, lambda: True)
