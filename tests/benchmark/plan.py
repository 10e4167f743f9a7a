"""How much is measured: everything, or enough for one minute."""

from __future__ import annotations

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of one run.

    Args:
        sizes: patrons in the registers that are compared, smallest first.
        attempts: grants timed inside one process, for each size.
        rested: the same, each after a rest.
        rounds: grants timed at each whole door.
        lanes: whole doors for each size; they take turns.
        starts: starts timed.
        replugs: times that a reader is pulled and put back.
        swipes: grants between the two looks at the memory.
        rows: identifiers in one push.
        changed: rows of a document of changes.
        received: identifiers in a push whose memory is looked at.
        pairs: times that a piece of work and its floor are timed, one after the other.
        busy_rounds: grants timed at each door while its machine is busy.
        feed: patrons in the feed that is loaded meanwhile.
        visits_per_day: rows of the door log for each of 30 days, and for one that has expired.
        visits_per_month: rows of the door log behind the pages that are timed.
        page_repeats: times that each page is asked for.
    """

    sizes: tuple[int, ...]
    attempts: int
    rested: int
    rounds: int
    lanes: int
    starts: int
    replugs: int
    swipes: int
    rows: int
    changed: int
    received: int
    pairs: int
    busy_rounds: int
    feed: int
    visits_per_day: int
    visits_per_month: int
    page_repeats: int


FULL = Plan(
    sizes=(1_000, 100_000),
    attempts=2_000,
    rested=400,
    rounds=100,
    lanes=2,
    starts=5,
    replugs=20,
    swipes=200,
    rows=100_000,
    changed=1_000,
    received=100_000,
    pairs=3,
    busy_rounds=100,
    feed=20_000,
    visits_per_day=300,
    visits_per_month=15_000,
    page_repeats=40,
)

QUICK = Plan(
    sizes=(1_000, 100_000),
    attempts=400,
    rested=60,
    rounds=30,
    lanes=2,
    starts=3,
    replugs=5,
    swipes=50,
    rows=30_000,
    changed=1_000,
    received=100_000,
    pairs=3,
    busy_rounds=15,
    feed=5_000,
    visits_per_day=300,
    visits_per_month=15_000,
    page_repeats=8,
)
