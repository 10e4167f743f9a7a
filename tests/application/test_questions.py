"""What the loop asks of other threads, by fakes that do nothing until they are told."""

from __future__ import annotations

from doorctl.access.messages import Prepare, PrepareFailed
from doorctl.ledger import Ledger
from doorctl.mailbox import PostedEvent
from doorctl.questions import Questions
from tests.application.fake_door import CARD, FakeDoor, identifier
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
    questions = Questions(ledger, worker, door.log)
    numbers = [1]
    questions.prepare(Prepare(1, (identifier(CARD),)), lambda: numbers[-1])
    numbers.append(2)
    worker.work()

    assert posted == [PrepareFailed(1)]
    assert door.recorded == []
