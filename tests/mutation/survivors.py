"""The list of changes that no test notices, each with the reason why that is right."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from tests.mutation.mutants import Mutant

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
