"""What mutmut makes of a file, and the list of what no test notices, each with its reason."""

from __future__ import annotations

import ast
import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from libcst import MetadataWrapper, parse_module
from mutmut.mutation.file_mutation import MutationVisitor, combine_mutations_to_source
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

from tests.mutation.rooms import ROOT

_NAME = re.compile(r"x(?:_|ǁ(?P<owner>\w+?)ǁ)(?P<function>\w+)__mutmut_(?P<number>\d+)")


@dataclass(frozen=True, order=True)
class Mutant:
    """One change.

    `function`: with its class, if it is a method; `old`: the lines that are changed, without
    indentation; `new`: what they become.
    """

    file: str
    function: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}: {self.function}\n  - {self.old}\n  + {self.new}"


def mutants_of(file: str, functions: Collection[str] | None = None) -> dict[str, Mutant]:
    """Return every change that mutmut makes in a file of this checkout, by mutmut's name for it.

    Changes of all functions but a few take most of the time: name those, and it is spared.
    """
    source = (ROOT / file).read_text(encoding="utf-8")
    if functions is not None:
        source = _without_others(source, functions)
    wrapper = MetadataWrapper(parse_module(source))
    # mutmut's own function for a whole file wants a configuration; nothing here is to be ignored.
    visitor = MutationVisitor(mutation_operators, IgnoredCode(set(), set(), set()))
    mutated = combine_mutations_to_source(wrapper.visit(visitor), visitor.mutations)
    module = file.removesuffix(".py").replace("/", ".")
    texts = dict(_functions(ast.parse(mutated.code), mutated.code))
    found = {}
    for name in mutated.mutant_names:
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"mutmut calls a change {name}")
        owner = f"{match['owner']}." if match["owner"] else ""
        original = texts[name.removesuffix(match["number"]) + "orig"]
        old, new = _difference(original, texts[name])
        found[f"{module}.{name}"] = Mutant(file, f"{owner}{match['function']}", old, new)
    return found


def _without_others(source: str, functions: Collection[str]) -> str:
    lines = source.splitlines(keepends=True)
    body = ast.parse(source).body
    nodes = [("", node) for node in body]
    for owner in body:
        if isinstance(owner, ast.ClassDef):
            nodes += [(f"{owner.name}.", node) for node in owner.body]
    for within, node in sorted(nodes, key=lambda it: it[1].lineno, reverse=True):
        if isinstance(node, ast.FunctionDef) and within + node.name not in functions:
            first = min([node.lineno, *(part.lineno for part in node.decorator_list)]) - 1
            lines[first : node.end_lineno] = [" " * node.col_offset + "pass\n"]
    return "".join(lines)


def _functions(tree: ast.AST, code: str) -> Iterator[tuple[str, list[str]]]:
    lines = code.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            # The first line holds the name, which differs; a default in it may too.
            name, end = node.name, node.end_lineno or node.lineno
            text = [lines[node.lineno - 1].replace(name, "", 1), *lines[node.lineno : end]]
            yield name, [line.strip() for line in text]


def _difference(old: list[str], new: list[str]) -> tuple[str, str]:
    told = list(difflib.ndiff(old, new))
    gone, come = (
        "\n".join(line[2:] for line in told if line.startswith(sign)) for sign in ("- ", "+ ")
    )
    return gone, come


LIST = Path(__file__).with_name("survivors.toml")


def listed(path: Path = LIST) -> Mapping[Mutant, str]:
    """Return the reason for each change on the list.

    Raises:
        ValueError: a change has no reason, or stands there twice.
        TypeError: an entry lacks a key or has one too many.
    """
    reasons: dict[Mutant, str] = {}
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", []):
        why = entry.pop("why", "").strip()
        mutant = Mutant(**{key: value.strip() for key, value in entry.items()})
        if not why or mutant in reasons:
            raise ValueError(f"{'twice' if why else 'no reason'}: {mutant}")
        reasons[mutant] = why
    return reasons


def as_entry(mutant: Mutant) -> str:
    """Return a change as it would stand in the list, but for the reason."""
    lines = [
        "[[survivor]]",
        *(f"{key} = {_quoted(getattr(mutant, key))}" for key in ("file", "function", "old", "new")),
    ]
    return "\n".join([*lines, 'why = ""'])


def _quoted(text: str) -> str:
    if "\n" in text:
        return f"'''\n{text}\n'''"
    return f"'{text}'" if "'" not in text and text else f"'''{text}'''"
