"""``python -m tests.house``: how large the house is; exit 1 where it has outgrown a limit."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click

ROOT = Path(__file__).parents[1]
PRODUCT = ROOT / "doorctl"
LIMITS = {
    "lines of the longest file": 800,
    "lines of the longest function": 45,
    "modules without a room": 2,
    "noqa": 124,
    "banners": 10,
}
"""The most there may be."""

ROOM_LIMITS = {
    "extras": 8_150,
    "web": 6_550,
    "store": 6_480,
    "cli": 3_670,
    "doord": 3_180,
    "sync": 2_560,
    "access": 2_490,
    "admin": 2_120,
    "services": 2_090,
    "config": 1_930,
    "demo": 1_590,
    "core": 1_460,
    "wiring": 1_420,
    "privacy": 1_020,
    "rpc": 800,
    "cards": 710,
    "door": 670,
    "lookup": 640,
    "devices": 610,
    "ops": 590,
    "notices": 560,
    "accounts": 440,
    "sources": 420,
}
"""Lines of code a room may hold: what it held when that was last looked at, and a twentieth of air.
A room that needs more is looked at first: does it still hold one kind of thing?"""


@dataclass(frozen=True)
class Module:
    """A file of the product, read once."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Return its path below the checkout."""
        return self.path.relative_to(ROOT).as_posix()


def modules() -> list[Module]:
    """Return every file of the product that is Python, sorted by path."""
    paths = sorted(path for path in PRODUCT.rglob("*.py") if "vendor" not in path.parts)
    texts = ((path, path.read_text("utf-8")) for path in paths)
    return [Module(path, text, ast.parse(text)) for path, text in texts]


def floors() -> list[str]:
    """Return the floors of the import contract, from the top."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers: list[str] = contracts["contracts"][0]["layers"]
    return layers


def code_lines(module: Module) -> int:
    """Count lines that hold code: no blank one, no comment, no docstring."""
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type not in NO_CODE:
            held |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            held -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(held)


NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    tokenize.ENDMARKER,
}


def functions(module: Module) -> Iterator[tuple[int, str]]:
    """Yield each function's lines and where it is."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield lines, f"{module.name}:{node.lineno} {node.name}"


def banners(module: Module) -> list[int]:
    """Return the lines of comments that stand alone between two definitions of a file.

    Such a comment is a sign that the file is about two subjects.
    """
    lines = module.text.splitlines()
    return [
        number
        for number, line in enumerate(lines, 1)
        if line.startswith("# ")
        and not lines[number - 2].strip(" #")
        and next((below for below in lines[number:] if not below.startswith("#")), None) == ""
    ]


def measured() -> tuple[dict[str, int], dict[str, str]]:
    """Return each figure of `LIMITS`, and where the longest are."""
    house = modules()
    longest = max((module.text.count("\n"), module.name) for module in house)
    function = max(found for module in house for found in functions(module))
    figures = {
        "lines of the longest file": longest[0],
        "lines of the longest function": function[0],
        "modules without a room": sum(module.path.parent == PRODUCT for module in house),
        "noqa": sum(module.text.count("# noqa") for module in house),
        "banners": sum(len(banners(module)) for module in house),
    }
    return figures, {
        "lines of the longest file": longest[1],
        "lines of the longest function": function[1],
    }


def rooms() -> Counter[str]:
    """Count the lines of code of each room."""
    held: Counter[str] = Counter()
    for module in modules():
        if module.path.parent != PRODUCT:
            held[module.path.relative_to(PRODUCT).parts[0]] += code_lines(module)
    return held


def outgrown(figures: Mapping[str, int], limits: Mapping[str, int]) -> list[str]:
    """Name what is over its limit, or has none."""
    return [name for name, figure in figures.items() if figure > limits.get(name, 0)]


@click.command()
@click.option("--flows", is_flag=True, help="Also count what a digit, a push and a page pass.")
def house(*, flows: bool) -> None:
    """Print what there is of everything, beside the most there may be."""
    house = modules()
    lines = sum(module.text.count("\n") for module in house)
    held = rooms()
    click.echo(f"{len(held)} rooms on {len(floors())} floors: {' / '.join(floors())}")
    click.echo(f"{len(house)} files, {lines} lines, {sum(map(code_lines, house))} of code")
    figures, where = measured()
    over = outgrown(figures, LIMITS) + outgrown(held, ROOM_LIMITS)
    for name, figure in figures.items():
        more = "  TOO MANY" if name in over else ""
        click.echo(f"{figure:7}  of {LIMITS[name]:6}  {name}  {where.get(name, '')}{more}".rstrip())
    for name, figure in held.most_common():
        more = "  TOO MANY" if name in over else ""
        click.echo(f"{figure:7}  of {ROOM_LIMITS.get(name, 0):6}  lines of code in {name}{more}")
    if flows:
        print_flows()
    if over:
        sys.exit(1)


def print_flows() -> None:
    """Print how many files and functions each flow goes through."""
    from tests.flows import flows as played  # noqa: PLC0415 - the real processes are no part of counting files

    with TemporaryDirectory() as directory:
        for name, passed in played(Path(directory)):
            files = len({file for file, _function in passed})
            click.echo(f"{files:7}  files, {len(passed)} functions: {name}")


if __name__ == "__main__":
    house()
