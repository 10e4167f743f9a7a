"""The library system is asked once about a card that the cache can't judge; real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from doorctl.wiring.door import open_library_line
from tests.e2e.conftest import Loaded
from tests.e2e.door import until
from tests.e2e.library import (
    ALSO_NEW,
    KNOWN,
    NEW,
    STRANGERS,
    Fbs,
    Made,
    Peer,
    fbs,
    making_branches,
    real_sip2,
    sip2s,
    started,
    unlearnt,
)
from tests.e2e.people import Person
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog


@pytest.fixture
def branches(tmp_path: Path, loaded: Loaded) -> Iterator[Made]:
    """Make a branch in `tmp_path` that ends with the test."""
    with making_branches(tmp_path, loaded.pins) as made:
        yield made


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Fbs]:
    """FBS, that answers."""
    with fbs(tmp_path) as peer:
        yield peer


PEERS: dict[str, Callable[..., AbstractContextManager[Peer]]] = {"fbs": fbs, "sip2s": sip2s}


@pytest.mark.parametrize("kind", PEERS)
def test_who_registered_a_minute_ago_gets_in(kind: str, tmp_path: Path, branches: Made) -> None:
    """One question, then none, until a push that lacks the card; one that has it keeps the PIN."""
    with PEERS[kind](tmp_path) as peer:
        peer.know(NEW)
        branch = started(branches(*peer.settings))

        branch.door.let_in(NEW)
        branch.await_kept("asked")
        branch.door.let_in(NEW)
        assert peer.asked() == 1

        branch.snapshot(branch.sealed(KNOWN, 1))
        assert branch.count("asked") == 0
        branch.door.let_in(NEW)
        branch.await_kept("asked")
        assert peer.asked() == 2

        branch.snapshot(branch.sealed(KNOWN, 1), branch.sealed(NEW, 2, with_pin=False))
        assert (branch.count("asked"), branch.count("learnt")) == (0, 1)
        branch.door.let_in(NEW)
        assert peer.asked() == 2


def test_who_registered_at_a_real_sip2_server(tmp_path: Path, branches: Made) -> None:
    """A server that somebody else wrote: one question, and the second visit without the server."""
    if find_spec("pysip2") is None and os.environ.get("CI") != "true":
        pytest.skip("pysip2 is not installed: pip install pysip2==0.1.0")
    with real_sip2(tmp_path) as (settings, server):
        branch = started(branches(*settings))
        branch.door.let_in(NEW)
        branch.await_kept("asked")

        server.kill()
        server.wait()

        branch.door.let_in(NEW)
        assert branch.refused(STRANGERS[0])[0] == "unknown_card"


def test_a_pin_is_learnt_and_then_decided_without_anybody(library: Fbs, branches: Made) -> None:
    """The first right PIN is asked about and kept; then neither web nor the library is needed."""
    library.know(NEW)
    branch = started(branches(*library.settings), unlearnt(NEW, 2))

    branch.door.let_in(NEW)
    branch.await_kept("learnt")
    assert library.asked() == 1
    branch.end(signal.SIGKILL)

    branch.door.let_in(NEW)
    assert library.asked() == 1
    assert branch.refused(NEW, NEW.wrong_pin)[0] == "wrong_pin"


def test_a_wrong_pin_is_asked_about_once(library: Fbs, branches: Made) -> None:
    """After a no the card rests: even the right PIN is no question, so no lockout is spent."""
    for person in (NEW, ALSO_NEW):
        library.know(person)
    branch = started(branches(*library.settings), unlearnt(NEW, 2), unlearnt(ALSO_NEW, 3))

    assert branch.refused(NEW, NEW.wrong_pin)[0] == "wrong_pin"
    assert branch.refused(NEW)[0] == "throttled"
    assert library.asked() == 1
    branch.door.let_in(ALSO_NEW)
    assert library.asked() == 2


def test_who_is_locked_out_there_is_refused(library: Fbs, branches: Made) -> None:
    """``LOANER_LOCKED_OUT`` stands as a wait in the log; the right PIN opens nothing."""
    library.know(NEW)
    library.script.patrons[NEW.number].wrong = 3
    branch = started(branches(*library.settings), unlearnt(NEW, 2))

    assert branch.refused(NEW)[0] == "throttled"
    assert branch.door.settled(1).reason == "throttled"
    assert branch.door.edges(branch.door.pid) == []


def test_a_changed_pin_opens_at_once(library: Fbs, branches: Made) -> None:
    """A learnt PIN may have been changed there: the new one is asked about, kept, and then known.

    A load that says that the PIN was changed forgets it.
    """
    library.know(NEW)
    branch = started(branches(*library.settings), unlearnt(NEW, 2))
    branch.door.let_in(NEW)
    branch.await_kept("learnt")
    first = branch.door.query("SELECT pin_check FROM learnt", database="patrons.db")

    changed = Person(NEW.number, "2580")
    library.script.patrons[NEW.number].pin = changed.pin
    branch.door.let_in(changed)
    until(lambda: branch.door.query("SELECT pin_check FROM learnt", database="patrons.db") != first)
    branch.door.let_in(changed)
    assert library.asked() == 2

    branch.end()
    # Not the day on which the tests were collected: it may have been before midnight.
    today = datetime.now(ZoneInfo("Europe/Copenhagen")).date().isoformat()
    branch.load(KNOWN.feed_row(1), unlearnt(NEW, 2, pincodeChanged=today))
    assert branch.count("learnt") == 0
    assert branch.refused(changed)[0] == "pin_unknown"
    branch.start()
    branch.door.let_in(changed)
    assert library.asked() == 3


def test_off_unless_configured(branches: Made) -> None:
    """By default nobody is asked, no refusal is withheld, and no thread is there to ask.

    An answer would be due after 10.5 s.
    """
    branch = started(branches("lms.timeout_s=10"))
    attempt = branch.begin(STRANGERS[0])

    decision = branch.door.wait_for("decision", attempt=attempt, timeout_s=8)

    assert decision["reason"] == "unknown_card"
    assert open_library_line(branch.config, FakeClock(), FakeEventLog(), _ignore, _ignore) is None


def _ignore(_posted: object) -> None:
    pass
