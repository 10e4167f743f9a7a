"""The library system is asked once about a card that the cache can't judge; real processes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.canaries import files_under, left, process_files
from tests.e2e.conftest import Loaded
from tests.e2e.library import (
    BRIEF_S,
    KNOWN,
    NEW,
    PASSWORD,
    STRANGERS,
    VIA_WEB_S,
    AskingBranch,
    Fbs,
    Made,
    Peer,
    fbs,
    folio,
    koha,
    making_branches,
    sip2s,
    started,
    unlearnt,
)
from tests.e2e.people import Person
from tests.fakes.waiting import until
from tests.sources.sip2_server import Sip2Patron


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


PEERS: dict[str, Callable[..., AbstractContextManager[Peer[Any]]]] = {
    "fbs": fbs,
    "sip2s": sip2s,
    "koha": koha,
    "folio": folio,
}


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


@pytest.mark.parametrize(("kind", "call"), [("koha", "validation"), ("folio", "verify")])
def test_a_pin_is_learnt_of_the_systems_own_call(
    kind: str, call: str, tmp_path: Path, branches: Made
) -> None:
    """An export has no PINs: a yes opens and is kept, a no and a silence refuse.

    Whom the register blocks stays out with a right PIN, and what the system says beside it counts
    for nobody whom the register knows. No file and no log has a number, though FOLIO's address has.
    """
    people = [Person(f"300000993{last}", f"573{last}") for last in range(4)]
    right, wrong, barred, hung = people
    with PEERS[kind](tmp_path) as peer:
        for person in people:
            peer.know(person)
        peer.script.know(right.number, right.pin, resident=False, lost=True)
        rows = [unlearnt(person, place) for place, person in enumerate(people, 2)]
        rows[2] |= {"blockStatus": [{"blockedReason": "D", "blockedSince": "2026-01-02"}]}
        branch = started(branches(*peer.settings, f"lms.timeout_s={BRIEF_S}"), *rows)

        branch.door.let_in(right)
        branch.await_kept("learnt")
        asked = peer.asked()
        branch.door.let_in(right)
        assert peer.asked() == asked == 1
        assert branch.refused(wrong, "9999")[0] == "wrong_pin"
        assert branch.refused(barred)[0] == "blocked"

        peer.script.raw[call] = peer.hang
        assert branch.refused(hung)[0] == "pin_unknown"
        branch.door.let_in(right)
        branch.end()
        branch.door.stop()

    secrets = {f"number {place}": each.number for place, each in enumerate(people)}
    written = files_under(tmp_path, tmp_path / "lms.password")
    written["logs"] = repr((branch.lines, branch.door.lines)).encode()
    assert {"patrons.db", "visits.db", "door.stderr", "web.stderr"} <= written.keys()
    assert left(written, secrets | {"password": PASSWORD}) == []


def test_whom_sip2_says_is_barred_stays_out(tmp_path: Path, branches: Made) -> None:
    """Barred is refused, a debtor comes in; a child whose day and month may be swapped does not.

    Bug (mission review): a patron who may not borrow, and no flag said why, was let in.
    """
    debtor, child = Person("3000009921", "4711"), Person("3000009922", "4711")
    with sip2s(tmp_path) as peer:
        for person, flags, more in (
            (NEW, "YYYY          ", b"PB19700101|AFUser BARRED|"),
            (debtor, "YYYY      Y   ", b"PB19700101|BV 250.00|AFUser BLOCKED|"),
            (child, " " * 14, b"PB01022099|"),
        ):
            known = Sip2Patron(person.pin, flags=flags, more=more + b"PCVOKSEN|")
            peer.script.patrons[person.number] = known
        branch = started(branches(*peer.settings))

        assert branch.refused(NEW)[0] == "blocked"
        assert branch.refused(child)[0] == "under_age"
        branch.door.let_in(debtor)


# A library system, a web process or a door that fails in the middle of a question.


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Fbs]:
    """FBS, that is given little time."""
    with fbs(tmp_path, BRIEF_S) as peer:
        yield peer


def test_a_library_system_that_hangs_delays_nobody_it_knows(silent: Fbs, branches: Made) -> None:
    """Whoever is known gets in meanwhile; refusals take the same, asked or not; one alarm each way.

    The times are never below what an answer may take, and the relay stays off.
    """
    branch = started(branches(*silent.settings))
    silent.script.raw["v9"] = silent.hang

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


# What must stand nowhere after an evening of questions.


LONG_NEW = Person("3000001234", "57309182")
LONG_UNLEARNT = Person("0101701234", "48192037", kind="CPR")
LONG_KNOWN = Person("3000001250", "90517264")
LONG_STRANGER = Person("3000009919", "66419028")
LONG_HUNG = Person("3000009920", "77315094")
WRONG = "13579246"


def test_nothing_is_written_down_of_who_was_asked_about(
    silent: Fbs, tmp_path: Path, branches: Made
) -> None:
    """After such an evening no file, no log, no command line and no environment holds a secret.

    Rows kept and learnt, a no, a rest, a hanging library system, one that echoes the question,
    a web process that is killed meanwhile.
    """
    for person in (LONG_NEW, LONG_UNLEARNT):
        silent.know(person)
    branch = branches(*silent.settings, "policy.pin_length=8")
    branch.load(LONG_KNOWN.feed_row(1), unlearnt(LONG_UNLEARNT, 2))
    branch.start()
    branch.door.start()
    branch.door.let_in(LONG_NEW)
    branch.await_kept("asked")
    branch.door.let_in(LONG_UNLEARNT)
    branch.await_kept("learnt")
    for _ in range(2):
        branch.refused(LONG_UNLEARNT, WRONG)
    echo = {"message": f"{LONG_STRANGER.number} {LONG_STRANGER.pin} {PASSWORD}"}
    silent.script.replies["v9"] = (500, echo)
    branch.refused(LONG_STRANGER)
    silent.script.raw["v9"] = silent.hang
    asked = silent.asked()
    branch.begin(LONG_HUNG)
    until(lambda: silent.asked() > asked)
    seen = public(branch)
    branch.end(signal.SIGKILL)
    branch.start()
    branch.door.let_in(LONG_KNOWN)
    seen |= public(branch)
    branch.end()
    branch.door.stop()

    people = (LONG_NEW, LONG_UNLEARNT, LONG_KNOWN, LONG_STRANGER, LONG_HUNG)
    secrets = {f"number {place}": one.number for place, one in enumerate(people)}
    secrets |= {f"PIN {place}": one.pin for place, one in enumerate(people)}
    secrets |= {"wrong PIN": WRONG, "password": PASSWORD}
    written = files_under(tmp_path, tmp_path / "lms.password")
    assert {"patrons.db", "visits.db", "door.stderr", "web.stderr"} <= written.keys()
    written["logs"] = repr((branch.lines, branch.door.lines)).encode()
    assert left(written | seen, secrets) == []


def public(branch: AskingBranch) -> dict[str, bytes]:
    """Return what everybody may read of both processes, and what stands on the disk meanwhile."""
    seen = process_files({"door": branch.door.pid, "web": branch.web_pid})
    for path in branch.directory.glob("*.db-wal"):
        seen[f"{path.name} {branch.web_pid}"] = path.read_bytes()
    return seen
