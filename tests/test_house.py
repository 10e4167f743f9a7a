"""How the house is counted."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.house import (
    LIMITS,
    ROOM_LIMITS,
    ROOT,
    Module,
    code_lines,
    functions,
    measured,
    outgrown,
    rooms,
)

TEXT = '''"""A file."""

import os  # why

TABLE = """two
lines"""


def do() -> int:
    """Say it.

    Twice.
    """
    # Why.
    return (
        1
    )
'''


def test_code_is_what_is_no_docstring_comment_or_blank_line() -> None:
    """A text that is a value is code."""
    module = Module(Path(ROOT / "doorctl" / "x.py"), TEXT, ast.parse(TEXT))

    assert code_lines(module) == 7
    assert list(functions(module)) == [(9, "doorctl/x.py:9 do")]


def test_the_house_has_not_outgrown_its_limits() -> None:
    """As `.ci/run` asks too: neither a figure of the whole nor a room."""
    figures, _ = measured()

    assert outgrown(figures, LIMITS) == []
    assert outgrown(rooms(), ROOM_LIMITS) == []


def test_a_room_without_a_limit_has_outgrown_it() -> None:
    """A new room says how large it may be."""
    assert outgrown({"old": 5, "large": 6, "new": 1}, {"old": 5, "large": 5}) == ["large", "new"]
