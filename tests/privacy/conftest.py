"""A zone that is not that of UTC, for what has to be in UTC."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system whose day begins 14 hours before that of UTC."""
    with monkeypatch.context() as system:
        system.setenv("TZ", "XXX-14")
        time.tzset()
        yield
    time.tzset()
