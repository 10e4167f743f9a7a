"""The list itself; that each fault is caught costs minutes: `python -m tests.planted`."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.mutation.rooms import ROOT
from tests.planted.__main__ import changed
from tests.planted.fault import SIMULATION, Fault
from tests.planted.faults import FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_can_be_planted(fault: Fault) -> None:
    """A fault's object is found wherever it lives, and the file with the fault in it is Python."""
    file, text = changed(fault)

    compile(text, file, "exec")
    assert file.read_text(encoding="utf-8") != text


def test_there_are_enough_of_them_with_names_of_their_own() -> None:
    """At least 30, of which 20 are for the simulation to catch; every other harness is a file."""
    harnesses = Counter(fault.harness for fault in FAULTS)

    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30
    assert harnesses[SIMULATION] >= 20
    assert all((ROOT / name).is_file() for name in harnesses if name != SIMULATION)


@pytest.mark.parametrize("text", ["nowhere", "self"])
def test_a_fault_whose_text_is_not_there_once_is_told(text: str) -> None:
    """Nothing is planted by halves: a text that is gone, or not alone, is an error."""
    with pytest.raises(ValueError, match="stands in 0 of Controller"):
        changed(Fault("none", "Controller", text, "three"))
