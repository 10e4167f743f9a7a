from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.web.branch import Branch

Branches = Callable[..., Branch]


@pytest.fixture
def branches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Branches]:
    """Make branches that end with the test."""
    with ExitStack() as stack:

        def made(*overrides: str) -> Branch:
            branch = Branch(tmp_path_factory.mktemp("branch"), *overrides)
            stack.callback(branch.end, signal.SIGKILL)
            return branch

        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Branch]:
    """Give a running web process to tests that each begin with a snapshot of their own."""
    branch = Branch(tmp_path_factory.mktemp("shared"), "web.push.max_rows=2000")
    branch.start()
    yield branch
    branch.end()
