"""What the loop asks of other threads, by fakes that do nothing until they are told.

Bug (outside look): an entitled patron was refused for a database that was not whole for a moment.
"""

from __future__ import annotations

import pytest

from doorctl.access.messages import Prepare, PrepareFailed
from doorctl.access.rights import Ban
from doorctl.access.throttle import CardThrottle
from doorctl.core.errors import StoreError
from doorctl.doord.jobs import AGAIN_S, PostedEvent, SlowJobs
from tests.doord.fake_door import CARD, RIGHT_PIN, FakeDoor, identifier, key_of
from tests.fakes.memory_store import MemoryBranch, MemoryPatrons
from tests.fakes.worker import FakeWorker


def test_a_card_that_another_one_followed_is_not_prepared() -> None:
    """Which attempt is the newest is asked when the worker comes to it, not when it is queued."""
    door, posted, newest = FakeDoor(), list[PostedEvent](), iter([2])
    worker = FakeWorker(posted.append)
    jobs = SlowJobs(door.ledger, worker, door.log)
    jobs.prepare(Prepare(1, (identifier(CARD),)), lambda: next(newest))
    worker.work()

    assert posted == [PrepareFailed(1)]
    assert door.recorded == []


@pytest.mark.parametrize(
    ("mended", "reason", "alarms"), [(True, "ok", []), (False, "fault", ["patron_cache_failing"])]
)
def test_a_file_that_is_put_back_meanwhile_refuses_nobody(
    *, mended: bool, reason: str, alarms: list[str]
) -> None:
    """What can't be read is asked once more after a second; then it is a fault, and told of."""
    paused: list[float] = []

    def pause(for_s: float) -> None:
        paused.append(for_s)
        door.patrons.broken = not mended

    door = FakeDoor(pause=pause)
    door.patrons.broken = True

    assert door.visit(CARD, RIGHT_PIN) == reason
    assert paused == [AGAIN_S]
    assert [line["kind"] for line in door.log.named("alarm")] == alarms
    assert door.outcomes == [reason]
    assert bool(door.relay.edges) is mended
    assert door.visits.card_throttle(key_of(CARD)) == CardThrottle()


class Unreadable(MemoryBranch):
    """A branch whose pages with the bans are bad; the rest of the file is not."""

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Fail."""
        assert (len(row_key), patron_ref) == (16, f"ref {CARD}")
        raise StoreError("the bans are malformed")


def test_lost_bans_are_no_failing_patron_cache() -> None:
    """Each swipe is a fault, and whoever is called out is sent to the right file once.

    Bug (attack review): lost bans were told as a failing patron cache.
    """
    door = FakeDoor(branch=Unreadable())

    assert [door.visit(CARD, RIGHT_PIN) for _ in range(3)] == ["fault"] * 3
    assert [line["kind"] for line in door.log.named("alarm")] == ["branch_failing"]


class Looked(MemoryPatrons):
    """A register that counts the looks at its version."""

    looks = 0

    def version(self) -> int:
        """Count a look."""
        self.looks += 1
        return super().version()


def test_each_turn_looks_at_the_register_too() -> None:
    """From its last look on a file that is being replaced answers for some seconds more."""
    register = Looked()
    door = FakeDoor(patrons=register)
    before = register.looks
    door.wait(1.0)

    assert register.looks > before
