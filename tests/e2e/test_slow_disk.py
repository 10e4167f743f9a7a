"""A disk that dies slowly keeps nobody out, is told, and gives nobody a guess for nothing."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doorctl.doord.log_thread import MOST_CUTS, SLOW_S
from tests.e2e.conftest import Doors, Loaded
from tests.e2e.people import ALSO_ENTITLED, DEBTOR, ENTITLED
from tests.e2e.slow_disk import FOR_EVER, SlowDoor, built
from tests.e2e.test_faults import blind_visit
from tests.fakes.waiting import until


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build what is laid over the doors."""
    return built(tmp_path_factory.mktemp("slow"))


@pytest.fixture
def door(doors: Doors, loaded: Loaded, library: Path) -> Iterator[SlowDoor]:
    """Return a running door whose disk is ours."""
    with SlowDoor(doors.made(), loaded, library) as door:
        door.start()
        yield door


@pytest.mark.parametrize("takes_s", [0.5, 1.0, 2.0, 4.0, 8.0, FOR_EVER])
def test_a_slow_disk_keeps_no_entitled_patron_out(door: SlowDoor, takes_s: float) -> None:
    """However slow, each is let in by the last digit or soon after it, and staff are told of it.

    Once the disk is well, all attempts are on record, in their order.

    Bug (second penetration test, S10): syncs of 4 s decided 3 s late, slower ones refused the
    entitled as `fault`, and no alarm said a word.
    """
    door.sync_takes(takes_s)
    visits = [
        (ENTITLED, ENTITLED.pin),
        (DEBTOR, DEBTOR.wrong_pin),
        (ALSO_ENTITLED, ALSO_ENTITLED.pin),
    ]
    reasons = [blind_visit(door, who.swipe, pin) for who, pin in visits]
    assert reasons == ["ok", "wrong_pin", "ok"]
    assert takes_s < SLOW_S or "disk_slow" in door.alarms()

    door.sync_takes(0.0)
    until(lambda: [(row.attempt, row.reason) for row in door.rows()] == [*enumerate(reasons, 1)])
    assert not {"visit_log_failing", "process_stuck", "store_damaged"} & {*door.alarms()}
    assert door.stop() == 0
    assert door.complaint() == ""


def test_a_self_test_on_a_slow_disk_holds_up_no_patron(door: SlowDoor) -> None:
    """Each is prepared by the thread that tests: it waits for no disk, whatever it tries to write.

    Bug (a whole run that met the end of a minute): the self-test tried the disk on that thread, so
    where a sync never ended each card from then on was a `fault`.
    """
    door.sync_takes(FOR_EVER)
    visits = [ENTITLED, ALSO_ENTITLED, ENTITLED]
    with subprocess.Popen(door.command("selftest"), stdout=subprocess.PIPE, text=True) as testing:
        reasons = [blind_visit(door, who.swipe, who.pin) for who in visits]
        said, _ = testing.communicate()

    assert reasons == ["ok"] * len(visits)
    assert "disk_writable" in said
    assert testing.returncode == 1
    door.sync_takes(0.0)


def test_a_start_on_a_slow_disk_goes_on_with_the_numbers(door: SlowDoor) -> None:
    """It takes its time, and then lets in; an attempt has the number that its log line has."""
    assert blind_visit(door, ENTITLED.swipe, ENTITLED.pin) == "ok"
    assert door.stop() == 0
    door.sync_takes(SLOW_S)
    door.start()
    door.hear_click(lambda: door.reader.send(ALSO_ENTITLED.swipe))
    door.press_heard(ALSO_ENTITLED.pin)
    assert door.wait_for("decision", attempt=2)["reason"] == "ok"

    door.sync_takes(0.0)
    until(lambda: [(row.attempt, row.reason) for row in door.rows()] == [(1, "ok"), (2, "ok")])


def test_a_stop_waits_for_the_disk_and_says_what_it_lost(door: SlowDoor) -> None:
    """A disk that is slow gets all of it; one that takes nothing any more is told of."""
    door.sync_takes(1.0)
    assert blind_visit(door, ENTITLED.swipe, ENTITLED.pin) == "ok"
    assert door.stop() == 0
    assert [row.reason for row in door.rows()] == ["ok"]

    door.sync_takes(0.0)
    door.start()
    door.sync_takes(FOR_EVER)
    assert blind_visit(door, ALSO_ENTITLED.swipe, ALSO_ENTITLED.pin) == "ok"
    assert door.stop() == 0
    (lost,) = (line["why"] for line in door.said("alarm") if line["kind"] == "visit_log_failing")
    assert lost.startswith("the door was stopped before the disk had taken ")


def test_cuts_of_the_power_give_away_no_more_guesses_than_are_free(door: SlowDoor) -> None:
    """The disk takes nothing any more, and the power goes before a guess's charge is written.

    A second guess at the card waits for the first one's charge, so there is one a start; after
    three starts the door waits for the disk, and guesses no more.

    Bug (second penetration test, 2.16): three guesses for each cut of the power, without an end.
    """
    guessed = []
    for _ in range(MOST_CUTS + 2):
        with power_cut(door):
            door.sync_takes(FOR_EVER)
            reasons = [blind_visit(door, DEBTOR.swipe, DEBTOR.wrong_pin) for _ in range(2)]
        guessed += [reason for reason in reasons if reason == "wrong_pin"]
        assert reasons[-1] in {"throttled", "fault"}
        door.sync_takes(0.0)
        door.start()

    assert len(guessed) == MOST_CUTS
    assert blind_visit(door, DEBTOR.swipe, DEBTOR.pin) == "ok", "a disk that is well asks again"


@contextmanager
def power_cut(door: SlowDoor) -> Iterator[None]:
    """Cut the power at the end of a block in which the disk takes nothing: it is as before it."""
    files = {path: path.read_bytes() for path in door.directory.glob("visits.db*")}
    yield
    door.signalled(signal.SIGKILL)
    for path, content in files.items():
        path.write_bytes(content)
    (door.directory / "visits.db-shm").unlink()
