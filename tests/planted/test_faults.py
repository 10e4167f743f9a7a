"""The list itself; that each fault is caught costs minutes: `python -m tests.planted`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.planted.faults import FAULTS, SIMULATION, Fault
from tests.planted.planting import ROOT, changed


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_can_be_planted(fault: Fault, tmp_path: Path) -> None:
    """A fault's text stands in its file exactly once, so the list keeps up with the source."""
    copy = tmp_path / "copy.py"
    copy.write_text((ROOT / fault.file).read_text(encoding="utf-8"), encoding="utf-8")
    changed(copy, fault)

    compile(copy.read_text(encoding="utf-8"), fault.file, "exec")


def test_there_are_enough_of_them_with_names_of_their_own() -> None:
    """At least 30, of which 20 are for the simulation to catch; every other harness is a file."""
    harnesses = Counter(fault.harness for fault in FAULTS)

    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30
    assert harnesses[SIMULATION] >= 20
    assert all((ROOT / name).is_file() for name in harnesses if name != SIMULATION)


def test_a_fault_whose_text_is_not_there_is_told(tmp_path: Path) -> None:
    """Nothing is planted by halves: a text that is gone is an error and not a survivor."""
    file = tmp_path / "file.py"
    file.write_text("one\n", encoding="utf-8")
    with pytest.raises(ValueError, match="stands 0 times"):
        changed(file, Fault("none", "file.py", "two", "three"))
