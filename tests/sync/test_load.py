import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from doorctl.access.patron import Applied, SealedRow
from doorctl.core.errors import FeedError, StoreError
from doorctl.core.moments import ClockState, Moment
from doorctl.sync.feed import Sealing
from doorctl.sync.receive import Loaded, load, unguarded
from tests.fakes.memory_store import FastSealer, MemoryPatrons

Apply = Callable[[Sequence[SealedRow], datetime], Applied]
NOW = datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))


@dataclass
class Noting:
    """Notes what it is to apply."""

    calls: list[tuple[list[SealedRow], datetime]] = field(default_factory=list)

    def __call__(self, rows: Sequence[SealedRow], applied_at: datetime) -> Applied:
        """Take the rows; say that three others went."""
        self.calls.append((list(rows), applied_at))
        return Applied(epoch=8, rows=40, removed=3)


def into(cache: MemoryPatrons, *, full: bool = True) -> Apply:
    """Return what applies rows to a cache."""

    def apply(rows: Sequence[SealedRow], applied_at: datetime) -> Applied:
        return cache.apply(rows, full=full, applied_at=applied_at, minimum_age=14, guard=unguarded)

    return apply


def person(number: int, *, cards: int = 1, birthday: str | None = None) -> dict[str, object]:
    """A row with some cards, and one identifier of a type that is left out."""
    identifiers = [
        {"identifier": f"{3000000000 + 10 * number + n}", "identifierType": "CARD",
         "status": "ACTIVE"}
        for n in range(cards)
    ]  # fmt: skip
    other = {"identifier": "x", "identifierType": "UNI_LOGIN", "status": "ACTIVE"}
    return {
        "patronId": number,
        "identifiers": [*identifiers, other],
        "resident": True,
        "birthday": birthday,
    }


def loaded(
    directory: Path,
    *rows: dict[str, object],
    writer: Apply,
    full: bool = True,
    state: ClockState = ClockState.TRUSTED,
    local: datetime = NOW,
) -> Loaded:
    """Load a feed of these rows into `writer`."""
    path = directory / "feed.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    moment = Moment(local, NOW - timedelta(days=1), state)
    return load(
        path,
        Sealing(
            sealer=FastSealer(),
            minimum_age=14,
            on=moment.latest_known.date(),
            workers=2,
            on_progress=lambda _done, _total: None,
        ),
        apply=writer,
        moment=moment,
        pin_length=4,
        full=full,
    )


@pytest.mark.parametrize("full", [True, False])
def test_a_feed_is_sealed_and_applied_at_once(tmp_path: Path, full: bool) -> None:
    """The writer is called once with every row; the answer counts rows, cards and the rest."""
    writer = Noting()
    told = loaded(tmp_path, person(1, cards=2), person(2), writer=writer, full=full)

    [(rows, applied_at)] = writer.calls
    assert told == Loaded(epoch=8, patrons=2, identifiers=3, left_out=2, removed=3)
    assert [row.patron.patron_ref for row in rows] == ["1", "1", "2"]
    assert applied_at == NOW
    assert applied_at.tzinfo is UTC


def test_an_untrusted_clock_makes_no_child_old_enough(tmp_path: Path) -> None:
    """A wall clock that nobody vouches for dates the cache, but lets nobody in by its date."""
    writer = Noting()
    far = NOW + timedelta(days=9999)
    child = person(1, birthday="2012-03-01")
    loaded(tmp_path, child, writer=writer, state=ClockState.UNTRUSTED, local=far)

    [(rows, applied_at)] = writer.calls
    assert applied_at == far
    assert rows[0].patron.enter_from is not None


def test_a_trusted_clock_says_who_is_old_enough(tmp_path: Path) -> None:
    """The day that counts is the branch's own, not the day in UTC."""
    writer = Noting()
    loaded(tmp_path, person(1, birthday="2012-03-01"), writer=writer)

    assert writer.calls[0][0][0].patron.enter_from is None


def test_one_wrong_row_reaches_no_writer(tmp_path: Path) -> None:
    """The writer does not hear of a feed that has a wrong row at its end."""
    writer = Noting()
    with pytest.raises(FeedError):
        loaded(tmp_path, person(1), {"patronId": 2}, writer=writer)

    assert writer.calls == []


@pytest.mark.parametrize("rows", [[], [person(1, cards=0)]])
def test_an_empty_register_is_refused(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    """A full feed that opens the door to nobody is an export that went wrong."""
    writer = Noting()
    with pytest.raises(FeedError) as refused:
        loaded(tmp_path, *rows, writer=writer)

    assert str(refused.value) == (
        "feed.ndjson: export: holds no card and no CPR number, so it would lock everybody out; "
        "export it again"
    )
    assert writer.calls == []


def test_no_changes_are_no_mistake(tmp_path: Path) -> None:
    """Nothing changed since the last feed: the cache is fresh again."""
    writer = Noting()

    assert loaded(tmp_path, writer=writer, full=False).identifiers == 0
    assert len(writer.calls) == 1


def test_changes_that_take_a_last_card_are_refused(tmp_path: Path) -> None:
    """They could not be applied, and the card that was taken would go on opening the door."""
    writer = Noting()
    with pytest.raises(FeedError) as refused:
        loaded(tmp_path, person(1), person(2, cards=0), writer=writer, full=False)

    assert str(refused.value) == (
        "feed.ndjson: line 2: identifiers: no card and no CPR number; only a full feed can take a "
        "last card away"
    )
    assert writer.calls == []


def test_a_full_feed_may_hold_patrons_without_a_card(tmp_path: Path) -> None:
    """Somebody whose last card was taken is in the register all the same."""
    writer = Noting()

    assert loaded(tmp_path, person(1), person(2, cards=0), writer=writer).patrons == 2


def test_a_store_that_fails_is_heard_of(tmp_path: Path) -> None:
    """Nothing is told as loaded that was not applied."""
    full_disk = MemoryPatrons()
    full_disk.broken = True
    with pytest.raises(StoreError):
        loaded(tmp_path, person(1), writer=into(full_disk))


def test_a_patron_who_left_is_removed(tmp_path: Path) -> None:
    """A full feed takes away who is not in it; changes leave the others alone."""
    cache = MemoryPatrons()
    loaded(tmp_path, person(1), person(2, cards=2), writer=into(cache))

    assert loaded(tmp_path, person(3), writer=into(cache, full=False), full=False).removed == 0
    assert loaded(tmp_path, person(1), writer=into(cache)).removed == 3
    assert cache.stamp().patrons == 1
