"""Whole evenings at a real door, as a table: what people do, and how each attempt ends.

The groups are those of an outside look: a ordinary people, b a register that changes under them,
c clocks, d faults, e the leaf. Two of each run by default, and all with ``EVENINGS=all``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import IMPATIENT, LOADED, Loaded
from tests.e2e.door import WIRED
from tests.e2e.evening import Evening, begins, built
from tests.e2e.hours import DAYS

TABLE = """
a queue | A 4711 . B 8052 . C 6390 . A 4711 . B 8052 . | ok ok ok ok ok
a two cards in a burst | A B . 4711 . B 8052 . | pin_timeout wrong_pin ok
a leaning on the keys | !lean:77777 A 4711 . | ok
a leaning on the keys after the card | A 7777 . A 4711 . | wrong_pin ok
a clear and enter | A 12* 4711 . B ** 8052 . | ok ok
a walks off | A 47 . B | pin_timeout | impatient
a worn stripe | !worn . A 4711 . | card_unreadable ok
a impatient second swipe | A 47 A . 4711 . | pin_timeout ok
a throttled | A 1111 . A 1111 . A 1111 . A 4711 . | wrong_pin wrong_pin wrong_pin throttled
a slip, right, slips | A 1111 . A 4711 . A 1111 . A 1111 . A 4711 . |
    wrong_pin ok wrong_pin wrong_pin ok
a thief | STRANGER 4711 . STOLEN 1944 . B 8052 . | unknown_card blocked ok
a duress | A 4712 . | ok | duress | | alarm duress
b blocked while typing | A 471 !load:blocked 1 . B 8052 . | blocked ok
b banned while typing | A 471 !ban 1 . !lift A 4711 . | banned ok
b moved out and home | A 471 !load:moved 1 . A 471 !load:home 1 . | not_resident ok
b a debt shuts nobody out | A 471 !load:owes 1 . | ok
b another PIN while typing | A 471 !load:newpin 1 . A 8642 . | wrong_pin ok
b on hold while typing | A 471 !load:onhold 1 . | expired
b taken out while typing | A 471 !load:gone 1 . | unknown_card
b restricted while typing | A 471 !restrict 1 . !unrestrict A 4711 . | restricted ok
b erased while typing | A 471 !erase 1 . B 8052 . | unknown_card ok
b lockdown while typing | A 471 !lockdown ?mode=lockdown 1 . !calm ?mode=self_service A 4711 . |
    closed ok
c closes while typing | A 471 @22:01 1 . B 8052 . | closed closed | 10:00-22:00 | tomorrow 21:30
c fourteen after midnight | !load:home CHILD 3669 . CHILD 366 @00:01 9 . | under_age ok | old |
    06-14 23:40
c opens while waiting | A 4711 . A 471 @10:00 1 . | closed ok | 10:00-22:00 | tomorrow 09:40
c until 24:00 | A 4711 . @00:00 A 4711 . | ok closed | 10:00-24:00 | tomorrow 23:40
c over midnight | A 4711 . @+40 A 4711 . | ok ok | 22:00-02:00 | tomorrow 23:40
c after the span over midnight | A 471 @+30 1 . | closed | 22:00-02:00 | tomorrow 01:40
c New Year | A 471 @00:01 1 . | ok | old | 12-31 23:50
c the hour that is not | A 4711 . @+30 A 4711 . | ok closed | 00:00-03:00 | spring 01:40
c after the hour that is not | A 4711 . @+30 A 4711 . | closed ok | 03:00-05:00 | spring 01:40
c the hour twice | A 4711 . @+55 A 4711 . | ok ok | 00:00-03:00 | autumn 02:40
c a register of 71.8 h | A 4711 . | ok | | +71.8
c a register of 72.2 h | A 4711 . | cache_too_old | | +72.2
c staff go home | @17:01 ?door=locked A 4711 . | ok | staffed | tomorrow 16:40 | pulses 2
c a clock that jumps | A 4711 . @+180 A 4711 . | ok clock_untrusted | 10:00-22:00 | tomorrow 15:00
d cut in the pulse | A 4711 , !cut !start B 8052 . | ok ok
d cut in each guess | A 111 !cut !start A 111 !cut !start A 111 !cut !start A 4711 . | throttled
d the reader away | !pull:reader ?reader=lost !plug:reader ?reader=connected A 4711 . | ok
d the keypad away | A 47 !pull:keypad ?keypad=lost !plug:keypad ?keypad=connected A . 4711 . |
    pin_timeout ok
d frozen in mid-PIN | A 47 !freeze A . 4711 . | pin_timeout ok
d restarted between two | A 4711 . !stop !start A 4711 . | ok ok
d the register lost | !stop !lose:patrons.db !start !swipe . | fault
d the register zeroed | !stop !zero:patrons.db !start !swipe . | fault
d the door log lost | A 4711 . !stop !lose:visits.db !start A 4711 . | ok ok
e no key at a locked door | A 4711 . !lean:2 B 8052 . | ok ok | companions
e comes in | A 4711 , !open !shut ?door=locked | ok | wired
e nobody comes in | A 4711 . ?door=no_entry | ok | wired
e forced | !open ?alarm=door_forced !shut A 4711 . | ok | wired | | alarm door_forced
e let out | !exit ?door=locked | | wired | | pulses 1
e waits for the other door | !other:1 A 4711 , !other ?door=locked | ok | wired
e held open | A 4711 , !open ?alarm=door_held !shut | ok | held | | alarm door_held
"""
"""What happens | how the attempts end | settings or hours | when it begins | what else is seen."""
OLD = "policy.max_cache_age_h=8760"
PRESETS = {
    "": (),
    "old": (OLD,),
    "impatient": IMPATIENT,
    "duress": ("policy.duress=true",),
    "wired": WIRED,
    "companions": (*WIRED, "policy.companions_max=5"),
    "held": (*WIRED, "door.held_open_s=2", "door.prewarn_s=1"),
    "staffed": (
        OLD,
        *(f'hours.{day}=["10:00-22:00"]' for day in DAYS),
        *(f'hours.staffed.{day}=["10:00-17:00"]' for day in DAYS),
    ),
}
ROWS = [
    [cell.strip() for cell in line.split("|")]
    for line in TABLE.replace("|\n", "|").strip().splitlines()
]
GROUPS = [[row for row in ROWS if row[0][0] == group] for group in "abcde"]
SHOWN = None if os.environ.get("EVENINGS") == "all" else 2


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the clock once for all evenings."""
    return built(tmp_path_factory.mktemp("clock"))


@pytest.mark.parametrize("row", [r for g in GROUPS for r in g[:SHOWN]], ids=lambda row: row[0])
def test_an_evening(row: list[str], tmp_path: Path, loaded: Loaded, library: Path) -> None:
    """Each attempt ends as the table has it, the strike is released for each yes and never else."""
    _, script, reasons, preset, when, seen = [*row, "", "", ""][:6]
    for name in LOADED:
        shutil.copy2(loaded.directory / name, tmp_path / name)
    (tmp_path / "shift").write_bytes(bytes(8))
    spans = tuple(f'hours.{day}=["{preset}"]' for day in DAYS) if ":" in preset else ()
    settings = (OLD, *spans) if spans else PRESETS[preset]
    with Evening(tmp_path, loaded.config, settings, pins=loaded.pins) as evening:
        evening.library = library
        evening.set_clock(begins(when))
        evening.start()
        evening.play(script)
        edges = [edge.level for pid in evening.pids for edge in evening.edges(pid)]
        kind, _, what = seen.partition(" ")

        told = [line["reason"] for line in evening.said("decision")]
        assert told == reasons.split()
        assert sum(edges) == (int(what) if kind == "pulses" else told.count("ok"))
        if kind == "alarm":
            assert what in evening.alarms()
