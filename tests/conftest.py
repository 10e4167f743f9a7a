from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from doorctl.config.extras import installed

# Who tries the tests sees them as they were when the commit was made: the same examples each time,
# none from an earlier run.
settings.register_profile(
    "suite",
    max_examples=25,
    derandomize=True,
    database=None,
    # How long an example takes is the machine's affair; what is slow stands in the benchmark.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# Other examples, which --hypothesis-seed draws; one that fails is printed, to be kept by @example.
settings.register_profile(
    "whole",
    parent=settings.get_profile("suite"),
    max_examples=150,
    derandomize=False,
    print_blob=True,
)
settings.load_profile("suite")

ORDER = 20261201
"""The order of the tests and what they draw by `random`, unless `--randomly-seed` says another."""

QUICK = {
    *("access", "cards", "door", "doord"),
    *("test_alarms.py", "test_masked.py", "test_moments.py"),
}
"""What `pytest -m quick` runs of this folder: the pure rooms and what the door does with them."""

DEAR = (
    *("browser", "demo", "rootplay", "e2e", "faults", "web", "cli", "admin", "services", "wiring"),
    *("simulation", "mutation", "planted", "packaging", "docs", "systemd", "ops"),
)
"""What starts browsers, processes and databases, the dearest first; all else takes moments."""

RAM, ROOM_BYTES = Path("/dev/shm"), 4_000_000_000  # noqa: S108 - directories have names of their own

# Thousands of databases wait for the disk at each commit, and root's purges have all of it trimmed:
# half of the time of the tests of stores (measured). Where there is room they lie in memory.
if "TMPDIR" not in os.environ and RAM.is_mount() and shutil.disk_usage(RAM).free > ROOM_BYTES:
    os.environ["TMPDIR"], tempfile.tempdir = str(RAM), None

# A shell that starts the tests in its background has them ignore Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


# The list of alarms and of keys is of all extras, in whatever order the tests run.
installed()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Have the tests run in the same order each time, before pytest-randomly draws another."""
    if config.getoption("randomly_seed", None) == "default":
        config.option.randomly_seed = ORDER


def pytest_sessionstart() -> None:
    """Have Hypothesis try the same examples whatever ran before and wherever the checkout lies.

    Else it also tries constants from the product's modules that are loaded by then, and it takes
    none for the product's below a folder that is called `test`.
    """
    if settings().derandomize:
        pytest.MonkeyPatch().setattr(providers, "is_local_module_file", lambda _path: False)


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the quick tests by their folder, and put first what is dear to begin."""
    for item in items:
        if folder(item) in QUICK:
            item.add_marker("quick")
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        items[:] = dealt(items, workers)


def folder(item: pytest.Item) -> str:
    """Return where it lies, right below this folder."""
    return item.path.relative_to(Path(__file__).parent).parts[0]


def dealt(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the tests so that each of xdist's workers begins with a share of those of `DEAR`.

    Each is given as many, in this order. Who has done them takes of another's last ones: not in the
    midst of a file whose tests share what takes seconds to start.
    """
    files = [list(file) for _, file in groupby(items, lambda item: item.path)]
    dear = sorted((file for file in files if folder(file[0]) in DEAR), key=_rank)
    rest = [item for file in files if folder(file[0]) not in DEAR for item in file]
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for file in dear:
        min(shares, key=len).extend(file)
    for number, share in enumerate(shares):
        left = sum(map(len, shares[number:])) + len(rest)
        size = max(0, left // (workers - number) - len(share))
        share.extend(rest[:size])
        del rest[:size]
    return [item for share in shares for item in share] + rest


def _rank(file: list[pytest.Item]) -> tuple[int, int]:
    return DEAR.index(folder(file[0])), -len(file)
