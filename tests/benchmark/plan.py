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

    sizes: tuple[int, ...] = (1_000, 100_000)
    attempts: int = 2_000
    rested: int = 400
    rounds: int = 100
    lanes: int = 2
    starts: int = 5
    replugs: int = 20
    swipes: int = 200
    rows: int = 100_000
    changed: int = 1_000
    received: int = 100_000
    pairs: int = 3
    busy_rounds: int = 100
    feed: int = 20_000
    visits_per_day: int = 300
    visits_per_month: int = 15_000
    page_repeats: int = 40


FULL = Plan()
QUICK = Plan(
    attempts=400,
    rested=60,
    rounds=30,
    starts=3,
    replugs=5,
    swipes=50,
    rows=30_000,
    busy_rounds=15,
    feed=5_000,
    page_repeats=8,
)
