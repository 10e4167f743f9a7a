"""What the loop asks of other threads, by fakes that do nothing until they are told.

Bug (outside look): an entitled patron was refused for a database that was not whole for a moment.
"""

from __future__ import annotations

from doorctl.access.messages import Prepare, PrepareFailed
from doorctl.doord.events import AGAIN_S, PostedEvent, SlowJobs
from doorctl.doord.prepare import Ledger
from tests.doord.fake_door import CARD, RIGHT_PIN, FakeDoor, identifier
from tests.fakes.worker import FakeWorker


def test_a_card_that_another_one_followed_is_not_prepared() -> None:
    """Which attempt is the newest is asked when the worker comes to it, not when it is queued."""
    door, posted = FakeDoor(), list[PostedEvent]()
    ledger = Ledger(
        sealer=door.sealer,
        patrons=door.patrons,
        branch=door.branch,
        visits=door.steady,
        clock=door.clock,
        log=door.log,
        counts_guesses=True,
    )
    worker = FakeWorker(posted.append)
    questions = SlowJobs(ledger, worker, door.log)
    numbers = [1]
    questions.prepare(Prepare(1, (identifier(CARD),)), lambda: numbers[-1])
    numbers.append(2)
    worker.work()

    assert posted == [PrepareFailed(1)]
    assert door.recorded == []


def test_a_file_that_is_put_back_meanwhile_refuses_nobody() -> None:
    """What can't be read is asked once more after a second, before anybody is refused."""
    paused: list[float] = []

    def mend(for_s: float) -> None:
        paused.append(for_s)
        door.patrons.broken = False

    door = FakeDoor(pause=mend)
    door.patrons.broken = True

    assert door.visit(CARD, RIGHT_PIN) == "ok"
    assert paused == [AGAIN_S]
    assert door.log.named("alarm") == []


def test_a_file_that_stays_unreadable_is_asked_twice() -> None:
    """Then it is a fault, and told of."""
    paused: list[float] = []
    door = FakeDoor(pause=paused.append)
    door.patrons.broken = True

    assert door.visit(CARD, RIGHT_PIN) == "fault"
    assert paused == [AGAIN_S]
    assert [line["kind"] for line in door.log.named("alarm")] == ["patron_cache_failing"]
