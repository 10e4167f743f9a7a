from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from tests.soak.report import Sample, growths, wal_growth

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
