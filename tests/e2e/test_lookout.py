"""Faults that are told when they begin, by a door that runs.

Bug (mission review): without web, or while it was down, `status` said that all is well beside a
lost reader or an old register.
"""

from __future__ import annotations

import json
import re
import time

from doorctl.doord.chores import FAULTS
from tests.e2e.door import Door, until
from tests.e2e.people import ENTITLED


def kinds(door: Door) -> list[str]:
    """Return which alarms were told."""
    return [one["kind"] for one in door.said("alarm")]


def test_a_reader_that_stays_away_is_told_and_its_return_too(door: Door) -> None:
    """After 20 s and not before, by `status` without web too; the next swipe opens, and it ends."""
    door.start()
    door.let_in(ENTITLED)
    door.reader.pull()
    time.sleep(FAULTS["reader_lost"].lasts_s - 1.0)
    assert "reader_lost" not in kinds(door)
    until(lambda: "reader_lost" in kinds(door))
    told, for_scripts = door.call("status"), door.call("status", "--json")
    checked = door.call("check")
    (alarm,) = json.loads(for_scripts.stdout)["alarms"]

    assert (told.returncode, for_scripts.returncode, alarm["kind"]) == (3, 3, "reader_lost")
    assert checked.returncode == 1
    assert checked.stdout.startswith("DOORCTL WARNING - reader_lost: The card reader is gone")
    assert re.search(r"The card reader is gone.*\(reader_lost, since [-: 0-9]+\)", told.stdout)

    door.reader.put_in()
    until(lambda: "reader_lost_cleared" in kinds(door))
    assert door.call("status").returncode == 0
    door.let_in(ENTITLED)
