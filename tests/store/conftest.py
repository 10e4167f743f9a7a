"""An empty patron cache and an empty ``branch.db``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter, create_branch
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from tests.store.samples import (
    SEAL,
    Branch,
    Cache,
    Log,
)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    """An empty cache."""
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    with (
        closing(PatronCache(path, SEAL)) as lookup,
        closing(PatronCacheWriter(path, SEAL)) as writer,
    ):
        yield Cache(lookup, writer)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an empty ``branch.db`` stands."""
    create_branch(tmp_path / "branch.db")
    return tmp_path / "branch.db"


@pytest.fixture
def book(path: Path) -> Iterator[BranchRecords]:
    """Its reading side."""
    with closing(BranchRecords(path)) as book:
        yield book


@pytest.fixture
def writer(path: Path) -> Iterator[BranchRecordsWriter]:
    """Its one writer."""
    with closing(BranchRecordsWriter(path)) as writer:
        yield writer


@pytest.fixture
def branch(book: BranchRecords, writer: BranchRecordsWriter) -> Branch:
    """A branch that never stored anything."""
    return Branch(book, writer)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """An empty door log."""
    with closing(Log(tmp_path / "visits.db")) as log:
        yield log
