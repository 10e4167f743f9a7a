"""A small mistake that somebody could make, and the harness that has to notice it."""

from __future__ import annotations

from dataclasses import dataclass

SIMULATION = "simulation"


@dataclass(frozen=True)
class Fault:
    """One mistake, which breaks one rule wherever the object that keeps the rule lives.

    Args:
        name: what is wrong then; for the command line.
        object: qualified name of the function, class or table of doorctl that keeps the rule.
        old: stands once in it as `ast.unparse` writes it: single quotes, a line for a statement.
        new: what it becomes.
        harness: the simulation, or the test file that has to fail.
    """

    name: str
    object: str
    old: str
    new: str
    harness: str = SIMULATION
