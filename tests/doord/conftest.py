from __future__ import annotations

import pytest

from tests.doord.fake_door import Books, FakeDoor


@pytest.fixture
def door() -> FakeDoor:
    """Return a door at which two residents are known."""
    return FakeDoor()


@pytest.fixture
def books() -> Books:
    """Return a ledger that knows one resident."""
    return Books()
