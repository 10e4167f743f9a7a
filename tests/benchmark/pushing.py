"""Last digit to relay while the web process beside the door takes pushes in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import chain, islice
from pathlib import Path

from doorctl.store.door_log import VisitHistory
from doorctl.store.keys import ArgonSealer, read_key
from tests.benchmark.busy import LANES, P99_MS, Background, Work
from tests.benchmark.figures import Figure, Spread
from tests.benchmark.floor import Echo
from tests.benchmark.lanes import RELEASE_S, Lane, echo_directory, play
from tests.benchmark.plan import Plan
from tests.benchmark.register import KNOWN, known_rows, random_rows
from tests.benchmark.sender import Sender
from tests.web.branch import Branch


def measure(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time grants at doors whose web processes take a snapshot, then changes, and so on."""
    size = min(plan.sizes[-1], 100_000)
    with ExitStack() as stack:
        directories = [work / f"pushing-{number}" for number in range(LANES)]
        branches = [stack.enter_context(serving(directory)) for directory in directories]
        turns = [works(branch, size, plan.changed) for branch in branches]
        lanes = [stack.enter_context(_opened(branch)) for branch in branches]
        echo = stack.enter_context(Echo(echo_directory(work)))
        # The doors' webs take turns, so that one push is under way at any moment.
        with Background(list(chain.from_iterable(zip(*turns, strict=True)))) as pushes:
            taken, floor = play(lanes, echo, plan.busy_rounds)
    part = f"last digit -> relay beside pushes, whole door and web, {size:,} patrons"
    spread = Spread.of_ns(list(chain.from_iterable(taken)))
    yield from spread.figures(part, Spread.of_ns(floor), p99=P99_MS)
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
    key = read_key(branch.config.secrets.installation_key_file)
    known = list(known_rows(ArgonSealer(key, branch.seal.memory_kib, branch.seal.iterations)))
    sender = Sender(branch)
    strangers = list(islice(random_rows(size - KNOWN), changed))
    everybody = sender.rows("all", "snapshot", chain(known, random_rows(size - KNOWN)))
    few = sender.rows("some", "changes", strangers)
    failed = sender.push(everybody)
    assert not failed, failed
    return [lambda: sender.push(everybody), lambda: sender.push(few)]


@contextmanager
def _opened(branch: Branch) -> Iterator[Lane]:
    with branch.stage as stage:
        stage.start()
        with closing(VisitHistory(branch.directory / "visits.db")) as history:
            yield Lane(stage, history)
        stage.stop()
