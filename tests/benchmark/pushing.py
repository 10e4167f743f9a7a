"""Web processes that take pushes in: how large they get, and how the door beside them fares."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import msgspec

from doorctl.access.patron import SealedRow
from doorctl.sync.document import Kind, Manifest, sign, written
from tests.benchmark.figures import Echo, Figure, Plan, Spread
from tests.benchmark.lanes import (
    BUSY_P99_MS,
    LANES,
    RELEASE_S,
    Background,
    Work,
    echo_directory,
    play,
    resident_mb,
    running_all,
)
from tests.benchmark.register import KNOWN, known_rows, random_rows
from tests.web.branch import CHANGES, SNAPSHOT, Branch

LIMIT_S = 600.0
"""Longest wait for the answer to a push."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a push on the disk.

    `path`: the document, whose first line is written anew each time; `offset`: where its rows
    begin.
    """

    path: Path
    manifest: Manifest
    offset: int


class Sender:
    """Sends pushes to a running web process; one thread."""

    def __init__(self, branch: Branch) -> None:
        self._branch = branch
        self._epoch = int(branch.held()["epoch"])

    def rows(self, name: str, kind: Kind, lines: Iterable[SealedRow]) -> Rows:
        """Write rows beside the branch's directory; memory stays flat."""
        path = self._branch.directory.with_name(f"{self._branch.directory.name}-{name}")
        with path.open("wb") as file:
            manifest = self._branch.written(lines, 1, kind=kind, approved_by="benchmark").write(
                file
            )
        with path.open("rb") as file:
            return Rows(path, manifest, len(file.readline()))

    def push(self, rows: Rows) -> str:
        """Send them as the next push; return what was wrong with it, or nothing."""
        head = self._head(rows)
        address = SNAPSHOT if rows.manifest.kind == "snapshot" else CHANGES
        length = len(head) + rows.path.stat().st_size - rows.offset
        connection = http.client.HTTPConnection("127.0.0.1", self._branch.port, LIMIT_S)
        with closing(connection), rows.path.open("rb") as file:
            file.seek(rows.offset)
            connection.putrequest("PUT" if address == SNAPSHOT else "POST", address)
            connection.putheader("Content-Length", str(length))
            connection.endheaders(head)
            connection.send(file)
            answer = connection.getresponse()
            content = answer.read()
        if answer.status != http.client.OK:
            return content.decode(errors="replace")
        self._epoch = int(json.loads(content)["epoch"])
        return ""

    def _head(self, rows: Rows) -> bytes:
        numbered = msgspec.structs.replace(
            rows.manifest, epoch=self._epoch + 1, previous_epoch=self._epoch
        )
        return written(sign(numbered, self._branch.key))


def pushing(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time grants at doors whose web processes take a snapshot, then changes, and so on."""
    size = min(plan.sizes[-1], 100_000)
    with ExitStack() as stack:
        directories = [work / f"pushing-{number}" for number in range(LANES)]
        branches = [stack.enter_context(serving(directory)) for directory in directories]
        turns = [works(branch, size, plan.changed) for branch in branches]
        lanes = stack.enter_context(running_all(branch.stage for branch in branches))
        echo = stack.enter_context(Echo(echo_directory(work)))
        # The doors' webs take turns, so that one push is under way at any moment.
        with Background(list(chain.from_iterable(zip(*turns, strict=True)))) as pushes:
            taken, floor = play(lanes, echo, plan.busy_rounds)
    part = f"last digit -> relay beside pushes, whole door and web, {size:,} patrons"
    spread = Spread.of_ns(list(chain.from_iterable(taken)))
    yield from spread.figures(part, Spread.of_ns(floor), p99=BUSY_P99_MS)
    what = f"snapshots and changes of {plan.changed:,} meanwhile"
    yield Figure(part, what, pushes.runs, "", pushes.runs)


@contextmanager
def serving(directory: Path, *overrides: str) -> Iterator[Branch]:
    """Yield a branch in a new directory; its web process runs, its cache is empty."""
    directory.mkdir(parents=True)
    branch = Branch(directory, f"door.release_s={RELEASE_S}", *overrides)
    branch.start()
    try:
        yield branch
    finally:
        branch.end()


def works(branch: Branch, size: int, changed: int) -> Sequence[Work]:
    """Return what pushes everybody, and what pushes a few; everybody is pushed once before."""
    known = list(known_rows(branch.sealer))
    sender = Sender(branch)
    strangers = list(islice(random_rows(size - KNOWN), changed))
    everybody = sender.rows("all", "snapshot", chain(known, random_rows(size - KNOWN)))
    few = sender.rows("some", "changes", strangers)
    failed = sender.push(everybody)
    assert not failed, failed
    return [lambda: sender.push(everybody), lambda: sender.push(few)]


ADDED_MB = 20.0
HELD_MB = 60.0
"""Budgets of the design; the first one is for 1 000 000 rows."""


def receiving(plan: Plan, work: Path) -> Iterator[Figure]:
    """Push a few rows, so that everything is loaded, then many, and look before and after."""
    with serving(work / "receiving") as branch:
        sender = Sender(branch)
        pid = int(branch.lines[0]["pid"])
        _push(sender, "few", KNOWN)
        before = resident_mb(pid, "VmRSS")
        _push(sender, "many", plan.received)
        highest = resident_mb(pid, "VmHWM")
    part = f"web process that receives a push of {plan.received:,} rows"
    yield Figure(part, "RSS before", before, "MB", 1)
    yield Figure(part, "RSS at its highest", highest, "MB", 1, budget=HELD_MB)
    yield Figure(part, "RSS added", highest - before, "MB", 1, budget=ADDED_MB)


def _push(sender: Sender, name: str, count: int) -> None:
    failed = sender.push(sender.rows(name, "snapshot", random_rows(count)))
    assert not failed, failed
