"""``python -m tests.planted [NAME...]``: one line for each fault, exit 1 if one survived."""

from __future__ import annotations

import ast
import random
import re
import secrets
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

from tests.mutation.rooms import PYTEST, ROOT, copy_tree, python_in
from tests.planted.fault import SIMULATION, Fault
from tests.planted.faults import FAULTS

# Plants a fault into a copy of the source and has the harness that is meant for it look.

SEEDS = (1, 2, 3, 4)
"""Branches that are run one after the other until one breaks an invariant."""

YEARS = 0.5
LIMIT_S = 900


@dataclass(frozen=True)
class Found:
    """What came of a fault.

    Args:
        by: who noticed it and by what; empty for nobody.
    """

    fault: Fault
    by: str
    seconds: float

    def line(self) -> str:
        """Return it for people."""
        what = f"caught by {self.by}" if self.by else f"SURVIVED {self.fault.harness}"
        return f"{self.fault.name}: {what} in {self.seconds:.1f} s"


def planted(fault: Fault) -> Found:
    """Plant a fault, look, and throw the copy away; ValueError where it cannot be planted."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        copy_tree(copy)
        # For harnesses that run it as other users; else these would take what is installed.
        copy.chmod(0o755)
        file, text = changed(fault)
        (copy / file.relative_to(ROOT)).write_text(text, encoding="utf-8")
        by = _simulated(copy) if fault.harness == SIMULATION else _tested(copy, fault.harness)
    return Found(fault, by, time.monotonic() - started)


def changed(fault: Fault) -> tuple[Path, str]:
    """Return the file that holds a fault's object, and what it is with the fault in it.

    Raises:
        ValueError: not exactly one object of this name holds the old text exactly once.
    """
    held = [
        (file, node)
        for file, name, node in _objects()
        if name == fault.object and ast.unparse(node).count(fault.old) == 1
    ]
    if len(held) != 1:
        raise ValueError(f"{fault.name}: its text stands in {len(held)} of {fault.object}")
    file, node = held[0]
    lines = file.read_text(encoding="utf-8").splitlines()
    decorated = getattr(node, "decorator_list", [])
    first = min(part.lineno for part in (node, *decorated)) - 1
    now = textwrap.indent(ast.unparse(node).replace(fault.old, fault.new), " " * node.col_offset)
    lines[first : node.end_lineno] = now.splitlines()
    return file, "\n".join(lines) + "\n"


@cache
def _objects() -> tuple[tuple[Path, str, ast.stmt], ...]:
    files = sorted((ROOT / "doorctl").rglob("*.py"))
    return tuple(
        (file, name, node)
        for file in files
        for name, node in _named(ast.parse(file.read_text(encoding="utf-8")).body)
    )


def _named(body: Iterable[ast.stmt], within: str = "") -> Iterator[tuple[str, ast.stmt]]:
    for node in body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield within + node.name, node
                if isinstance(node, ast.ClassDef):
                    yield from _named(node.body, f"{within}{node.name}.")
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield within + name, node
            case _:
                pass


def _simulated(copy: Path) -> str:
    for seed in SEEDS:
        words = ("-m", "tests.simulation", "--seed", str(seed), "--years", str(YEARS))
        ran = python_in(copy, *words, timeout_s=LIMIT_S)
        if ran.returncode:
            broken = re.search(r"invariant \d+: [^\n]*", ran.stderr)
            raised = re.findall(r"^([\w.]+Error)\b", ran.stderr, re.MULTILINE)
            what = broken.group() if broken else " ".join(raised[-1:]) or "its end"
            return f"simulation, seed {seed}, {what}"
    return ""


def _tested(copy: Path, file: str) -> str:
    ran = python_in(copy, *PYTEST, file, timeout_s=LIMIT_S)
    failed = re.search(r"^FAILED (\S+)", ran.stdout, re.MULTILINE)
    return failed.group(1) if failed else ""


@click.command()
@click.argument("names", nargs=-1)
@click.option("--some", type=int, help="So many, drawn by --draw, instead of all.")
@click.option("--draw", type=int, help="What decides which; a fresh one by default.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True)
def faults(names: Sequence[str], some: int | None, draw: int | None, jobs: int) -> None:
    """Plant faults into copies of the source; each must be caught."""
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    if len(chosen) < len(names):
        raise click.ClickException("there is no fault of one of these names")
    if some is not None:
        chosen = drawn(chosen, some, secrets.randbelow(1_000_000) if draw is None else draw)
    survived = 0
    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(planted, chosen):
            click.echo(found.line())
            survived += not found.by
    click.echo(f"{len(chosen)} planted, {len(chosen) - survived} caught")
    sys.exit(survived > 0)


def drawn(of: Sequence[Fault], some: int, draw: int) -> list[Fault]:
    """Return some of the faults, the same for the same draw."""
    click.echo(f"draw {draw}")
    return random.Random(draw).sample(list(of), min(some, len(of)))  # noqa: S311 - no secret


if __name__ == "__main__":
    faults()
