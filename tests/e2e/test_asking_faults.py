"""A library system, a web process or a door that fails in the middle of a question."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Loaded
from tests.e2e.door import until
from tests.e2e.library import (
    ALSO_NEW,
    BRIEF_S,
    KNOWN,
    NEW,
    STRANGERS,
    VIA_WEB_S,
    Fbs,
    Made,
    fbs,
    making_branches,
    sip2s,
    started,
)


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


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Fbs]:
    """FBS, that is given little time."""
    with fbs(tmp_path, BRIEF_S) as peer:
        yield peer


BAD: dict[str, Callable[[Fbs], Callable[[Any], object]]] = {
    "hanging": lambda peer: peer.hang,
    "dribbling": lambda peer: peer.dribble,
    "garbage": lambda peer: peer.babble,
}


@pytest.mark.parametrize("how", BAD)
def test_a_library_system_that_fails_delays_nobody_it_knows(
    how: str, silent: Fbs, branches: Made
) -> None:
    """Whoever is known gets in meanwhile; refusals take the same, asked or not; one alarm each way.

    The times are never below what an answer may take, and the relay stays off.
    """
    branch = started(branches(*silent.settings))
    silent.script.raw["v9"] = BAD[how](silent)

    asked = [branch.refused(person) for person in STRANGERS[:2]]
    not_asked = branch.refused(KNOWN, KNOWN.wrong_pin)

    assert [reason for reason, _ in (*asked, not_asked)] == ["unknown_card"] * 2 + ["wrong_pin"]
    assert all(took_s >= BRIEF_S + VIA_WEB_S for _, took_s in (*asked, not_asked))
    assert branch.door.edges(branch.door.pid) == []
    # A machine that is busy may take all of that time to sign in, before anything is asked.
    assert silent.asked() <= 2

    before = silent.asked()
    pending = branch.begin(STRANGERS[2])
    until(lambda: silent.asked() == before + 1)
    branch.door.let_in(KNOWN)
    assert branch.door.settled(pending).reason == "unknown_card"

    del silent.script.raw["v9"]
    silent.know(NEW)
    branch.door.let_in(NEW)
    until(lambda: branch.alarms() == ["library_silent", "library_answers"])


def test_a_library_system_nobody_vouches_for(tmp_path: Path, branches: Made) -> None:
    """With a certificate of another authority no PIN is sent, and the alarm says where to look."""
    with sip2s(tmp_path, BRIEF_S, trusted=False) as peer:
        peer.know(NEW)
        branch = started(branches(*peer.settings))

        assert branch.refused(NEW)[0] == "unknown_card"
        assert branch.refused(NEW)[0] == "unknown_card"

        assert peer.script.frames == []
        branch.door.let_in(KNOWN)
        (alarm,) = branch.said("alarm")
        assert alarm["kind"] == "library_silent"
        assert "lms.ca_file" in str(alarm["why"])


def test_another_card_while_a_question_is_under_way(silent: Fbs, branches: Made) -> None:
    """The second is decided for itself; the first one's late answer opens nothing for anybody."""
    silent.know(NEW)
    branch = started(branches(*silent.settings))
    silent.script.raw["v9"] = silent.hang

    first = branch.begin(NEW)
    until(lambda: silent.asked() == 1)
    second = branch.begin(STRANGERS[0])
    assert branch.door.wait_for("decision", attempt=second)["reason"] == "unknown_card"

    assert branch.door.settled(first).reason == "unknown_card"
    assert branch.door.edges(branch.door.pid) == []


def test_web_killed_in_the_middle_of_a_question(library: Fbs, branches: Made) -> None:
    """The card is refused, the known get in, and after the restart the question is put again."""
    library.know(NEW)
    branch = started(branches(*library.settings))
    library.script.raw["v9"] = library.hang
    attempt = branch.begin(NEW)
    until(lambda: library.asked() == 1)

    branch.end(signal.SIGKILL)

    decision = branch.door.wait_for("decision", attempt=attempt)
    assert decision["reason"] == "unknown_card"
    branch.door.let_in(KNOWN)
    assert branch.refused(NEW)[0] == "unknown_card"
    del library.script.raw["v9"]
    branch.start()
    branch.door.let_in(NEW)


def test_the_door_restarted_in_the_middle_of_a_question(library: Fbs, branches: Made) -> None:
    """It stops in time with the relay off; the answer that comes to nobody opens nothing."""
    library.know(NEW)
    branch = started(branches(*library.settings))
    library.script.raw["v9"] = library.hang
    branch.begin(NEW)
    until(lambda: library.asked() == 1)
    before = branch.door.pid

    assert branch.door.stop() == 0
    branch.door.start_door()

    assert branch.door.edges(before) == []
    branch.door.let_in(KNOWN)
    assert len(branch.door.edges(branch.door.pid)) == 2


def test_fbs_forgets_the_session_and_is_under_repair(library: Fbs, branches: Made) -> None:
    """A 401 is answered by one login within the question, a 503 by one alarm; then it goes on."""
    for person in (NEW, ALSO_NEW):
        library.know(person)
    branch = started(branches(*library.settings))
    branch.door.let_in(NEW)
    library.script.sessions.clear()

    branch.door.let_in(ALSO_NEW)

    assert library.script.paths() == ["login", "v9", "v4", "v9", "login", "v9", "v4"]
    assert branch.alarms() == []
    library.script.replies["v9"] = (503, b"<html>Service Unavailable</html>")
    assert branch.refused(STRANGERS[0])[0] == "unknown_card"
    branch.door.let_in(KNOWN)
    del library.script.replies["v9"]
    library.script.sessions.clear()
    late = STRANGERS[1]
    library.know(late)
    branch.door.let_in(late)
    until(lambda: branch.alarms() == ["library_silent", "library_answers"])
