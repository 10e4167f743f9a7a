"""What the door does beside opening may fail in any way, and patrons come in all the same."""

from __future__ import annotations

import queue
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from doorctl.bootstrap.chores import Chores
from doorctl.bootstrap.door_stores import DoorStores
from doorctl.bootstrap.purging import Purging
from doorctl.controller import Mailbox
from tests.bootstrap.branches import initialised
from tests.fakes.event_log import FakeEventLog

NUMBER = "0101701234"


def mistaken() -> NoReturn:
    """Fail as only a mistake of ours does."""
    raise KeyError(NUMBER)


def test_a_mistake_in_a_chore_ends_nothing(tmp_path: Path) -> None:
    """It is an alarm that quotes nothing; the worker works on and the loop hears of no failure."""
    config, log = initialised(tmp_path), FakeEventLog()
    mailbox: Mailbox = queue.SimpleQueue()
    with ExitStack() as stack:
        stores = DoorStores(config, mailbox, log, stack)
        purging = Purging(config, stores.visits, stores.clock, key=stores.key, run=stores.answer)
        chores = Chores(config, stores, purging, log)

        chores.test(mistaken)

        assert stores.answer(lambda: "works") == "works"
        assert mailbox.empty()
    (alarm,) = log.named("alarm")
    assert alarm["kind"] == "rounds_failing"
    assert alarm["why"] == "self-test: KeyError"
