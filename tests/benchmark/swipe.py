"""From the first byte of a card until all is known of it, at the default cost of sealing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from argon2.low_level import Type, hash_secret_raw

from doorctl.access.patron import KEY_BYTES
from doorctl.store.keys import ITERATIONS, MEMORY_KIB
from tests.benchmark.decision import InProcessDoor
from tests.benchmark.figures import NS_PER_MS, Figure
from tests.benchmark.plan import Plan
from tests.benchmark.register import KNOWN, cards, fill

PART = f"swipe, first byte -> prepared, Argon2id {MEMORY_KIB} KiB x {ITERATIONS}"


def measure(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time swipes in one process, in pairs with the bare hash."""
    with InProcessDoor(fill(work / "swipe", KNOWN, (MEMORY_KIB, ITERATIONS))) as door:
        pairs = [(door.prepare_ns(card), _hash_ns()) for card in islice(cards(), plan.pairs)]
    swipe, bare = (statistics.median(times) / NS_PER_MS for times in zip(*pairs, strict=True))
    what = "median; floor: the bare hash"
    yield Figure(PART, what, swipe, "ms", plan.pairs, bare)


def _hash_ns() -> int:
    before = time.perf_counter_ns()
    hash_secret_raw(
        secret=b"card:3000001234",
        salt=bytes(KEY_BYTES),
        time_cost=ITERATIONS,
        memory_cost=MEMORY_KIB,
        parallelism=1,
        hash_len=KEY_BYTES,
        type=Type.ID,
    )
    return time.perf_counter_ns() - before
