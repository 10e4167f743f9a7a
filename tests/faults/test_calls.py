from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from tests.faults.tracing import SOCKET, UNNAMED, Call, Fault, points, spread, traced

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
