from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite",
    max_examples=25,
    # How long an example takes is the machine's affair; what is slow stands in the benchmark.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# In CI Hypothesis draws the same examples each time; these are drawn by --hypothesis-seed.
settings.register_profile(
    "whole", parent=settings.get_profile("suite"), max_examples=150, derandomize=False
)
settings.load_profile("suite")

QUICK = {
    *("access", "cards", "door", "doord"),
    *("test_alarms.py", "test_masked.py", "test_moments.py"),
}
"""What `pytest -m quick` runs of this folder: the pure rooms and what the door does with them."""

RAM, ROOM_BYTES = Path("/dev/shm"), 4_000_000_000  # noqa: S108 - directories have names of their own

# Thousands of databases wait for the disk at each commit, and root's purges have all of it trimmed:
# half of the time of the tests of stores (measured). Where there is room they lie in memory.
if "TMPDIR" not in os.environ and RAM.is_mount() and shutil.disk_usage(RAM).free > ROOM_BYTES:
    os.environ["TMPDIR"], tempfile.tempdir = str(RAM), None

# A shell that starts the tests in its background has them ignore Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what is not quick before it is imported, which takes longer than what is."""
    below = collection_path.relative_to(Path(__file__).parent).parts[:1]
    return True if config.option.markexpr == "quick" and not QUICK.issuperset(below) else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage while tests are collected, nor in them ever after: all of it stays."""
    gc.disable()
    yield
    gc.enable()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick tests by their folder."""
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] in QUICK:
            item.add_marker("quick")
