"""What the soak calls a leak, and what it has for a full disk."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.soak.disk import LIMIT_BYTES, full_disk
from tests.soak.report import Sample, growths, wal_growth

WRITER = """
import os, sys
for line in sys.stdin:
    try:
        with open(sys.argv[1], "wb", buffering=0) as file:
            written = file.write(bytes(int(line)))
            while written < int(line):
                written += file.write(bytes(int(line) - written))
        print("written", flush=True)
    except OSError as error:
        print(os.strerror(error.errno), flush=True)
"""


def test_a_limit_stands_for_the_full_disk(tmp_path: Path) -> None:
    """A process that is running can write nothing more, and after a while can again."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:

        def answer() -> str:
            assert one.stdin is not None
            assert one.stdout is not None
            one.stdin.write(f"{4 * LIMIT_BYTES}\n")
            one.stdin.flush()
            return one.stdout.readline().strip()

        assert answer() == "written"
        with full_disk([one.pid]):
            assert answer() == "File too large"
        assert answer() == "written"


STEEPEST = 200.0
"""KiB a minute."""


def samples(
    rss_kib: Callable[[float], float], fds: Callable[[float], float] = lambda _minute: 28
) -> list[Sample]:
    """Return ten minutes of a process whose memory moves a little all the time."""
    random = Random(1)  # noqa: S311 - no secret
    return [
        Sample(
            second,
            round(50_000 + rss_kib(second / 60) + random.uniform(-300, 300)),
            round(fds(second / 60)),
            9,
        )
        for second in range(600)
    ]


def wrongs(of: list[Sample]) -> list[str]:
    """Return what is found to grow."""
    return [row.what for row in growths("door", of, STEEPEST) if row.wrong]


def test_what_grows_at_first_and_stays_is_no_leak() -> None:
    """A process warms up: only the second half counts, and noise is none of it."""
    assert wrongs(samples(lambda minute: min(minute, 2) * 5_000)) == []


@pytest.mark.parametrize(
    ("of", "what"),
    [
        (samples(lambda minute: minute * 300), "door, RSS KiB"),
        (samples(lambda _minute: 0, lambda minute: 28 + minute), "door, descriptors"),
    ],
    ids=["memory", "descriptors"],
)
def test_what_grows_to_the_end_is_a_leak(of: list[Sample], what: str) -> None:
    """300 KiB a minute are found, and a descriptor a minute."""
    assert wrongs(of) == [what]


def test_a_descriptor_that_is_closed_late_is_no_leak() -> None:
    """One more at some time is SQLite's, which waits for the last lock on a file."""
    assert wrongs(samples(lambda _minute: 0, lambda minute: 28 + (minute > 8))) == []


def test_a_run_that_is_too_short_says_so() -> None:
    """Nothing is called sound that nobody has looked at."""
    assert wrongs(samples(lambda _minute: 0)[:5]) == ["door"]


def test_a_log_that_is_used_again_does_not_grow_and_one_that_is_not_does() -> None:
    """A write-ahead log is a saw: its teeth count, not its slope."""
    saw = [(float(second), second % 90 * 40_000) for second in range(600)]
    ramp = [(float(second), second * 40_000) for second in range(600)]

    assert not wal_growth("visits.db-wal", saw).wrong
    assert wal_growth("visits.db-wal", ramp).wrong
