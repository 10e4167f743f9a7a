"""The process that atheris fuzzes in: libFuzzer ends it when it is done.

Started with a target's name; what follows it is libFuzzer's.
"""

from __future__ import annotations

import importlib
import sys


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz one target until libFuzzer ends the process."""
    # Both by name: atheris has no types, and has to be there before what it instruments.
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["doorctl", "urllib"]):
        chosen = importlib.import_module("tests.fuzz.targets")
    with chosen.targets() as targets:
        target = targets[name]
        longest = f"-max_len={target.stock.longest}"
        atheris.Setup([sys.argv[0], longest, *options], target.check)
        atheris.Fuzz()


if __name__ == "__main__":
    fuzz(sys.argv[1], sys.argv[2:])
