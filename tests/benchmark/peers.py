"""``python -m tests.benchmark --peers``: the same job done the ways others do it, and doorctl's.

Each way at each size is measured in a process of its own, so that memory is its own. What is kept
(``--keep``) stands in ``peers.json``, from which README's table is drawn.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any

import bcrypt
from argon2 import PasswordHasher
from argon2.low_level import Type, hash_secret_raw

from doorctl.store.sealer import ITERATIONS, MEMORY_KIB
from tests.benchmark.figures import NS_PER_MS, described, least_ns
from tests.benchmark.ways import (
    SAMPLE,
    BcryptByKey,
    CompiledDecision,
    HttpQuestion,
    Ours,
    ScanArgon,
    ScanBcrypt,
    ShaDict,
    Way,
)

KEPT = Path(__file__).with_name("peers.json")
SIZES = (100, 1_000, 50_000)
CPR_NUMBERS = 366 * 100 * 10**4
"""Ten digits: day and month, two digits of the year, four more."""

PINS = 10**4
BUSY = 0.1
"""Share of all processors that others took meanwhile; above it figures are said to be rough."""

WAYS: MappingProxyType[str, tuple[str, type[Way]]] = MappingProxyType(
    {
        "scan-bcrypt": ("try every row, bcrypt (12)", ScanBcrypt),
        "scan-argon2": ("try every row, Argon2 (64 MiB)", ScanArgon),
        "bcrypt-key": ("card in clear, bcrypt (8) of the PIN", BcryptByKey),
        "sha256": ("SHA-256 without a key, in a dict", ShaDict),
        "http": ("ask a server at each swipe (down: no entry)", HttpQuestion),
        "compiled": ("compiled decision, card alone, no PIN", CompiledDecision),
        "doorctl": ("**doorctl**, all its checks and the log", Ours),
    }
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One way at one size: medians in ms, and memory.

    Args:
        way: a key of :data:`WAYS`.
        patrons: in its register.
        read_ms: what is done at the swipe, while the patron looks for the keys.
        decide_ms: what is left after the last digit.
        added_mb: memory at its highest, less what the process had before it took the register.
        n: decisions behind it.
        reckoned: a sample of the rows was timed and multiplied.
    """

    way: str
    patrons: int
    read_ms: float
    decide_ms: float
    added_mb: float
    n: int
    reckoned: bool


@dataclass(frozen=True, slots=True)
class Theft:
    """Core-hours until a stolen disk with all that is on it has told what it knows.

    None: it is not there.
    """

    first_cpr_h: float | None
    all_cpr_h: float | None
    all_pins_h: float | None


def measure(way: str, patrons: int, directory: Path) -> Measured:
    """Measure one way in this process; `directory`: empty."""
    made = WAYS[way][1](patrons, directory)
    storing = get_context("fork").Process(target=made.store)
    storing.start()
    storing.join()
    assert storing.exitcode == 0
    before = _memory_mb("VmRSS")
    # "5" sets the highest back to what it is now.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    made.load()
    try:
        times = [made.timed() for _ in range(made.repeats)]
    finally:
        made.close()
    return Measured(
        way,
        patrons,
        median(each.read_ns for each in times) / NS_PER_MS,
        median(each.decide_ns for each in times) / NS_PER_MS,
        _memory_mb("VmHWM") - before,
        len(times),
        any(each.reckoned for each in times),
    )


def _memory_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (kib,) = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(kib) / 1024


def measured_apart(way: str, patrons: int) -> Measured:
    """Measure one way in a process of its own: in another's memory a register may find room."""
    with tempfile.TemporaryDirectory(prefix="doorctl-peers-") as directory:
        command = [sys.executable, "-m", __name__, way, str(patrons), directory]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Measured(**json.loads(done.stdout))


def all_measured(sizes: Sequence[int] = SIZES) -> Iterator[Measured]:
    """Measure every way at each size, one process after the other."""
    for size, way in product(sizes, WAYS):
        yield measured_apart(way, size)


def tries_s() -> dict[str, float]:
    """Return what a try costs a thief, in seconds of one core, by the hash."""
    shas = 500_000
    hmac_s = _core_s(lambda: hashlib.pbkdf2_hmac("sha256", b"pin", b"row", shas)) / shas
    seal = partial(hash_secret_raw, b"card", bytes(16), ITERATIONS, MEMORY_KIB, 1, 32, Type.ID)
    return {
        # A turn of PBKDF2 is an HMAC, which is two blocks; so Python's own time is not counted.
        "sha256": hmac_s / 2,
        "hmac": hmac_s,
        "bcrypt8": _core_s(lambda: bcrypt.hashpw(b"4711", bcrypt.gensalt(8))),
        "bcrypt12": _core_s(lambda: bcrypt.hashpw(b"4711", bcrypt.gensalt(12))),
        "argon2": _core_s(lambda: PasswordHasher().hash("4711")),
        "seal": _core_s(seal),
    }


def _core_s(work: Callable[[], object]) -> float:
    """Return the median of five, of processor time: others' load is not in it."""
    taken = []
    for _ in range(5):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return median(taken)


def thefts(patrons: int, tries: Mapping[str, float]) -> dict[str, Theft]:
    """Return what a disk with `patrons` gives away, by the way: tries x seconds a try.

    A row with a salt of its own is searched alone; without one all are found in one search. A PIN
    is searched when the card's number is known.
    """

    def salted(a_try: str) -> Theft:
        search = CPR_NUMBERS * tries[a_try] / 3600
        return Theft(search, patrons * search, patrons * PINS * tries[a_try] / 3600)

    def at_once(a_try: str, a_pin: str) -> Theft:
        search = CPR_NUMBERS * tries[a_try] / 3600
        return Theft(search, search, patrons * PINS * tries[a_pin] / 3600)

    return {
        "scan-bcrypt": salted("bcrypt12"),
        "scan-argon2": salted("argon2"),
        "bcrypt-key": Theft(0, 0, patrons * PINS * tries["bcrypt8"] / 3600),
        "sha256": at_once("sha256", "sha256"),
        "http": Theft(None, None, None),
        "compiled": Theft(0, 0, None),
        "doorctl": at_once("seal", "hmac"),
    }


def compared(sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Measure all of it; return what `peers.json` holds."""
    here, before = described(), _processor_s()
    with least_ns() as least:
        floor = median(least() for _ in range(1_000)) / NS_PER_MS
    figures = [asdict(each) for each in all_measured(sizes)]
    tries = tries_s()
    busy, own, total = (now - then for now, then in zip(_processor_s(), before, strict=True))
    return {
        "machine": here,
        "others_share": max(0.0, busy - own) / total,
        "floor_ms": floor,
        "tries_s": tries,
        "figures": figures,
    }


def _processor_s() -> tuple[float, float, float]:
    """Return seconds of all processors: busy, busy with this process and its children, all."""
    words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    ticks = [int(word) / os.sysconf("SC_CLK_TCK") for word in words]
    user, system, child_user, child_system, _ = os.times()
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, user + system + child_user + child_system, sum(ticks)


def problems_of(kept: Mapping[str, Any], sizes: Sequence[int] = SIZES) -> list[str]:
    """Return what is wrong with it: a way that is missing at a size, a figure that says nothing."""
    found = {(each["patrons"], each["way"]): each for each in kept["figures"]}
    problems = [
        f"{way} at {size:,} patrons: missing"
        for size, way in product(sizes, WAYS)
        if (size, way) not in found
    ]
    problems += [
        f"{way} at {size:,} patrons, {what}: {each[what]:g}"
        for (size, way), each in found.items()
        for what in ("read_ms", "decide_ms", "n")
        if each[what] <= 0
    ]
    return problems + [f"a try of {name}: {s:g} s" for name, s in kept["tries_s"].items() if s <= 0]


def as_markdown(kept: Mapping[str, Any]) -> str:
    """Return README's table and what has to be known of it."""
    found = {(each["patrons"], each["way"]): Measured(**each) for each in kept["figures"]}
    sizes = sorted({size for size, _ in found})
    largest = sizes[-1]
    stolen = thefts(largest, kept["tries_s"])
    heads = [f"{size:,} patrons" for size in sizes]
    lines = [
        "| a card and a PIN → yes | "
        + " | ".join(heads)
        + " | of it after the last digit | memory | one CPR number | all of them | then the PINs |",
        "|---|" + "--:|" * (len(sizes) + 5),
    ]
    for way, (said, kind) in WAYS.items():
        at = [found[size, way] for size in sizes if (size, way) in found]
        cells = [f"{'~' * each.reckoned}{_time(each.read_ms + each.decide_ms)}" for each in at]
        last = _time(at[-1].decide_ms) if kind.asks_pin else "no PIN"
        memory = f"{at[-1].added_mb:.0f} MB"
        disk = (_hours(hours) for hours in asdict(stolen[way]).values())
        lines.append(f"| {' | '.join([said, *cells, last, memory, *disk])} |")
    floor = _time(kept["floor_ms"])
    lines.append(f"| floor: an HMAC, a compare, a mock pin |{' |' * len(sizes)} {floor} | | | | |")
    return "\n".join([*lines, "", _said_of(kept, largest)])


def _said_of(kept: Mapping[str, Any], largest: int) -> str:
    share = kept["others_share"]
    busy = f", **busy with others' work by {share:.0%}: rough**" if share > BUSY else ""
    here = kept["machine"]
    python = here["Python"].split()[-1]
    return (
        f"Medians on {here['machine']}, Python {python}{busy}; one process, mock pins. `~`:\n"
        f"{SAMPLE} of the rows timed, times half the register. Memory added, and a disk stolen "
        f"with its keys,\nat {largest:,}: hours of one core = tries times the measured time of a "
        f"try; {CPR_NUMBERS:,} CPR numbers\n(for each patron anew where rows are salted), "
        f"{PINS:,} PINs a patron; -: not kept."
    )


def _time(ms: float) -> str:
    for most, unit, each in ((1, "µs", 1e-3), (1_000, "ms", 1), (120_000, "s", 1e3)):
        if ms < most:
            return f"{ms / each:.3g} {unit}"
    return f"{ms / 60_000:,.0f} min"


def _hours(hours: float | None) -> str:
    if hours is None:
        return "-"
    if hours == 0:
        return "at once"
    if hours < 1:
        return f"{hours * 3600:.2g} s"
    return f"{hours:,.0f} h" if hours < 1e6 else f"{hours / 1e6:,.0f} million h"


if __name__ == "__main__":
    name, size, where = sys.argv[1:]
    sys.stdout.write(json.dumps(asdict(measure(name, int(size), Path(where)))))
