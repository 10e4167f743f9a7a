"""The database counts whom a push shuts out as the door's own checks decide, whatever the rules."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from doorctl.access.patron import Patron
from doorctl.access.policy import Policy, WeakPin
from doorctl.ports import Changes, SealedRow
from doorctl.store.patrons_writer import open_or_create_patrons
from doorctl.sync.guard import unguarded
from tests.fakes.shut_out import changes
from tests.store.samples import DAY, NOON, SEAL, key_of

CODES = st.frozensets(st.sampled_from(["O", "U", "E", "W", "Q", "", "two words", 'quo"te']))
DAYS = st.none() | st.sampled_from([NOON.date() + number * DAY for number in (-2, -1, 0, 1)])
PATRONS = st.builds(
    Patron,
    st.just("a"),
    st.none() | st.sampled_from([bytes(32), bytes(range(32))]),
    resident=st.booleans(),
    active=st.booleans(),
    blocks=CODES,
    restricted=st.booleans(),
    enter_from=DAYS,
    valid_until=DAYS,
    hold_from=DAYS,
    hold_until=DAYS,
    weak_pin=st.booleans(),
)
FIELDS = [
    "pin_check",
    "resident",
    "active",
    "blocks",
    "restricted",
    "enter_from",
    "valid_until",
    "hold_from",
    "hold_until",
    "weak_pin",
]
POLICIES = st.builds(
    Policy,
    require_pin=st.booleans(),
    require_resident=st.booleans(),
    deny_blocks=CODES,
    deny_other_blocks=st.booleans(),
    weak_pin=st.sampled_from(WeakPin),
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Patron, Patron]:
    """Draw a row that opens, most often, and the same one with some fields changed."""
    wrong, other = draw(PATRONS), draw(PATRONS)
    old = draw(st.sampled_from([Patron("a", bytes(32), resident=True), wrong]))
    changed = draw(st.lists(st.sampled_from(FIELDS), max_size=3))
    return old, replace(old, **{name: getattr(other, name) for name in changed})


@settings(max_examples=200)
@given(st.lists(pairs(), min_size=1, max_size=8), POLICIES, st.booleans())
def test_it_counts_as_the_door_decides(
    rows: list[tuple[Patron, Patron]], policy: Policy, with_clock: bool
) -> None:
    """Row by row, for each rule that a branch can have, with a clock and without."""
    seen: list[Changes] = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "patrons.db")
        with closing(open_or_create_patrons(path, SEAL, policy=policy)) as writer:
            for side, guard in ((0, unguarded), (1, seen.append)):
                writer.apply(
                    [SealedRow(key_of(number), pair[side]) for number, pair in enumerate(rows)],
                    full=True,
                    applied_at=NOON if with_clock else None,
                    minimum_age=0,
                    guard=guard,
                )

    today: date | None = NOON.date() if with_clock else None
    assert seen == [changes(rows, held=len(rows), removed=0, today=today, policy=policy)]
