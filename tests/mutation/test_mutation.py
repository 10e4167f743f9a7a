"""The lists themselves; that each change is noticed costs minutes: `python -m tests.mutation`."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.__main__ import drawn_from, gone_from, one_room
from tests.mutation.mutants import Mutant, as_entry, listed, mutants_of
from tests.mutation.rooms import ROOMS, ROOT, Room, chosen, files_of, of_files

THROTTLE = "doorctl/access/throttle.py"


def test_every_file_that_decides_is_in_one_room() -> None:
    """A new file of the pure rooms is changed too, and no file is changed twice."""
    count = Counter(file for room in ROOMS for file in files_of(room))
    deciding = {
        path.relative_to(ROOT).as_posix()
        for name in ("cards", "access", "door")
        for path in (ROOT / "doorctl" / name).glob("*.py")
        if path.name != "__init__.py"
    }

    assert deciding <= {*count}
    assert set(count.values()) == {1}


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_rooms_tests_exist(room: Room) -> None:
    """Nothing is asked in vain: each glob finds something, and each slow test is there."""
    assert all([*ROOT.glob(glob)] for glob in (*room.files, *room.tests))
    for name in room.slow:
        file, _, function = name.partition("::")
        assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8")


def test_every_survivor_on_the_list_is_a_change_of_today() -> None:
    """Whoever edits a function looks at its entries again."""
    reasons = listed()
    functions: dict[str, set[str]] = {}
    for one in reasons:
        functions.setdefault(one.file, set()).add(one.function)
    there = [one for file, some in functions.items() for one in mutants_of(file, some).values()]

    assert gone_from(reasons, there) == []
    assert {one.file for one in reasons} <= {*chosen(()).files}


def test_a_change_is_named_by_its_lines() -> None:
    """Numbers move with every edit; the class, the function and the two lines stay."""
    wanted = Mutant(
        THROTTLE,
        "CardThrottle.holds",
        "if self.failures >= STOP_AT_FAILURES:",
        "if self.failures > STOP_AT_FAILURES:",
    )
    found = mutants_of(THROTTLE)

    assert wanted in found.values()
    assert all(re.fullmatch(r"doorctl\.access\.throttle\.\w+__mutmut_\d+", name) for name in found)
    assert all(one.old != one.new for one in found.values())


def test_what_is_told_can_be_put_on_the_list(tmp_path: Path) -> None:
    """An entry is copied as it was printed, with quotes and line ends; only the reason is added."""
    path = tmp_path / "survivors.toml"
    for old in ("x = 'a'", "x = (\n1)", 'x = "a"', ""):
        mutant = Mutant(THROTTLE, "f", old, "x")
        path.write_text(as_entry(mutant).replace('why = ""', 'why = "so"'), encoding="utf-8")
        assert listed(path) == {mutant: "so"}


def test_no_survivor_is_listed_without_a_reason(tmp_path: Path) -> None:
    """Nor twice: one of the reasons would be nobody's."""
    path = tmp_path / "survivors.toml"
    entry = as_entry(Mutant(THROTTLE, "f", "1", "2"))
    path.write_text(entry, encoding="utf-8")
    with pytest.raises(ValueError, match="no reason"):
        listed(path)

    twice = entry.replace('why = ""', 'why = "so"') + "\n"
    path.write_text(twice * 2, encoding="utf-8")
    with pytest.raises(ValueError, match="twice"):
        listed(path)


def test_a_listed_change_that_is_gone_is_told() -> None:
    """Of the files that were changed; what stands there for others says nothing yet."""
    here, other = Mutant("a.py", "f", "1", "2"), Mutant("b.py", "f", "1", "2")

    assert gone_from([here, other], [Mutant("a.py", "f", "1", "3")]) == [here]


def test_files_and_rooms_are_chosen_by_name() -> None:
    """A file brings its room's tests with it; a name that is neither is refused."""
    assert chosen([THROTTLE]).files == (THROTTLE,)
    assert chosen([THROTTLE]).tests == chosen(["throttle"]).tests
    assert {*chosen(["throttle"]).files} > {THROTTLE}
    assert of_files(["README.md"]).files == ()
    with pytest.raises(LookupError, match="none of cards"):
        chosen(["card"])


def test_a_sample_is_the_same_for_the_same_draw() -> None:
    """In one room, the next one tomorrow; never more than there are."""
    names = [f"change {number}" for number in range(50)]

    assert drawn_from(names, 5, 1) == drawn_from(reversed(names), 5, 1) != drawn_from(names, 5, 2)
    assert len(drawn_from(names, 99, 1)) == 50
    assert [one_room(chosen(()), draw).files for draw in range(len(ROOMS))] == [
        files_of(room) for room in ROOMS
    ]
