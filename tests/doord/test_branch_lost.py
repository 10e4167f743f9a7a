"""Bans and passes that a swipe can't read: a fault, told as what it is, and once."""

from __future__ import annotations

from doorctl.access.rights import Ban
from doorctl.core.errors import StoreError
from tests.doord.fake_door import CARD, RIGHT_PIN, FakeDoor
from tests.fakes.memory_store import MemoryBranch, MemoryPatrons


class Unreadable(MemoryBranch):
    """A branch whose pages with the bans are bad; the rest of the file is not."""

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Fail."""
        assert (len(row_key), patron_ref) == (16, f"ref {CARD}")
        raise StoreError("the bans are malformed")


def alarms(door: FakeDoor) -> list[str]:
    """Return which alarms were told."""
    return [str(line["kind"]) for line in door.log.named("alarm")]


def test_lost_bans_are_no_failing_patron_cache() -> None:
    """Each swipe is a fault, and whoever is called out is sent to the right file once.

    Bug (attack review): lost bans were told as a failing patron cache.
    """
    door = FakeDoor(branch=Unreadable())
    for _ in range(3):
        door.swipe(CARD)
        door.work()
        door.types(RIGHT_PIN)
        door.work()

    assert door.reasons == ["fault"] * 3
    assert alarms(door) == ["branch_failing"]


def test_a_lost_patron_cache_is_told_as_that() -> None:
    """The two are different files, each with a remedy of its own."""
    door = FakeDoor()
    door.patrons.broken = True
    door.swipe(CARD)
    door.work()

    assert door.reasons == ["fault"]
    assert alarms(door) == ["patron_cache_failing"]


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
