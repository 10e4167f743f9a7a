"""Figures as Prometheus reads them, for the page of a branch and the file of the sender.

Written by hand: prometheus-client costs web 6.4 MB (measured).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Samples = Mapping[str, float | None]
"""What is measured, by the label's value; None for not known."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """What is measured, with its labels; None for not known."""

    labels: Mapping[str, str]
    number: float | None


def family(name: str, means: str, found: Samples | Labelled | float | None, label: str = "") -> str:
    """Return a gauge in Prometheus' text format 0.0.4; "" where none of its values is known.

    `found` is its one value, with labels or without, or one for each value of its `label`. Names,
    meanings and labels are constants in doorctl; a label's value may be anything.
    """
    name = f"doorctl_{name}"
    lines = [f"# HELP {name} {means}\n# TYPE {name} gauge\n"]
    if isinstance(found, Mapping):
        samples = [Labelled({label: value}, number) for value, number in found.items()]
    else:
        samples = [found if isinstance(found, Labelled) else Labelled({}, found)]
    for sample in samples:
        if sample.number is not None:
            labels = ",".join(f'{key}="{escaped(value)}"' for key, value in sample.labels.items())
            lines.append(f"{name}{f'{{{labels}}}' * bool(labels)} {float(sample.number)!r}\n")
    return "".join(lines) if len(lines) > 1 else ""


def escaped(value: str) -> str:
    """Return a label's value as it stands between quotes."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
