"""Commands, pushes and swipes, struck at their calls of the system.

Bug (system-call enumeration): a page that could not be written was left empty, and the next try
refused.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.faults.apply import HASTY, TORN, Apply, scenarios
from tests.faults.branches import Branch, ended_badly
from tests.faults.commands import (
    PAGE,
    Command,
    backups,
    door_wrong,
    export_wrong,
    exports,
    page_wrong,
    purge_wrong,
    purges,
    starts,
    web_wrong,
)
from tests.faults.enumeration import Found, Plan, Scenario, Strike, enumerated
from tests.faults.swipe import RELAY_FIRST, swipe
from tests.faults.tracing import (
    SOCKET,
    UNNAMED,
    Call,
    Fault,
    Ran,
    Traced,
    is_here,
    points,
    spread,
    traced,
)


@pytest.fixture
def struck() -> Strike:
    """Strike a scenario, where that can be done."""
    if not is_here():
        why = "strace is not installed or may not trace"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{why}; CI has to have it")
        pytest.skip(why)

    def strike(scenario: Scenario, plan: Plan) -> Found:
        return enumerated(scenario, plan, lambda _of, _done: None)

    return strike


SLICE, ABOUT_PAGE = 3, 6
COMMANDS = [*purges(), *exports(), *backups(), *starts()]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_that_is_struck_harms_nothing(struck: Strike, command: Command) -> None:
    """Done, or one clear line and exit code 1; no database is damaged, and what it is for holds.

    The run of all points is `python -m tests.faults all`.
    """
    found = struck(command, Plan(SLICE))

    assert found.violations == []
    assert found.kills + found.errors > 0


def test_a_page_that_can_not_be_written_is_not_left_half(struck: Strike) -> None:
    """At calls to the page in the making, from the first on: it gets its name once it is whole."""
    _, page = exports()

    found = struck(page, Plan(ABOUT_PAGE, about=f"{PAGE}.new"))

    assert found.violations == []
    assert found.kills + found.errors == len(found.struck) > 0


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory) -> Branch:
    """Make a branch once."""
    return Branch(tmp_path_factory.mktemp("branch"))


@pytest.fixture
def directory(branch: Branch, tmp_path: Path) -> Path:
    """Return a copy of the branch's files, which nothing was done with."""
    branch.lay_out(tmp_path / "state")
    return tmp_path / "state"


def ran(said: str = "", complained: str = "", code: int = 0) -> Ran:
    """Return how a command ended."""
    return Ran(Traced((), ()), said, complained, code)


def change(directory: Path, sql: str, database: str = "visits.db") -> None:
    """Change a database."""
    with closing(sqlite3.connect(directory / database)) as connection, connection:
        connection.execute(sql)


def test_a_purge_that_left_something_is_caught(directory: Path) -> None:
    """Also one that took a young visit, or after which what is expired is listed."""
    kept = directory.with_name("kept")
    shutil.copytree(directory, kept)

    assert purge_wrong(directory, ran(code=1)) == []
    assert purge_wrong(kept, ran()) == ["purged, it says, but bytes are left"]
    change(kept, "DELETE FROM attempts WHERE attempt = 9")
    assert purge_wrong(kept, ran()) == ["listed are [10, 11, 12, 13, 14]"]


def test_an_export_without_a_record_of_the_look_is_caught(directory: Path) -> None:
    """Also one that was cut off, is empty, or says that it is done and shows nothing."""
    whole = json.dumps({"visits": ["granted"]})

    assert export_wrong(directory, ran(code=1)) == []
    assert export_wrong(directory, ran()) == ["done, but nothing was shown"]
    assert export_wrong(directory, ran(whole)) == ["shown, but the look is not on record"]
    assert export_wrong(directory, ran(whole[:9]))[1:] == ["half of it was shown"]
    assert export_wrong(directory, ran("{}"))[1:] == ["the visit is missing in it"]


def test_half_a_page_is_caught(directory: Path) -> None:
    """Where the command had the time to take it away again."""
    (directory / PAGE).write_text("<html>")

    assert "half a page was left" in page_wrong(directory, ran(code=1))
    assert "half a page was left" not in page_wrong(directory, ran(code=-9))


def test_a_start_that_opens_or_forgets_is_caught(directory: Path) -> None:
    """A relay that goes on, a visit that is gone, a register that is gone."""
    assert door_wrong(directory, ran('{"event":"relay","energised":true}')) == ["the relay went on"]
    change(directory, "DELETE FROM attempts")
    assert "listed are []" in door_wrong(directory, ran())
    change(directory, "UPDATE cache SET epoch = 0", "patrons.db")
    assert web_wrong(directory, ran()) == ["the register is [(0, 1)]", "ended without a word"]


@pytest.mark.parametrize(
    ("complained", "code", "wrong"),
    [
        ("", 0, False),
        ("doorctl: the disk is full\n", 1, False),
        ("", -9, False),
        ("", 137, False),
        ("", 1, True),
        ("Traceback\ndoorctl: x\n", 1, True),
        ("doorctl: x\n", 2, True),
        ("OSError\n", 1, True),
    ],
)
def test_an_end_without_one_clear_line_is_caught(
    complained: str, code: int, *, wrong: bool
) -> None:
    """A traceback, silence, or another exit code than 1."""
    assert bool(ended_badly(ran("", complained, code))) is wrong


PUSH_SLICE = 6
"""Points of each scenario; `python -m tests.faults` has all of them."""


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_a_push_is_applied_whole_or_not_at_all_wherever_it_is_struck(
    struck: Strike, scenario: Apply
) -> None:
    """Killed, on a failing disk and on a full one: push k or k + 1, and k + 1 once acknowledged.

    The file is sound, nothing is left lying about, and the same push sent again is taken. The
    run of all points is `python -m tests.faults apply`.
    """
    found = struck(scenario, Plan(PUSH_SLICE))

    assert found.violations == []
    assert found.kills + found.errors == len(found.struck) == PUSH_SLICE
    assert len({each.point.fault for each in found.struck}) >= 3


@pytest.mark.parametrize(
    ("flaw", "told"),
    [(TORN, "neither the push before nor this one is whole"), (HASTY, "acknowledged, but not")],
)
def test_a_driver_that_commits_in_two_parts_or_answers_too_early_is_caught(
    struck: Strike, flaw: str, told: str
) -> None:
    """A harness that finds nothing where something is wrong proves nothing."""
    small, *_ = scenarios()

    found = struck(replace(small, flaw=flaw), Plan(4))

    assert any(told in violation for violation in found.violations)


def test_the_relay_goes_on_only_with_an_attempt_on_record(struck: Strike) -> None:
    """Killed, no attempt that opened the door is lost; on a bad disk an alarm says what is missing.

    The run of all points is `python -m tests.faults swipe`.
    """
    found = struck(swipe(), Plan(10))

    assert found.violations == []
    assert found.kills + found.errors == 10


def test_a_relay_that_goes_on_before_the_record_is_caught(struck: Strike) -> None:
    """A harness that finds nothing where something is wrong proves nothing."""
    found = struck(swipe(RELAY_FIRST), Plan(10))

    assert Fault.KILLED in {each.point.fault for each in found.struck if each.violations}
    assert any("no attempt is on record" in violation for violation in found.violations)


TRACE = """\
11 openat(AT_FDCWD</work>, "/lib/x.so", O_RDONLY|O_CLOEXEC) = 3</lib/x.so>
11 openat(AT_FDCWD</work>, "/d/a.db", O_RDONLY) = 4</d/a.db>
11 openat(AT_FDCWD</work>, "/d/a.db-wal", O_RDWR|O_CREAT, 0600) = 5</d/a.db-wal>
11 openat(AT_FDCWD</work>, "/d", O_RDWR|O_TMPFILE, 0600) = 6</d/#77 (deleted)>
11 write(6</d/#77>(deleted), ""..., 80) = 80
11 write(1<pipe:[5]>, ""..., 3) = 3
11 write(6</d/#77>(deleted), ""..., 80) = -1 EIO (Input/output error) (INJECTED)
11 pwrite64(5</d/a.db-wal>, ""..., 24, 0) = 24
11 fdatasync(7</d>) = 0
11 unlink("/d/a.db-wal") = 0
11 pwrite64(5</dd/a.db>, ""..., 24, 0) = 24
11 pwrite64(5</d/a.db>, ""..., 24, 0) = ?
11 +++ killed by SIGKILL +++
"""


def test_calls_are_numbered_by_name_and_belong_to_a_file_of_the_directory() -> None:
    """Every call counts, as the tracer counts them; only those that change the directory matter."""
    found = traced(TRACE.splitlines(), "/d")

    assert found.changes == (
        Call("openat", 3, "a.db-wal"),
        Call("openat", 4, UNNAMED),
        Call("write", 1, UNNAMED),
        Call("write", 3, UNNAMED),
        Call("pwrite64", 1, "a.db-wal"),
        Call("fdatasync", 1, "."),
        Call("unlink", 1, "a.db-wal"),
        Call("pwrite64", 3, "a.db"),
    )


def test_what_only_needs_a_descriptor_changes_nothing() -> None:
    """A file that is read, and a socket: neither is worth a kill, but both can fail."""
    found = traced(
        [*TRACE.splitlines(), "11 socket(AF_UNIX, SOCK_STREAM, 0) = 8<socket:[7]>"], "/d"
    )

    assert [call for call in found.calls if call.file and not call.changes] == [
        Call("openat", 2, "a.db", changes=False),
        Call("socket", 1, SOCKET, changes=False),
    ]


def test_a_call_in_which_another_thread_stands_is_whole() -> None:
    """Threads are numbered apart, as the tracer counts them, and their lines put together."""
    lines = """\
11 pwrite64(5</d/a.db>, ""..., 24, 0 <unfinished ...>
12 pwrite64(6</d/b.db>, ""..., 24, 0 <unfinished ...>
11 <... pwrite64 resumed>) = 24
12 <... pwrite64 resumed>) = -1 EIO (Input/output error) (INJECTED)
11 fdatasync(5</d/a.db> <unfinished ...>) = ?
"""
    found = traced(lines.splitlines(), "/d")

    assert found.calls == (
        Call("pwrite64", 1, "a.db", thread=0),
        Call("pwrite64", 1, "b.db", thread=1),
        Call("fdatasync", 1, "a.db", thread=0),
    )
    assert found.struck == found.calls[1:]


def test_a_struck_call_is_one_that_was_made_to_fail_or_never_returned() -> None:
    """A call that went well is not taken for one that was struck."""
    found = traced(TRACE.splitlines(), "/d")

    assert found.struck == (Call("write", 3, UNNAMED), Call("pwrite64", 3, "a.db"))


def test_each_call_is_struck_by_each_fault_that_it_can_have() -> None:
    """No call that changes the directory or opens a file of it is left out, and none elsewhere."""
    found = traced(TRACE.splitlines(), "/d")

    struck = Counter(point.call for point in points(found.calls))

    of_disk = sum(Fault.strikes(fault, Call("write", 1, "a")) for fault in Fault)
    assert of_disk == len(Fault) - 2
    expected = Counter(dict.fromkeys(found.changes, of_disk))
    expected.update(call for call in found.calls if call.file and call.opens for _ in range(2))
    assert struck == expected


def test_a_fault_that_lasts_strikes_every_later_call_of_every_name() -> None:
    """From the second write on no call gets through, and no earlier one fails."""
    calls = (Call("write", 1, "a"), Call("pwrite64", 1, "a"), Call("write", 2, "a"))
    (point,) = (
        point
        for point in points(calls)
        if point.call == calls[2] and point.fault is Fault.DISK_FULL_FOR_GOOD
    )

    assert [option for option in point.options if option.startswith("inject")] == [
        "inject=pwrite64:error=ENOSPC:when=2+",
        "inject=write:error=ENOSPC:when=2+",
    ]


@pytest.mark.parametrize(("most", "left"), [(None, 10), (20, 10), (10, 10), (3, 3), (1, 1)])
def test_fewer_points_are_spread_evenly(most: int | None, left: int) -> None:
    """Never more than there are; the first one is among them, and no stretch is left out."""
    kept = spread(range(10), most)

    assert len(kept) == left
    assert kept[0] == 0
    gaps = {later - earlier for earlier, later in pairwise(kept)}
    assert len(gaps) <= 2
