from __future__ import annotations

from pathlib import Path

import pytest

from tests.admin.pairs import Pair, laid_out


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Two machines before their first word."""
    return laid_out(tmp_path)
