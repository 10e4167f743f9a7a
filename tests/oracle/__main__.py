"""``python -m tests.oracle``: does a refusal show, or take, anything that tells its reason?"""

from __future__ import annotations

import json
import math
import operator
import random
import secrets
import socket
import statistics
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from pathlib import Path
from types import MappingProxyType

import click

from doorctl.demo.door import LIMIT_S, Line
from tests.e2e.conftest import Loaded
from tests.e2e.door import BUZZER, RELAY, Door, Drive
from tests.e2e.people import (
    ALSO_ENTITLED,
    CHILD,
    DATED,
    DEBTOR,
    ENTITLED,
    NOT_RESIDENT,
    PAST_EXPIRY,
    STOLEN,
    STRANGER,
    THIRD_ENTITLED,
    Person,
)
from tests.fakes.waiting import until

GREEN, RED = "GPIO23", "GPIO24"
LAMPS = (GREEN, RED, BUZZER, RELAY)

REST_S = 0.02
"""Before the last digit: what is got ready while somebody types is ready then."""

SEAL = "seal.memory_kib=4096"
"""Dear enough for a card that is stretched once more than another to stand out of the noise."""

BANNED, THROTTLED = ALSO_ENTITLED, DEBTOR
ABROAD = Person("1102801234", "5050", kind="CPR")
"""Whose health card is like everybody's, and known to no branch."""


class Span(Enum):
    """From when to when is measured."""

    ANSWER = "swipe -> first answer"
    HURRIED = "swipe -> red lamp, typed at once"
    WORK = "the door's own work meanwhile"
    LAST_DIGIT = "last digit -> red lamp"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way to be refused before the PIN is proved.

    `pin`: what is typed; `reason`: what the log says of it, and nothing else.
    """

    person: Person
    pin: str
    reason: str


def _wrong(person: Person) -> Refusal:
    return Refusal(person, person.wrong_pin, "wrong_pin")


REFUSALS: Mapping[str, Refusal] = MappingProxyType(
    {
        "unknown card": Refusal(STRANGER, STRANGER.pin, "unknown_card"),
        "wrong PIN": _wrong(DATED),
        "throttled, right PIN": Refusal(THROTTLED, THROTTLED.pin, "throttled"),
        "wrong PIN, not resident": _wrong(NOT_RESIDENT),
        "wrong PIN, blocked": _wrong(STOLEN),
        "wrong PIN, banned": _wrong(BANNED),
        "wrong PIN, under age": _wrong(CHILD),
        "wrong PIN, expired": _wrong(PAST_EXPIRY),
        "health card, unknown": Refusal(ABROAD, ABROAD.pin, "unknown_card"),
        "health card, wrong PIN": _wrong(ENTITLED),
    }
)


@dataclass(frozen=True, slots=True)
class Look:
    """All that a refusal shows, but for its reason and its number.

    `drives`: each level that an output was driven to, in order; `asked`: what stood on the screen
    after the swipe; `screen`: what stood there at the end.
    """

    drives: tuple[tuple[str, int], ...]
    lines: tuple[str, ...]
    asked: str
    screen: str


class Watched:
    """One running door; one thread.

    `door`: it is started already, and the cards are as :data:`REFUSALS` wants them.
    """

    def __init__(self, door: Door, pins: Path) -> None:
        self.door = door
        self._record = pins / f"pins-{door.pid}"
        # As clock_getcpuclockid(3) makes it; Python has no name for it.
        self._work = (~door.pid << 3) | 2
        self._read = 0

    def look(self, refusal: Refusal) -> Look:
        """Refuse somebody slowly; return all that was to be seen until every output is off."""
        self._await_dark()
        self._drives()
        seen = len(self.door.lines)
        attempt = self.door.swipe(refusal.person.swipe)
        asked = until(lambda: self._screen(attempt))
        self.door.press_heard(refusal.pin)
        self._decided(attempt, refusal)
        screen = until(lambda: self._screen(attempt))
        self._await_dark()
        drives = tuple((drive.pin, drive.level) for drive in self._drives())
        lines = tuple(map(_stripped, self._lines_of(attempt, seen)))
        return Look(drives, lines, asked, screen)

    def times_ns(self, refusal: Refusal) -> Mapping[Span, int]:
        """Refuse somebody twice, once in a hurry; return how long each span takes."""
        return {**self._hurry(refusal), Span.LAST_DIGIT: self._rest(refusal)}

    def _hurry(self, refusal: Refusal) -> Mapping[Span, int]:
        """Have all digits typed before the card can have been looked up."""
        until(lambda: not self.door.open_attempts())
        self._drives()
        worked = time.clock_gettime_ns(self._work)
        before = time.monotonic_ns()
        self.door.reader.send(refusal.person.swipe)
        while not (asked := self._lit(BUZZER)):
            """Sleep would come out as time that the preparation took."""
        self.door.press(refusal.pin)
        (lit, *_) = until(lambda: self._lit(RED))
        self.door.wait_for("decision", verdict="refused", reason=refusal.reason)
        worked = time.clock_gettime_ns(self._work) - worked
        return {Span.ANSWER: asked[0] - before, Span.HURRIED: lit - before, Span.WORK: worked}

    def _rest(self, refusal: Refusal) -> int:
        attempt = self.door.swipe(refusal.person.swipe)
        self.door.press(refusal.pin[:-1])
        time.sleep(REST_S)
        self._drives()
        before = time.monotonic_ns()
        self.door.press(refusal.pin[-1])
        self._decided(attempt, refusal)
        lit: list[int] = until(lambda: self._lit(RED))
        return lit[0] - before

    def forgive(self) -> None:
        """Forget the failures of cards and reader, but for the card that is to wait.

        Nobody else writes then: all attempts have ended.
        """
        until(lambda: not self.door.open_attempts())
        self.door.change("DELETE FROM reader")
        self.door.change("DELETE FROM throttles WHERE failures < 10")
        self.door.change("DELETE FROM wrong_pins")

    def throttle(self, person: Person) -> None:
        """Have a card wait for staff."""
        attempt = self.door.swipe(person.swipe)
        self.door.press(person.wrong_pin)
        self.door.settled(attempt)
        self.door.change(
            "UPDATE throttles SET failures = 10 "
            "WHERE row_key = (SELECT row_key FROM attempts WHERE attempt = ?)",
            attempt,
        )

    def _decided(self, attempt: int, refusal: Refusal) -> None:
        line = self.door.wait_for("decision", attempt=attempt)
        assert (line["verdict"], line["reason"]) == ("refused", refusal.reason), line

    def _lines_of(self, attempt: int, seen: int) -> Iterator[Line]:
        # An alarm speaks of many refusals, to staff.
        for line in self.door.lines[seen:]:
            if line["event"] != "alarm":
                assert line.get("attempt") in {attempt, None}
                yield line

    def _lit(self, pin: str) -> list[int]:
        """Return when an output was driven high since the last time."""
        return [
            drive.monotonic_ns for drive in self._drives() if (drive.pin, drive.level) == (pin, 1)
        ]

    def _await_dark(self) -> None:
        def dark() -> bool:
            levels = {drive.pin: drive.level for drive in _drives(self._record.read_text())}
            return not any(levels.get(lamp) for lamp in LAMPS)

        until(dark)

    def _drives(self) -> list[Drive]:
        """Return the drives since the last time."""
        with self._record.open("rb") as record:
            record.seek(self._read)
            # The door may be in the middle of a line.
            fresh, newline, _ = record.read().rpartition(b"\n")
        self._read += len(fresh + newline)
        return _drives((fresh + newline).decode("ascii"))

    def _screen(self, attempt: int) -> str | None:
        """Return what stands on the screen, None until it is about that attempt."""
        with closing(socket.socket(socket.AF_UNIX)) as asking:
            asking.settimeout(LIMIT_S)
            asking.connect(str(self.door.directory / "door.sock"))
            asking.sendall(b'{"ask":"panel","about":{"after":0}}\n')
            with asking.makefile() as answer:
                said = json.loads(answer.readline())
        about = said["state"]["attempt"] == attempt
        return json.dumps(_unnumbered(said), sort_keys=True) if about else None


@contextmanager
def watched(root: Path) -> Iterator[Watched]:
    """Yield a running door with all cards as they have to be; files are below `root`."""
    loaded = Loaded(root, SEAL)
    with ExitStack() as stack:
        door = Door(loaded.directory, loaded.config, (SEAL,), pins=loaded.pins)
        stack.enter_context(door)
        door.start()
        banned = door.call("bans", "add", "-", "--reason", "uro", stdin=f"{BANNED.number}\n")
        assert banned.returncode == 0, banned.stderr
        one = Watched(door, loaded.pins)
        one.throttle(THROTTLED)
        # A ban that is not there would make a wrong PIN of it all the same.
        assert door.visit(BANNED)["reason"] == "banned"
        assert door.visit(THIRD_ENTITLED)["reason"] == "ok"
        one.forgive()
        yield one
        door.stop()


def _drives(written: str) -> list[Drive]:
    whole = written[: written.rfind("\n") + 1]
    fields = (line.split() for line in whole.splitlines())
    return [Drive(pin, int(level), int(ns)) for pin, level, ns in fields]


def _stripped(line: Line) -> str:
    kept = {key: value for key, value in line.items() if key not in {"at", "attempt", "reason"}}
    return json.dumps(kept, sort_keys=True)


def _unnumbered(said: object) -> object:
    if not isinstance(said, dict):
        return said
    return {key: _unnumbered(value) for key, value in said.items() if key not in {"seq", "attempt"}}


# Are these durations one distribution? Medians, and Kolmogorov and Smirnov's test.

NS_PER_MS = 1e6
TERMS = 100


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one way to be refused, in milliseconds.

    `paired`: the median of what each took longer than the median of its round; `p99`: the 99th
    percentile; `p`: how likely it is that these and all the others differ as much by chance.
    """

    name: str
    n: int
    p50: float
    paired: float
    p99: float
    p: float


def rows(taken_ns: Mapping[str, Sequence[int]]) -> list[Row]:
    """Compare each way with all the others together; at least two ways with one measurement.

    `taken_ns`: of each way, in the order of the rounds in which they took turns.
    """
    usual = [statistics.median(of_round) for of_round in zip(*taken_ns.values(), strict=True)]
    found = []
    for name, own in taken_ns.items():
        others = list(chain.from_iterable(taken_ns[each] for each in taken_ns if each != name))
        ordered = sorted(own)
        p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        p50 = statistics.median(ordered)
        longer = statistics.median(map(operator.sub, own, usual))
        in_ms = (p50 / NS_PER_MS, longer / NS_PER_MS, p99 / NS_PER_MS)
        found.append(Row(name, len(own), *in_ms, p=chance(own, others)))
    return found


def apart_ms(found: Sequence[Row]) -> float:
    """Return how far apart the lowest and the highest paired median are.

    Paired, because a machine that is busy for a while is so for a whole round.
    """
    return max(row.paired for row in found) - min(row.paired for row in found)


def chance(one: Sequence[int], other: Sequence[int]) -> float:
    """Return p of the two-sample Kolmogorov-Smirnov test, by its asymptotic distribution.

    1 for equal samples, towards 0 the further apart. Source: Press et al., Numerical Recipes,
    section 14.3; right within a few per cent from 20 measurements on.
    """
    first, second = sorted(one), sorted(other)
    distance = max(
        abs(bisect_right(first, value) / len(first) - bisect_right(second, value) / len(second))
        for value in chain(first, second)
    )
    root = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:
        return 1.0
    terms = ((-1.0) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, TERMS))
    return min(1.0, max(0.0, 2 * sum(terms)))


LIMIT_MS = 1.0
"""Far below what a person with a stopwatch, or a microphone at the relay box, can tell."""

AGAIN = 4
"""So many, drawn anew, are looked at once more: what came before must not matter."""

TRIES = 3
"""On a machine that is busy with other things a try may fail by chance: then as many are measured
again and counted together. What is the door's own stays."""

LEAST_P = 0.01
BUSY = frozenset({Span.ANSWER, Span.HURRIED})
"""In these lie what others do with the processor and the disk, which parts medians by chance."""

OUTSTANDING_P = 0.001
"""What is no chance any more."""

FORGIVEN_AFTER = 4
"""Before the reader itself has to wait, at twice a refusal."""

CI_N = 12


@click.command()
@click.option("--n", default=CI_N, show_default=True, help="Measurements of each; in full, 2000.")
@click.option("--seed", type=int, help="Of the order; a fresh one by default.")
def oracle(n: int, seed: int | None) -> None:
    """Refuse ten people, in random order, for what they must not learn.

    Exit 1 if what is seen, heard or logged differs in anything but the reason, or if a span's
    medians are further apart than the limit in each of three tries; those from a swipe on only
    where KS p, too, says that it is no chance. KS p compares each with all others of
    a card of its kind; with eight of them, one below 0.01 comes by chance in 1 of 13.
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    click.echo(f"seed {seed}")
    order = random.Random(seed)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as root, watched(Path(root)) as door:
        differing = _differing(_looks(door, order))
        for one in differing:
            click.echo(one, err=True)
        if not differing:
            click.echo(
                f"the same to see, hear and read: {len(REFUSALS)} refusals, {AGAIN} of them twice"
            )
        taken = {span: {name: list[int]() for name in REFUSALS} for span in Span}
        near = any(_is_near(door, order, n, taken) for _ in range(TRIES))
    sys.exit(bool(differing) or not near)


Taken = Mapping[Span, Mapping[str, list[int]]]


def _is_near(door: Watched, order: random.Random, n: int, taken: Taken) -> bool:
    _measure(door, order, n, taken)
    near = [_tell(span, of_span) for span, of_span in taken.items()]
    return all(near)


def _looks(door: Watched, order: random.Random) -> Mapping[str, set[Look]]:
    looks: dict[str, set[Look]] = {name: set() for name in REFUSALS}
    for count in (len(REFUSALS), AGAIN):
        for name in order.sample(sorted(REFUSALS), count):
            looks[name].add(door.look(REFUSALS[name]))
        door.forgive()
    return looks


def _differing(looks: Mapping[str, set[Look]]) -> list[str]:
    """Return what tells refusals apart; empty for one look of them all."""
    usual = next(iter(looks["wrong PIN"]))
    return [
        f"{name} looks otherwise than a wrong PIN:\n  {look}\n  {usual}"
        for name, seen in looks.items()
        for look in seen
        if look != usual
    ]


def _measure(door: Watched, order: random.Random, n: int, taken: Taken) -> None:
    """Take turns: whatever else the machine does hits all of them alike."""
    with click.progressbar(range(n), file=sys.stderr, hidden=not sys.stderr.isatty()) as rounds:
        for _ in rounds:
            for place, name in enumerate(order.sample(sorted(REFUSALS), len(REFUSALS))):
                if place % FORGIVEN_AFTER == 0:
                    door.forgive()
                for span, took_ns in door.times_ns(REFUSALS[name]).items():
                    taken[span][name].append(took_ns)


def _tell(span: Span, taken: Mapping[str, list[int]]) -> bool:
    """Print a span's table; tell whether cards of each kind are near each other."""
    click.echo(f"{span.value:<34}{'n':>5}{'p50 ms':>9}{'paired':>9}{'p99 ms':>9}{'KS p':>8}")
    near = True
    for kind in ("CARD", "CPR"):
        found = rows({name: taken[name] for name, of in REFUSALS.items() if of.person.kind == kind})
        for row in found:
            mark = "" if row.p >= LEAST_P else "  (below 0.01)"
            click.echo(
                f"{row.name:<34}{row.n:>5}{row.p50:>9.3f}{row.paired:>+9.3f}{row.p99:>9.3f}{row.p:>8.3f}{mark}"
            )
        click.echo(f"paired medians are {apart_ms(found):.3f} ms apart, at most {LIMIT_MS:g}")
        by_chance = span in BUSY and all(
            row.p >= OUTSTANDING_P or abs(row.paired) <= LIMIT_MS for row in found
        )
        near = near and (by_chance or apart_ms(found) <= LIMIT_MS)
    return near


if __name__ == "__main__":
    oracle()
