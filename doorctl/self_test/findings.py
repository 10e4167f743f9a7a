"""What a self-test found, as a value and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; it holds no personal data.

    Args:
        check: its fixed name.
        ok: whether all is well.
        what: a sentence.
        do: what to do about it, a sentence; empty where all is well.
    """

    check: str
    ok: bool
    what: str
    do: str = ""


def all_well(found: tuple[Finding, ...]) -> bool:
    """Tell whether no check fails."""
    return all(finding.ok for finding in found)


def as_answer(found: tuple[Finding, ...]) -> dict[str, Any]:
    """Return what was found for JSON: on the control socket and for scripts."""
    return {"ok": all_well(found), "findings": [asdict(finding) for finding in found]}


def from_answer(answer: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return what :func:`as_answer` was given."""
    return tuple(Finding(**finding) for finding in answer["findings"])
