"""The list of security requirements: whole, each once, and every test in it exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "doorctl" / "web" / "SECURITY.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| (?P<id>V\d+\.\d+\.\d+) \| (?P<asks>[^|]+) \| (?P<how>[^|]+) \|$", re.MULTILINE
)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")

ASKED = {
    "V1.2": range(1, 6),
    "V1.3": (10,),
    "V1.5": (2,),
    "V2.1": (2, 3),
    "V2.2": range(1, 4),
    "V2.3": range(1, 5),
    "V2.4": (1,),
    "V3.2": (1, 2),
    "V3.3": range(1, 5),
    "V3.4": range(1, 7),
    "V3.5": range(1, 4),
    "V4.1": (1, 2, 3, 5),
    "V4.2": (1,),
    "V6.1": (1,),
    "V6.2": range(1, 13),
    "V6.3": (1, 2, 3, 8),
    "V6.4": (1,),
    "V6.8": (4,),
    "V7.1": (1, 2),
    "V7.2": range(1, 5),
    "V7.3": (1, 2),
    "V7.4": range(1, 6),
    "V7.5": (1, 2),
    "V7.6": (1,),
    "V8.1": (1, 2),
    "V8.2": range(1, 4),
    "V8.3": (1,),
    "V11.1": (1, 2),
    "V11.2": range(1, 5),
    "V11.3": (2, 3),
    "V11.4": (2,),
    "V11.5": (1,),
    "V12.1": range(1, 4),
    "V12.2": (1,),
    "V12.3": range(1, 5),
    "V13.1": (1,),
    "V13.2": (1, 2, 3, 4, 5),
    "V13.3": (1, 2),
    "V13.4": range(1, 6),
    "V14.1": (1, 2),
    "V14.2": range(1, 5),
    "V14.3": range(1, 4),
    "V15.1": range(1, 4),
    "V15.2": range(1, 4),
    "V15.3": (1, 3, 4, 5, 6, 7),
    "V16.1": (1,),
    "V16.2": range(1, 6),
    "V16.3": range(1, 5),
    "V16.4": range(1, 4),
    "V16.5": range(1, 4),
}
"""What of ASVS 5.0 concerns a branch: level 2, and of level 3 4.1.5, 6.3.8, 11.2.4 and 16.3.2."""


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of a file's tests."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_every_requirement_is_there_once() -> None:
    """None is left out quietly, and none is answered twice in two ways."""
    asked = [f"{section}.{number}" for section, numbers in ASKED.items() for number in numbers]

    assert [row["id"] for row in ROW.finditer(TEXT)] == asked


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(TEXT))))
def test_every_test_exists(path: str, name: str) -> None:
    """A test that was renamed leaves an empty claim."""
    assert name in names_in(path)


def test_no_name_of_a_test_is_overlooked() -> None:
    """What looks like one is written as one, or nobody would check it."""
    assert len(NAMED.findall(TEXT)) == TEXT.count("::")
