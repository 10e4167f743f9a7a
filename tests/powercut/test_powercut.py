from __future__ import annotations

from pathlib import Path

import pytest

from tests.powercut.__main__ import CACHE
from tests.powercut.guest import worked
from tests.powercut.kernel import fetched
from tests.powercut.model import modelled
from tests.powercut.replay import Judged, Recorded, chosen, judged
from tests.powercut.tools import missing

STATES = 300


def test_a_store_that_does_not_wait_for_the_disk_is_caught(tmp_path: Path) -> None:
    """With `synchronous=NORMAL` what was acknowledged is lost.

    A harness that finds nothing where something is wrong proves nothing. The stores as they are
    are tried by `python -m tests.powercut`.
    """
    if absent := missing():
        pytest.skip(f"not installed: {', '.join(absent)}")
    try:
        kernel = fetched(CACHE.expanduser())
    except (RuntimeError, OSError) as error:
        pytest.skip(f"no kernel: {error}")
    (tmp_path / "model").mkdir()
    model = modelled(tmp_path / "model", 1)
    log = worked(kernel, tmp_path, 1, ["synchronous=NORMAL"])
    recorded = Recorded(tmp_path / "before", log, model)
    found = Judged()

    for some in judged(recorded, chosen(recorded.entries(), STATES), 1):
        found.add(some)

    assert any("acknowledged is lost" in told for _, told in found.violations)
    assert not any("damaged" in told for _, told in found.violations)
