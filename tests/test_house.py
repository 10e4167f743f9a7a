"""How the house is counted."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.house import LIMITS, ROOT, Module, code_lines, functions, measured

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
    """As `.ci/run` asks too; whoever needs more room makes some."""
    figures, _ = measured()

    assert [name for name, most in LIMITS.items() if figures[name] > most] == []
