"""``python -m tests.house``: how large the house is; exit 1 where it has outgrown a limit."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
PRODUCT = ROOT / "doorctl"
LIMITS = {
    "files": 150,
    "lines": 50_640,
    "lines of code": 33_725,
    "lines of the longest file": 800,
    "lines of the longest function": 45,
    "modules without a room": 2,
    "noqa": 123,
}
"""The most there may be; lowered with each step towards 150 files and 42 000 lines."""


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


def measured() -> tuple[dict[str, int], dict[str, str]]:
    """Return each figure of `LIMITS`, and where the longest are."""
    house = modules()
    longest = max((module.text.count("\n"), module.name) for module in house)
    function = max(found for module in house for found in functions(module))
    figures = {
        "files": len(house),
        "lines": sum(module.text.count("\n") for module in house),
        "lines of code": sum(code_lines(module) for module in house),
        "lines of the longest file": longest[0],
        "lines of the longest function": function[0],
        "modules without a room": sum(module.path.parent == PRODUCT for module in house),
        "noqa": sum(module.text.count("# noqa") for module in house),
    }
    return figures, {
        "lines of the longest file": longest[1],
        "lines of the longest function": function[1],
    }


@click.command()
def house() -> None:
    """Print what there is of everything, beside the most there may be."""
    rooms = sorted({module.path.relative_to(PRODUCT).parts[0] for module in modules()})
    rooms = [room for room in rooms if not room.endswith(".py")]
    click.echo(f"{len(rooms)} rooms on {len(floors())} floors: {' / '.join(floors())}")
    figures, where = measured()
    for name, figure in figures.items():
        more = "  TOO MANY" if figure > LIMITS[name] else ""
        click.echo(f"{figure:7}  of {LIMITS[name]:6}  {name}  {where.get(name, '')}{more}".rstrip())
    if any(figure > LIMITS[name] for name, figure in figures.items()):
        sys.exit(1)


if __name__ == "__main__":
    house()
